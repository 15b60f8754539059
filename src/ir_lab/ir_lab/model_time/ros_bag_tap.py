# SPDX-License-Identifier: Apache-2.0
"""Writes what is published on the bus of a simulated run into a rosbag2 bag, as a recorder beside a live run would."""

from __future__ import annotations

from pathlib import Path

from rclpy.serialization import serialize_message

from ir_bag.contents import Message, Topic
from ir_bag.definitions import Definitions
from ir_bag.qos_profiles import Profile
from ir_bag.writer import BagWriter
from ir_common.journal import Journal
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import Journal as JournalMessage
from ir_lab.model_time.agenda import Agenda
from ir_lab.model_time.bus import Bus, BusSample
from ir_lab.model_time.ros_samples import MessageSample

FLUSH_PERIOD = 1_000_000_000
"""ns of simulated time between writes."""
_LATCHED = ("task_status", "twin_status", "slices", "allocation", "journal", "policy")
"""Last parts of the topics that the live stack keeps for late readers."""


JOURNAL_PERIOD = 200_000_000
"""ns of simulated time between messages of a journal, as the live nodes publish them."""


class JournalPart:
    """Publishes what is added to an engine's journal, as its live node does.

    Args:
        agenda, bus: of the run.
        node: fully qualified name of the live node.
        journal: of its engine.
    """

    def __init__(self, agenda: Agenda, bus: Bus, node: str, journal: Journal) -> None:
        self._agenda, self._bus, self._node, self._journal = agenda, bus, node, journal
        agenda.every(JOURNAL_PERIOD, self.flush)

    def flush(self) -> None:
        """Publishes the lines that were added since the last message."""
        first, lines = self._journal.take()
        if lines:
            message = JournalMessage(node=self._node, engine=self._journal.engine, first=first, lines=lines)
            message.stamp = to_stamp(self._agenda.now)
            self._bus.publish(f"{self._node}/journal", MessageSample(message))


class BagTap:
    """A bag of everything on the bus; messages are stamped with the simulated instant of their publication.

    Args:
        bus: of the run.
        folder: of the new bag.

    Raises:
        ConfigError: the folder is there already, or cannot be made.
    """

    def __init__(self, bus: Bus, folder: Path) -> None:
        self._bag, self._definitions, self._flushed = BagWriter(folder.expanduser()), Definitions(), 0
        bus.tap(self._take)

    def _take(self, topic: str, sample: BusSample, now: int) -> None:
        message = sample.message()
        if topic not in self._bag.topics:
            self._bag.add_topic(self._topic(topic, message))
        self._bag.write(Message(topic, now, serialize_message(message), now))
        if now - self._flushed >= FLUSH_PERIOD:
            self._flushed = now
            self._bag.flush()

    def _topic(self, name: str, message: object) -> Topic:
        kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
        definition = self._definitions.find(kind)
        latched = name.rpartition("/")[2] in _LATCHED
        qos = Profile(reliability="reliable", durability="transient_local" if latched else "volatile", depth=10)
        text, type_hash = (definition.text, definition.type_hash) if definition else ("", "")
        return Topic(name, kind, text, "ros2msg", type_hash, (qos,))

    def close(self) -> None:
        """Ends the bag."""
        self._bag.close()
