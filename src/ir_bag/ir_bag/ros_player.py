# SPDX-License-Identifier: Apache-2.0
"""Publishes the messages of a bag as they were: same bytes, same order, same QoS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event

from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from ir_bag.bag_console import duration_words
from ir_bag.contents import Topic
from ir_bag.definitions import Definitions, same_layout
from ir_bag.qos_profiles import Profile, to_offer
from ir_bag.reader import BagReader
from ir_bag.ros_types import message_class, to_publish
from ir_bag.timeline import Timeline
from ir_bag.topic_choice import TopicChoice
from ir_common.config import ConfigError
from ir_common.ros_time import to_stamp

_ACKNOWLEDGED_WITHIN = Duration(seconds=2)
_LATEST_CLOCK = 2**31 * 10**9
"""ns; the seconds of a stamp have 32 bits."""


class Player:
    """Publishers of a bag's topics, and their messages at their times.

    Args:
        node: to publish with; need not be spun.
        bag: what to play.
        choice: which topics.
        say: takes a line about a topic that is not played.
        remap: new names of topics.
        overrides: QoS by recorded name, in place of the recorded one.

    Raises:
        ConfigError: nothing is left to play.
    """

    def __init__(
        self, node: Node, bag: BagReader, choice: TopicChoice, say: Callable[[str], None],
        remap: Mapping[str, str] | None = None, overrides: Mapping[str, Profile] | None = None,
    ) -> None:  # fmt: skip
        self._node, self._bag, self._say = node, bag, say
        self._definitions = Definitions()
        self._clock: Publisher | None = None
        chosen = [topic for topic in bag.summary.topics.values() if choice.takes(topic.name)]
        for name in sorted(choice.names - set(bag.summary.topics)):
            say(f"{name} is not in the bag")
        self.publishers: dict[str, Publisher] = {}
        for topic in chosen:
            publisher = self._publisher(topic, (remap or {}).get(topic.name, topic.name), overrides or {})
            if publisher:
                self.publishers[topic.name] = publisher
        if not self.publishers:
            raise ConfigError(f"{bag.path}: no topic is left to play; `ir bag info {bag.path}` lists what there is")

    def _publisher(self, topic: Topic, name: str, overrides: Mapping[str, Profile]) -> Publisher | None:
        kind, installed = message_class(topic.type), self._definitions.find(topic.type)
        text = topic.definition if topic.definition_format in ("", "ros2msg") else ""
        if topic.serialization_format != "cdr":
            encoding = topic.serialization_format or "(not told)"
            self._say(f"{topic.name} is not played: it is serialized as {encoding}, not cdr")
        elif not topic.type:
            self._say(f"{topic.name} is not played: its type is not told in the bag")
        elif kind is None:
            self._say(f"{topic.name} is not played: its type {topic.type} is not installed here; source its package")
        elif installed and not same_layout(text, topic.type_hash, installed, topic.type):
            self._say(
                f"{topic.name} is not played: {topic.type} was another when it was recorded "
                f"({self._bag.summary.distro or 'distribution unknown'}); source that version of its package"
            )
        else:
            profile = overrides.get(topic.name) or to_offer(topic.qos)
            try:
                return self._node.create_publisher(
                    kind, name, to_publish(profile),
                    event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
                )  # fmt: skip
            except InvalidTopicNameException:
                self._say(f"{topic.name} is not played: {name} is no name of a topic in ROS; give it one (--remap)")
        return None

    def publish_clock(self) -> None:
        """Also publishes /clock, from the time of recording.

        Raises:
            ConfigError: the bag's own /clock is played.
        """
        if "/clock" in self.publishers:
            raise ConfigError(
                f"--clock: {self._bag.path} holds /clock itself, which is played; leave out --clock, or the topic "
                "(--exclude-topics /clock)"
            )
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self._clock = self._node.create_publisher(Clock, "/clock", qos)

    def play(
        self, end: Event, rate: float = 1.0, offset: float = 0.0, duration: float | None = None,
        clock_rate: float = 40.0, skip_gaps: float | None = None,
    ) -> int:  # fmt: skip
        """Plays once; returns the number of messages published.

        Args:
            end: ends it early when set.
            rate: times as fast as recorded.
            offset: s of the bag that are left out at its start.
            duration: s of the bag that are played; None: all.
            clock_rate: ticks of /clock in a second of wall time, after `publish_clock`.
            skip_gaps: s of the bag without a message that is played, after which the rest is jumped over; None: never.
        """
        start = self._bag.summary.start + round(offset * 1e9)
        until = None if duration is None else start + round(duration * 1e9)
        period = 1.0 / clock_rate if self._clock else None

        def tell(seconds: float) -> None:
            jumped = skip_gaps is not None and seconds > skip_gaps
            hint = "jumped over" if jumped else "it is waited for; --skip-gaps S jumps over those longer than S seconds"
            self._say(f"the bag has a gap of {duration_words(seconds)} here: {hint}")

        timeline = Timeline(start, rate, time.monotonic, end.wait, period, self._tick, tell, skip_gaps)
        count = 0
        for message in timeline.paced(self._bag.messages(self.publishers.keys(), start), until):
            self.publishers[message.topic].publish(message.data)
            count += 1
        last = self._bag.summary.end
        timeline.run_to(last if until is None else min(last, until))
        return count

    def _tick(self, now: int) -> None:
        if self._clock and abs(now) < _LATEST_CLOCK:
            self._clock.publish(Clock(clock=to_stamp(now)))

    def wait_for_readers(self, end: Event, timeout: float) -> list[str]:
        """Waits at most `timeout` seconds until each topic has a reader; returns those that have none, if it waited."""
        last = time.monotonic() + timeout
        while unread := [name for name, made in self.publishers.items() if not made.get_subscription_count()]:
            if time.monotonic() >= last or end.wait(0.02):
                return unread if timeout else []
        return []

    def wait_until_read(self) -> None:
        """Waits until the reliable readers have what was published, 2 s at most."""
        for publisher in self.publishers.values():
            if publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE:
                publisher.wait_for_all_acked(_ACKNOWLEDGED_WITHIN)
