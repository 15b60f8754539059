# SPDX-License-Identifier: Apache-2.0
"""What every node of the stack has in common: its start, the announcement that it is there, its end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import inspect
import math
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import rclpy
from rclpy.client import Client
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.service import Service
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ir_common import process_start, stack_namespace
from ir_common.config import EXIT_CONFIG, RESTARTS_VARIABLE, ConfigError
from ir_common.damage import first_line
from ir_common.ros_executor import LeanExecutor
from ir_interfaces.msg import NodeStatus

NODE_STATUS_TOPIC = "/ir/node_status"

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""State that late joiners need."""

ANNOUNCEMENTS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=200, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)  # fmt: skip
"""For readers of a topic on which many nodes each keep one latched message."""

STREAM = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Sensor streams: the newest matters, a lost one does not."""

RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
"""Messages that are counted."""


class StackNode(Node):
    """A node of the stack: each of its absolute names is below the namespace of the whole stack, where there is one.

    That holds for topics and services, also for those of rclpy itself (/clock), for look-ups by name, and for the
    node's own namespace. /rosout and /parameter_events stay: they are those of the ROS domain. Actions, of which the
    stack has none, are not covered: rclpy makes them past the node.

    Where the parameters of the node hold ``qos_overrides``, its topics take them.

    Args:
        name, namespace: as of `Node`.
        stack: namespace of the whole stack; None: what the environment says (`stack_namespace.VARIABLE`).
        options: of `Node`.
    """

    opens_topics: ClassVar[bool] = False
    """Whether it makes topics after its start, for which its ``qos_overrides`` may stand, too."""

    def __init__(self, name: str, *, namespace: str | None = None, stack: str | None = None, **options: Any) -> None:
        told = stack_namespace.told(os.environ)
        self.stack_namespace = told if stack is None else stack_namespace.normalised(stack)  # Node makes topics already
        if self.stack_namespace:
            namespace = self._below(f"/{(namespace or '').strip('/')}")
        super().__init__(name, namespace=namespace, **options)

    def _below(self, name: str) -> str:
        return stack_namespace.below(self.stack_namespace, name)

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Any, qos_profile: QoSProfile | int, **kwargs: Any
    ) -> Subscription:
        """As `Node.create_subscription`."""
        with _told_overrides(self, kwargs):
            return super().create_subscription(msg_type, self._below(topic), callback, _own(qos_profile), **kwargs)

    def create_publisher(self, msg_type: Any, topic: str, qos_profile: QoSProfile | int, **kwargs: Any) -> Publisher:
        """As `Node.create_publisher`."""
        with _told_overrides(self, kwargs):
            return super().create_publisher(msg_type, self._below(topic), _own(qos_profile), **kwargs)

    def create_client(self, srv_type: Any, srv_name: str, *args: Any, **kwargs: Any) -> Client:
        """As `Node.create_client`."""
        return super().create_client(srv_type, self._below(srv_name), *args, **kwargs)

    def create_service(self, srv_type: Any, srv_name: str, *args: Any, **kwargs: Any) -> Service:
        """As `Node.create_service`."""
        return super().create_service(srv_type, self._below(srv_name), *args, **kwargs)

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """As `Node.resolve_topic_name`."""
        return super().resolve_topic_name(self._below(topic), only_expand=only_expand)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """As `Node.resolve_service_name`."""
        return super().resolve_service_name(self._below(service), only_expand=only_expand)

    def count_publishers(self, topic_name: str) -> int:
        """As `Node.count_publishers`."""
        return super().count_publishers(self._below(topic_name))

    def count_subscribers(self, topic_name: str) -> int:
        """As `Node.count_subscribers`."""
        return super().count_subscribers(self._below(topic_name))

    def count_clients(self, service_name: str) -> int:
        """As `Node.count_clients`."""
        return super().count_clients(self._below(service_name))

    def count_services(self, service_name: str) -> int:
        """As `Node.count_services`."""
        return super().count_services(self._below(service_name))

    def get_publishers_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """As `Node.get_publishers_info_by_topic`."""
        return super().get_publishers_info_by_topic(self._below(topic_name), no_mangle)

    def get_subscriptions_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """As `Node.get_subscriptions_info_by_topic`."""
        return super().get_subscriptions_info_by_topic(self._below(topic_name), no_mangle)


class LeanNode(StackNode):
    """A node whose topics have no QoS event handlers unless they are asked for.

    rclpy gives each subscription and publisher handlers that only log mismatched QoS. They stand in the executor's wait
    set, which is built anew at every wake-up: in a node with a dozen topics that is most of its processor time.
    """

    def create_subscription(self, *args: Any, **kwargs: Any) -> Subscription:
        """Makes a subscription as `Node.create_subscription` does, without QoS event handlers."""
        kwargs.setdefault("event_callbacks", SubscriptionEventCallbacks(use_default_callbacks=False))
        return super().create_subscription(*args, **kwargs)

    def create_publisher(self, *args: Any, **kwargs: Any) -> Publisher:
        """Makes a publisher as `Node.create_publisher` does, without QoS event handlers."""
        kwargs.setdefault("event_callbacks", PublisherEventCallbacks(use_default_callbacks=False))
        return super().create_publisher(*args, **kwargs)


_OVERRIDABLE = QoSOverridingOptions(
    [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY]
)
_OVERRIDE = re.compile(r"qos_overrides\./.+\.(publisher|subscription)\.(history|depth|reliability|durability)")


def _own(qos_profile: QoSProfile | int) -> QoSProfile | int:
    """A copy, as rclpy writes overrides into the profile that it is given, which other topics have as well."""
    return copy(qos_profile)


def _overrides(node: Node) -> list[str]:
    """Names of the parameters that override the QoS of topics."""
    return [name for name in node._parameter_overrides if name.startswith("qos_overrides.")]


@contextlib.contextmanager
def _told_overrides(node: Node, kwargs: dict[str, Any]) -> Iterator[None]:
    """Adds to the arguments of a topic that it takes overrides, where there are any; ConfigError for a wrong one."""
    if not _overrides(node) or "qos_overriding_options" in kwargs:
        yield
        return
    kwargs["qos_overriding_options"] = _OVERRIDABLE
    try:
        yield
    except Exception as error:  # rclpy has a class of its own for each mistake
        raise ConfigError(f"parameters of {node.get_fully_qualified_name()}: {first_line(error)}") from None


def _refuse_idle_overrides(node: Node) -> None:
    """Raises ConfigError where one is for a topic that the node does not have, or for what it cannot change."""
    later = getattr(node, "opens_topics", False)
    for name in _overrides(node):
        if not node.has_parameter(name) and not (later and _OVERRIDE.fullmatch(name)):
            policies = "history, depth, reliability, durability"
            text = f"{name}: no such topic here; qos_overrides./TOPIC.publisher or .subscription, and one of {policies}"
            raise ConfigError(f"parameters of {node.get_fully_qualified_name()}: {text}")


class Finished(Exception):
    """Raised in a callback to end the process in good order with an exit status."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


