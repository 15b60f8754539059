# SPDX-License-Identifier: Apache-2.0
"""Transitions (s, a, r, s', terminated) of IoR section III, made from a stream of task states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.float32]
UNKNOWN = -1.0
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Transition(NamedTuple):
    """What one control step of a robot brought, or a batch of such steps with a leading dimension."""

    state: NDArray[np.floating]
    """[..., num_state], units by the task."""
    action: NDArray[np.floating]
    """[..., num_action], the action in force during the step, units by the task."""
    reward: NDArray[np.floating] | float
    """[...], dimensionless."""
    next_state: NDArray[np.floating]
    """[..., num_state]; at an episode's end its own last state, not the next episode's first."""
    terminated: NDArray[np.bool_] | float
    """[...], 1 or true: the step ended in a terminal state (not: was cut off by a time limit). Between 0 and 1, of a
    transition over several steps: 1 minus what counts of the next state's value."""
    ahead: NDArray[np.floating] | float = UNKNOWN
    """[...], how near a terminal state turned out to be (`ir_dynamics.termination_labels`); `UNKNOWN`: nobody saw."""


@dataclass(frozen=True)
class TransitionLayout:
    """How a transition lies in one float32 row: state, action, reward, next state, terminated, ahead (where it has it).

    The properties `state` to `terminated` are columns of rows: ``rows[:, layout.next_state]``.
    """

    num_state: int
    num_action: int
    ahead: bool = False
    """Whether a row has its last number."""
    memory: bool = False
    """Whether a state ends with the action that was in force before it [num_action], after what was observed. A command
    takes effect within a control step, not at its start: until then the one before it moves the robot."""

    @property
    def num_observation(self) -> int:
        """Numbers of a state that were observed."""
        return self.num_state - self.num_action * self.memory

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 2 * self.num_state + self.num_action + 2 + self.ahead

    @property
    def state(self) -> slice:
        """Columns of the state."""
        return slice(0, self.num_state)

    @property
    def action(self) -> slice:
        """Columns of the action."""
        return slice(self.num_state, self.num_state + self.num_action)

    @property
    def pair(self) -> slice:
        """Columns of state and action, side by side as networks read them."""
        return slice(0, self.num_state + self.num_action)

    @property
    def reward(self) -> int:
        """Column of the reward."""
        return self.num_state + self.num_action

    @property
    def next_state(self) -> slice:
        """Columns of the next state."""
        return slice(self.reward + 1, self.reward + 1 + self.num_state)

    @property
    def terminated(self) -> int:
        """Column of `Transition.terminated`."""
        return self.reward + 1 + self.num_state

    def state_of(self, observation: Array, before: Array) -> Array:
        """The state [num_state] of an observation [num_observation] and the action [num_action] before it (none: 0)."""
        if not self.memory:
            return observation
        return np.concatenate([observation, before if before.size else np.zeros(self.num_action)])

    def pack(self, transition: Transition) -> Rows:
        """Lays a transition, or a batch of them, out in rows [..., width] float32.

        Raises:
            ValueError: a part is of the wrong shape.
        """
        batch = np.shape(transition.state)[:-1]
        rows = np.empty((*batch, self.width), np.float32)
        states, actions = (*batch, self.num_state), (*batch, self.num_action)
        rows[..., self.state] = _shaped("state", transition.state, states)
        rows[..., self.action] = _shaped("action", transition.action, actions)
        rows[..., self.reward] = _shaped("reward", transition.reward, batch)
        rows[..., self.next_state] = _shaped("next state", transition.next_state, states)
        rows[..., self.terminated] = _shaped("terminated", transition.terminated, batch)
        if self.ahead:
            rows[..., -1] = transition.ahead
        return rows

    def unpack(self, rows: Rows) -> Transition:
        """The transitions that rows [..., width] hold, as views into them."""
        return Transition(
            rows[..., self.state], rows[..., self.action], rows[..., self.reward], rows[..., self.next_state],
            rows[..., self.terminated] > 0.5, rows[..., -1] if self.ahead else UNKNOWN,
        )  # fmt: skip

    def name(self, column: int) -> str:
        """What a column holds, for a message: ``state[0]``, ``reward``."""
        parts = (("state", self.state), ("action", self.action), ("next state", self.next_state))
        for name, columns in parts:
            if columns.start <= column < columns.stop:
                return f"{name}[{column - columns.start}]"
        return {self.reward: "reward", self.terminated: "terminated"}.get(column, "ahead")


