# SPDX-License-Identifier: Apache-2.0
"""The simulator as others see it: topics, lockstep, repeatability, refusals."""

import importlib
import math
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from conftest import BRIDGE, WORLD
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.srv import ResetRobots, ResetSimulation, StepSimulation
from ir_sim import simulator_node
from ir_sim.bridge import load_rows, rows_for
from ir_sim.ros_task_messages import command_numbers
from ir_sim.sdf import compose
from ir_sim.tasks import TASKS, CartNavigation

pytestmark = pytest.mark.timeout(90)
MANY = QoSProfile(depth=1000)


@pytest.fixture
def start(ros, monkeypatch):
    """Starts the node with given parameters, paused, in the test's executor."""

    def make(**values):
        values = {"world": str(WORLD), "bridge_file": str(BRIDGE), "paused": True, "cameras": False, **values}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        original = simulator_node.LeanNode.__init__
        with monkeypatch.context() as patch:
            patch.setattr(
                simulator_node.LeanNode,
                "__init__",
                lambda self, name: original(self, name, parameter_overrides=overrides),
            )
            return ros.add(simulator_node.SimulatorNode())

    return make


@pytest.fixture
def test_node(ros):
    return ros.node()


def step(ros, node, count):
    answer = ros.call(node, StepSimulation, "/simulator/step", StepSimulation.Request(steps=count))
    assert answer.success, answer.message
    return to_nanoseconds(answer.time)


def get_message(type_name):
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def collect(ros, node, message_type, topic, into):
    subscription = node.create_subscription(message_type, topic, into.append, MANY)
    ros.until(lambda: node.count_publishers(topic) == 1, what=f"publisher of {topic}")
    ros.until(lambda: subscription.get_publisher_count() == 1, what=f"match on {topic}")


def test_topics_types_and_rates_are_those_of_the_bridge_file(ros, start, test_node):
    start(cameras=True, robots=["cart", "cart_2:cart", "hopper"])
    counts = Counter()
    expected = {}
    for row in rows_for(load_rows(BRIDGE), compose(WORLD, ["cart", "cart_2:cart", "hopper"])):
        if row.direction == "GZ_TO_ROS":
            topic, type_name = row.stack_topic
            expected[topic] = type_name
            into = type("Counting", (list,), {"append": lambda self, _, t=topic: counts.update([t])})()
            collect(ros, test_node, get_message(type_name), topic, into)
        else:
            ros.until(lambda t=row.ros_topic_name: test_node.count_subscribers(t) == 1, what=row.ros_topic_name)
    seen = dict(test_node.get_topic_names_and_types())
    for topic, type_name in expected.items():
        assert seen[topic] == [type_name]
    rates = {"clock": 50, "odom": 20, "imu": 50, "joint_states": 25, "scan": 10, "compressed": 10, "contacts": 10}
    assert step(ros, test_node, 500) == 1_000_000_000
    wanted = {topic: rates[topic.rpartition("/")[2]] for topic in expected}
    wanted["/hopper/joint_states"] = 125
    ros.until(lambda: all(counts[t] >= n for t, n in wanted.items()), what=f"{wanted}, got {counts}")
    assert {t: counts[t] for t in wanted if t != "/clock"} == {t: n for t, n in wanted.items() if t != "/clock"}
    assert counts["/clock"] in (50, 51)  # one more at the start, where the reader was there in time


def arrived(node, subscription):
    """Waits until a message is there to be taken."""
    with subscription.handle:
        wait_set = rclpy_implementation.WaitSet(1, 0, 0, 0, 0, 0, node.context.handle)
        wait_set.add_subscription(subscription.handle)
        wait_set.wait(5 * 10**9)
        assert wait_set.get_ready_entities("subscription")


def run_lockstep(ros, node, seed):
    answer = ros.call(node, ResetSimulation, "/simulator/reset", ResetSimulation.Request(seed=seed))
    assert answer.success
    odometry = []
    subscription = node.create_subscription(Odometry, "/hopper/odom", odometry.append, MANY)
    ros.until(lambda: subscription.get_publisher_count() == 1)
    for _ in range(10):
        step(ros, node, 25)
    ros.until(lambda: len(odometry) == 10, what="ten odometry messages")
    node.destroy_subscription(subscription)
    return [(m.header.stamp.sec, m.header.stamp.nanosec, m.pose.pose, m.twist.twist) for m in odometry]


def test_lockstep_is_repeatable_bit_for_bit(ros, start, test_node):
    start(robots=["hopper"])
    first = run_lockstep(ros, test_node, 7)
    assert run_lockstep(ros, test_node, 7) == first
    assert run_lockstep(ros, test_node, -1) == first
    assert run_lockstep(ros, test_node, 8) != first


