# SPDX-License-Identifier: Apache-2.0
"""What an agent that learns live does, without ROS and without a clock: what it learns when, and what it hands over.

A node or a simulation in the model's time gives it what crosses the radio, and lets it learn::

    agent = LiveAgent(LiveAgentConfig(), task, ["hopper"], print)
    policy = agent.exchange(now=0.0)  # the first version, an `ExploringPolicy` for the robots' controllers
    agent.acted("hopper", acted)
    agent.observed("hopper", observed)
    while agent.due():
        agent.step()
    policy = agent.exchange(now=1.0)  # None: the version in force stays
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ir_drl.assisted.assistant import Assistant, assist
from ir_drl.export import score
from ir_drl.live.agent_training import LOG_STD, agent_training
from ir_drl.live.first_policy import first_policy
from ir_drl.live.live_config import LiveAgentConfig
from ir_drl.live.policy_versions import Choice, PolicyVersions, VersionRecord
from ir_drl.live.step_chain import Acted, Array, ArrivedState, ChainedStep, StepChain
from ir_drl.policies import ActionMemory
from ir_drl.policies.exploring import ExploringPolicy
from ir_drl.sac import run_checkpoint
from ir_drl.sac.epoch_record import EpochProgress, EpochRecord
from ir_drl.sac.experience_learner import ExperienceLearner
from ir_drl.sac.samplers import MixedSampler
from ir_dynamics.transitions import TransitionLayout
from ir_sim.tasks import Task

Layers = list[tuple[Array, Array]]


def agent_file(folder: str | Path, task: str) -> Path:
    """Where the checkpoint of the agent of a task is in a folder."""
    return Path(folder) / f"{task}.agent.pt"


def layers_of(version: VersionRecord) -> Layers:
    """The actor's layers of a version that was handed over."""
    return [(weight.numpy(), bias.numpy()) for weight, bias in version.policy]


def _same(one: Layers, other: Layers) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a, b) for each, its in pairs for a, b in zip(each, its, strict=True))


class EpisodeSoFar:
    """What is known of a robot's episode."""

    def __init__(self, number: int) -> None:
        self.number, self.total, self.steps = number, 0.0, 0
        self.versions: Counter[int] = Counter()


