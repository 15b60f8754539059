# SPDX-License-Identifier: Apache-2.0
"""Conversions between rclpy and the plain data of this package: message classes and QoS."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ir_bag.qos_profiles import INFINITE, Profile, Span

_UNKNOWN_DEPTH = 1000
"""Depth of a player where none was recorded: today's DDS middlewares tell the recorder none, old bags hold no QoS.

A reader may find the player some milliseconds after the player found it; what it missed is sent again, as far as kept.
"""


def message_class(type_name: str) -> Any:
    """The class of a message type such as sensor_msgs/msg/Imu; None: it is not installed."""
    package, kind, name = type_name.split("/") if type_name.count("/") == 2 else ("", "", "")
    try:
        found = getattr(importlib.import_module(f"{package}.{kind}"), name)
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if hasattr(found, "get_fields_and_field_types") else None


def profile_of(endpoint: TopicEndpointInfo) -> Profile:
    """The QoS profile that a publisher offers."""
    offered = endpoint.qos_profile
    return Profile(
        history=offered.history.name.lower(),
        depth=offered.depth,
        reliability=offered.reliability.name.lower(),
        durability=offered.durability.name.lower(),
        deadline=_span(offered.deadline),
        lifespan=_span(offered.lifespan),
        liveliness=offered.liveliness.name.lower(),
        liveliness_lease_duration=_span(offered.liveliness_lease_duration),
        avoid_ros_namespace_conventions=offered.avoid_ros_namespace_conventions,
    )


def _span(duration: Duration) -> Span:
    sec, nsec = divmod(duration.nanoseconds, 10**9)
    return Span(sec=sec, nsec=nsec) if duration.nanoseconds < 2**63 - 1 else Span(**INFINITE)


def to_publish(profile: Profile) -> QoSProfile:
    """The QoS of a publisher that offers a recorded profile."""
    keep_all = profile.history == "keep_all"
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keep_all else HistoryPolicy.KEEP_LAST,
        depth=profile.depth or _UNKNOWN_DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT
        if profile.reliability == "best_effort"
        else ReliabilityPolicy.RELIABLE,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if profile.durability == "transient_local" else DurabilityPolicy.VOLATILE
        ),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )
    if profile.liveliness == "manual_by_topic":
        qos.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC
    for name in ("deadline", "lifespan", "liveliness_lease_duration"):
        nanoseconds = getattr(profile, name).nanoseconds
        if nanoseconds is not None:
            setattr(qos, name, Duration(nanoseconds=nanoseconds))
    return qos


def to_subscribe(reliable: bool, latched: bool, depth: int) -> QoSProfile:
    """The QoS of a subscription that keeps `depth` messages."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
