# SPDX-License-Identifier: Apache-2.0
"""The start of a run: simulated time stands at zero until everybody is there."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.node import Node

from ir_common.ros_node import ANNOUNCEMENTS, NODE_STATUS_TOPIC, RELIABLE
from ir_interfaces.msg import NodeStatus
from ir_sim.readings import Odometry, Reading
from ir_sim.ros_sensors import reading_to_message
from ir_sim.sdf import World

SETTLING = 0.5
"""s of wall time from when the last one is there: others have to find it, too."""


class StartGate:
    """Knows who is missing for a run to begin.

    Args:
        node: to subscribe with.
        names: full names of the nodes that are waited for, as without a namespace of the stack.
        patience: s of wall time after which the run begins without those who are missing.
    """

    def __init__(self, node: Node, names: Iterable[str], patience: float) -> None:
        self._missing, self._patience = set(map(node.resolve_topic_name, names)), patience
        self._began, self._complete = time.monotonic(), 0.0
        self._node = node
        node.create_subscription(NodeStatus, NODE_STATUS_TOPIC, self._on_status, ANNOUNCEMENTS)

    def _on_status(self, message: NodeStatus) -> None:
        self._missing.discard(message.name)

    def opens(self, ready: bool) -> bool:
        """Whether the run begins now.

        Args:
            ready: whether the radio is, where there is one.
        """
        now, log = time.monotonic(), self._node.get_logger()
        if now - self._began > self._patience:
            missing = ", ".join(sorted(self._missing)) or "all ways open from the robots to who commands them"
            log.warning(f"the run begins after {self._patience:g} s without {missing}")
            return True
        if self._missing or not ready:
            self._complete = 0.0
            return False
        self._complete = self._complete or now
        if now - self._complete < SETTLING:
            return False
        log.info(f"all are there after {now - self._began:.1f} s; the run begins")
        return True


class StartPlaces:
    """Says where the robots stand at time zero, for a simulator that says nothing before its time runs.

    Args:
        node: to publish with.
        world: composed world.
    """

    def __init__(self, node: Node, world: World) -> None:
        self._node = node
        self._all = []
        for name, robot in world.robots.items():
            start, output = robot.start, robot.description.odometry
            w, x, y, z = start.quaternion
            value = Odometry(start.position, np.array([x, y, z, w]), np.zeros(3), np.zeros(3))
            frames = (output.frame, output.child_frame) if output else ("", "")
            message = reading_to_message(Reading(name, "odom", f"/{name}/odom", *frames, 0, value))
            self._all.append((node.create_publisher(OdometryMessage, f"/{name}/odom", RELIABLE), message))

    def publish(self) -> None:
        """Says it once more."""
        for publisher, message in self._all:
            publisher.publish(message)

    def close(self) -> None:
        """Time runs: the simulator itself speaks."""
        for publisher, _ in self._all:
            self._node.destroy_publisher(publisher)
        self._all.clear()