def test_a_robot_moves_as_told_and_bad_commands_are_counted_and_ignored(ros, start, test_node):
    node = start(robots=["cart", "hopper"])
    drive = test_node.create_publisher(Twist, "/cart/cmd_vel", 10)
    joints = test_node.create_publisher(JointTrajectory, "/hopper/joint_commands", 10)
    ros.until(lambda: drive.get_subscription_count() == 1 and joints.get_subscription_count() == 1)
    good = Twist()
    good.linear.x = 0.5
    drive.publish(good)
    ros.until(lambda: node.simulation.views["cart"].drive.wanted[0] == 0.5)
    bad = Twist()
    bad.linear.x = math.nan
    drive.publish(bad)
    ros.until(lambda: node._ignored.get("cart") == 1)
    bad.linear.x, bad.angular.z = 0.1, math.inf
    drive.publish(bad)
    ros.until(lambda: node._ignored.get("cart") == 2)
    point = JointTrajectoryPoint(effort=[1.0])
    for message in (
        JointTrajectory(joint_names=["tail"], points=[point]),
        JointTrajectory(joint_names=["leg_joint"], points=[JointTrajectoryPoint(positions=[1.0])]),
        JointTrajectory(joint_names=["leg_joint"], points=[JointTrajectoryPoint(effort=[math.nan])]),
        JointTrajectory(joint_names=["leg_joint"]),
    ):
        before = node._ignored.get("hopper", 0)
        joints.publish(message)
        ros.until(lambda n=before: node._ignored.get("hopper") == n + 1)
    assert node.simulation.views["cart"].drive.wanted.tolist() == [0.5, 0.0, 0.0]
    assert node.simulation.data.actuator("hopper/leg_joint").ctrl[0] == 0.0
    start_x = node.simulation.sensors("cart").position[0]
    step(ros, test_node, 2000)
    assert node.simulation.sensors("cart").position[0] - start_x == pytest.approx(2.0, rel=0.02)


class StampedCart(CartNavigation):
    """The cart's task with stamps on its commands."""

    command = "twist_stamped"


def test_an_old_command_with_a_stamp_is_counted_and_not_carried_out(ros, start, test_node, monkeypatch):
    monkeypatch.setitem(TASKS, "cart", StampedCart)
    node = start(robots=["cart"], command_age=0.2)
    drive = test_node.create_publisher(TwistStamped, "/cart/cmd_vel", 10)
    ros.until(lambda: drive.get_subscription_count() == 1)
    now = step(ros, test_node, 500)  # a second
    message = TwistStamped()
    message.header.stamp, message.twist.linear.x = to_stamp(now - 100_000_000), 0.5
    drive.publish(message)
    ros.until(lambda: node.simulation.views["cart"].drive.wanted[0] == 0.5)
    message.header.stamp, message.twist.linear.x = to_stamp(now - 300_000_000), 0.7
    drive.publish(message)
    ros.until(lambda: node._ignored.get("cart") == 1)
    assert node.simulation.views["cart"].drive.wanted[0] == 0.5


def test_a_step_waits_for_the_command_that_it_is_told_to_expect(ros, start, test_node):
    node = start(robots=["cart", "hopper"])
    drive = test_node.create_publisher(Twist, "/cart/cmd_vel", 10)
    joints = test_node.create_publisher(JointTrajectory, "/hopper/joint_commands", 10)
    ros.until(lambda: drive.get_subscription_count() == 1 and joints.get_subscription_count() == 1)
    torques = JointTrajectory(joint_names=["leg_joint"], points=[JointTrajectoryPoint(effort=[3.0])])
    twist = Twist()
    twist.linear.x = 0.5
    for robot, publisher, message in (("cart", drive, twist), ("hopper", joints, torques)):
        request = StepSimulation.Request(steps=5, robot=robot, command=command_numbers(message), timeout=20.0)
        late = threading.Timer(0.2, publisher.publish, [message])  # while the service waits, which holds this thread
        late.start()
        answer = ros.call(test_node, StepSimulation, "/simulator/step", request, timeout=30.0)
        assert answer.success, answer.message
        late.join()
    assert node.simulation.views["cart"].drive.wanted.tolist() == [0.5, 0.0, 0.0]
    assert node.simulation.data.actuator("hopper/leg_joint").ctrl[0] == 3.0
    steps = node.simulation.steps
    for change, why in (
        ({"command": [0.7, 0.0]}, "in force is [0.5, 0.0]; does somebody else command it"),
        ({"robot": "spider"}, "no robot spider takes commands; those that do: cart, hopper"),
        ({"timeout": math.nan}, "timeout must be within 0 and 60 s"),
        ({"timeout": 1e9}, "timeout must be within 0 and 60 s"),
    ):
        values = {"steps": 1, "robot": "cart", "command": [0.5, 0.0], "timeout": 0.01} | change
        refused = ros.call(test_node, StepSimulation, "/simulator/step", StepSimulation.Request(**values))
        assert not refused.success and why in refused.message
    assert node.simulation.steps == steps
    assert ros.call(test_node, ResetSimulation, "/simulator/reset", ResetSimulation.Request(seed=1)).success
    values = {"steps": 1, "robot": "cart", "command": [0.5, 0.0], "timeout": 0.01}
    refused = ros.call(test_node, StepSimulation, "/simulator/step", StepSimulation.Request(**values))
    assert not refused.success and "in force is none" in refused.message  # the command was of before the reset


