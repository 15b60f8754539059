# SPDX-License-Identifier: Apache-2.0
"""Online learning of the predict networks of all tasks, and the process that does it within a budget of CPU time.

The process is started by `ir_twin.learner_process.LearnerProcess` as ``python -m ir_twin.learner_worker FD``; it ends
when the other end of its socket does.
"""

from __future__ import annotations

import math
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig, LearnerConfig, RiskConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack
from ir_dynamics.predict_network import PredictionError, PredictNetwork, spread
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.transitions import Rows, TransitionLayout, heldout_mask
from ir_twin.learner_process import Notice
from ir_twin.object_stream import ObjectStream

_NORMALISER_ROWS = 20_000
_RISK_STEPS = 10
"""Gradient steps of the risk to go that take about as long as one of the ensemble: tasks take turns."""
KEEP_PERIOD = 20.0
"""s of wall time between two times that what is learnt from is written."""


class TaskLearner:
    """The network of one task, its replay and its held-out transitions.

    Args:
        config: of the learner.
        begin: task, layout, and where a dead learner left off.
    """

    def __init__(self, config: LearnerConfig, begin: Begin) -> None:
        self.config, self.task, self.version = config, begin.task, begin.version
        self._layout = begin.layout
        self.replay = ReplayBuffer(self._layout, config.replay_capacity)
        self.heldout = ReplayBuffer(self._layout, config.heldout_capacity)
        seeds = np.random.SeedSequence(config.seed).spawn(2)
        self._rng = np.random.default_rng(seeds[0])
        self._trainer = make_trainer(config.preset, self._layout, int(seeds[1].generate_state(1)[0]))
        self._risk = (
            RiskTrainer(RiskConfig(), self._layout, int(seeds[1].generate_state(2)[1])) if self._layout.ahead else None
        )
        if begin.network is not None:
            self._trainer.adopt(begin.network)
            if self._risk and isinstance(begin.network, EnsembleNetwork):
                self._risk.network = begin.network.to_go
        self._best, self._state = begin.network, self._trainer.state()
        self.rollbacks = 0
        self.kept = 0
        self._since_normalised = 0
        self._published_steps = 0

    @property
    def transitions(self) -> int:
        """Transitions taken in, the held-out ones included."""
        return self.replay.added + self.heldout.added

    @property
    def steps(self) -> int:
        """Gradient steps made."""
        return self._trainer.steps

    def add(self, rows: Rows) -> None:
        """Takes transitions [n, width] in, each either to learn from or held out."""
        mask = heldout_mask(self.transitions, len(rows))
        self.replay.add(rows[~mask])
        self.heldout.add(rows[mask])

    def restore(self, path: Path) -> None:
        """Takes in what was learnt from before, as it is beside the checkpoint at ``path``.

        Raises:
            ConfigError: see `model_checkpoint.load_rows`.
        """
        learnt, heldout = model_checkpoint.load_rows(path, self._layout)
        self.replay.add(learnt)
        self.heldout.add(heldout)
        self.kept = self.transitions

    def keep(self, path: Path) -> None:
        """Writes what is learnt from beside the checkpoint at ``path``."""
        model_checkpoint.save_rows(path, self.replay.in_order(), self.heldout.in_order())
        self.kept = self.transitions

    def due(self) -> bool:
        """Enough is there to learn from, and the transitions allow another step."""
        allowed = self.config.initial_steps + self.config.steps_per_transition * self.transitions
        enough = self.transitions >= self.config.min_transitions and self.steps < allowed
        return enough or (self._risk is not None and self._risk.due(self.replay.added))

    def step(self) -> float:
        """One gradient step, or some of the risk to go while a fit of it is under way or due; returns the last loss."""
        if self._risk and self._risk.due(self.replay.added):
            for _ in range(_RISK_STEPS):
                loss = self._risk.step(self.replay.rows, self.replay.added)
                if self._risk.fresh:
                    break
            return loss
        if self.transitions >= 1.1 * self._since_normalised:  # the data have grown by a tenth
            self._trainer.normalise(self._sample(self.replay.rows))
            self._since_normalised = self.transitions
        return self._trainer.step(self.replay.sample(self._rng, self._trainer.rows_per_step))

    def publishable(self) -> bool:
        """There is a network worth a version that was not published yet."""
        begun = self._best is not None or self.steps >= self.config.initial_steps
        news = self.steps > self._published_steps or (self._risk is not None and self._risk.fresh is not None)
        return begun and news and len(self.heldout) > 0

    def publish(self, busy: float = float("nan")) -> ModelVersion | RolledBack:
        """The present network as a new version, judged on the held-out transitions; or what became of it instead.

        Where it is worse there by over `worse_by` than the best network so far, that one is gone back to. Better and
        worse are by the root mean square of the errors of state and reward, each in standard deviations; of what was
        newly learnt of the risk to go, by its error alone.
        """
        if len(self.heldout) > 0:
            self._trainer.select(self.heldout.rows)
        network, self._published_steps = self._trainer.export(), self.steps
        if self._risk and isinstance(network, EnsembleNetwork):
            if (refused := self._take_risk(self._risk)) is not None:
                return refused
            network = replace(network, to_go=self._risk.network)
        sample = self._layout.unpack(self._sample(self.replay.rows))
        scale = (
            spread(sample.next_state[:, : self._layout.num_observation]),
            float(spread(np.asarray(sample.reward)[:, None])[0]),
        )
        error, score = self._judged(network, *scale)
        best = math.inf if self._best is None else self._judged(self._best, *scale)[1]
        if self._best is not None and not score <= best * (1 + self.config.worse_by):  # NaN is worse
            self._trainer.load(self._state)  # the network's members are in another order than the optimiser's moments
            self._trainer.steps = self._published_steps  # those since count as made
            self.rollbacks += 1
            return RolledBack(self.task, self.rollbacks, score, best)
        if score <= best:
            self._best, self._state = network, self._trainer.state()
        self.version += 1
        return ModelVersion(self.task, self.version, network, self.transitions, self.steps, error, busy)

    def _judged(
        self, network: PredictNetwork | EnsembleNetwork, state_scale: NDArray[np.float64], reward_scale: float
    ) -> tuple[PredictionError, float]:
        """Errors on the held-out transitions, and their root mean square in standard deviations."""
        error = network.errors(self._layout.unpack(self.heldout.rows), state_scale)
        return error, math.sqrt((error.state**2 + (error.reward / reward_scale) ** 2) / 2)

    def _take_risk(self, risk: RiskTrainer) -> RolledBack | None:
        """Takes what was newly learnt of the risk to go into use, unless it is worse than what is there."""
        if risk.fresh is None:
            return None
        heldout = self._layout.unpack(self.heldout.rows)
        new, old = (math.nan if one is None else one.error(heldout) for one in (risk.fresh, risk.network))
        worse = new > old * (1 + self.config.worse_by)  # NaN: nothing came yet, or there is none to compare it with
        fresh, risk.fresh = risk.fresh, None
        if worse or not fresh.finite:
            self.rollbacks += 1
            return RolledBack(self.task, self.rollbacks, new, old)
        risk.network = fresh
        return None

    @staticmethod
    def _sample(rows: Rows) -> Rows:
        """Enough of many rows for means and deviations."""
        return rows[:: -(-len(rows) // _NORMALISER_ROWS)]


def make_trainer(preset: str, layout: TransitionLayout, seed: int) -> PredictTrainer | Ensemble:
    """What trains the network of a preset."""
    if preset == "ensemble":
        return Ensemble(EnsembleConfig(), layout, seed)
    return PredictTrainer(PRESETS[preset], layout, seed)


class Budget:
    """Keeps CPU time under a share of wall time: after ``c`` seconds of work there is ``c (1 / duty - 1)`` of rest.

    Args:
        duty: share of one core.
        wall: clock of wall time, s.
        cpu: clock of this process's CPU time, s.
    """

    def __init__(
        self, duty: float, wall: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._duty, self._wall, self._cpu = duty, wall, cpu
        self._start = self._rested = wall()
        self._used_at_start = self._used = cpu()

    def pause(self) -> float:
        """Seconds to rest before the next piece of work (0: none); rest beyond 0.1 s of it is not saved up."""
        used, now = self._cpu(), self._wall()
        self._rested = max(self._rested + (used - self._used) / self._duty, now - 0.1)
        self._used = used
        return max(self._rested - now, 0.0)

    @property
    def share(self) -> float:
        """Share of one core taken since the start."""
        return (self._cpu() - self._used_at_start) / max(self._wall() - self._start, 1e-9)


class Learner:
    """Learns the networks of several tasks in turn.

    Args:
        config: preset, seed and limits.
    """

    def __init__(self, config: LearnerConfig) -> None:
        self.config = config
        self.tasks: dict[str, TaskLearner] = {}
        self._turn = 0

    def handle(self, message: Begin | tuple[str, Rows]) -> None:
        """Takes a new task, or transitions [n, width] of a known one."""
        if isinstance(message, Begin):
            task_learner = self.tasks[message.task] = TaskLearner(self.config, message)
            if self.config.checkpoints:
                task_learner.restore(model_checkpoint.file_of(self.config.checkpoints, message.task))
        else:
            task, rows = message
            self.tasks[task].add(rows)

    def step(self) -> bool:
        """One gradient step for the next task that is due; says whether there was one."""
        due = [task for task in self.tasks.values() if task.due()]
        if due:
            self._turn += 1
            due[self._turn % len(due)].step()
        return bool(due)


def serve(channel: ObjectStream, learner: Learner, budget: Budget) -> None:
    """Learns until the other side of the channel is gone."""
    next_publish: dict[str, float] = {}
    next_keep = time.monotonic() + KEEP_PERIOD
    try:
        while True:
            for message in channel.receive():
                learner.handle(message)
            rest = budget.pause()
            worked = rest <= 0 and learner.step()
            now = time.monotonic()
            for task in learner.tasks.values():
                if not channel.busy and task.publishable() and now >= next_publish.get(task.task, 0.0):
                    outcome = task.publish(budget.share)
                    channel.send(outcome)
                    if isinstance(outcome, ModelVersion):
                        _keep(outcome, learner.config, channel)
                    next_publish[task.task] = now + learner.config.publish_period
            if learner.config.checkpoints and now >= next_keep:
                _keep_rows(learner, channel)
                next_keep = now + KEEP_PERIOD
            channel.wait(0.0 if worked else max(rest, 0.01))
    except EOFError:
        return


def _keep(model: ModelVersion, config: LearnerConfig, channel: ObjectStream) -> None:
    """Writes the checkpoint of a version, where there is a folder for it."""
    if config.checkpoints:
        try:
            model_checkpoint.save(model_checkpoint.file_of(config.checkpoints, model.task), model, config.preset)
        except OSError as error:
            channel.send(Notice(f"checkpoint of {model.task} not written: {error}"))


def _keep_rows(learner: Learner, channel: ObjectStream) -> None:
    """Writes what each task learns from, where there is more of it than was written."""
    for name, task in learner.tasks.items():
        if task.transitions > task.kept:
            try:
                task.keep(model_checkpoint.file_of(learner.config.checkpoints, name))
            except OSError as error:
                channel.send(Notice(f"transitions of {name} not written: {error}"))


def main(arguments: list[str] | None = None) -> None:
    """Entry of the process: ``FD`` is the number of an inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node ends this process
    arguments = sys.argv[1:] if arguments is None else arguments
    channel = ObjectStream(socket.socket(fileno=int(arguments[0])))
    torch.set_num_threads(1)
    hello: list[Any] = []
    try:
        while not hello:
            channel.wait(1.0)
            hello = channel.receive()
    except EOFError:
        return
    config = LearnerConfig.model_validate(hello.pop(0))
    learner = Learner(config)
    for message in hello:
        learner.handle(message)
    serve(channel, learner, Budget(config.learner_duty))


if __name__ == "__main__":
    main()
