# SPDX-License-Identifier: Apache-2.0
"""Transitions (s, a, r, s', terminated) of IoR section III, made from a stream of task states, and their replay."""

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
    """One control step, or a batch of them with a leading dimension."""

    state: NDArray[np.floating]
    """[..., num_state], units by the task."""
    action: NDArray[np.floating]
    """[..., num_action], the action in force during the step, units by the task."""
    reward: NDArray[np.floating] | float
    """[...], dimensionless."""
    next_state: NDArray[np.floating]
    """[..., num_state]."""
    terminated: NDArray[np.bool_] | bool
    """[...], the step ended in a terminal state (not: was cut off by a time limit)."""
    ahead: NDArray[np.floating] | float = UNKNOWN
    """[...], how near a terminal state turned out to be (`ir_dynamics.termination_labels`); `UNKNOWN`: nobody saw."""


@dataclass(frozen=True)
class TransitionLayout:
    """How a transition lies in one float32 row: state, action, reward, next state, terminated (0 or 1), ahead."""

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

    def state(self, observation: Array, before: Array) -> Array:
        """[num_state] of an observation [num_observation] and the action before it [num_action]; empty: none, zeros."""
        if not self.memory:
            return observation
        return np.concatenate([observation, before if before.size else np.zeros(self.num_action)])

    def pack(self, transition: Transition) -> Rows:
        """[width] float32 of one transition."""
        row = np.empty(self.width, np.float32)
        n, m = self.num_state, self.num_action
        row[:n], row[n : n + m], row[n + m] = transition.state, transition.action, transition.reward
        end = 2 * n + m + 1
        row[n + m + 1 : end], row[end] = transition.next_state, transition.terminated
        row[end + 1 :] = transition.ahead
        return row

    def unpack(self, rows: Rows) -> Transition:
        """Views into rows [..., width]."""
        n, m = self.num_state, self.num_action
        end = 2 * n + m + 1
        return Transition(
            rows[..., :n], rows[..., n : n + m], rows[..., n + m], rows[..., n + m + 1 : end], rows[..., end] > 0.5,
            rows[..., end + 1] if self.ahead else UNKNOWN,
        )  # fmt: skip


def layout_of(preset: str, num_observation: int, num_action: int) -> TransitionLayout:
    """Layout of the rows that the network of a preset (`LearnerConfig.preset`) learns from; IoR's has no memory."""
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
        state = self._layout.state(observed, acted)
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
        """Breaks the chain."""
        self.state, self.terminated = None, False

    def _valid(self, step: int, observation: Array, action: Array, reward: float) -> bool:
        shapes_fit = observation.shape == (self._layout.num_observation,) and (
            action.shape == (self._layout.num_action,) or (step == 0 and action.size == 0)
        )
        return shapes_fit and _fits_float32(observation) and _fits_float32(action) and _fits_float32(reward)


def _fits_float32(values: ArrayLike) -> bool:
    return bool((np.abs(values) <= _FLOAT32_MAX).all())  # false for NaN and infinity too


class ReplayBuffer:
    """The newest rows, in a ring.

    Args:
        width: float32 numbers of a row.
        capacity: rows kept.
    """

    def __init__(self, width: int, capacity: int) -> None:
        self._rows = np.empty((capacity, width), np.float32)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self._rows))

    @property
    def rows(self) -> Rows:
        """View of the rows that are held [len, width], in no particular order."""
        return self._rows[: len(self)]

    def in_order(self) -> Rows:
        """The rows that are held [len, width], the oldest first (copies)."""
        return np.roll(self.rows, -(self.added % len(self._rows)) if self.added > len(self._rows) else 0, axis=0)

    def add(self, rows: Rows) -> None:
        """Takes rows [n, width] in; the oldest go.

        Raises:
            ValueError: the width is wrong or a number is not finite; nothing is taken in.
        """
        if rows.ndim != 2 or rows.shape[1] != self._rows.shape[1]:
            raise ValueError(f"rows of shape {rows.shape} do not fit a buffer of width {self._rows.shape[1]}")
        if not np.isfinite(rows).all():
            raise ValueError("rows with NaN or infinity are not kept")
        kept = rows[-len(self._rows) :]
        first = self.added + len(rows) - len(kept)
        self._rows[(first + np.arange(len(kept))) % len(self._rows)] = kept
        self.added += len(rows)

    def sample(self, rng: np.random.Generator, count: int) -> Rows:
        """``count`` rows drawn with replacement [count, width].

        Raises:
            ValueError: the buffer is empty.
        """
        if not self.added:
            raise ValueError("nothing to draw from: the replay buffer is empty")
        return self._rows[rng.integers(len(self), size=count)]


def heldout_mask(first: int, count: int, block: int = 16, every: int = 8) -> NDArray[np.bool_]:
    """Which of the transitions number ``first`` to ``first + count - 1`` of a task are never trained on.

    Whole blocks in time are held out (the third of every 8 blocks of 16: one eighth), because neighbouring transitions
    are nearly equal and a split by single transitions would measure memory. Returns [count] bool.
    """
    return ((first + np.arange(count)) // block) % every == 2
