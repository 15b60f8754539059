# SPDX-License-Identifier: Apache-2.0
"""Computes a recorded run again from the journals of its nodes, and compares with what the nodes said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from ir_common.config import ConfigError

GROUP = "ir_bag.replay"


class JournalPage(NamedTuple):
    """One message of a journal."""

    topic: str
    engine: str
    first: int
    lines: str


class Said(NamedTuple):
    """One statement of a node that follows from its journal: where, which one, what."""

    topic: str
    key: int
    content: dict[str, Any]


class Engine(Protocol):
    """What a package registers in the group `ir_bag.replay`, under the name of the journal's engine."""

    def apply(self, call: str, *arguments: Any) -> Iterable[tuple[str, int, dict[str, Any]]]:
        """Makes a call of the journal; yields the statements that follow: (topic, key, content)."""

    def totals(self) -> dict[str, Any]:
        """Its part of the run's report."""


@dataclass
class Check:
    """Comparison of one topic.

    Attributes:
        equal, different: statements that are also in the bag.
        early: statements before the first one of that start in the bag: said before the recorder had the topic.
        missing: statements since then that the bag does not have.
        beyond: statements in the bag that the journal does not reach.
        first_difference: of the content, in words.
    """

    equal: int = 0
    different: int = 0
    early: int = 0
    missing: int = 0
    beyond: int = 0
    first_difference: str = ""


@dataclass
class RecordedJournal:
    """One node's journal as far as it was read."""

    engine_name: str
    engine: Engine
    lines: int = 0
    starts: int = 1


@dataclass
class Rerun:
    """A run computed again.

    Args:
        engines: makes an engine out of the first line of its journal, by the journal's engine.
    """

    engines: dict[str, Callable[..., Engine]]
    journals: dict[str, RecordedJournal] = field(default_factory=dict)
    said: dict[tuple[str, int, int], dict[str, Any]] = field(default_factory=dict)

    def read(self, page: JournalPage) -> None:
        """Takes the pages of all journals, in the order of recording.

        Raises:
            ConfigError: a part of a journal is not in the bag, or it cannot be followed.
        """
        journal = self.journals.get(page.topic)
        if page.first == 0:
            starts = journal.starts + 1 if journal else 1
            call, *given = _parsed(page.lines.split("\n", 1)[0], page)
            if call != "begin" or len(given) != 1:
                raise ConfigError(f"{page.topic}: begins with '{call}'; the bag is of another version of the stack")
            begin = given[0]
            self.journals[page.topic] = journal = RecordedJournal(page.engine, self._engine(page, begin), 0, starts)
        elif journal is None or page.first != journal.lines:
            have = f"lines to {journal.lines}" if journal else "nothing before"
            raise ConfigError(
                f"{page.topic}: its lines from {page.first} on are in the bag, and {have}: what is between is missing; "
                "start recording within 100 s of the start of the stack, with all journals"
            )
        for line in page.lines.split("\n"):
            call, *arguments = _parsed(line, page)
            journal.lines += 1
            if call != "begin":
                self._apply(page.topic, journal, call, arguments)

    def _engine(self, page: JournalPage, begin: dict[str, Any]) -> Engine:
        make = self.engines.get(page.engine)
        if make is None:
            known = ", ".join(sorted(self.engines)) or "none"
            raise ConfigError(f"{page.topic}: nothing here repeats a journal of '{page.engine}'; there are: {known}")
        try:
            return make(**begin)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"{page.topic}: is of another version of the stack ({error}); use that one") from None

    def _apply(self, topic: str, journal: RecordedJournal, call: str, arguments: list[Any]) -> None:
        try:
            for where, key, content in journal.engine.apply(call, *arguments):
                self.said[where, journal.starts, key] = content
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ConfigError(
                f"{topic}: line {journal.lines - 1} ({call}) cannot be repeated ({error}); the bag is of another "
                "version of the stack, or damaged"
            ) from None

    def totals(self) -> dict[str, Any]:
        """The run's report, as far as the journals reach."""
        report: dict[str, Any] = {}
        for journal in self.journals.values():
            report |= journal.engine.totals()
        return report

    def compare(self, recorded: Iterable[Said]) -> dict[str, Check]:
        """Compares what the nodes said in the bag with what they should have said, by topic."""
        checks: dict[str, Check] = {}
        starts: dict[str, int] = {}
        last: dict[str, int] = {}
        first: dict[tuple[str, int], int] = {}
        left = dict(self.said)
        for topic, key, content in recorded:
            if key < last.get(topic, key):
                starts[topic] = starts.get(topic, 1) + 1
            last[topic] = key
            start = starts.get(topic, 1)
            first.setdefault((topic, start), key)
            check = checks.setdefault(topic, Check())
            expected = left.pop((topic, start, key), None)
            if expected is None:
                check.beyond += 1
            elif difference := _difference(expected, content):
                check.different += 1
                check.first_difference = check.first_difference or f"{key}: {difference}"
            else:
                check.equal += 1
        for topic, start, key in left:
            check = checks.setdefault(topic, Check())
            if key < first.get((topic, start), key):
                check.early += 1
            else:
                check.missing += 1
        return checks


def installed_engines() -> dict[str, Callable[..., Engine]]:
    """The engines that the installed packages register."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def _parsed(line: str, page: JournalPage) -> list[Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{page.topic}: a line after {page.first} is damaged ({error})") from None
    return list(entry)


def _difference(expected: Any, found: Any) -> str:
    """Where two contents differ, NaN being equal to itself; empty: nowhere."""
    return next(_differences(expected, found, ""), "")


def _differences(expected: Any, found: Any, where: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            yield from _differences(expected.get(name), found.get(name), f"{where}.{name}" if where else name)
    elif json.dumps(expected) != json.dumps(found):
        yield f"{where} is {expected} again, {found} in the bag"
