# SPDX-License-Identifier: Apache-2.0
"""The training loop: an agent in a Gymnasium environment, epoch by epoch, interruptible between two epochs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config, ConfigError, validate
from ir_drl.sac import run_checkpoint
from ir_drl.sac.agent import SAC
from ir_drl.sac.agent_replay import Layout, ReplayBuffer, Sampler, UniformSampler
from ir_drl.sac.generators import Generators, generator
from ir_drl.sac.n_step_returns import NStepReturns
from ir_drl.sac.pace import Pace, PaceConfig
from ir_drl.sac.sac_config import SACConfig

FloatArray = NDArray[Any]
MAX_SEED = 2**31


class TrainingConfig(Config):
    """A training run; the defaults are those of IoR section III and Fig. 4."""

    sac: SACConfig = Field(default_factory=SACConfig, description="the agent")
    seed: int = Field(default=0, ge=0, description="of every random number of the run")
    epochs: int = Field(default=120, ge=1, description="number of epochs")
    epoch_steps: int = Field(default=1000, ge=1, description="environment steps of an epoch")
    start_steps: int = Field(
        default=1000, ge=1, description="first steps of the run, with uniform actions and no updates"
    )
    return_steps: int = Field(
        default=1, ge=1, le=100, description="environment steps whose rewards a target sums up before the next value"
    )
    updates_per_step: int = Field(default=1, ge=0, description="gradient steps for each environment step")
    pace: PaceConfig | None = Field(default=None, description="what steps pay in training; none: their rewards")
    capacity: int = Field(default=1_000_000, ge=1, description="transitions that the replay buffer keeps")
    evaluation_episodes: int = Field(default=5, ge=0, description="episodes of an evaluation, one after each epoch")


@dataclass(frozen=True)
class Epoch:
    """What an epoch brought.

    Attributes:
        epoch: 1 for the first.
        steps: environment steps since the start of the run.
        falls: episodes that terminated in this epoch (ended by the task, not by a time limit).
        training_returns: of the episodes that ended in this epoch, with exploration.
        evaluation_returns: of the episodes of the evaluation, without exploration, apart from training.
        metrics: of the agent (`SAC.metrics`), and what the hooks added.
        seconds: wall time of the epoch's training, and of its evaluation.
        cpu_seconds: processor time of the epoch's training, over all threads of the process.
    """

    epoch: int
    steps: int
    falls: int
    training_returns: list[float]
    evaluation_returns: list[float]
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class Running:
    """The epoch under way: falls and returns of the episodes that have ended in it."""

    falls: int = 0
    returns: list[float] = field(default_factory=list)


class Hooks:
    """What a method adds to plain SAC; every part does nothing until overridden. Actions are in [-1, 1]."""

    def propose(self, observation: FloatArray, action: FloatArray) -> FloatArray:
        """What is done instead of ``action``: the seam of the risk veto."""
        return action

    def transition(
        self, observation: FloatArray, action: FloatArray, reward: float, next_observation: FloatArray, terminated: bool
    ) -> None:
        """Told of every real transition, after it was stored."""

    def before_updates(self, step: int) -> None:
        """Called before the updates of each environment step: the seam of model training and of rollouts."""

    def metrics(self) -> dict[str, float]:
        """Numbers for the epoch's record."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for the checkpoint."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""


