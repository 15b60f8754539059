# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that are read when a picture is due, not when a message comes.

An executor wakes up and builds its wait set anew for every message, which costs several times what taking the message
does. Many fast topics for a page of 20 Hz are cheaper to read 20 times a second, each as far as its queue goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from ir_common.ros_node import drain

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Only the newest message matters."""
BUFFERED = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
"""All that come between two readings matter."""


class _Unserved(CallbackGroup):
    """A group that no executor may serve."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing was begun."""


class Poll:
    """The polled subscriptions of a node."""

    def __init__(self, node: Node) -> None:
        self._node, self._group = node, _Unserved()
        self._all: list[tuple[Subscription, Callable[[Any], None]]] = []

    def add(self, kind: type[Any], topic: str, qos: QoSProfile, handle: Callable[..., None], *first: Any) -> None:
        """Subscribes; `handle` gets the arguments in `first` and the message."""
        subscription = self._node.create_subscription(kind, topic, _never, qos, callback_group=self._group)
        self._all.append((subscription, lambda message: handle(*first, message)))

    def take(self) -> int:
        """Handles every message that waits; returns how many there were."""
        return sum(drain(subscription, handle) for subscription, handle in self._all)


def _never(_: Any) -> None:
    raise AssertionError("an executor served a polled subscription")
