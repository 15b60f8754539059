# SPDX-License-Identifier: Apache-2.0
"""Computes a recorded run again from the journals of its nodes, and compares the results with the recorded statements.

A statement is a message of a node that follows from the calls to its engine alone: a report, a verdict, an allocation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from ir_common.config import ConfigError

GROUP = "ir_bag.replay"


class JournalSegment(NamedTuple):
    """One message of a journal: its topic, the engine's kind, the number of its first line, its lines of JSON."""

    topic: str
    engine: str
    first: int
    lines: str


class RecordedStatement(NamedTuple):
    """A statement in the bag: its topic, its key among the statements of that topic, its content as plain data."""

    topic: str
    key: int
    content: dict[str, Any]


class ReplayEngine(Protocol):
    """What a package registers in the group `ir_bag.replay`, under the name of the journal's engine."""

    def apply(self, call: str, *arguments: Any) -> Iterable[tuple[str, int, dict[str, Any]]]:
        """Makes a call of the journal; yields the statements that follow: (topic, key, content)."""

    def totals(self) -> dict[str, Any]:
        """The engine's part of the run's report, as plain data."""


@dataclass
class StatementComparison:
    """How the recorded statements of one topic compare with the recomputed ones, in numbers.

    Attributes:
        equal, different: statements that are also in the bag.
        early: statements before the first one of that start in the bag: made before the recorder had the topic.
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
    """One node's journal as far as it was read, with the engine that it is repeated on, its lines and starts."""

    engine_name: str
    engine: ReplayEngine
    lines: int = 0
    starts: int = 1


@dataclass
class Recomputation:
    """The engines of a recorded run, fed with their journals once more, and the statements that they make.

    Args:
        engines: what makes an engine out of the first line of its journal, by the kind of engine.

    Attributes:
        journals: by topic.
        statements: contents of the recomputed statements, by topic, start of the node (from 1 on) and key.
    """

    engines: dict[str, Callable[..., ReplayEngine]]
    journals: dict[str, RecordedJournal] = field(default_factory=dict)
    statements: dict[tuple[str, int, int], dict[str, Any]] = field(default_factory=dict)

    def read(self, segment: JournalSegment) -> None:
        """Makes the calls of a segment; the segments of all journals come in the order of recording.

        Raises:
            ConfigError: a part of a journal is not in the bag, or it cannot be followed.
        """
        journal = self.journals.get(segment.topic)
        if segment.first == 0:
            starts = journal.starts + 1 if journal else 1
            call, *given = _parsed(segment.lines.split("\n", 1)[0], segment)
            if call != "begin" or len(given) != 1:
                raise ConfigError(f"{segment.topic}: begins with '{call}'; the bag is of another version of the stack")
            begin = given[0]
            self._refuse_second_stack(segment)
            self.journals[segment.topic] = journal = RecordedJournal(
                segment.engine, self._engine(segment, begin), 0, starts
            )
        elif journal is None or segment.first != journal.lines:
            have = f"lines to {journal.lines}" if journal else "nothing before"
            raise ConfigError(
                f"{segment.topic}: its lines from {segment.first} on are in the bag, and {have}: what is between is "
                "missing; start recording within 100 s of the start of the stack, with all journals"
            )
        for line in segment.lines.split("\n"):
            call, *arguments = _parsed(line, segment)
            journal.lines += 1
            if call != "begin":
                self._apply(segment.topic, journal, call, arguments)

    def _refuse_second_stack(self, segment: JournalSegment) -> None:
        for topic, journal in self.journals.items():
            if topic != segment.topic and journal.engine_name == segment.engine:
                raise ConfigError(
                    f"{topic} and {segment.topic} are of two stacks; choose one by its namespace (--namespace NAME)"
                )

    def _engine(self, segment: JournalSegment, begin: dict[str, Any]) -> ReplayEngine:
        make = self.engines.get(segment.engine)
        if make is None:
            known = ", ".join(sorted(self.engines)) or "none"
            raise ConfigError(
                f"{segment.topic}: nothing here repeats a journal of '{segment.engine}'; there are: {known}"
            )
        try:
            return make(**begin)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"{segment.topic}: is of another version of the stack ({error}); use that one") from None

    def _apply(self, topic: str, journal: RecordedJournal, call: str, arguments: list[Any]) -> None:
        try:
            for where, key, content in journal.engine.apply(call, *arguments):
                self.statements[where, journal.starts, key] = content
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ConfigError(
                f"{topic}: line {journal.lines - 1} ({call}) cannot be repeated ({error}); the bag is of another "
                "version of the stack, or damaged"
            ) from None

    def totals(self) -> dict[str, Any]:
        """The run's report as plain data, as far as the journals reach."""
        report: dict[str, Any] = {}
        for journal in self.journals.values():
            report |= journal.engine.totals()
        return report

    def compare(self, recorded: Iterable[RecordedStatement]) -> dict[str, StatementComparison]:
        """Compares recorded with recomputed statements; by topic, without the namespace of the recorded stack."""
        known = {topic for topic, _, _ in self.statements}
        checks: dict[str, StatementComparison] = {}
        starts: dict[str, int] = {}
        last: dict[str, int] = {}
        first: dict[tuple[str, int], int] = {}
        left = dict(self.statements)
        for recorded_topic, key, content in recorded:
            topic = _known_ending(recorded_topic, known)
            if key < last.get(topic, key):
                starts[topic] = starts.get(topic, 1) + 1
            last[topic] = key
            start = starts.get(topic, 1)
            first.setdefault((topic, start), key)
            check = checks.setdefault(topic, StatementComparison())
            expected = left.pop((topic, start, key), None)
            if expected is None:
                check.beyond += 1
            elif difference := _difference(expected, content):
                check.different += 1
                check.first_difference = check.first_difference or f"{key}: {difference}"
            else:
                check.equal += 1
        for topic, start, key in left:
            check = checks.setdefault(topic, StatementComparison())
            if key < first.get((topic, start), key):
                check.early += 1
            else:
                check.missing += 1
        return checks


def installed_engines() -> dict[str, Callable[..., ReplayEngine]]:
    """The engines that the installed packages register."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def _known_ending(topic: str, known: Container[str]) -> str:
    """The longest ending of a topic's name, of whole parts, that is known; the topic, where none is."""
    parts = topic.split("/")
    endings = ("/" + "/".join(parts[first:]) for first in range(1, len(parts)))
    return next((ending for ending in endings if ending in known), topic)


def _parsed(line: str, segment: JournalSegment) -> list[Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{segment.topic}: a line after {segment.first} is damaged ({error})") from None
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