class LiveAgent:
    """The agent of a task: it learns from all robots of that task, and hands versions of its policy over.

    Args:
        config: of the agent.
        task: of the robots.
        robots: their names.
        say: takes one line for the log.

    Attributes:
        learner: what learns; the same as in training.
        versions: of the policy.
        records: of the epochs so far, as of a training; evaluations there are none.
        transitions, falls, episodes: counts.
        learnt, left_out: learning steps made, and those that there was no time for.

    Raises:
        ConfigError: the policy to begin with is not there or does not fit.
    """

    def __init__(self, config: LiveAgentConfig, task: Task, robots: Sequence[str], say: Callable[[str], None]) -> None:
        self.config, self.task, self._say = config, task, say
        self.training = agent_training(config, task.name)
        width = len(task.observation_names) + ActionMemory(task, config.memory).width
        layout = TransitionLayout(width, len(task.action_names))
        self.learner = ExperienceLearner(self.training, layout, task.name)
        self.assistant: Assistant | None = assist(self.learner, self.training, self._terminated)
        if (policy := first_policy(config, task)) is not None:
            self.learner.agent.begin_with(policy.layers, LOG_STD)
        self._chains = {robot: StepChain(task, config.memory) for robot in robots}
        self._returns = {robot: self.learner.make_returns() for robot in robots}
        self._episodes: dict[str, EpisodeSoFar] = {}
        self.versions = PolicyVersions(config)
        self.records: list[EpochRecord] = []
        self.progress = EpochProgress()
        self.transitions = self.falls = self.episodes = self.learnt = self.left_out = 0

    def _terminated(self, states: np.ndarray) -> np.ndarray:
        return self.task.terminated(states[..., : len(self.task.observation_names)])

    # --- what crosses the radio ---

    def acted(self, robot: str, one: Acted) -> None:
        """Takes what a robot's controller answered to a state."""
        self._take(robot, self._chains[robot].acted(one))

    def judged(self, robot: str, proposed: Array, sent: Array) -> None:
        """Takes what a robot's twin sent [n_act] of a proposal [n_act], units by the task."""
        self._chains[robot].judged(proposed, sent)

    def observed(self, robot: str, one: ArrivedState) -> None:
        """Takes a state of a robot."""
        made = self._chains[robot].observed(one)
        self._follow(robot, one)  # first: a fall is of the epoch of the step that it ends
        self._take(robot, made)

    def _take(self, robot: str, made: ChainedStep | None) -> None:
        if made is None:
            return
        returns = self._returns[robot]
        if not made.follows:
            returns.cut()
        self.learner.take(made.transition, returns)
        self.transitions += 1
        if (episode := self._episodes.get(robot)) is not None:
            episode.versions[made.version] += 1
        if self.transitions % self.training.epoch_steps == 0:
            self._end_epoch()

    def _follow(self, robot: str, one: ArrivedState) -> None:
        """Counts what a robot's episode returns; one whose end was lost on the way ends with the next."""
        known = self._episodes.get(robot)
        if known is None or known.number != one.episode:
            if known is not None:
                self._end_episode(known, "")
            known = self._episodes[robot] = EpisodeSoFar(one.episode)
        if one.step > 0 and math.isfinite(one.reward):
            known.total += one.reward
            known.steps += 1
        if one.terminated or one.truncated:
            self.falls += one.terminated
            self.progress.falls += one.terminated
            self._end_episode(known, one.cause)
            del self._episodes[robot]

    def _end_episode(self, episode: EpisodeSoFar, cause: str) -> None:
        if not episode.steps:
            return
        self.episodes += 1
        total = score(self.task.time_limit, episode.total, episode.steps, cause)
        self.progress.returns.append(total)
        version, steps = max(episode.versions.items(), key=lambda item: item[1], default=(0, 0))
        if 2 * steps >= episode.steps:  # most of it was done by this one
            self.versions.returned(version, total)

    def _end_epoch(self) -> None:
        """Keeps the record of so many steps, as a training does."""
        metrics = self.learner.agent.metrics() | self.learner.hooks.metrics()
        if not all(math.isfinite(value) for value in metrics.values()):
            raise FloatingPointError(
                f"{self.task.name}: learning diverged: its numbers are no longer finite; the robots keep the policy "
                "that they have; begin anew, or from an earlier checkpoint"
            )
        done = self.progress
        metrics |= self.learner.curriculum.end_epoch(done.falls)
        self.records.append(EpochRecord(len(self.records) + 1, self.transitions, done.falls, done.returns, [], metrics))
        self.progress = EpochProgress()

    # --- learning ---

    def due(self) -> bool:
        """Whether there is a learning step to make."""
        return self._owed() > 0 and len(self.learner.n_step_replay) > 0

    def _owed(self) -> int:
        return max(self.transitions - self.training.start_steps, 0) - self.learnt - self.left_out

    def step(self) -> None:
        """One learning step: what training does after a step of the robot. Where too many wait, some are left out."""
        self.left_out += max(self._owed() - self.config.waiting_steps, 0)
        self.learnt += 1
        self.learner.learn(self.training.start_steps + self.learnt)

    # --- versions ---

    def exchange(self, now: float) -> ExploringPolicy | None:
        """The policy that the controllers are to have from ``now`` (s) on; None: that which they have."""
        versions = self.versions
        choice = versions.choose(now)
        if choice is Choice.TAKE_BACK:
            assert versions.in_force is not None
            self._say(f"{self.task.name}: a version did worse than version {versions.in_force.number}, which is back")
            policy = self.policy()
            assert policy is not None
            self.learner.agent.go_back(policy.layers)
            self.learner.agent.anchor_to(policy.layers)
            return policy
        if choice is Choice.STAY:
            return None
        layers = self.learner.agent.actor_layers()
        if versions.in_force is not None and _same(layers, layers_of(versions.in_force)):
            return None
        if not all(np.isfinite(part).all() for layer in layers for part in layer):
            raise FloatingPointError(f"{self.task.name}: learning diverged: the policy is not finite")
        versions.hand([[torch.from_numpy(part) for part in layer] for layer in layers], now)
        self.learner.agent.anchor_to(layers)
        return self.policy()

    def policy(self) -> ExploringPolicy | None:
        """The version in force; None: there is none yet."""
        one = self.versions.in_force
        if one is None:
            return None
        return ExploringPolicy(self.task, layers_of(one), self.config.memory, one.number)

    def status(self) -> dict[str, float | str]:
        """Figures for the report and the page; NaN: not known yet."""
        versions, sampler = self.versions, self.learner.sampler
        current, recent = versions.in_force, self.progress.returns
        if not recent and self.records:
            recent = self.records[-1].training_returns
        mixed = sampler if isinstance(sampler, MixedSampler) and sampler.drawn else None
        figures: dict[str, float | str] = {
            "algorithm": self.config.algorithm,
            "version": current.number if current else 0,
            "versions": versions.handed,
            "taken_back": versions.taken_back,
            "transitions": self.transitions,
            "learning_steps": self.learnt,
            "left_out": self.left_out,
            "episodes": self.episodes,
            "falls": self.falls,
            "return": float(np.mean(recent[-20:])) if recent else math.nan,
            "twin_share": mixed.generated / mixed.drawn if mixed else 0.0,
        }
        if self.assistant is not None:
            figures["twin_error"] = self.assistant.model.error
            if (generated := self.assistant.generated) is not None:
                figures["gan_passes"] = float(generated.passes)
                figures["gan_distance"], figures["gan_accuracy"] = generated.distance, generated.accuracy
        return figures

    # --- checkpoints ---

    def save(self, path: Path) -> None:
        """Writes a checkpoint; raises OSError where it cannot."""
        content = {
            "config": self.training.model_dump_json(),
            "layout": [self.learner.layout.num_state, self.learner.layout.num_action],
            **self.learner.experience(),
            "versions": self.versions.state(),
            "records": json.dumps([asdict(record) for record in self.records]),
            "counts": [self.transitions, self.falls, self.episodes, self.learnt, self.left_out],
        }
        run_checkpoint.save(path, self.task.name, content)

    def load(self, path: Path, now: float) -> None:
        """Goes on from a checkpoint at ``now``, s; episodes begin anew.

        Raises:
            ConfigError: see `run_checkpoint.load`, or the agent was another.
        """
        content = run_checkpoint.load(path, self.task.name)
        with run_checkpoint.fitting(path):
            run_checkpoint.check_same(path, content, self.task.name, self.training, self.learner.layout)
            self.learner.restore(content)
            self.versions.load(content["versions"], now)
            self.records = [EpochRecord(**record) for record in json.loads(content["records"])]
            self.transitions, self.falls, self.episodes, self.learnt, self.left_out = map(int, content["counts"])
