# SPDX-License-Identifier: Apache-2.0
"""A robot's controller without ROS: which input it answers, with which action, and when it stops the robot.

A node or a simulation in the model's time gives it what comes and the time::

    controller = Controller(task, policy, "cart", seed=0, input_timeout=0.5)
    decision = controller.on_state(given, step=7, now=0.7)  # or on_expected, from the twin
    decision = controller.check(now=0.75)  # between inputs: the safe action, once the input is missing for too long

Where a decision is returned, its action is to be sent; where None is, nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ir_drl.live.step_chain import Acted
from ir_drl.policies import NetworkPolicy, Policy, episode_seed
from ir_drl.policies.exploring import ExploringPolicy
from ir_drl.policies.policy import FloatArray
from ir_sim.tasks import Task

_GRAIN = 1e-6
"""s, more than the grain of a float that holds today's time in seconds (0.24 us)."""


@dataclass(frozen=True)
class Input:
    """One control step of a robot, as `ir_interfaces/TaskState` carries it."""

    stamp: float
    """s, time of the observation."""
    task: str
    """Name of the task."""
    episode: int
    observation: FloatArray
    """[n_obs], units by the task."""
    terminated: bool = False
    """The task has ended with this observation."""
    action: FloatArray | None = None
    """[n_act], in force in the control step that ended with the observation; None or empty at an episode's first."""


@dataclass(frozen=True)
class ControlDecision:
    """What to send to the robot."""

    action: FloatArray
    """[n_act], units by the task, within its bounds."""
    fault: str = ""
    """What was wrong with the input; empty where it was good."""
    kind: str = ""
    """Of the fault, as in `Controller.faults`."""
    noise_free: FloatArray | None = None
    """[n_act] the policy's own action, where exploration was added to it; None: nothing was."""
    acted: Acted | None = None
    """What an agent that learns from this robot is to be told; None: nobody learns."""