def _shaped(name: str, values: ArrayLike, shape: tuple[int, ...]) -> ArrayLike:
    if np.shape(values) != shape:
        raise ValueError(f"transition: {name} has shape {np.shape(values)}, expected {shape}")
    return values


def layout_of(preset: str, num_observation: int, num_action: int) -> TransitionLayout:
    """The layout of the rows that the network of a preset (`FittingConfig.preset`) learns from; IoR's has no memory."""
    if preset == "ensemble":
        return TransitionLayout(num_observation + num_action, num_action, ahead=True, memory=True)
    return TransitionLayout(num_observation, num_action)


class TransitionMaker:
    """Chains the task states of one robot into transitions.

    Two states make a transition when they are of one episode and of consecutive steps. Anything else breaks the chain:
    a lost or doubled message (counted in `gaps`), an invalid one (counted in `rejected`), the end of an episode.

    Attributes:
        state: the newest valid one of an episode that still runs [num_state], or None.
        episode, step: of the newest valid observation; -1: none yet.
        terminated: the newest observation was valid, and a terminal state.
        made, gaps, rejected: counts.
    """

    def __init__(self, layout: TransitionLayout) -> None:
        self._layout = layout
        self.episode = self.step = -1
        self.state: Array | None = None
        self.terminated = False
        self.made = self.gaps = self.rejected = 0

    def feed(
        self, *, episode: int, step: int, observation: ArrayLike, action: ArrayLike, reward: float,
        terminated: bool, truncated: bool = False,
    ) -> Transition | None:  # fmt: skip
        """Takes the content of one TaskState; returns the transition that it completes, if any."""
        observed, acted = np.asarray(observation, np.float64), np.asarray(action, np.float64)
        if not self._valid(step, observed, acted, reward):
            self.rejected += 1
            self.reset()
            return None
        state = self._layout.state_of(observed, acted)
        previous, transition = self.state, None
        chained = previous is not None and episode == self.episode and step == self.step + 1
        if chained:
            assert previous is not None
            transition = Transition(previous, acted, float(reward), state, bool(terminated))
            self.made += 1
        elif step > 0:
            self.gaps += 1
        self.episode, self.step = episode, step
        self.state = None if terminated or truncated else state
        self.terminated = bool(terminated)
        return transition

    def reset(self) -> None:
        """Breaks the chain: the next state makes no transition with the one before it."""
        self.state, self.terminated = None, False

    def _valid(self, step: int, observation: Array, action: Array, reward: float) -> bool:
        shapes_fit = observation.shape == (self._layout.num_observation,) and (
            action.shape == (self._layout.num_action,) or (step == 0 and action.size == 0)
        )
        return shapes_fit and _fits_float32(observation) and _fits_float32(action) and _fits_float32(reward)


def _fits_float32(values: ArrayLike) -> bool:
    return bool((np.abs(values) <= _FLOAT32_MAX).all())  # false for NaN and infinity too


def heldout_mask(first: int, count: int, block: int = 16, every: int = 8) -> NDArray[np.bool_]:
    """Which of the transitions number ``first`` to ``first + count - 1`` of a task are never trained on.

    Whole blocks in time are held out (the third of every 8 blocks of 16: one eighth), because neighbouring transitions
    are nearly equal and a split by single transitions would measure memory. Returns [count] bool.
    """
    return ((first + np.arange(count)) // block) % every == 2
