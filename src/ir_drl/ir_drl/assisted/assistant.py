# SPDX-License-Identifier: Apache-2.0
"""A training model's part in training: it learns from the robot's transitions, predicts others, and vetoes actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from ir_drl.assisted.assisted_config import PACES, AssistedConfig
from ir_drl.assisted.demonstrations import DemonstrationSampler, demonstrate
from ir_drl.assisted.generated_starts import GeneratedStarts
from ir_drl.assisted.rollouts import bounds_of, branched_rollouts
from ir_drl.assisted.training_models import Termination, make_model
from ir_drl.assisted.training_veto import WINDOW, RewardVeto, make_veto
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.experience_learner import ExperienceLearner
from ir_drl.sac.generators import Generators
from ir_drl.sac.run_checkpoint import buffer_state
from ir_drl.sac.samplers import MixedSampler
from ir_drl.sac.training_hooks import TrainingHooks
from ir_sim.tasks import HopperHop, Task

Array = NDArray[Any]
TERMINATIONS: dict[str, Termination] = {"Hopper-v5": HopperHop().terminated}
"""Other environments than the stack's own (`ir/<Task>-v0`) whose end is a known function of the next observation."""


class Assistant(TrainingHooks):
    """What an algorithm with a training model adds to plain SAC, by hooks and sampler of an `ExperienceLearner`.

    Args:
        learner: gets its sampler and hooks from here.
        config: of a training whose algorithm is not sac.
        termination: the task's own rule of when it ends; none: see `make_model`.

    Attributes:
        model: the training model.
        buffer: transitions that it predicted.
        generated: the GAN's part, or None.
    """

    def __init__(self, learner: ExperienceLearner, config: AssistedConfig, termination: Termination | None) -> None:
        self._learner, self._config, self._settings = learner, config, config.twin
        self._random = Generators(config.seed, "twin", "starts")
        self.model = make_model(self._settings, learner.layout, int(self._random["twin"].integers(2**31)), termination)
        self.generated = None
        if self._settings.generated_share > 0:
            self.generated = GeneratedStarts(self._settings, learner.layout, int(self._random["twin"].integers(2**31)))
        self.buffer = learner.make_buffer(self._settings.capacity)
        self._veto = make_veto(self._settings, self.model, self._act)
        self._fits = 0
        self._vetoes, self._notes = 0, dict[str, list[float]]()
        learner.hooks = self
        learner.sampler = self._sampler = MixedSampler(
            learner.n_step_replay, self.buffer, self._settings.share, learner.agent.random["replay"]
        )

    @property
    def trusted(self) -> bool:
        """Whether the model is good enough to be learnt from and asked."""
        return self.model.error <= self._settings.max_error

    def propose(self, observation: Array, action: Array) -> Array:
        """See `TrainingHooks`."""
        if self._veto is None or not self.trusted:
            return action
        done = self._veto.judge(observation, action)
        self._vetoes += done is not action
        return done

    def before_updates(self, step: int) -> None:
        """See `TrainingHooks`: every `period` steps the model is fitted and, if it may be trusted, rolled out."""
        epoch, settings = (step - 1) // self._config.epoch_steps + 1, self._settings
        idle = settings.share_until is not None and epoch > settings.share_until and self._veto is None
        if not idle and (step - self._config.start_steps - 1) % settings.period == 0:
            self._fit(epoch)
        # at each step: a resumed run begins between two fits
        self._sampler.share = settings.share_in(epoch) if self.trusted else 0.0

    def _fit(self, epoch: int) -> None:
        rows = self._learner.replay.rows
        self.model.fit(rows, self._settings.fit_steps if self._fits else self._settings.first_fit_steps)
        self._fits += 1
        if self._veto is not None:
            self._veto.update(self._recent_rewards())
        if np.isfinite(self.model.error):
            self._note("twin_error", self.model.error)
        if self.generated is not None:
            for name, value in self.generated.fit(rows).items():
                self._note(name, value)
        if self.trusted:
            self._model_rollouts(epoch)
        self._note("twin_transitions", len(self.buffer))

    def _model_rollouts(self, epoch: int) -> None:
        """Fills the buffer with what the model predicts from generated and from real states."""
        settings, layout = self._settings, self._learner.layout
        made, generated = 0, self.generated
        length, parts = settings.rollout_length(epoch), []
        if generated is not None and generated.passes:
            made = round(settings.generated_share * settings.starts)
            states, actions = generated.draw(made)
            parts.append(self._rollouts(states, length, actions))
        if made < settings.starts:
            drawn = self._learner.replay.sample(self._random["starts"], settings.starts - made)
            states = drawn[:, layout.state]
            parts.append(self._rollouts(states, length, self._first_actions(states)))
        for rows in parts:
            self.buffer.add(rows)
        self._note("rollout_steps", sum(map(len, parts)) / settings.starts)
        if generated is not None:
            self._note("generated_share", made / settings.starts)

    def _first_actions(self, states: Array) -> Array | None:
        """First actions [n, num_action] of rollouts: the policy's, every other one with noise; none without noise."""
        noise = self._settings.action_noise
        if not noise:
            return None
        action = self._explore(states).copy()
        half = action[::2]
        action[::2] = np.clip(half + self._random["starts"].normal(0.0, noise, half.shape), -1.0, 1.0)
        return action

    def _rollouts(self, starts: Array, length: int, actions: Array | None) -> Array:
        layout, rows = self._learner.layout, self._learner.replay.rows
        bounds = bounds_of(rows, layout) if self._settings.bounded else None
        return branched_rollouts(self.model, self._explore, layout, starts, length, actions, bounds)

    def _recent_rewards(self) -> Array:
        return self._learner.replay.newest(WINDOW)[:, self._learner.layout.reward]

    def _act(self, observation: Array, explore: bool) -> Array:
        """The agent's actions for [n, n_obs], computed for a power of two of rows: it keeps room for every size."""
        count = len(observation)
        padded = np.zeros((1 << (count - 1).bit_length(), observation.shape[1]), np.float32)
        padded[:count] = observation
        return self._learner.agent.act(padded, explore)[:count]

    def _explore(self, observation: Array) -> Array:
        return self._act(observation, True)

    def _note(self, name: str, value: float) -> None:
        self._notes.setdefault(name, []).append(float(value))

    def metrics(self) -> dict[str, float]:
        """Means over the epoch, and the number of vetoes in it."""
        means = {name: float(np.mean(values)) for name, values in self._notes.items()}
        if self._veto is not None:
            means["vetoes"] = float(self._vetoes)
        self._notes, self._vetoes = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """See `TrainingHooks`."""
        return {
            "twin": self.model.state(),
            "buffer": buffer_state(self.buffer),
            "random": self._random.state(),
            "generated": None if self.generated is None else self.generated.state(),
            "fits": self._fits,
            "threshold": self._veto.threshold if isinstance(self._veto, RewardVeto) else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """See `TrainingHooks`."""
        self.model.load(state["twin"])
        self.buffer.load(state["buffer"])
        self._random.load(state["random"])
        if self.generated is not None:
            self.generated.load(state["generated"])
        self._fits = int(state["fits"])
        if isinstance(self._veto, RewardVeto):
            self._veto.threshold = float(state["threshold"])


def assist(learner: ExperienceLearner, config: AssistedConfig, termination: Termination | None) -> Assistant | None:
    """Gives a learner the training model that the configured algorithm has; returns it, None for sac."""
    return None if config.algorithm == "sac" else Assistant(learner, config, termination)


def make_trainer(
    make_environment: Callable[[], gymnasium.Env[Any, Any]],
    config: AssistedConfig,
    task: str,
    device: str | torch.device = "cpu",
) -> AgentTrainer:
    """A trainer for the configured algorithm; arguments as for `AgentTrainer`. Training models are on the CPU."""
    own_id = task.rpartition(":")[2]  # without the module that registers it
    if config.task_pace and config.pace is None:
        config = config.model_copy(update={"pace": PACES.get(own_id)})
    trainer = AgentTrainer(make_environment, config, task, device)
    own = getattr(trainer.environment.unwrapped, "task", None)
    assist(trainer, config, own.terminated if isinstance(own, Task) else TERMINATIONS.get(own_id))
    if config.demonstrations.steps:
        shown = demonstrate(trainer.environment, config.demonstrations, trainer.layout, config.seed, task)
        rng = trainer.agent.random["replay"]
        trainer.sampler = DemonstrationSampler(shown, config.demonstrations.share, trainer.sampler, rng)
    return trainer
