# SPDX-License-Identifier: Apache-2.0
"""Segments of journals and statements of nodes, read from the messages of a bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rclpy.serialization import deserialize_message

from ir_bag.contents import Topic
from ir_bag.reader import BagReader
from ir_bag.recomputation import JournalSegment, RecordedStatement
from ir_common.config import ConfigError
from ir_common.journal import GOES_ON
from ir_common.ros_time import to_nanoseconds
from ir_interfaces.msg import Allocation, Books, CellReport, FlowReport, Journal, Verdict

_JOURNAL = "ir_interfaces/msg/Journal"
_DIRECTIONS = {FlowReport.UPLINK: "uplink", FlowReport.DOWNLINK: "downlink"}


def journal_segments(bag: BagReader, namespace: str = "") -> Iterator[JournalSegment]:
    """The segments of all journals in a bag, or of those below a namespace, in the order of recording.

    Raises:
        ConfigError: there are none.
    """
    topics = [topic.name for topic in _topics(bag, namespace) if topic.type == _JOURNAL]
    if not topics:
        where = f" below {namespace}" if namespace else ""
        what = f"no journals{where} (topics of type {_JOURNAL})"
        raise ConfigError(f"{bag.path}: holds {what}; record with -a, or name them")
    begun: dict[str, tuple[int, str]] = {}  # by topic: number of the first line and text that goes on
    for message in bag.messages(topics):
        segment = deserialize_message(message.data, Journal)
        first, text = begun.pop(message.topic, (segment.first, ""))
        if first != segment.first:  # the node ended in the midst of it
            text = ""
        text += segment.lines.removesuffix(GOES_ON)
        if segment.lines.endswith(GOES_ON):
            begun[message.topic] = segment.first, text
        else:
            yield JournalSegment(message.topic, segment.engine, segment.first, text)


def recorded_statements(bag: BagReader, namespace: str = "") -> Iterator[RecordedStatement]:
    """The statements in a bag, or below a namespace, of the types that engines repeat, in the order of recording."""
    kinds = {topic.name: topic.type for topic in _topics(bag, namespace) if topic.type in _READERS}
    for message in bag.messages(kinds.keys()):
        kind, read = _READERS[kinds[message.topic]]
        key, content = read(deserialize_message(message.data, kind))
        yield RecordedStatement(message.topic, key, content)


def _topics(bag: BagReader, namespace: str) -> list[Topic]:
    """The topics below a namespace."""
    return [topic for topic in bag.summary.topics.values() if topic.name.startswith(f"{namespace}/")]


def _report(message: CellReport) -> tuple[int, dict[str, Any]]:
    slices = {row.slice: _books(row.books) | {"delay_max": row.delay.max} for row in message.slices}
    flows = {
        f"{row.robot}/{row.topic} {_DIRECTIONS[row.direction]} {row.slice}": _books(row.books) for row in message.flows
    }
    return to_nanoseconds(message.header.stamp), {"slices": slices, "flows": flows}


def _books(books: Books) -> dict[str, Any]:
    names = ("offered", "delivered", "queued")
    pairs = {
        name: {"messages": getattr(books, f"{name}_messages"), "bytes": getattr(books, f"{name}_bytes")}
        for name in names
    }
    return pairs | {"dropped": {row.reason: {"messages": row.messages, "bytes": row.bytes} for row in books.dropped}}


def _verdict(message: Verdict) -> tuple[int, dict[str, Any]]:
    names = ("reason", "accepted", "sent_safe_action", "predicted_reward", "threshold", "model_version")
    return message.sequence, {name: getattr(message, name) for name in names} | {"sent": message.sent.tolist()}


def _allocation(message: Allocation) -> tuple[int, dict[str, Any]]:
    blocks = dict(zip(message.slices, message.resource_blocks.tolist(), strict=True))
    return message.sequence, {"policy": message.policy, "resource_blocks": blocks}


_READERS: dict[str, tuple[Any, Callable[[Any], tuple[int, dict[str, Any]]]]] = {
    "ir_interfaces/msg/CellReport": (CellReport, _report),
    "ir_interfaces/msg/Verdict": (Verdict, _verdict),
    "ir_interfaces/msg/Allocation": (Allocation, _allocation),
}
