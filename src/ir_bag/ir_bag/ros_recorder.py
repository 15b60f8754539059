# SPDX-License-Identifier: Apache-2.0
"""Subscribes topics and writes their messages into a bag, as serialized bytes.

No executor is used: it takes one message per topic and wake-up, and builds its wait set anew each time. Here all
topics are emptied every few milliseconds; the time of a message is that at which the middleware received it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.subscription import Subscription

from ir_bag.contents import Message, Topic
from ir_bag.definitions import Definitions
from ir_bag.qos_profiles import Profile, to_hear
from ir_bag.ros_types import message_class, profile_of, to_subscribe
from ir_bag.topic_choice import TopicChoice
from ir_bag.writer import BagWriter

PERIOD = 0.01
"""s between two rounds over all topics."""
_DEPTH = 1000
_DISCOVERY_PERIOD, _PUBLISHERS_PERIOD = 0.1, 1.0


@dataclass
class _Port:
    topic: str
    kind: Any
    subscription: Subscription
    qos: tuple[bool, bool]
    publishers: int = 1
    last: int = 0
    doubled: set[tuple[int, int]] = field(default_factory=set)


class Recorder:
    """Records the chosen topics, also those that come up later.

    Args:
        node: to subscribe with; nobody must spin it.
        bag: takes the messages.
        choice: which topics.
        say: takes a line about a topic.
        flush_period: s after which at the latest a message is with the operating system.

    Attributes:
        lost: messages of each topic that were published and not received, where that can be told: on topics of one
            publisher, by its sequence numbers.
    """

    def __init__(
        self, node: Node, bag: BagWriter, choice: TopicChoice, say: Callable[[str], None], flush_period: float = 1.0
    ) -> None:
        self._node, self._bag, self._choice, self._say = node, bag, choice, say
        self._flush_period = flush_period
        self._definitions = Definitions()
        self._ports: dict[str, _Port] = {}
        self._refused: set[str] = set()
        self._due_flush = time.monotonic() + flush_period
        self._due_discovery = self._due_publishers = 0.0
        self.lost: Counter[str] = Counter()

    def step(self) -> None:
        """One round: writes what has arrived, looks for new topics and flushes, where due.

        Raises:
            DiskFull: the bag is full, and closed.
        """
        now = time.monotonic()
        if now >= self._due_discovery:
            self._due_discovery = now + _DISCOVERY_PERIOD
            self._discover()
        if now >= self._due_publishers:
            self._due_publishers = now + _PUBLISHERS_PERIOD
            self._adapt()
        self.take()
        if now >= self._due_flush:
            self._due_flush = now + self._flush_period
            self._bag.flush()

    # --- topics ---

    def _discover(self) -> None:
        for name, types in self._node.get_topic_names_and_types():
            if name not in self._ports and name not in self._refused and self._choice.takes(name):
                self._open(name, types)

    def _open(self, name: str, types: list[str]) -> None:
        offered = tuple(dict.fromkeys(map(profile_of, self._node.get_publishers_info_by_topic(name))))
        if not offered:
            return  # a topic that is only listened to yet
        if len(types) > 1:
            self._refuse(name, f"has {len(types)} types ({', '.join(types)})")
            return
        kind, definition = message_class(types[0]), self._definitions.find(types[0])
        if kind is None or definition is None:
            self._refuse(name, f"its type {types[0]} is not installed here: build or source its package")
            return
        self._ports[name] = port = self._subscribe(name, kind, offered)
        if name not in self._bag.topics:
            self._bag.add_topic(Topic(name, types[0], definition.text, "ros2msg", definition.type_hash, offered))
        self._say(f"{name} [{types[0]}] {_words(port.qos)}")

    def _refuse(self, name: str, why: str) -> None:
        self._refused.add(name)
        self._say(f"{name} is not recorded: {why}")

    def _subscribe(self, name: str, kind: Any, offered: tuple[Profile, ...]) -> _Port:
        reliable, latched = to_hear(offered)
        subscription = self._node.create_subscription(
            kind, name, lambda _: None, to_subscribe(reliable, latched, _DEPTH), raw=True,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )  # fmt: skip
        return _Port(name, kind, subscription, (reliable, latched))

    def _adapt(self) -> None:
        """A publisher that came later and offers less than is asked for is heard, too."""
        for name, port in self._ports.items():
            endpoints = self._node.get_publishers_info_by_topic(name)
            port.publishers = len(endpoints)
            offered = tuple(dict.fromkeys(map(profile_of, endpoints)))
            if not offered:
                continue
            reliable, latched = to_hear(offered)
            if (port.qos[0] and not reliable) or (port.qos[1] and not latched):
                self._ports[name] = self._swap(port, offered)
                self._say(f"{name} has a new publisher: recorded as {_words(self._ports[name].qos)} from now on")

    def _swap(self, old: _Port, offered: tuple[Profile, ...]) -> _Port:
        """A subscription in place of another; what both receive is taken once."""
        new = self._subscribe(old.topic, old.kind, offered)
        new.publishers = old.publishers
        time.sleep(PERIOD)
        for message in self._received(old):
            self._bag.write(message)
            new.doubled.add((message.publish_time, message.sequence))
        self._node.destroy_subscription(old.subscription)
        return new

    # --- messages ---

    def take(self) -> None:
        """Writes every message that has arrived, in the order of reception."""
        received = [message for port in self._ports.values() for message in self._received(port)]
        received.sort(key=lambda message: message.time)
        for message in received:
            self._bag.write(message)

    def _received(self, port: _Port) -> list[Message]:
        found = []
        handle, kind = port.subscription.handle, port.kind
        with handle:
            while (taken := handle.take_message(kind, True)) is not None:
                data, info = taken
                published, sequence = info["source_timestamp"], info["publication_sequence_number"] or 0
                if port.doubled and (published, sequence) in port.doubled:
                    port.doubled.discard((published, sequence))
                    continue
                if port.publishers == 1 and port.last and sequence > port.last + 1:
                    self.lost[port.topic] += sequence - port.last - 1
                port.last = sequence if port.publishers == 1 else 0
                stamp = info["received_timestamp"] or time.time_ns()
                found.append(Message(port.topic, stamp, bytes(data), published or stamp, sequence))
        return found


def _words(qos: tuple[bool, bool]) -> str:
    return ("reliable" if qos[0] else "best effort") + (", transient local" if qos[1] else "")
