# SPDX-License-Identifier: Apache-2.0
"""QoS of the relay's topics, and who does not get along with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.duration import Duration, Infinite
from rclpy.event_handler import QoSPublisherEventType, QoSSubscriptionEventType
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ir_radio.engine.relay_engine import Say
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_pump import Port

_INCOMPATIBLE_SOURCE = QoSSubscriptionEventType.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS
_INCOMPATIBLE_TARGET = QoSPublisherEventType.RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS
_DEADLINE_MISSED = QoSPublisherEventType.RCL_PUBLISHER_OFFERED_DEADLINE_MISSED


def qos_of(spec: SliceSpec, history: int, grace: float | None) -> tuple[QoSProfile, QoSProfile]:
    """QoS of the subscription and of the publisher of a slice's flows (docs/method/radio.md).

    eMBB is best effort with a bounded history. URLLC is reliable; its publisher has deadline and lifespan.

    Args:
        spec: the slice.
        history: messages that queues of the middleware keep.
        grace: deadline and lifespan as a multiple of the latency bound; None: without, as the middleware measures them
            by the host's clock, which says nothing of time that waits for messages.
    """
    if spec.type == "embb":
        return (QoSProfile(depth=history, reliability=ReliabilityPolicy.BEST_EFFORT),) * 2
    reliable = ReliabilityPolicy.RELIABLE
    if grace is None:
        return (QoSProfile(depth=history, reliability=reliable),) * 2
    bound = Duration(seconds=spec.max_latency * grace)
    return (
        QoSProfile(depth=history, reliability=reliable),
        QoSProfile(depth=history, reliability=reliable, deadline=bound, lifespan=bound),
    )


def clashes(offered: QoSProfile, asked: QoSProfile) -> Iterator[tuple[str, str, str]]:
    """What keeps a publisher and a subscription apart: (policy, what is offered, what is asked for), in words."""
    if offered.reliability == ReliabilityPolicy.BEST_EFFORT and asked.reliability == ReliabilityPolicy.RELIABLE:
        yield "reliability", "best effort", "reliable"
    if offered.durability == DurabilityPolicy.VOLATILE and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        yield "durability", "volatile", "transient local"
    if _longer(offered.deadline, asked.deadline):
        yield "deadline", _seconds(offered.deadline), _seconds(asked.deadline)
    automatic = offered.liveliness == LivelinessPolicy.AUTOMATIC
    if automatic and asked.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC:
        yield "liveliness", "automatic", "manual by topic"
    elif _longer(offered.liveliness_lease_duration, asked.liveliness_lease_duration):
        offer, ask = offered.liveliness_lease_duration, asked.liveliness_lease_duration
        yield "liveliness lease", _seconds(offer), _seconds(ask)


def _longer(offered: Duration, asked: Duration) -> bool:
    return _bounded(asked) and (not _bounded(offered) or asked.nanoseconds < offered.nanoseconds)


def _bounded(duration: Duration) -> bool:
    return 0 < duration.nanoseconds < Infinite.nanoseconds


def _seconds(duration: Duration) -> str:
    return f"{duration.nanoseconds / 1e9:g} s" if _bounded(duration) else "none"


class PortEvents:
    """The QoS events of a port, read when asked for: nobody has to wait on them.

    Attributes:
        deadline_missed: times that no message went out for longer than the deadline.
        mismatches: one line for each endpoint that cannot be connected with the relay now.
    """

    def __init__(self, port: Port) -> None:
        self._port, self.deadline_missed, self.mismatches = port, 0, list[str]()
        self._source = _event(port.subscription.handle, _INCOMPATIBLE_SOURCE)
        self._target = _event(port.publisher.handle, _INCOMPATIBLE_TARGET)
        self._deadline = _event(port.publisher.handle, _DEADLINE_MISSED) if port.urllc else None

    def poll(self, node: Node) -> None:
        """Brings the attributes up to date."""
        if self._deadline:
            self.deadline_missed = _take(self._deadline).total_count
        news = [_take(event).total_count_change for event in (self._source, self._target)]
        if any(news) or self.mismatches:
            self.mismatches = [*self._sources(node), *self._targets(node)]

    def close(self) -> None:
        """Lets go of the middleware's events."""
        for event in filter(None, (self._source, self._target, self._deadline)):
            event.destroy_when_not_in_use()

    def _sources(self, node: Node) -> Iterator[str]:
        subscription = self._port.subscription
        why = "as its slice is URLLC" if self._port.urllc else "as its slice is eMBB"
        for info in node.get_publishers_info_by_topic(subscription.topic_name):
            for policy, offered, asked in clashes(info.qos_profile, subscription.qos_profile):
                yield (
                    f"{self._port.name}: {_name(info)} publishes {_term(policy, offered)}, the relay asks for {asked} "
                    f"{why}: its messages do not get in; make that publisher {_term(policy, asked)}"
                )

    def _targets(self, node: Node) -> Iterator[str]:
        publisher = self._port.publisher
        why = "as its slice is URLLC" if self._port.urllc else "as its slice is eMBB"
        for info in node.get_subscriptions_info_by_topic(publisher.topic_name):
            for policy, offered, asked in clashes(publisher.qos_profile, info.qos_profile):
                yield (
                    f"{publisher.topic_name}: {_name(info)} subscribes {_term(policy, asked)}, the relay offers "
                    f"{offered} {why}: it receives nothing; make that subscription {_term(policy, offered)}"
                )


def _term(policy: str, value: str) -> str:
    return value if policy in ("reliability", "durability") else f"with {policy} {value}"


def _name(info: TopicEndpointInfo) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _event(handle: Any, kind: Any) -> Any:
    with handle:
        return _rclpy.EventHandle(handle, kind)


def _take(event: Any) -> Any:
    with event:
        return event.take_event()


class QosWatch:
    """The events of all ports.

    Args:
        node: the relay.
        say: tells a person, once of each thing.
    """

    def __init__(self, node: Node, say: Say) -> None:
        self._node, self._say = node, say
        self.events: dict[int, PortEvents] = {}

    def open(self, port: Port) -> None:
        """Watches a port."""
        self.events[port.flow] = PortEvents(port)

    def shut(self, flow: int) -> None:
        """Forgets a port, before its subscription and publisher are destroyed."""
        self.events.pop(flow).close()

    def close(self) -> None:
        """Forgets all ports."""
        for flow in list(self.events):
            self.shut(flow)

    def poll(self) -> None:
        """Reads all events and tells of mismatches."""
        for events in self.events.values():
            events.poll(self._node)
            for text in events.mismatches:
                self._say(text)