def run(factory: Callable[[], Node], args: Sequence[str] | None = None) -> None:
    """Runs one node as a process and exits.

    The process takes the scheduling that its launcher gives it, and ends with its launcher (`process_start`). The node
    is announced on /ir/node_status once it is made. A ``close()`` of the node is called at the end, whatever that was.
    Exit status: 0 after SIGINT or SIGTERM or a `Finished`, 78 after a `ConfigError` (one line on standard error), and
    Python's own after any other exception.
    """
    before = set(threading.enumerate())
    status = _run(factory, args)
    gc.freeze()  # Python would go through all that is there before it ends: on a busy host, for longer than it is given
    if any(thread.daemon for thread in threading.enumerate() if thread not in before):
        _leave(status)
    sys.exit(status)


def _leave(status: int) -> NoReturn:
    """Ends the process beside threads that nobody waits for, as one that fits a network.

    Python takes such a thread apart when it comes back from a library, and libraries in C++ abort the process then.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a pipe whose reader has gone
            stream.flush()
    os._exit(status)


def _run(factory: Callable[[], Node], args: Sequence[str] | None) -> int:
    node: Node | None = None
    executor: LeanExecutor | None = None
    told_to_end: list[int] = []
    process_start.enter_as_told(os.environ)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # rclpy ends the context; no KeyboardInterrupt in the middle of a call
        signal.signal(number, lambda received, _frame: told_to_end.append(received))
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.ALL)
        if told_to_end:  # before rclpy heard signals: nobody would end the context
            return 0
        quicken_logging()
        node = factory()
        _refuse_idle_overrides(node)
        defer_middleware()
        announcer = announce(node)
        executor = LeanExecutor()
        executor.add_node(node)
        executor.spin()
        del announcer
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_CONFIG
    except Finished as finished:
        return finished.status
    except ExternalShutdownException:
        return 0
    except Exception:
        if not told_to_end:
            raise
        return 0  # the signal took the context away in the middle of a call
    finally:
        if node is not None:
            close = getattr(node, "close", None)
            if close:
                close()
            node.destroy_node()
        if executor is not None:
            executor.shutdown(timeout_sec=0.5)
        rclpy.try_shutdown()
    return 0


def quicken_logging() -> None:
    """Has the first line that a node logs take as long as the others, not 0.2 s: robots fell for want of commands.

    rclpy asks `inspect` for the frame of whoever logs, which goes through all modules to find those of the frames, and
    remembers them. Those of the stack and of rclpy are told to it here.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0].startswith(("ir_", "rclpy", "__main__")):
            inspect.modulesbyfile.setdefault(os.path.normcase(os.path.abspath(file)), name)


