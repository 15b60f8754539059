# SPDX-License-Identifier: Apache-2.0
"""A robot's controller without ROS: observations in, actions out, the safe action where there is no good input."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ir_drl.policies import Policy, episode_seed
from ir_drl.policies.policy import FloatArray
from ir_sim.tasks import Task


@dataclass(frozen=True)
class Input:
    """One control step of a robot, as `ir_interfaces/TaskState` carries it."""

    stamp: float  #: s, ROS time of the observation
    task: str
    episode: int
    observation: FloatArray
    terminated: bool = False


@dataclass(frozen=True)
class ControlDecision:
    """What to do, and what was wrong with the input: empty where it was good."""

    action: FloatArray
    fault: str = ""


class Controller:
    """Asks the policy, and answers bad input with the safe action.

    Args:
        task: the robot's task.
        policy: what to ask.
        robot: name of the robot.
        seed: of the policy; every episode's own seed follows from it.
        input_timeout: s, input that is older does not count.
        exploration: standard deviation of the normally distributed noise that is added to the policy's actions, in
            halves of each action's range; never to the safe action.

    Attributes:
        exploration: as given; may be changed at any time.
        faults: how often each kind of bad input came: stale, late, task, width, not_finite, policy.
    """

    def __init__(
        self, task: Task, policy: Policy, robot: str, seed: int, input_timeout: float, exploration: float = 0.0
    ) -> None:
        self.task, self.policy, self.exploration = task, policy, exploration
        self._robot, self._seed, self._timeout = robot, seed, input_timeout
        self._episode: int | None = None
        self.faults: Counter[str] = Counter()

    def decide(self, given: Input, now: float) -> ControlDecision:
        """The action for one control step at ``now`` (s)."""
        expected = len(self.task.observation_names)
        if given.task != self.task.name:
            return self._fault("task", f"state is of task '{given.task}', expected '{self.task.name}'")
        if given.observation.shape != (expected,):
            return self._fault("width", f"state holds {given.observation.size} numbers, expected {expected}")
        if not np.all(np.isfinite(given.observation)):
            bad = [n for n, v in zip(self.task.observation_names, given.observation, strict=True) if not np.isfinite(v)]
            return self._fault("not_finite", f"state is not finite: {', '.join(bad)}")
        if now - given.stamp > self._timeout:
            return self._fault("late", f"state is {now - given.stamp:.2f} s old, at most {self._timeout:g} s count")
        if given.terminated:  # the robot lies there until it is put back: the next episode will tell
            return ControlDecision(self.task.safe_action)
        if given.episode != self._episode:
            self._episode = given.episode
            seed = episode_seed(self._seed, self._robot, given.episode)
            self.policy.reset(seed)
            self._noise = np.random.default_rng([seed, 1])  # not the draws of a random policy over again
        action = self.policy.act(given.observation)
        if not np.all(np.isfinite(action)):
            return self._fault("policy", "policy gave an action that is not finite")
        return ControlDecision(self._explore(self.task.clip(action)))

    def stale(self) -> ControlDecision:
        """The action after no good input for `input_timeout`."""
        return self._fault("stale", f"no state for {self._timeout:g} s")

    def restart(self) -> None:
        """Lets the policy begin anew with the next input."""
        self._episode = None

    def _explore(self, action: FloatArray) -> FloatArray:
        if not self.exploration:
            return action
        scale = self.exploration * (self.task.action_high - self.task.action_low) / 2
        return self.task.clip(self._noise.normal(action, scale))

    def _fault(self, kind: str, text: str) -> ControlDecision:
        self.faults[kind] += 1
        return ControlDecision(self.task.safe_action, f"{text}; safe action sent ({kind}: {self.faults[kind]} times)")
