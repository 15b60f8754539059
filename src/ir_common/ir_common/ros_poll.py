# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that their owner reads when it needs to, not an executor when a message comes.

An executor wakes up and builds its wait set anew for every message, which costs several times what taking the message
does. Many fast topics for a page of 20 Hz are cheaper to read 20 times a second, each as far as its queue goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import drain

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Only the newest message matters."""
BUFFERED = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
"""All that come between two readings matter."""
_LONGEST_WAIT = 0.1
"""s; then the context is looked at again: the signal that ended it wakes no wait set but the executor's."""


class Unexecuted(CallbackGroup):
    """Callback group of entities that no executor may serve: their owner waits on them, or asks them, itself."""

    def can_execute(self, entity: Any) -> bool:
        """Whether an executor may serve an entity: never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Whether an executor may begin to: never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Does nothing, as nothing was begun."""


def drain_until(
    node: Node, subscription: Subscription, handle: Callable[[Any], None], done: Callable[[], bool], timeout: float
) -> bool:
    """Drains a subscription, and waits for more on it, until ``done()``; for a callback that must not go on before.

    Args:
        node: the subscription's node; nothing else of it is served meanwhile.
        subscription: to wait on.
        handle: takes each message.
        done: what is waited for.
        timeout: s of wall time to wait at most.

    Returns:
        Whether it came in time; False, too, when the process is told to end.
    """
    deadline = time.monotonic() + timeout
    wait_set = _rclpy.WaitSet(1, 0, 0, 0, 0, 0, node.context.handle)
    with subscription.handle:
        while True:
            drain(subscription, handle)
            left = deadline - time.monotonic()
            if done() or left <= 0.0 or not node.context.ok():
                return done()
            wait_set.clear_entities()
            wait_set.add_subscription(subscription.handle)
            wait_set.wait(int(1e9 * min(left, _LONGEST_WAIT)))


def answered(node: Node, client: Client, request: Any, timeout: float) -> Any:
    """Asks a service and waits for its answer, for a callback that must not go on before.

    Args:
        node: the client's node; nothing else of it is served meanwhile. Its executor must be of this stack.
        client: of the service.
        request: to it.
        timeout: s of wall time to wait at most.

    Returns:
        The answer; None where it does not come in time.
    """
    executor, future = node.executor, client.call_async(request)
    assert isinstance(executor, LeanExecutor)
    deadline = time.monotonic() + timeout
    wait_set = _rclpy.WaitSet(0, 0, 0, 1, 0, 0, node.context.handle)
    while not future.done() and (left := deadline - time.monotonic()) > 0.0 and node.context.ok():
        with client.handle:
            wait_set.clear_entities()
            wait_set.add_client(client.handle)
            wait_set.wait(int(1e9 * min(left, _LONGEST_WAIT)))
        executor.serve_now(client)
    return future.result() if future.done() else None


class Poll:
    """The polled subscriptions of a node."""

    def __init__(self, node: Node) -> None:
        self._node, self._group = node, Unexecuted()
        self._all: list[tuple[Subscription, Callable[[Any], None]]] = []

    def add(self, kind: type[Any], topic: str, qos: QoSProfile, handle: Callable[..., None], *first: Any) -> None:
        """Subscribes; `handle` gets the arguments in `first` and the message."""
        subscription = self._node.create_subscription(kind, topic, _never, qos, callback_group=self._group)
        self._all.append((subscription, lambda message: handle(*first, message)))

    def take(self) -> int:
        """Handles every message that waits; returns how many there were."""
        return sum(drain(subscription, handle) for subscription, handle in self._all)

    def discard(self) -> None:
        """Throws away every message that waits."""
        for subscription, _ in self._all:
            drain(subscription, ignore)


def ignore(_: Any) -> None:
    """Does nothing with a message."""


def _never(_: Any) -> None:
    raise AssertionError("an executor served a polled subscription")
