# SPDX-License-Identifier: Apache-2.0
"""Frames and descriptions of the robots, for RViz, Foxglove and whatever else reads /tf and robot_description."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_node import LATCHED, LeanNode
from ir_common.ros_poll import NEWEST, Poll
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
    rate: float = Field(20.0, gt=0, le=200, description="transforms of each robot that moves, Hz of wall time")


class RobotStateNode(LeanNode):
    """The node `robot_state`; README.md lists its topics and parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("robot_state", **options)
        config = ros_params.declare(self, RobotStateConfig).config
        world = compose(config.world, config.robots)
        self._poll = Poll(self)
        self._tf = self.create_publisher(TFMessage, "/tf", TF_QOS)
        static = self.create_publisher(TFMessage, "/tf_static", TF_STATIC_QOS)
        self._robots = [_RobotFrames(robot, config.map_frame) for robot in world.robots.values()]
        static.publish(TFMessage(transforms=[one for robot in self._robots for one in robot.fixed]))
        self._describe("/world_description", scenery_to_urdf(world, config.map_frame))
        for frames in self._robots:
            name = frames.name
            self._describe(f"/{name}/robot_description", to_urdf(name, world.robots[name].description))
            self._poll.add(Odometry, f"/{name}/odom", NEWEST, frames.take_odometry)
            self._poll.add(JointState, f"/{name}/joint_states", NEWEST, frames.take_joints)
        self.create_timer(1.0 / config.rate, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _describe(self, topic: str, urdf: str) -> None:
        self.create_publisher(String, topic, LATCHED).publish(String(data=urdf))

    def _tick(self) -> None:
        if not self._tf.get_subscription_count():  # nobody looks
            return
        self._poll.take()
        transforms = [one for robot in self._robots for one in robot.news()]
        if transforms:
            self._tf.publish(TFMessage(transforms=transforms))


class _RobotFrames:
    """The transforms of one robot, filled in from its topics."""

    def __init__(self, robot: Robot, map_frame: str) -> None:
        self.name = robot.name
        branches = tree(robot.name, robot.description)
        odom = f"{robot.name}/odom"
        self.fixed = [_filled(Branch(map_frame, odom, Pose()))]  # the simulators' odometry does not drift
        self.fixed += [_filled(branch) for branch in branches if branch.joint is None]
        self._base = TransformStamped(child_frame_id=f"{robot.name}/{BASE}")
        self._base.header.frame_id = odom
        self._moving = {b.joint.name: (b, _filled(b)) for b in branches if b.joint is not None}
        self._odometry: Odometry | None = None
        self._joints: JointState | None = None

    def take_odometry(self, message: Odometry) -> None:
        self._odometry = message

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
