# SPDX-License-Identifier: Apache-2.0
"""Robots' on-board node with readings as Gazebo makes them: those of one instant in any order, some again."""

import time

import numpy as np
import pytest
from conftest import WORLD
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import TaskState
from ir_sim import robots_node
from ir_sim.sdf import compose
from ir_sim.tasks import make_task

pytestmark = pytest.mark.timeout(60)
MS = 1_000_000
MANY = QoSProfile(depth=100)


class Readings:
    """The on-board parts of hopper and spider, and who plays Gazebo."""

    def __init__(self, ros, monkeypatch):
        given = {"world": str(WORLD), "robots": ["hopper", "spider"], "sim": "gz"}
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        original = robots_node.LeanNode.__init__
        with monkeypatch.context() as patch:
            patch.setattr(
                robots_node.LeanNode, "__init__", lambda self, name: original(self, name, parameter_overrides=overrides)
            )
            self.robots = ros.add(robots_node.RobotsNode())
        self.ros, self.node, self.places = ros, ros.node("gazebo"), compose(WORLD, ["hopper", "spider"]).robots
        self.states, self.odometry, self.joints = {}, {}, {}
        for name in self.places:
            self.states[name] = states = []
            self.node.create_subscription(
                TaskState, f"/{name}/state", lambda m, s=states: s.append(to_nanoseconds(m.header.stamp) // MS), MANY
            )
            self.odometry[name] = self.node.create_publisher(Odometry, f"/{name}/odom", MANY)
            self.joints[name] = self.node.create_publisher(JointState, f"/{name}/joint_states", MANY)
        pairs = [*self.odometry.values(), *self.joints.values()]
        ros.until(lambda: all(one.get_subscription_count() for one in pairs), what="the robots")

    def located(self, name, milliseconds):
        message = Odometry()
        message.header.stamp = to_stamp(milliseconds * MS)
        p, start = message.pose.pose.position, self.places[name].start
        p.x, p.y, p.z = start.position.tolist()
        message.pose.pose.orientation.w = 1.0
        self.odometry[name].publish(message)

    def moved(self, name, milliseconds):
        joints = list(make_task(name).joint_names)
        zeros = np.zeros(len(joints)).tolist()
        message = JointState(name=joints, position=zeros, velocity=zeros)
        message.header.stamp = to_stamp(milliseconds * MS)
        self.joints[name].publish(message)

    def until(self, name, *milliseconds):
        self.ros.until(lambda: self.states[name] == list(milliseconds), what=f"{milliseconds} of {name}")


@pytest.fixture
def readings(ros, monkeypatch):
    """Each of both has begun its episode; the hopper's odometry is due at 50 ms."""
    monkeypatch.setattr(robots_node, "ODOMETRY", 20.0)
    made = Readings(ros, monkeypatch)
    for name in made.places:
        made.located(name, 0)
        ros.until(lambda n=name: next(r for r in made.robots._robots if r.onboard.name == n).onboard._odometry)
        made.moved(name, 8)
        made.until(name, 8)
    made.moved("hopper", 48)
    made.until("hopper", 8, 48)
    return made


def test_a_control_step_waits_for_the_odometry_of_its_instant_and_no_other_robot_with_it(readings) -> None:
    readings.moved("hopper", 56)
    readings.moved("hopper", 56)  # Gazebo stands, and repeats it
    readings.located("spider", 40)
    readings.moved("spider", 48)
    readings.until("spider", 8, 48)
    assert readings.states["hopper"] == [8, 48]
    readings.located("hopper", 50)
    readings.until("hopper", 8, 48, 56)


def test_odometry_that_does_not_come_is_waited_for_once_and_until_the_next_control_step(readings) -> None:
    readings.moved("hopper", 56)
    readings.moved("hopper", 64)
    readings.until("hopper", 8, 48, 56, 64)
    readings.moved("hopper", 72)
    readings.until("hopper", 8, 48, 56, 64, 72)


def test_where_time_stands_it_is_waited_for_a_while_only(readings, monkeypatch) -> None:
    monkeypatch.setattr(robots_node, "ODOMETRY", 0.1)
    began = time.monotonic()
    readings.moved("hopper", 56)
    readings.until("hopper", 8, 48, 56)
    assert time.monotonic() - began >= 0.1
