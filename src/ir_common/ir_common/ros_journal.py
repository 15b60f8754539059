# SPDX-License-Identifier: Apache-2.0
"""Publishes the journal of a node's engine."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ir_common.journal import Journal
from ir_interfaces.msg import Journal as JournalMessage

PERIOD = 0.2
JOURNAL = QoSProfile(
    depth=500, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)  # fmt: skip
"""A recorder that comes within the first 100 s still gets all of it."""


class JournalPublisher:
    """Publishes a journal on ~/journal, five times a second and whenever it is told to.

    Args:
        node: of the engine.
        journal: what its engine is watched by.
    """

    def __init__(self, node: Node, journal: Journal) -> None:
        self._node, self._journal = node, journal
        self._publisher = node.create_publisher(JournalMessage, "~/journal", JOURNAL)
        self._flushed = 0.0
        node.create_timer(PERIOD, self._flush_in_time, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _flush_in_time(self) -> None:
        if time.monotonic() - self._flushed > 0.75 * PERIOD:  # else it was done for a report just now
            self.flush()

    def flush(self) -> None:
        """Publishes what was added; call it before a report goes out that rests on it."""
        self._flushed = time.monotonic()
        first, lines = self._journal.take()
        if lines:
            message = JournalMessage(
                node=self._node.get_fully_qualified_name(), engine=self._journal.engine, first=first, lines=lines
            )
            message.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(message)