def defer_middleware() -> None:
    """Makes the threads of Fast DDS in this process a batch to the scheduler: waking up, they interrupt nobody.

    A publisher wakes the thread that listens on another process's shared memory while it holds a lock of that memory.
    A listener that takes the core from it at once cannot go on without the lock, and whoever publishes there next waits
    with it, for as long as other processes keep the core. Threads under real-time scheduling stay so.
    """
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # it has just ended
            number = int(task.name)
            if (task / "comm").read_text().startswith("dds.") and os.sched_getscheduler(number) == os.SCHED_OTHER:
                os.sched_setscheduler(number, os.SCHED_BATCH, os.sched_param(0))


def announce(node: Node) -> Any:
    """Publishes the node's `NodeStatus`, latched; returns the publisher, which must live as long as the node."""
    publisher = node.create_publisher(NodeStatus, NODE_STATUS_TOPIC, LATCHED)
    publisher.publish(
        NodeStatus(
            stamp=node.get_clock().now().to_msg(),
            name=node.get_fully_qualified_name(),
            process_id=os.getpid(),
            restarts=int(os.environ.get(RESTARTS_VARIABLE, 0)),
            host=socket.gethostname(),
        )
    )
    return publisher


def drain(subscription: Subscription, handle: Callable[[Any], None]) -> int:
    """Hands the messages that wait on ``subscription`` to ``handle``, as many as its queue holds; returns how many.

    The executor takes one message per subscription and wake-up; a callback that calls this after its own message
    keeps up with several times the rate. What comes meanwhile is left to the next wake-up: where messages come faster
    than they are handled, the node would do nothing else, and not end.
    """
    profile, count = subscription.qos_profile, 0
    most = profile.depth if profile.history == HistoryPolicy.KEEP_LAST and profile.depth else math.inf
    with subscription.handle:
        while count < most and (
            (taken := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None
        ):
            handle(taken[0])
            count += 1
    return count
