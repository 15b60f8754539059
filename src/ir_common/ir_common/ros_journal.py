# SPDX-License-Identifier: Apache-2.0
"""The topic on which a node publishes the journal of its engine, for recorders (`ir bag replay` computes it again)."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ir_common.journal import Journal, pieces
from ir_interfaces.msg import Journal as JournalMessage

PERIOD = 0.2  #: s of wall time between two messages of a journal
JOURNAL = QoSProfile(
    depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)  # fmt: skip
"""A recorder that comes within the first 100 s still gets all of it, unless more than 1,000 messages were needed."""


class JournalPublisher:
    """Publishes the lines that are added to a journal on `~/journal` (ir_interfaces/Journal, latched).

    Each message holds all lines since the last one and the number of its first line, so that a reader notices a lost
    message; long text takes several (`ir_common.journal.pieces`). It goes out every 0.2 s of wall time if there are
    lines, and at every `flush`.

    Args:
        node: that publishes; its executor must serve its timers.
        journal: of the node's engine, which adds each call before it is made.
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
        """Publishes the lines added since the last message; call it before a report goes out that follows from them."""
        self._flushed = time.monotonic()
        first, lines = self._journal.take()
        if lines:
            message = JournalMessage(
                node=self._node.get_fully_qualified_name(), engine=self._journal.engine, first=first
            )
            message.stamp = self._node.get_clock().now().to_msg()
            for message.lines in pieces(lines):
                self._publisher.publish(message)