class AgentTrainer:
    """Trains one agent.

    Every episode starts with a seed of its own, and the last episode of an epoch is cut off at the epoch's end (as by a
    time limit, so its value goes on): between two epochs the run is nothing but what `save` writes.

    Args:
        make_environment: makes the environment; called once for training and once for evaluation.
        config: the run.
        task: its name, kept in checkpoints.
        device: of the networks.

    Attributes:
        replay: the robot's transitions, a step each.
        reaches: those that the agent learns from, `return_steps` each; the same buffer where that is 1.
        sampler: fills the updates' batches; replace it to mix the robot's experience with the twin's.
        environment: that it trains in; evaluations have their own.
        hooks: what a method adds.
        pace: what steps pay.
        records: of the epochs so far.
        running: of the epoch under way.

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
        self.config, self.task = config, task
        self.environment, self._evaluation = make_environment(), make_environment()
        self.layout, self._low, self._high = _spaces(self.environment, task)
        self.agent = SAC(config.sac, self.layout, config.seed, device)
        self.replay = self.reaches = ReplayBuffer(config.capacity, self.layout)
        if config.return_steps > 1:
            self.reaches = ReplayBuffer(config.capacity, self.layout)
        self._returns = NStepReturns(config.return_steps, config.sac.discount)
        self.sampler: Sampler = UniformSampler(self.reaches, self.agent.random["replay"])
        self.hooks = Hooks()
        self.pace = Pace(config.pace)
        self.records: list[Epoch] = []
        self.running = Running()
        self._random = Generators(config.seed, "environment", "start")

    def run(self, on_step: Callable[[int], None] = lambda step: None) -> Iterator[Epoch]:
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

    def _epoch(self, on_step: Callable[[int], None]) -> Epoch:
        config, began, cpu_began = self.config, time.perf_counter(), time.process_time()
        first = len(self.records) * config.epoch_steps
        self.running, rewards = Running(), list[float]()
        observation = self._reset()
        for step in range(first + 1, first + config.epoch_steps + 1):
            observation, reward, terminated, truncated = self._step(observation, step)
            rewards.append(reward)
            if terminated or truncated:
                self.running.falls += terminated
                self.running.returns.append(sum(rewards))
                observation, rewards = self._reset(), []
            if step > config.start_steps and len(self.reaches):
                self.hooks.before_updates(step)
                for _ in range(config.updates_per_step):
                    self.agent.update(self.sampler)
            on_step(step)
        trained, cpu_trained = time.perf_counter(), time.process_time()
        evaluation = self.evaluate()
        return Epoch(
            epoch=len(self.records) + 1,
            steps=first + config.epoch_steps,
            falls=self.running.falls,
            training_returns=self.running.returns,
            evaluation_returns=evaluation,
            metrics=self.agent.metrics() | self.hooks.metrics() | self.pace.end_epoch(self.running.falls),
            seconds=trained - began,
            evaluation_seconds=time.perf_counter() - trained,
            cpu_seconds=cpu_trained - cpu_began,
        )

    def _step(self, observation: FloatArray, step: int) -> tuple[FloatArray, float, bool, bool]:
        if step <= self.config.start_steps:
            action = self._random["start"].uniform(-1.0, 1.0, self.layout.actions).astype(np.float32)
        else:
            action = self.agent.act(observation, explore=True)
        if not np.isfinite(action).all():
            raise self._diverged()
        action = self.hooks.propose(observation, action)
        following, reward, terminated, truncated, _ = self.environment.step(self._scale(action))
        reward = float(reward)
        paid = self.pace.pay(reward)
        try:
            self.replay.add(observation, action, paid, following, terminated)
        except ValueError as error:
            raise ConfigError(f"{self.task}, step {step}: {error}; mend the environment") from None
        if self.reaches is not self.replay:
            for reach in self._returns.follow(observation, action, paid, following, terminated):
                self.reaches.add(*reach)
        self.hooks.transition(observation, action, paid, following, terminated)
        return following, reward, terminated, truncated

    def _diverged(self) -> FloatingPointError:
        return FloatingPointError(
            f"{self.task}: training diverged in epoch {len(self.records) + 1}: its numbers are no longer finite; "
            "go back to an earlier checkpoint, or train anew with a smaller learning rate"
        )

    def _reset(self) -> FloatArray:
        self._returns.cut()
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
            "layout": [self.layout.observations, self.layout.actions],
            "agent": self.agent.state(),
            "replay": self._rows_of(self.replay),
            "reaches": self._rows_of(self.reaches) if self.reaches is not self.replay else None,
            "random": self._random.state(),
            "records": [asdict(record) for record in self.records],
            "reward_cap": self.pace.cap,
            "hooks": self.hooks.state(),
        }
        run_checkpoint.save(path, self.task, content)

    @staticmethod
    def _rows_of(buffer: ReplayBuffer) -> dict[str, Any]:
        state = buffer.state()
        return state | {"rows": torch.from_numpy(state["rows"])}

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint of a run with the same configuration; only the number of epochs may differ.

        Raises:
            ConfigError: see `run_checkpoint.load`, or the run was configured otherwise.
        """
        content = run_checkpoint.load(path, self.task)
        try:
            saved = validate(type(self.config), json.loads(content["config"]), str(path))
            self._check_same(path, saved, content["layout"])
            self.agent.load(content["agent"])
            self.replay.load(content["replay"])
            if self.reaches is not self.replay:
                self.reaches.load(content["reaches"])
            self._random.load(content["random"])
            self.records = [Epoch(**record) for record in content["records"]]
            if self.config.pace is not None:
                self.pace.cap = float(content["reward_cap"])
            self.hooks.load(content["hooks"])
        except ConfigError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: checkpoint does not fit this run ({error}); use an older one or train anew"
            ) from None

    def _check_same(self, path: Path, saved: TrainingConfig, layout: list[int]) -> None:
        if layout != [self.layout.observations, self.layout.actions]:
            raise ConfigError(
                f"{path}: checkpoint has {layout[0]} observations and {layout[1]} actions, task {self.task} has "
                f"{self.layout.observations} and {self.layout.actions}"
            )
        before, now = (config.model_dump(mode="json", exclude={"epochs"}) for config in (saved, self.config))
        if found := difference(before, now):
            key, one, other = found
            raise ConfigError(
                f"{path}: checkpoint was made with {key} = {one}, asked for is {other}; give the same or train anew"
            )


def difference(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first key, with dots, whose values differ in two configurations of one kind, and the values.

    What one of them does not have at all is left out: an earlier release did not know it.
    """
    for key, one in before.items():
        other = now.get(key, one)
        if isinstance(one, dict) and isinstance(other, dict):
            if below := difference(one, other):
                return f"{key}.{below[0]}", *below[1:]
        elif one != other:
            return key, one, other
    return None


def evaluate(
    environment: gymnasium.Env[Any, Any], act: Callable[[FloatArray], FloatArray], seed: int, episodes: int
) -> list[float]:
    """Returns of ``episodes`` episodes of a policy; the starts depend on ``seed`` only.

    Args:
        act: observation to action, both as the environment has them.
    """
    rng, returns = generator(seed, "evaluation"), []
    for _ in range(episodes):
        observation, _ = environment.reset(seed=int(rng.integers(MAX_SEED)))
        total, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = environment.step(act(observation))
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def _spaces(environment: gymnasium.Env[Any, Any], task: str) -> tuple[Layout, FloatArray, FloatArray]:
    box = gymnasium.spaces.Box
    observations, actions = environment.observation_space, environment.action_space
    if not isinstance(observations, box) or not isinstance(actions, box) or len(observations.shape) != 1:
        raise ConfigError(f"{task}: observations and actions must be vectors (Box), not {observations} and {actions}")
    if len(actions.shape) != 1 or not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise ConfigError(f"{task}: actions need finite bounds for each part, not {actions}")
    return Layout(observations.shape[0], actions.shape[0]), actions.low, actions.high
