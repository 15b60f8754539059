# SPDX-License-Identifier: Apache-2.0
"""The training loop: an agent in a Gymnasium environment, epoch by epoch, interruptible between two epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from ir_common.config import ConfigError
from ir_drl.sac import run_checkpoint
from ir_drl.sac.epoch_record import EpochProgress, EpochRecord
from ir_drl.sac.experience_learner import ExperienceLearner
from ir_drl.sac.generators import Generators
from ir_drl.sac.policy_evaluation import MAX_SEED, evaluate
from ir_drl.sac.training_config import TrainingConfig
from ir_drl.sac.training_hooks import FloatArray
from ir_dynamics.transitions import Transition, TransitionLayout


class AgentTrainer(ExperienceLearner):
    """Trains a SAC agent in a Gymnasium environment, epoch by epoch.

    Every episode starts with a seed of its own, and the last episode of an epoch is cut off at the epoch's end (as by a
    time limit, so its value goes on): between two epochs the run is nothing but what `save` writes.

    Args:
        make_environment: makes the environment; called once for training and once for evaluation.
        config: the run.
        task: its name, kept in checkpoints.
        device: of the networks.

    Attributes:
        environment: that it trains in; evaluations have their own.
        records: of the epochs so far.
        progress: of the epoch under way.

    Raises:
        ConfigError: the environment's spaces are not vectors, or its actions have no bounds.
    """

    def __init__(
        self,
        make_environment: Callable[[], gymnasium.Env[Any, Any]],
        config: TrainingConfig,
        task: str,
        device: str | torch.device = "cpu",
    ) -> None:
        self.environment, self._evaluation = make_environment(), make_environment()
        layout, self._low, self._high = _spaces(self.environment, task)
        super().__init__(config, layout, task, device)
        self._n_step_returns = self.make_returns()
        self.records: list[EpochRecord] = []
        self.progress = EpochProgress()
        self._random = Generators(config.seed, "environment", "start")

    def run(self, on_step: Callable[[int], None] = lambda step: None) -> Iterator[EpochRecord]:
        """Trains the epochs that are left, and gives the record of each as it ends.

        Subnormal numbers are flushed to zero from here on in this process: Adam's moments of inactive neurons decay
        into them, and would slow its step by a factor of tens.

        Args:
            on_step: told the number of each environment step.

        Raises:
            FloatingPointError: training diverged: an action or a metric is not finite.
        """
        torch.set_flush_denormal(True)
        while len(self.records) < self.config.epochs:
            record = self._epoch(on_step)
            if not all(math.isfinite(value) for value in record.metrics.values()):
                raise self._diverged()
            self.records.append(record)
            yield record

    def close(self) -> None:
        """Closes the environments."""
        self.environment.close()
        self._evaluation.close()

    def _epoch(self, on_step: Callable[[int], None]) -> EpochRecord:
        config, began, cpu_began = self.config, time.perf_counter(), time.process_time()
        first = len(self.records) * config.epoch_steps
        self.progress, rewards = EpochProgress(), list[float]()
        observation = self._reset()
        for step in range(first + 1, first + config.epoch_steps + 1):
            observation, reward, terminated, truncated = self._step(observation, step)
            rewards.append(reward)
            if terminated or truncated:
                self.progress.falls += terminated
                self.progress.returns.append(sum(rewards))
                observation, rewards = self._reset(), []
            if step > config.start_steps and len(self.n_step_replay):
                self.learn(step)
            on_step(step)
        trained, cpu_trained = time.perf_counter(), time.process_time()
        evaluation = self.evaluate()
        return EpochRecord(
            epoch=len(self.records) + 1,
            steps=first + config.epoch_steps,
            falls=self.progress.falls,
            training_returns=self.progress.returns,
            evaluation_returns=evaluation,
            metrics=self.agent.metrics() | self.hooks.metrics() | self.curriculum.end_epoch(self.progress.falls),
            seconds=trained - began,
            evaluation_seconds=time.perf_counter() - trained,
            cpu_seconds=cpu_trained - cpu_began,
        )

    def _step(self, observation: FloatArray, step: int) -> tuple[FloatArray, float, bool, bool]:
        if step <= self.config.start_steps:
            action = self._random["start"].uniform(-1.0, 1.0, self.layout.num_action).astype(np.float32)
        else:
            action = self.agent.act(observation, explore=True)
        if not np.isfinite(action).all():
            raise self._diverged()
        action = self.hooks.propose(observation, action)
        following, reward, terminated, truncated, _ = self.environment.step(self._scale(action))
        reward = float(reward)
        try:
            self.take(Transition(observation, action, reward, following, terminated), self._n_step_returns)
        except ValueError as error:
            raise ConfigError(f"{self.task}, step {step}: {error}; mend the environment") from None
        return following, reward, terminated, truncated

    def _diverged(self) -> FloatingPointError:
        return FloatingPointError(
            f"{self.task}: training diverged in epoch {len(self.records) + 1}: its numbers are no longer finite; "
            "go back to an earlier checkpoint, or train anew with a smaller learning rate"
        )

    def _reset(self) -> FloatArray:
        self._n_step_returns.cut()
        observation, _ = self.environment.reset(seed=int(self._random["environment"].integers(MAX_SEED)))
        return np.asarray(observation)

    def _scale(self, action: FloatArray) -> FloatArray:
        return self._low + (action + np.float32(1.0)) * np.float32(0.5) * (self._high - self._low)

    def evaluate(self) -> list[float]:
        """Returns of episodes with the policy's mean action; the same starts every time, and no effect on training."""

        def act(observation: FloatArray) -> FloatArray:
            return self._scale(self.agent.act(observation))

        return evaluate(self._evaluation, act, self.config.seed, self.config.evaluation_episodes)

    def save(self, path: Path) -> None:
        """Writes a checkpoint; call it between two epochs."""
        content = {
            "config": self.config.model_dump_json(),
            "layout": [self.layout.num_state, self.layout.num_action],
            **self.experience(),
            "random": self._random.state(),
            "records": [asdict(record) for record in self.records],
        }
        run_checkpoint.save(path, self.task, content)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint of a run with the same configuration; only the number of epochs may differ.

        Raises:
            ConfigError: see `run_checkpoint.load`, or the run was configured otherwise.
        """
        content = run_checkpoint.load(path, self.task)
        with run_checkpoint.fitting(path):
            run_checkpoint.check_same(path, content, self.task, self.config, self.layout)
            self.restore(content)
            self._random.load(content["random"])
            self.records = [EpochRecord(**record) for record in content["records"]]


def _spaces(environment: gymnasium.Env[Any, Any], task: str) -> tuple[TransitionLayout, FloatArray, FloatArray]:
    """Layout of an environment's transitions, and the least and greatest action [n_act]."""
    box = gymnasium.spaces.Box
    observations, actions = environment.observation_space, environment.action_space
    if not isinstance(observations, box) or not isinstance(actions, box) or len(observations.shape) != 1:
        raise ConfigError(f"{task}: observations and actions must be vectors (Box), not {observations} and {actions}")
    if len(actions.shape) != 1 or not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise ConfigError(f"{task}: actions need finite bounds for each part, not {actions}")
    return TransitionLayout(observations.shape[0], actions.shape[0]), actions.low, actions.high
