# SPDX-License-Identifier: Apache-2.0
"""Learning of a task's network from transitions as they come: fitting, judging on held-out transitions, versions.

Knows no process and no clock: what counts as time is given, wall time or simulated::

    learner = TaskLearner(FittingConfig(), Begin("hopper_hop", layout_of("live", 11, 3)))
    learner.add(rows)  # [n, width], as the layout packs them
    outcome = learner.learn(steps=10, now=clock.now)  # a ModelVersion where one is due, RolledBack where it was worse
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_dynamics import model_checkpoint
from ir_dynamics.calibration import half_widths
from ir_dynamics.dynamics_config import FittingConfig, RiskConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack
from ir_dynamics.network_trainer import make_network_trainer
from ir_dynamics.predict_network import PredictionError, PredictNetwork, spread
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.transitions import Rows, heldout_mask

_NORMALISER_ROWS = 20_000
_RISK_STEPS = 10
"""Gradient steps of the risk to go that take about as long as one of the ensemble: tasks take turns."""


class TaskLearner:
    """Learns the network of one task from its transitions as they come, and publishes versions of it.

    Args:
        config: of fitting and publishing.
        begin: task, layout, and where an earlier learner left off.

    Attributes:
        replay, heldout: transitions that are learnt from, and those that versions are judged on.
        version: number of the newest version.
        rollbacks: versions that were worse than the best before them and were not taken.
        kept: transitions there were when they were last written beside a checkpoint.
    """

    def __init__(self, config: FittingConfig, begin: Begin) -> None:
        self.config, self.task, self.version, self._begin = config, begin.task, begin.version, begin
        self._layout = begin.layout
        self.replay = ReplayBuffer(self._layout, config.replay_capacity)
        self.heldout = ReplayBuffer(self._layout, config.heldout_capacity)
        seeds = np.random.SeedSequence(config.seed).spawn(2)
        self._rng = np.random.default_rng(seeds[0])
        self._trainer = make_network_trainer(config.preset, self._layout, int(seeds[1].generate_state(1)[0]))
        self._risk = (
            RiskTrainer(RiskConfig(), self._layout, int(seeds[1].generate_state(2)[1])) if self._layout.ahead else None
        )
        if begin.network is not None:
            self._trainer.adopt(begin.network)
            if self._risk and isinstance(begin.network, EnsembleNetwork):
                self._risk.resume(begin.network.to_go, begin.transitions)
        self._best, self._state = begin.network, self._trainer.state()
        self.rollbacks = 0
        self.kept = 0
        self._since_normalised = 0
        self._learnt = 0  # transitions that were there at the start, and that the network has learnt from
        self._unkept = begin.transitions if begin.network else 0  # that the network has seen and that are not here
        self._published_steps = 0
        self._next_publish = -math.inf

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

        A network that goes on keeps its normalisation until the data have grown, and only what is new allows steps.
        Where fewer transitions are there than it has seen, as with what is shipped, those missing count for when the
        risk to go is fitted anew.

        Raises:
            ConfigError: see `model_checkpoint.load_rows`.
        """
        learnt, heldout = model_checkpoint.load_rows(path, self._layout)
        self.replay.add(learnt)
        self.heldout.add(heldout)
        self.kept = self.transitions
        if self._begin.network is not None:
            self._since_normalised = self._learnt = self.transitions
            self._unkept = max(self._begin.transitions - self.transitions, 0)

    def keep(self, path: Path) -> None:
        """Writes what is learnt from beside the checkpoint at ``path``."""
        model_checkpoint.save_rows(path, self.replay.in_order(), self.heldout.in_order())
        self.kept = self.transitions

    def learn(self, steps: int, now: float, busy: float = math.nan) -> ModelVersion | RolledBack | None:
        """Makes at most ``steps`` gradient steps, as many as the transitions allow; then publishes where that is due.

        Args:
            steps: at most; some of the risk to go count as one, see `step`.
            now: time, s, by any clock that does not go back; see `publish_due`.
            busy: share of one core that training took so far; NaN: not known.
        """
        for _ in range(steps):
            if not self.due():
                break
            self.step()
        return self.publish_due(now, busy)

    def due(self) -> bool:
        """Whether there is enough to learn from, and the transitions allow another step."""
        first = self.config.initial_steps if self._begin.network is None else 0
        allowed = first + self.config.steps_per_transition * (self.transitions - self._learnt)
        enough = self.transitions >= self.config.min_transitions and self.steps < allowed
        return enough or (self._risk is not None and self._risk.due(self._seen))

    @property
    def _seen(self) -> int:
        """Transitions for the risk to go, those included that are not kept and that it was fitted to."""
        fitted = getattr(self._begin.network, "to_go", None) is not None
        return self.replay.added + self._unkept * fitted

    def step(self) -> float:
        """One gradient step, or some of the risk to go while a fit of it is under way or due; returns the last loss."""
        if self._risk and self._risk.due(self._seen):
            for _ in range(_RISK_STEPS):
                loss = self._risk.step(self.replay.rows, self._seen)
                if self._risk.fresh:
                    break
            return loss
        if self.transitions >= 1.1 * self._since_normalised:  # the data have grown by a tenth
            self._trainer.normalise(self._sample(self.replay.rows))
            self._since_normalised = self.transitions
        return self._trainer.step(self.replay.sample(self._rng, self._trainer.rows_per_step))

    def publishable(self) -> bool:
        """Whether there is a network worth a version that was not published yet."""
        begun = self._best is not None or self.steps >= self.config.initial_steps
        news = self.steps > self._published_steps or (self._risk is not None and self._risk.fresh is not None)
        return begun and news and len(self.heldout) > 0

    def publish_due(self, now: float, busy: float = math.nan) -> ModelVersion | RolledBack | None:
        """Publishes where there is something new and `publish_period` has gone by since the last time; else None.

        Args:
            now: time, s, by the clock of all earlier calls.
            busy: share of one core that training took so far; NaN: not known.
        """
        if now < self._next_publish or not self.publishable():
            return None
        self._next_publish = now + self.config.publish_period
        return self.publish(busy)

    def publish(self, busy: float = math.nan) -> ModelVersion | RolledBack:
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
            tails = half_widths(network.residuals(self._layout.unpack(self.heldout.rows)))
            network = replace(network, to_go=self._risk.network, tails=tails)
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
        seen = self.transitions + self._unkept
        return ModelVersion(self.task, self.version, network, seen, self.steps, error, busy)

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
        """A regular subset of many rows: enough for means and deviations."""
        return rows[:: -(-len(rows) // _NORMALISER_ROWS)]
