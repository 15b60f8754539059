# SPDX-License-Identifier: Apache-2.0
"""Messages, topics and the summary of a bag, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ir_bag.definitions import blocks_differ
from ir_bag.qos_profiles import Profile


class Message(NamedTuple):
    """One serialized message."""

    topic: str
    """Fully qualified name."""
    time: int
    """Reception by the recorder, ns since the epoch of the recorder's clock."""
    data: bytes
    """As it was on the wire: CDR with its encapsulation header."""
    publish_time: int = 0
    """Publication, ns, where the middleware told; else `time`."""
    sequence: int = 0
    """Number that its publisher gave it, 0: not told."""


@dataclass(frozen=True)
class Topic:
    """One recorded topic."""

    name: str
    type: str
    """Such as sensor_msgs/msg/Imu."""
    definition: str = ""
    """Text of the message definition with all that it needs; empty: not in the bag."""
    definition_format: str = "ros2msg"
    type_hash: str = ""
    """RIHS01_ and 64 hexadecimal digits; empty: not known."""
    qos: tuple[Profile, ...] = ()
    """What its publishers offered."""
    serialization_format: str = "cdr"
    recorded_name: str = ""
    """As it stands in the bag, where that is another, such as `chatter` for /chatter."""

    def has_bytes_of(self, other: Topic) -> bool:
        """Whether messages of both have one layout, as far as the bag tells."""
        if (self.type, self.serialization_format) != (other.type, other.serialization_format):
            return False
        if self.type_hash and other.type_hash:
            return self.type_hash == other.type_hash
        if self.definition_format != other.definition_format:
            return True
        return not blocks_differ(self.definition, other.definition, self.type)


class RecordedStream(NamedTuple):
    """A channel of an MCAP file, or a topic of an sqlite3 file; several may be of one topic."""

    number: int
    """By which its messages name it."""
    topic: Topic
    messages: int
    """How many there are."""


@dataclass
class Summary:
    """What there is in a bag or in one file of it.

    Attributes:
        start, end: times of the first and the last message, ns; 0 without messages.
        counts: messages of each topic, by name.
        compression: in words, also of the chunks of MCAP files; empty: none.
        packing: what rosbag2 compressed, in its words: "message", "file", or empty.
        problems: one line each of what is missing or damaged.
        notes: one line each of what is left out, though nothing is wrong with it.
    """

    storage: str = ""
    topics: dict[str, Topic] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    size: int = 0
    distro: str = ""
    compression: str = ""
    packing: str = ""
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spanned: bool = False

    @property
    def messages(self) -> int:
        """Number of messages of all topics."""
        return sum(self.counts.values())

    def span(self, start: int, end: int) -> None:
        """Widens the times to hold `start` and `end`."""
        self.start = min(self.start, start) if self.spanned else start
        self.end = max(self.end, end) if self.spanned else end
        self.spanned = True
