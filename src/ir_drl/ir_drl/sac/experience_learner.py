# SPDX-License-Identifier: Apache-2.0
"""An agent that learns from transitions, wherever they come from: an environment in training, a radio in the stack."""

from __future__ import annotations

from typing import Any

import torch

from ir_drl.sac import run_checkpoint
from ir_drl.sac.agent import SAC
from ir_drl.sac.n_step_returns import NStepReturns
from ir_drl.sac.reward_curriculum import RewardCurriculum
from ir_drl.sac.samplers import Sampler, UniformSampler
from ir_drl.sac.training_config import TrainingConfig
from ir_drl.sac.training_hooks import TrainingHooks
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Transition, TransitionLayout


class ExperienceLearner:
    """A SAC agent with what it learns from. It knows no environment and no time.

    Args:
        config: the agent, its replay and its updates.
        layout: of the transitions; actions in [-1, 1].
        task: its name.
        device: of the networks.

    Attributes:
        replay: the robot's transitions, a step each.
        n_step_replay: those that the agent learns from, `return_steps` each; the same buffer where that is 1.
        sampler: fills the updates' batches; replace it to mix the robot's experience with a training model's.
        hooks: what a method adds.
        curriculum: what steps pay.
    """

    def __init__(
        self, config: TrainingConfig, layout: TransitionLayout, task: str, device: str | torch.device = "cpu"
    ) -> None:
        self.config, self.layout, self.task = config, layout, task
        self.agent = SAC(config.sac, layout, config.seed, device)
        self.replay = self.n_step_replay = self.make_buffer(config.capacity)
        if config.return_steps > 1:
            self.n_step_replay = self.make_buffer(config.capacity)
        self.sampler: Sampler = UniformSampler(self.n_step_replay, self.agent.random["replay"])
        self.hooks = TrainingHooks()
        self.curriculum = RewardCurriculum(config.pace)

    def make_buffer(self, capacity: int) -> ReplayBuffer:
        """An empty buffer for so many transitions of this task, with actions in [-1, 1]."""
        return ReplayBuffer(self.layout, capacity, action_limit=1.0)

    def make_returns(self) -> NStepReturns:
        """What makes the n-step returns of one robot's steps, to be given to `take`."""
        return NStepReturns(self.config.return_steps, self.config.sac.discount)

    def take(self, step: Transition, returns: NStepReturns) -> None:
        """Takes in what one step of a robot brought.

        Args:
            step: with the task's own reward.
            returns: of that robot; cut by the caller where the next step does not follow from the last one.

        Raises:
            ValueError: a number is not finite, or an action beyond [-1, 1]; nothing is taken in.
        """
        made = step._replace(reward=self.curriculum.shaped(float(step.reward)))
        self.replay.add(self.layout.pack(made))
        if self.n_step_replay is not self.replay:
            for one in returns.follow(made):
                self.n_step_replay.add(self.layout.pack(one))
        self.hooks.transition(made)

    def learn(self, step: int) -> None:
        """The updates that go with one step of the robot, number ``step`` since the start (1 for the first)."""
        self.hooks.before_updates(step)
        for _ in range(self.config.updates_per_step):
            self.agent.update(self.sampler)

    def experience(self) -> dict[str, Any]:
        """What a checkpoint has of agent, transitions, hooks and curriculum: tensors and plain values."""
        two = self.n_step_replay is not self.replay
        return {
            "agent": self.agent.state(),
            "replay": run_checkpoint.buffer_state(self.replay),
            "n_step_replay": run_checkpoint.buffer_state(self.n_step_replay) if two else None,
            "reward_cap": self.curriculum.cap,
            "hooks": self.hooks.state(),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Takes over what `experience` gave; raises KeyError, TypeError or ValueError where it does not fit."""
        self.agent.load(content["agent"])
        self.replay.load(content["replay"])
        if self.n_step_replay is not self.replay:
            self.n_step_replay.load(content["n_step_replay"])
        if self.config.pace is not None:
            self.curriculum.cap = float(content["reward_cap"])
        self.hooks.load(content["hooks"])
