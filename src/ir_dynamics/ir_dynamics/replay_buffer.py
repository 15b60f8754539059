# SPDX-License-Identifier: Apache-2.0
"""The replay buffer: the newest transitions in one array, from which batches are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ir_dynamics.transitions import Rows, TransitionLayout


class ReplayBuffer:
    """The newest transitions, one float32 row each, in a ring: transition number k is in row k modulo the capacity.

    Args:
        layout: of the rows.
        capacity: transitions kept.
        action_limit: greatest size of a part of an action that is taken in; infinity: any.

    Attributes:
        added: transitions taken in so far, those included that have made room for newer ones.
    """

    def __init__(self, layout: TransitionLayout, capacity: int, action_limit: float = np.inf) -> None:
        if capacity < 1:
            raise ValueError(f"capacity of a replay buffer is {capacity}; it must be at least 1")
        self.layout, self._action_limit = layout, action_limit
        self._rows: Rows = np.empty((capacity, layout.width), np.float32)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    @property
    def capacity(self) -> int:
        """Transitions that fit."""
        return len(self._rows)

    @property
    def rows(self) -> Rows:
        """[len, width], what is held: a view, in no particular order once the buffer has been full."""
        return self._rows[: len(self)]

    def newest(self, count: int) -> Rows:
        """The newest ``count`` rows, or as many as are held, the oldest of them first [count, width] (copies)."""
        count = min(count, len(self))
        return self._rows[np.arange(self.added - count, self.added) % self.capacity]

    def in_order(self) -> Rows:
        """All rows that are held, the oldest first [len, width] (copies)."""
        return self.newest(len(self))

    def add(self, rows: Rows) -> None:
        """Takes one row [width] in, or several [n, width]; the oldest go.

        Raises:
            ValueError: the width is wrong, a number is not finite, or an action is too large; nothing is taken in.
        """
        rows = rows[None] if rows.ndim == 1 else rows
        self._check(rows)
        kept = rows[-self.capacity :]
        self.added += len(rows)
        first = (self.added - len(kept)) % self.capacity
        head = min(len(kept), self.capacity - first)
        self._rows[first : first + head] = kept[:head]
        self._rows[: len(kept) - head] = kept[head:]

    def _check(self, rows: Rows) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.layout.width:
            raise ValueError(f"rows of shape {rows.shape} do not fit a buffer of width {self.layout.width}")
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            name = self.layout.name(int(column))
            raise ValueError(f"transition: {name} is {rows[row, column]}; only finite numbers are kept")
        if self._action_limit < np.inf:
            actions = rows[:, self.layout.action]
            if np.abs(actions).max(initial=0.0) > self._action_limit:
                largest, limit = actions.flat[np.abs(actions).argmax()], self._action_limit
                raise ValueError(f"transition: action reaches {largest}; it must be in [{-limit:g}, {limit:g}]")

    def fill(self, out: Rows, rng: np.random.Generator) -> None:
        """Fills ``out`` [n, width] with transitions drawn uniformly with replacement.

        Raises:
            ValueError: the buffer is empty.
        """
        if not self.added:
            raise ValueError("nothing to draw from: the replay buffer is empty")
        np.take(self._rows, rng.integers(0, len(self), len(out)), axis=0, out=out, mode="clip")

    def sample(self, rng: np.random.Generator, count: int) -> Rows:
        """``count`` transitions drawn uniformly with replacement [count, width]. See `fill`."""
        out = np.empty((count, self.layout.width), np.float32)
        self.fill(out, rng)
        return out

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on exactly; ``rows`` is a view."""
        return {"rows": self.rows, "added": self.added, "capacity": self.capacity}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave.

        Raises:
            ValueError: it is of another capacity or layout.
        """
        rows, added = np.asarray(state["rows"], np.float32), int(state["added"])
        if state["capacity"] != self.capacity or rows.shape != (min(added, self.capacity), self.layout.width):
            raise ValueError(
                f"replay buffer holds {rows.shape} of {state['capacity']} rows, expected [n, {self.layout.width}] "
                f"of {self.capacity}"
            )
        self.added = added
        self._rows[: len(rows)] = rows
