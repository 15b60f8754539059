# SPDX-License-Identifier: Apache-2.0
"""Transitions of a robot at the far end of a radio: what its controller answered, and the states that came of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ir_dynamics.transitions import Transition
from ir_sim.action_memory import ActionMemory
from ir_sim.tasks import Task

Array = NDArray[np.float64]
Held = TypeVar("Held")
_RECENT = 16
"""Newest answers among which that is looked for which a verdict is about."""
_LARGEST = 1e30
"""Numbers of a state are smaller than this; single precision, in which they are kept, ends at 3e38."""
_HELD = 256
"""Answers, and states, that wait for their counterpart."""


@dataclass(frozen=True)
class Acted:
    """What a controller that learns answered to one state, as it told it."""

    episode: int
    step: int
    """Number of the state within the episode."""
    extended: Array
    """[n_obs + memory], the state with what the policy remembered; units by the task."""
    action: Array
    """[n_act], proposed, with exploration; units by the task."""
    version: int
    """Of the policy."""


@dataclass(frozen=True)
class ArrivedState:
    """One control step of a robot, as `ir_interfaces/TaskState` carries it."""

    episode: int
    step: int
    observation: Array
    in_force: Array
    """[n_act], in the control step that ended with the observation; empty at an episode's first."""
    reward: float
    terminated: bool
    truncated: bool
    cause: str = ""


@dataclass(frozen=True)
class SentAction:
    """What a robot's twin sent of a proposal."""

    proposed: Array
    """[n_act], units by the task."""
    sent: Array
    """[n_act]."""


@dataclass(frozen=True)
class ChainedStep:
    """A transition with what is known of it."""

    transition: Transition
    """Actions in [-1, 1], states extended by the memory."""
    version: int
    follows: bool
    """It begins where the one before it ended."""


class StepChain:
    """Joins the answers of a robot's controller with the states that came of them.

    Answers and states may come in any order, and some not at all: an answer to step k and the state of step k + 1 of
    the same episode are one transition. Its action is what the robot's twin let pass: were it the proposal, values
    would not depend on it where another is sent in its place, and a policy would drift there. What came late and what
    was lost on the way to the robot are the robot's world, which the agent learns about as it is.

    Args:
        task: of the robot.
        memory: actions that the policy is told besides the observation.
    """

    def __init__(self, task: Task, memory: int) -> None:
        self._memory = ActionMemory(task, memory)
        self._num_observation, self._num_action = len(task.observation_names), len(task.action_names)
        self._middle = (task.action_high + task.action_low) / 2.0
        self._half = (task.action_high - task.action_low) / 2.0
        self._answers: dict[tuple[int, int], Acted] = {}
        self._states: dict[tuple[int, int], ArrivedState] = {}
        self._sent: dict[tuple[int, int], Array] = {}
        self._last = (-1, -1)
        self.refused = 0

    def acted(self, one: Acted) -> ChainedStep | None:
        """Takes an answer in; returns the transition that it completes, if any."""
        wide = one.extended.shape == (self._num_observation + self._memory.width,)
        if not wide or not self._sound(one.extended, one.action):
            self.refused += 1
            return None
        _hold(self._answers, (one.episode, one.step), one)
        return self._join(one.episode, one.step)

    def judged(self, proposed: Array, sent: Array) -> None:
        """Takes a verdict: what was sent [n_act] of what was proposed; it comes before the state that follows."""
        if np.array_equal(proposed, sent):
            return
        for key, answer in islice(reversed(self._answers.items()), _RECENT):
            # a command is in the units of its message: there and back a number may change in its last digit
            if answer.action.shape == proposed.shape and np.allclose(answer.action, proposed, rtol=1e-9, atol=1e-12):
                if self._sound(sent, sent):
                    _hold(self._sent, key, sent)
                return

    def observed(self, one: ArrivedState) -> ChainedStep | None:
        """Takes a state in; returns the transition that it completes, if any."""
        if one.step == 0:
            return None
        fits = one.observation.shape == (self._num_observation,) and np.isfinite(one.reward)
        if not fits or not self._sound(one.observation, one.in_force):
            self.refused += 1
            return None
        _hold(self._states, (one.episode, one.step), one)
        return self._join(one.episode, one.step - 1)

    def _sound(self, numbers: Array, action: Array) -> bool:
        fits = action.shape == (self._num_action,) and (np.abs(numbers) < _LARGEST).all()
        return bool(fits and np.isfinite(action).all())

    def _join(self, episode: int, step: int) -> ChainedStep | None:
        if (episode, step) not in self._answers or (episode, step + 1) not in self._states:
            return None
        answer, state = self._answers.pop((episode, step)), self._states.pop((episode, step + 1))
        following = self._memory.follow(answer.extended, answer.action, state.observation, state.in_force)
        done = self._sent.pop((episode, step), answer.action)
        action = np.clip((done - self._middle) / self._half, -1.0, 1.0)
        made = Transition(answer.extended, action, state.reward, following, state.terminated)
        follows = self._last == (episode, step)
        self._last = (-1, -1) if state.terminated or state.truncated else (episode, step + 1)
        return ChainedStep(made, answer.version, follows)


def _hold(held: dict[tuple[int, int], Held], key: tuple[int, int], one: Held) -> None:
    held[key] = one
    if len(held) > _HELD:
        del held[next(iter(held))]
