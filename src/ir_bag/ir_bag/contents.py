# SPDX-License-Identifier: Apache-2.0
"""Messages, topics and the summary of a bag, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass
class Summary:
    """What there is in a bag or in one file of it.

    Attributes:
        start, end: times of the first and the last message, ns; 0 without messages.
        counts: messages of each topic, by name.
        problems: one line each of what is missing or damaged.
    """

    storage: str = ""
    topics: dict[str, Topic] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    size: int = 0
    distro: str = ""
    compression: str = ""
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """Number of messages of all topics."""
        return sum(self.counts.values())

    def span(self, start: int, end: int) -> None:
        """Widens the times to hold `start` and `end`."""
        self.start = min(self.start, start) if self.start else start
        self.end = max(self.end, end)
