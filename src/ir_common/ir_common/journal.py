# SPDX-License-Identifier: Apache-2.0
"""A journal: the calls to an engine in their order, as text, so that another engine of the kind can repeat them.

A node's engine is a plain object whose state follows from the calls to it alone. Who has the calls has the run: the
messages of a bag do not say when, and in which order, a node took them, its journal does.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel

PIECE = 16_384
"""Characters in a message of a journal. A writer's history keeps room for the longest message that each of its places
ever held: with a whole network in one of fifty messages that grew to a hundred megabytes within an hour."""
GOES_ON = "\N{HORIZONTAL ELLIPSIS}"
"""Ends a message whose text goes on in the journal's next one; lines of JSON are ASCII and never hold it."""


class Journal:
    """Keeps the calls to an engine and gives them as lines of JSON. Adding is cheap, the text is made in `take`.

    Args:
        engine: kind of engine, by which a reader of the journal finds one that can repeat it.
        begin: arguments that the engine was made of; the journal's first line.
        together: calls of one of these in a row stand in one line, its name and then a list of arguments for each.
    """

    def __init__(self, engine: str, begin: Mapping[str, Any], together: Iterable[str] = ()) -> None:
        self.engine = engine
        self.count = 0
        self._entries: deque[tuple[Any, ...]] = deque([("begin", begin)])
        self._together = set(together)

    def add(self, *entry: Any) -> None:
        """Adds one call: its name, then its arguments; those must not be changed afterwards."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Lets go of what was added: nobody wants the lines. The journal is of no use from then on."""
        self._entries.clear()

    def take(self) -> tuple[int, str]:
        """(number of the first line, lines) of what was added since the last call; may run in another thread."""
        lines: list[Sequence[Any]] = []
        row: list[Sequence[Any]] | None = None  # of calls in one line, at the end of `lines`
        while self._entries:
            entry = self._entries.popleft()
            if entry[0] not in self._together:
                lines.append(entry)
                row = None
            elif row is not None and lines[-1][0] == entry[0]:
                row.append(entry[1:])
            else:
                row = [entry[1:]]
                lines.append((entry[0], row))
        first, self.count = self.count, self.count + len(lines)
        return first, "\n".join(map(_ENCODER.encode, lines))


def pieces(text: str, size: int = PIECE) -> list[str]:
    """Cuts text of a journal into messages of ``size`` characters; all but the last end with `GOES_ON`."""
    cut = [text[k : k + size] for k in range(0, len(text), size)]
    return [piece + GOES_ON for piece in cut[:-1]] + cut[-1:]


class Engine(Protocol):
    """What a journal is of: an object whose state follows from the calls to it alone."""

    def apply(self, call: str, *arguments: Any) -> Any:
        """Makes one of its calls by name; returns what the call returns."""


class Journaled:
    """An engine and the journal of its calls: `apply` writes a call down, then has the engine make it.

    Args:
        engine: whose calls go through here, all of those that change it.
        journal: takes the calls.
        first: gives a value that is put before the arguments of each call, such as the time; none: nothing is.
    """

    def __init__(self, engine: Engine, journal: Journal, first: Callable[[], Any] | None = None) -> None:
        self.engine, self.journal, self._first = engine, journal, first

    def apply(self, call: str, *arguments: Any) -> Any:
        """Writes a call down and makes it; the arguments must not be changed afterwards."""
        before = () if self._first is None else (self._first(),)
        self.journal.add(call, *before, *arguments)
        return self.engine.apply(call, *arguments)


def plain(value: Any) -> Any:
    """What JSON can hold of arrays, configurations, dataclasses and mappings.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # array.array, the type of number sequences in messages
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not go into a journal")


_ENCODER = json.JSONEncoder(default=plain, separators=(",", ":"))
