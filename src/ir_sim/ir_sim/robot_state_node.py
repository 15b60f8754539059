# SPDX-License-Identifier: Apache-2.0
"""Frames, descriptions, map and odometry of the robots, for RViz, Foxglove, Nav2 and whatever else reads them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid, Odometry
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode
from ir_common.ros_poll import NEWEST, Poll
from ir_sim.occupancy import occupancy_map
from ir_sim.odometry_drift import OdometryDrift
from ir_sim.ros_navigation import camera_infos, in_odom_frame, map_message, optical_frames
from ir_sim.sdf import Robot, compose
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.urdf import BASE, Branch, scenery_to_urdf, to_urdf, tree

TF_QOS = QoSProfile(depth=100)
TF_STATIC_QOS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class RobotStateConfig(Config):
    """Parameters of the frames' publisher."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    map_frame: str = Field("map", min_length=1, description="frame in which odometry is measured")
    edge_namespace: str = Field(
        "", description="namespace of the edge behind the radio, which has a tf of its own; empty: none"
    )
    rate: float = Field(20.0, gt=0, le=200, description="transforms of each robot that moves, Hz of wall time")
    localiser: bool = Field(False, description="somebody else says where odom is in the map: leaves that out")
    drift: float = Field(
        0.0, ge=0, le=1, description="of the odometry in the odom frame: standard deviation after 1 m, m and rad"
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of the drift")
    map_resolution: float = Field(0.05, ge=0.01, le=1, description="edge of a cell of the map, m")


class RobotStateNode(LeanNode):
    """The node `robot_state`; README.md lists its topics and parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("robot_state", **options)
        config = ros_params.declare(self, RobotStateConfig).config
        world = compose(config.world, config.robots)
        self._describe("/world_description", scenery_to_urdf(world, config.map_frame))
        for name, robot in world.robots.items():
            self._describe(f"/{name}/robot_description", to_urdf(name, robot.description))
        places = ["", config.edge_namespace.rstrip("/")] if config.edge_namespace.strip("/") else [""]
        robots = list(world.robots.values())
        self._sides = [
            _Side(self, place, [_RobotFrames(one, config, i) for i, one in enumerate(robots)]) for place in places
        ]
        grid = occupancy_map(world, config.map_resolution)
        if grid.resolution > config.map_resolution:
            self.get_logger().warning(f"/map has cells of {grid.resolution:.2f} m: the world is wide")
        self._map = map_message(grid, config.map_frame)
        self.create_publisher(OccupancyGrid, "/map", LATCHED).publish(self._map)
        for place in places:
            for robot in robots:
                for topic, info in camera_infos(robot):
                    self.create_publisher(CameraInfo, f"{place}{topic}", LATCHED).publish(info)
        self.create_timer(1.0 / config.rate, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _describe(self, topic: str, urdf: str) -> None:
        self.create_publisher(String, topic, LATCHED).publish(String(data=urdf))

    def _tick(self) -> None:
        for side in self._sides:
            side.tick()


class _Side:
    """The transforms on one side of the radio, from the topics there; its topics are read while somebody looks."""

    def __init__(self, node: LeanNode, namespace: str, robots: list[_RobotFrames]) -> None:
        self._node, self._namespace, self._robots = node, namespace, robots
        self._tf = node.create_publisher(TFMessage, f"{namespace}/tf", TF_QOS)
        self._static = node.create_publisher(TFMessage, f"{namespace}/tf_static", TF_STATIC_QOS)
        self._static.publish(TFMessage(transforms=[one for robot in robots for one in robot.fixed]))
        self._odometry = [node.create_publisher(Odometry, f"{namespace}/{r.name}/odometry", RELIABLE) for r in robots]
        self._poll: Poll | None = None

    def tick(self) -> None:
        told = [publisher for publisher in self._odometry if publisher.get_subscription_count()]
        if not (told or self._tf.get_subscription_count()):  # nobody looks
            return
        if self._poll is None:
            self._poll = self._subscribe()
        self._poll.take()
        for frames, publisher in zip(self._robots, self._odometry, strict=True):
            if publisher in told and (odometry := frames.odometry()) is not None:
                publisher.publish(odometry)
        transforms = [one for robot in self._robots for one in robot.news()]
        if transforms:
            self._tf.publish(TFMessage(transforms=transforms))

    def _subscribe(self) -> Poll:
        poll = Poll(self._node)
        for frames in self._robots:
            place = f"{self._namespace}/{frames.name}"
            poll.add(Odometry, f"{place}/odom", NEWEST, frames.take_odometry)
            poll.add(JointState, f"{place}/joint_states", NEWEST, frames.take_joints)
        return poll


class _RobotFrames:
    """The transforms of one robot, filled in from its topics."""

    def __init__(self, robot: Robot, config: RobotStateConfig, index: int) -> None:
        self.name = robot.name
        branches = tree(robot.name, robot.description)
        odom = f"{robot.name}/odom"
        self._drift = OdometryDrift(config.drift, np.random.default_rng([config.seed, index]))
        self._in_map = _filled(Branch(config.map_frame, odom, Pose()))
        self._corrects = config.drift > 0 and not config.localiser
        self.fixed = [] if self._corrects or config.localiser else [self._in_map]  # without drift they are one
        self.fixed += [_filled(branch) for branch in branches if branch.joint is None]
        self.fixed += [_filled(branch) for branch in optical_frames(robot)]
        self._base = TransformStamped(child_frame_id=f"{robot.name}/{BASE}")
        self._base.header.frame_id = odom
        self._moving = {b.joint.name: (b, _filled(b)) for b in branches if b.joint is not None}
        self._odometry: Odometry | None = None
        self._joints: JointState | None = None

    def take_odometry(self, message: Odometry) -> None:
        self._odometry = in_odom_frame(message, self._drift, self._base.header.frame_id, self._base.child_frame_id)

    def odometry(self) -> Odometry | None:
        """What was heard since `news` was called last, in the odom frame."""
        return self._odometry

    def take_joints(self, message: JointState) -> None:
        self._joints = message

    def news(self) -> list[TransformStamped]:
        """Transforms of what was heard since the last call."""
        news = []
        if self._odometry is not None:
            pose, transform = self._odometry.pose.pose, self._base.transform
            self._base.header.stamp = self._odometry.header.stamp
            p, t = pose.position, transform.translation
            t.x, t.y, t.z = p.x, p.y, p.z
            transform.rotation = pose.orientation
            news.append(self._base)
            if self._corrects:
                x, y, heading = self._drift.correction()
                self._in_map.header.stamp = self._odometry.header.stamp
                t, r = self._in_map.transform.translation, self._in_map.transform.rotation
                t.x, t.y, r.z, r.w = x, y, math.sin(heading / 2), math.cos(heading / 2)
                news.append(self._in_map)
        if self._joints is not None:
            for joint, position in zip(self._joints.name, self._joints.position, strict=False):
                if joint in self._moving:
                    branch, transform = self._moving[joint]
                    _fill(transform, branch, position)
                    transform.header.stamp = self._joints.header.stamp
                    news.append(transform)
        self._odometry = self._joints = None
        return news


def _filled(branch: Branch) -> TransformStamped:
    transform = TransformStamped(child_frame_id=branch.child)
    transform.header.frame_id = branch.parent
    _fill(transform, branch, 0.0)
    return transform


def _fill(message: TransformStamped, branch: Branch, position: float) -> None:
    translation, quaternion = branch.at(position)
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = translation.tolist()
    q.w, q.x, q.y, q.z = quaternion.tolist()


def main() -> None:
    """Entry point of the executable ``robot_state``."""
    ros_node.run(RobotStateNode)


if __name__ == "__main__":
    main()
