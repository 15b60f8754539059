# SPDX-License-Identifier: Apache-2.0
"""Replay: transitions in one array, and the samplers that fill an update's batch from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Columns of a transition: observation, action, next observation, reward, terminated."""

    observations: int
    actions: int

    @property
    def width(self) -> int:
        """Columns of a row."""
        return 2 * self.observations + self.actions + 2

    @property
    def pair(self) -> slice:
        """Observation and action, side by side as the critics read them."""
        return slice(0, self.observations + self.actions)

    @property
    def observation(self) -> slice:
        """Columns of the observation."""
        return slice(0, self.observations)

    @property
    def action(self) -> slice:
        """Columns of the action, each in [-1, 1]."""
        return slice(self.observations, self.observations + self.actions)

    @property
    def next_observation(self) -> slice:
        """Columns of the next observation."""
        return slice(self.observations + self.actions, self.width - 2)

    @property
    def reward(self) -> int:
        """Column of the reward."""
        return self.width - 2

    @property
    def terminated(self) -> int:
        """Column that is 1 where the episode ended in the task itself (a fall), 0 else, at a time limit too.

        Between them: 1 minus what counts of the next value, for a transition of many steps.
        """
        return self.width - 1


class ReplayBuffer:
    """The latest ``capacity`` transitions, one float32 row each, in an array that is there from the start.

    Args:
        capacity: transitions.
        layout: columns.
    """

    def __init__(self, capacity: int, layout: Layout) -> None:
        if capacity < 1:
            raise ValueError(f"capacity of a replay buffer is {capacity}; it must be at least 1")
        self.layout = layout
        self._rows: Rows = np.zeros((capacity, layout.width), np.float32)
        self._next, self._size = 0, 0

    def __len__(self) -> int:
        return self._size

    @property
    def capacity(self) -> int:
        """Transitions that fit."""
        return len(self._rows)

    @property
    def place(self) -> int:
        """Where the next transition will be stored."""
        return self._next

    @property
    def rows(self) -> Rows:
        """[len, width], what is stored: a view, in no particular order once the buffer has been full."""
        return self._rows[: self._size]

    def add(
        self,
        observation: ArrayLike,
        action: ArrayLike,
        reward: ArrayLike,
        next_observation: ArrayLike,
        terminated: ArrayLike,
    ) -> None:
        """Stores one transition, or n of them.

        Args:
            observation: [n_obs] or [n, n_obs].
            action: [n_act] or [n, n_act], in [-1, 1].
            reward: number or [n].
            next_observation: as ``observation``; at an episode's end its own last one, not the next episode's first.
            terminated: truth value or [n]: the task ended (a fall). A time limit is no termination: the value goes on.

        Raises:
            ValueError: a width is wrong, a number is not finite, or an action lies outside [-1, 1]; nothing is stored.
        """
        layout = self.layout
        first = np.asarray(observation, np.float32)
        new = np.empty((1 if first.ndim == 1 else len(first), layout.width), np.float32)
        parts: tuple[tuple[str, ArrayLike, Any, int], ...] = (
            ("observation", first, layout.observation, layout.observations),
            ("action", action, layout.action, layout.actions),
            ("next observation", next_observation, layout.next_observation, layout.observations),
        )
        for name, values, columns, width in parts:
            values = np.asarray(values, np.float32)
            if values.shape[-1:] != (width,) or values.size != len(new) * width:
                raise ValueError(
                    f"transition: {name} has shape {values.shape}, expected [{width}] or [{len(new)}, {width}]"
                )
            new[:, columns] = values
        for name, values, column in (("reward", reward, layout.reward), ("terminated", terminated, layout.terminated)):
            values = np.asarray(values, np.float32)
            if values.size != len(new):
                raise ValueError(f"transition: {name} has shape {values.shape}, expected {len(new)} number(s)")
            new[:, column] = values.reshape(-1)
        self._check(new)
        self._store(new)

    def _check(self, new: Rows) -> None:
        if not np.isfinite(new).all():
            row, column = np.argwhere(~np.isfinite(new))[0]
            raise ValueError(f"transition: {self._name(column)} is {new[row, column]}; only finite numbers are stored")
        actions = new[:, self.layout.action]
        if np.abs(actions).max(initial=0.0) > 1.0:
            raise ValueError(
                f"transition: action reaches {actions.flat[np.abs(actions).argmax()]}; it must be in [-1, 1]"
            )

    def _name(self, column: int) -> str:
        layout = self.layout
        for name, columns in (
            ("observation", layout.observation),
            ("action", layout.action),
            ("next observation", layout.next_observation),
        ):
            if columns.start <= column < columns.stop:
                return f"{name}[{column - columns.start}]"
        return "reward" if column == layout.reward else "terminated"

    def _store(self, new: Rows) -> None:
        new = new[-self.capacity :]
        head = min(len(new), self.capacity - self._next)
        self._rows[self._next : self._next + head] = new[:head]
        self._rows[: len(new) - head] = new[head:]
        self._next = (self._next + len(new)) % self.capacity
        self._size = min(self._size + len(new), self.capacity)

    def clear(self) -> None:
        """Forgets everything."""
        self._next, self._size = 0, 0

    def fill(self, out: Rows, rng: np.random.Generator) -> None:
        """Fills ``out`` [n, width] with transitions drawn uniformly with replacement; there must be at least one."""
        np.take(self._rows, rng.integers(0, self._size, len(out)), axis=0, out=out, mode="clip")

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on exactly; ``rows`` is a view."""
        return {"rows": self.rows, "next": self._next, "capacity": self.capacity}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave; raises ValueError if it does not fit."""
        rows = np.asarray(state["rows"], np.float32)
        if state["capacity"] != self.capacity or rows.ndim != 2 or rows.shape[1] != self.layout.width:
            raise ValueError(
                f"replay buffer holds {rows.shape} of {state['capacity']} rows, expected [n, {self.layout.width}] "
                f"of {self.capacity}"
            )
        self._size, self._next = len(rows), int(state["next"])
        self._rows[: self._size] = rows


class Sampler(Protocol):
    """Where an update's batch comes from."""

    def fill(self, out: Rows) -> None:
        """Fills ``out`` [batch, width] with transitions."""


class UniformSampler:
    """All from one buffer, uniformly."""

    def __init__(self, buffer: ReplayBuffer, rng: np.random.Generator) -> None:
        self._buffer, self._rng = buffer, rng

    def fill(self, out: Rows) -> None:
        """See `Sampler`."""
        self._buffer.fill(out, self._rng)


class MixedSampler:
    """A fixed share from the twin's buffer, the rest from the robot's; all from the robot's while the twin's is empty.

    Args:
        real: transitions of the robot.
        twin: transitions that the twin predicted.
        twin_share: part of each batch, 0 to 1, that the twin gives (rounded to whole transitions).
    """

    def __init__(self, real: ReplayBuffer, twin: ReplayBuffer, twin_share: float, rng: np.random.Generator) -> None:
        if not 0.0 <= twin_share <= 1.0:
            raise ValueError(f"twin_share {twin_share}: must lie between 0 and 1")
        if real.layout != twin.layout:
            raise ValueError(f"the twin's transitions are laid out as {twin.layout}, the robot's as {real.layout}")
        self._real, self._twin, self.share, self._rng = real, twin, twin_share, rng

    def fill(self, out: Rows) -> None:
        """See `Sampler`."""
        count = round(self.share * len(out)) if len(self._twin) else 0
        if count:
            self._twin.fill(out[:count], self._rng)
        if count < len(out):
            self._real.fill(out[count:], self._rng)
