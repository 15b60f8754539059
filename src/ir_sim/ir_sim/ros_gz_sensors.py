# SPDX-License-Identifier: Apache-2.0
"""Notices which sensors of Gazebo send nothing, as those that need rendering do where there is no rendering engine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, LaserScan

from ir_common.ros_poll import NEWEST
from ir_sim import gazebo_words as words
from ir_sim.bridge import Row
from ir_sim.readings import NANOSECONDS
from ir_sim.sdf import World
from ir_sim.sdf.gazebo import RENDERED

SHOWN = 5 * NANOSECONDS
"""ns of simulated time, after which a sensor that sent nothing is taken to be missing."""
_TYPES = {"sensor_msgs/msg/LaserScan": LaserScan, "sensor_msgs/msg/CompressedImage": CompressedImage}


class SensorWatch:
    """Listens to each sensor that needs rendering until it sends something.

    Args:
        node: to listen with; it logs what is missing, once.
        world: composed world.
        rows: of the bridge file, for its robots.
        without: kinds of sensors that Gazebo's world was written without.
    """

    def __init__(self, node: Node, world: World, rows: Sequence[Row], without: Collection[str]) -> None:
        self._node, self._world, self._told = node, world, False
        self._silent: dict[str, Subscription] = {}
        topics = words.sensor_topics(world, set(RENDERED) - set(without))
        for row in (row for row in rows if row.gz_topic_name in topics):
            topic, kind = row.stack_topic
            if kind in _TYPES:
                heard = partial(self._heard, row.gz_topic_name)
                self._silent[row.gz_topic_name] = node.create_subscription(_TYPES[kind], topic, heard, NEWEST)

    @property
    def lacks(self) -> list[str]:
        """What is missing, and which robots do not act for it, one line each; none before that can be known."""
        return words.lacking_topics(self._world, list(self._silent)) if self._told else []

    def _heard(self, topic: str, _: object) -> None:
        subscription = self._silent.pop(topic, None)
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def look(self, now: int) -> None:
        """Tells, at `now` ns of simulated time, what is missing by then."""
        if now >= SHOWN and not self._told:
            self._told = True
            for line in self.lacks:
                self._node.get_logger().warning(line)
