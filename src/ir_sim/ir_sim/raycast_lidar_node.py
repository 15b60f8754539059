# SPDX-License-Identifier: Apache-2.0
"""Lidars for a simulator that cannot render: their rays, cast in the same world by the embedded engine.

The engine holds the world as its file says, with the robots where their odometry and joints say they are; other bodies
stay at their start. A scan has the stamp of its robot's odometry, the first at or after each period of the sensor, and
the sensor's range, resolution and noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import mujoco
from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState, LaserScan

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_node import RELIABLE, LeanNode, drain
from ir_common.ros_poll import NEWEST, Poll, ignore
from ir_sim.bridge import load_rows, rows_for
from ir_sim.readings import NANOSECONDS, JointStates, Reading
from ir_sim.readings import Odometry as OdometryReading
from ir_sim.ros_readers import on_begin_anew
from ir_sim.ros_sensors import message_to_reading, reading_to_message
from ir_sim.sdf import compose
from ir_sim.sdf.sensors import Sensor
from ir_sim.simulation import Simulation
from ir_sim.simulator_node import SENSOR_QOS


class RaycastConfig(Config):
    """Parameters of the lidars without rendering."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    bridge_file: str = Field(description="list of topics, as ros_gz_bridge reads it")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of the sensors' noise")


@dataclass
class _CastLidar:
    sensor: Sensor
    publisher: Publisher
    due: int | None = None  #: ns; None: no odometry has come yet

    def is_due(self, now: int) -> bool:
        """Whether a scan is due at ``now``, ns; they are at whole periods, as the embedded simulator has them.

        Once the first odometry comes, or time was set back, the next whole period is waited for: a scan between two
        would begin an episode that is out of step with whoever runs the simulator by whole control periods.
        """
        period = round(NANOSECONDS / self.sensor.rate) if self.sensor.rate else 1
        if self.due is None or self.due - now > max(period, NANOSECONDS):
            self.due = -(-now // period) * period
        due = now >= self.due
        if due:
            self.due = (now // period + 1) * period
        return due


class RaycastLidarNode(LeanNode):
    """The node `raycast_lidar`; README.md lists its topics and parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("raycast_lidar", **options)
        config = ros_params.declare(self, RaycastConfig).config
        world = compose(config.world, config.robots)
        topics = {row.gz_topic_name: row.stack_topic[0] for row in rows_for(load_rows(config.bridge_file), world)}
        self._simulation = Simulation(world, config.seed, cameras=False)
        self._joints, self._odometry = Poll(self), list[Subscription]()
        self._lidars: dict[str, list[_CastLidar]] = {}
        for name, view in self._simulation.views.items():
            sensors = [sensor for _, sensor in view.sensors if sensor.kind == "lidar" and sensor.topic in topics]
            self._lidars[name] = [
                _CastLidar(sensor, self.create_publisher(LaserScan, topics[sensor.topic], SENSOR_QOS))
                for sensor in sensors
            ]
            self._joints.add(JointState, f"/{name}/joint_states", NEWEST, self._on_joints, name)
            handle = partial(self._on_odometry, name)
            self._odometry.append(self.create_subscription(Odometry, f"/{name}/odom", handle, RELIABLE))
        on_begin_anew(self, self._begin_anew)

    def _begin_anew(self) -> None:
        self._simulation.reset()  # the noise, too
        self._joints.discard()
        for subscription in self._odometry:
            drain(subscription, ignore)
        for lidars in self._lidars.values():
            for one in lidars:
                one.due = None

    def _on_joints(self, robot: str, message: JointState) -> None:
        value = message_to_reading(robot, "joint_states", message).value
        assert isinstance(value, JointStates)
        self._simulation.views[robot].show(None, value)

    def _on_odometry(self, robot: str, message: Odometry) -> None:
        reading = message_to_reading(robot, "odom", message)
        assert isinstance(reading.value, OdometryReading)
        self._simulation.views[robot].show(reading.value, None)
        now = reading.nanoseconds
        due = [one for one in self._lidars[robot] if one.is_due(now)]
        if due:
            self._joints.take()
            mujoco.mj_kinematics(self._simulation.model, self._simulation.data)
        for one in due:
            scan = self._simulation.views[robot].scan(one.sensor)
            names = (robot, "lidar", one.sensor.topic, one.sensor.frame, "")
            one.publisher.publish(reading_to_message(Reading(*names, now, scan)))


def main() -> None:
    """Entry point of the executable ``raycast_lidar``."""
    ros_node.run(RaycastLidarNode)


if __name__ == "__main__":
    main()