class Controller:
    """Decides what is sent to one robot: the policy's action for its state, or the safe action without good input.

    The twin may say what a state will be when the answer to it takes effect (`on_expected`). Then that is answered in
    the place of the state. It is waited for as long as it came for the state before: a twin that falls silent costs one
    control step.

    After good input the safe action is due once no more has come for `input_timeout`, and again after each further
    one. Before the first there is nothing to stop, nor after a terminal state, which is answered with the safe action
    itself: the robot lies there until the next episode. Time that goes back begins a new wait.

    Args:
        task: the robot's task.
        policy: what to ask.
        robot: name of the robot.
        seed: of the policy; every episode's own seed follows from it.
        input_timeout: s, input that is older does not count; after so long without any the robot is stopped.
        exploration: standard deviation of the normally distributed noise that is added to the policy's actions, in
            halves of each action's range; never to the safe action.
        enabled: whether to decide anything; see `enable`.

    Attributes:
        exploration: as given; may be changed at any time.
        enabled: as given, or by `enable`.
        heard: (episode, step) of the newest state; None: none yet.
        faults: how often each kind of bad input came: stale, late, task, width, not_finite, policy.
    """

    def __init__(
        self, task: Task, policy: Policy, robot: str, seed: int, input_timeout: float, exploration: float = 0.0,
        enabled: bool = True,
    ) -> None:  # fmt: skip
        self.task, self.policy, self.exploration, self.enabled = task, policy, exploration, enabled
        self._robot, self._seed, self._timeout = robot, seed, input_timeout
        self._episode: int | None = None
        self._deadline = math.inf
        self.heard: tuple[int, int] | None = None
        self._expected = (-1, -1)  # as heard: of the last that was expected
        self._step = 0  # of what is answered
        self._remembers = policy if isinstance(policy, NetworkPolicy) and policy.memory.length else None
        self.faults: Counter[str] = Counter()

    def on_state(self, given: Input, step: int, now: float) -> ControlDecision | None:
        """Takes a state of the robot in; answers it, unless the twin is to say first what it will be.

        Args:
            given: the state.
            step: number of its control step within the episode.
            now: s, by the clock of its stamp.
        """
        before, self.heard, self._step = self.heard, (given.episode, step), step
        if self._remembers is not None and before is not None and before[0] == given.episode:
            self._remembers.memory.repeat(step - before[1] - 1)
        return None if self._expected in (before, self.heard) else self._answer(given, now)

    def on_expected(self, given: Input, step: int, now: float) -> ControlDecision | None:
        """Answers what a state will be when the answer takes effect, as the twin predicts it. Args as `on_state`."""
        if self._remembers is not None:
            return None
        self._expected, self._step = (given.episode, step), step
        return self._answer(given, now)

    def adopt(self, policy: ExploringPolicy) -> None:
        """Puts a version of a policy that is learnt into force, from the next state on; what is remembered stays."""
        if isinstance(self.policy, NetworkPolicy):
            policy.memory.take_over(self.policy.memory)
        self.policy = policy
        self._remembers = policy if policy.memory.length else None

    def check(self, now: float) -> ControlDecision | None:
        """The safe action where it is due at ``now`` (s); to be asked often, or when time may be out."""
        if now < self._deadline - self._timeout - _GRAIN and self._deadline < math.inf:
            self._deadline = now + self._timeout  # time went back
        if now < self._deadline - _GRAIN:
            return None
        missed = max(math.floor((now - self._deadline) / self._timeout), 0)
        self._deadline += (1 + missed) * self._timeout
        return self.stale() if self.enabled else None

    def enable(self, enabled: bool, now: float) -> None:
        """Begins or ends deciding, at ``now`` (s): disabled, the robot is left to someone else.

        With the next input the policy begins anew, and the wait for it begins now.
        """
        if enabled == self.enabled:
            return
        self.enabled = enabled
        self.restart()
        if self._deadline < math.inf:
            self._deadline = now + self._timeout

    def _answer(self, given: Input, now: float) -> ControlDecision | None:
        if not self.enabled:
            return None
        decision = self.decide(given, now)
        if not decision.fault:
            self._deadline = math.inf if given.terminated else now + self._timeout
        return decision

    def decide(self, given: Input, now: float) -> ControlDecision:
        """The action for one control step at ``now`` (s), whatever was expected; does not put off the time-out."""
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
        extended = self._extended(given)
        action = self._ask(extended)
        if not np.all(np.isfinite(action)):
            return self._fault("policy", "policy gave an action that is not finite")
        noise_free = self.task.clip(action)
        action = self._explore(noise_free, extended)
        if self._remembers is not None:
            self._remembers.memory.correct(action)
        learnt = self.policy if isinstance(self.policy, ExploringPolicy) else None
        return ControlDecision(
            action,
            noise_free=noise_free if self.exploration or learnt else None,
            acted=Acted(given.episode, self._step, extended, action, learnt.version) if learnt else None,
        )

    def _extended(self, given: Input) -> FloatArray:
        """The observation with what the policy remembers."""
        if self._remembers is None:
            return given.observation
        known = given.action is not None and given.action.shape == self.task.safe_action.shape
        return self._remembers.memory.extend(given.observation, given.action if known else None)

    def _ask(self, extended: FloatArray) -> FloatArray:
        if self._remembers is None:
            return self.policy.act(extended)
        action = self._remembers.answer(extended)
        self._remembers.memory.propose(action)
        return action

    def stale(self) -> ControlDecision:
        """The safe action, counted as sent for want of input."""
        return self._fault("stale", f"no state for {self._timeout:g} s")

    def restart(self) -> None:
        """Lets the policy begin anew with the next input."""
        self._episode = None

    def _explore(self, action: FloatArray, extended: FloatArray) -> FloatArray:
        if isinstance(self.policy, ExploringPolicy):
            action = self.task.clip(self.policy.explore(extended, self._noise))
        if not self.exploration:
            return action
        scale = self.exploration * (self.task.action_high - self.task.action_low) / 2
        return self.task.clip(self._noise.normal(action, scale))

    def _fault(self, kind: str, text: str) -> ControlDecision:
        self.faults[kind] += 1
        told = f"{text}; safe action sent ({kind}: {self.faults[kind]} times)"
        return ControlDecision(self.task.safe_action, told, kind)