def test_pause_stops_time_and_step_needs_it(ros, start, test_node):
    node = start(robots=["cart"], paused=False, real_time_factor=50.0)
    clocks = []
    collect(ros, test_node, Clock, "/clock", clocks)
    ros.until(lambda: len(clocks) > 20)
    refused = ros.call(test_node, StepSimulation, "/simulator/step", StepSimulation.Request(steps=1))
    assert not refused.success and "pause" in refused.message
    assert ros.call(test_node, SetBool, "/simulator/pause", SetBool.Request(data=True)).success
    paused_at = node.simulation.nanoseconds
    none = ros.call(test_node, StepSimulation, "/simulator/step", StepSimulation.Request(steps=0))
    assert not none.success and node.simulation.nanoseconds == paused_at
    assert step(ros, test_node, 3) == paused_at + 6_000_000
    assert ros.call(test_node, SetBool, "/simulator/pause", SetBool.Request(data=False)).success
    ros.until(lambda: node.simulation.nanoseconds > paused_at + 100_000_000)
    stamps = [to_nanoseconds(m.clock) for m in clocks]
    steps = np.diff(stamps)  # at this pace a busy machine loses some
    assert (steps > 0).all() and not (steps % 10_000_000).any()


def test_commands_sent_after_a_gap_of_the_host_act_within_a_control_period(ros, start, test_node, monkeypatch):
    """A controller answers the end of each stretch of physics at once, while the simulation is 0.2 s behind."""
    node = start(robots=["hopper"])
    publisher = test_node.create_publisher(JointTrajectory, "/hopper/joint_commands", 10)
    ros.until(lambda: publisher.get_subscription_count() == 1)
    node.destroy_timer(node._timer)
    clock, stretches = [50.0], []
    monkeypatch.setattr(node._pacer, "_clock", lambda: clock[0])
    ros.call(test_node, SetBool, "/simulator/pause", SetBool.Request(data=False))
    simulation, run = node.simulation, node.simulation.step

    def step(count, sink):
        run(count, sink)
        stretches.append((simulation.data.actuator("hopper/leg_joint").ctrl[0], simulation.steps - count, count))
        point = JointTrajectoryPoint(effort=[float(simulation.steps)])
        publisher.publish(JointTrajectory(joint_names=["leg_joint"], points=[point]))
        arrived(node, node._commands["hopper"])

    monkeypatch.setattr(simulation, "step", step)
    for _ in range(3):
        clock[0] += 0.2
        for _ in range(10):
            node._on_tick()
            clock[0] += 0.004
    assert len(stretches) > 20
    for number, at, count in stretches:
        assert at - 4 < number <= at and count <= 4


def test_robots_are_put_back_while_time_goes_on(ros, start, test_node):
    node = start(robots=["hopper"])
    step(ros, test_node, 1000)
    assert node.simulation.sensors("hopper").joint_positions[1] < -0.1, "it sinks in its joints, which nobody drives"
    answer = ros.call(test_node, ResetRobots, "/simulator/reset_robots", ResetRobots.Request(robots=["hopper"]))
    assert answer.success and node.simulation.steps == 1000
    assert abs(node.simulation.sensors("hopper").joint_positions[1]) < 0.01
    answer = ros.call(test_node, ResetRobots, "/simulator/reset_robots", ResetRobots.Request(robots=["dog"]))
    assert not answer.success and "dog" in answer.message


def test_pace_is_kept(ros, start):
    node = start(robots=["cart"], paused=False, real_time_factor=2.0)
    clock = node.get_clock()
    began, steps = clock.now().nanoseconds, node.simulation.steps
    ros.until(lambda: clock.now().nanoseconds - began > 1.5e9, timeout=20)
    wall = (clock.now().nanoseconds - began) / 1e9
    simulated = (node.simulation.steps - steps) * 0.002
    assert simulated <= 2.0 * wall + 0.1
    assert simulated >= 0.5 * wall, "far behind even on a busy machine"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (["robots:=[dog]"], "unknown robot 'dog'"),
        (["world:=/nowhere.sdf"], "/nowhere.sdf: cannot be read"),
        (["real_time_factor:=-1.0"], "real_time_factor"),
    ],
)
def test_wrong_parameters_end_the_start_with_one_line(ros_domain, parameters, said):
    given = [f"world:={WORLD}", f"bridge_file:={BRIDGE}", *parameters]
    arguments = [word for parameter in given for word in ("-p", parameter)]
    done = subprocess.run(
        [sys.executable, "-m", "ir_sim.simulator_node", "--ros-args", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 78 and len(lines) == 1 and said in lines[0], done.stderr
