# SPDX-License-Identifier: Apache-2.0
"""Robots' on-board node together with the simulator, in lockstep and in free run."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from conftest import BRIDGE, WORLD
from geometry_msgs.msg import Twist, Vector3
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from ir_common.ros_node import ANNOUNCEMENTS
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import TaskState, TaskStatus
from ir_interfaces.srv import StepSimulation
from ir_sim import robots_node, simulator_node
from ir_sim.ros_task_messages import action_to_command, command_numbers
from ir_sim.tasks import make_task

pytestmark = pytest.mark.timeout(90)
MANY = QoSProfile(depth=1000)


@pytest.fixture
def start(ros, monkeypatch):
    def make(robots, real_time_factor=None, simulated=None, **values):
        common = {"world": str(WORLD), "robots": robots}
        pace = {"paused": True} if real_time_factor is None else {"real_time_factor": real_time_factor}
        made = []
        for module, factory, extra in (
            (
                simulator_node,
                "SimulatorNode",
                {"bridge_file": str(BRIDGE), "cameras": False, **pace, **(simulated or {})},
            ),
            (robots_node, "RobotsNode", values),
        ):
            overrides = [Parameter(name, value=value) for name, value in {**common, **extra}.items()]
            original = module.LeanNode.__init__
            with monkeypatch.context() as patch:
                patch.setattr(
                    module.LeanNode,
                    "__init__",
                    lambda self, name, o=overrides, i=original: i(self, name, parameter_overrides=o),
                )
                made.append(ros.add(getattr(module, factory)()))
        return made

    return make


def listen(ros, node, robot):
    states = []
    subscription = node.create_subscription(TaskState, f"/{robot}/state", states.append, MANY)
    ros.until(lambda: subscription.get_publisher_count() == 1)
    ros.until(lambda: node.count_subscribers(f"/{robot}/joint_states") == 1)
    return states


def step_until(ros, node, condition, limit=400, count=4):
    """Steps until a condition holds, and gives the messages of each step the time to arrive."""
    for _ in range(limit):
        if condition():
            return
        ros.call(node, StepSimulation, "/simulator/step", StepSimulation.Request(steps=count))
        for _ in range(6):
            ros.executor.spin_once(timeout_sec=0.002)
    pytest.fail("not seen within the steps given")


class Leap:
    """A behaviour by which the hopper falls."""

    def act(self, observation):
        return np.full(3, -1.0)


def test_hopper_falls_is_put_back_and_goes_on(ros, start, monkeypatch):
    monkeypatch.setattr("ir_sim.onboard.behaviour_of", lambda task: Leap())
    simulator, _ = start(["hopper"])
    node = ros.node()
    states = listen(ros, node, "hopper")
    step_until(ros, node, lambda: len({s.episode for s in states}) >= 2 and states[-1].step > 3)
    fall = next(s for s in states if s.terminated)
    assert fall.cause == "fall" and fall.task == "hopper_hop" and fall.header.frame_id == "hopper"
    again = next(s for s in states if s.episode == fall.episode + 1)
    assert again.step == 0 and not again.action and again.reward == 0
    assert again.observation[0] == pytest.approx(1.25, abs=0.05)
    task = make_task("hopper")
    for before, after in pairwise(states):
        if after.episode == before.episode and after.step == before.step + 1:
            expected = task.reward(np.array(before.observation), np.array(after.action), np.array(after.observation))
            assert after.reward == pytest.approx(float(expected))
    assert simulator.simulation.steps > 0


def test_states_of_one_episode_are_one_control_period_apart(ros, start):
    start(["spider"])
    node = ros.node()
    states = listen(ros, node, "spider")
    step_until(ros, node, lambda: len(states) >= 12, count=10)
    stamps = np.array([s.header.stamp.sec * 10**9 + s.header.stamp.nanosec for s in states])
    assert set(np.diff(stamps)) == {40_000_000}
    assert [s.step for s in states] == list(range(len(states)))
    assert states[-1].observation[2] == pytest.approx(0.138, abs=0.01)


def test_silent_cart_is_stopped_by_the_watchdog_once(ros, start):
    simulator, _ = start(["cart"], real_time_factor=2.0, command_timeout=0.4)
    node = ros.node()
    states = listen(ros, node, "cart")
    status = []
    node.create_subscription(TaskStatus, "/cart/task_status", status.append, ANNOUNCEMENTS)
    publisher = node.create_publisher(Twist, "/cart/cmd_vel", 10)
    ros.until(lambda: publisher.get_subscription_count() == 2 and states)
    command = Twist()
    command.linear.x = 0.5
    publisher.publish(command)
    ros.until(lambda: simulator.simulation.views["cart"].drive.wanted[0] == 0.5)
    ros.until(lambda: simulator.simulation.views["cart"].drive.wanted[0] == 0.0, timeout=20, what="the safe action")
    ros.until(lambda: status and status[-1].stops == 1 and status[-1].distance > 0.05, timeout=20)
    at = len(states)
    ros.until(lambda: len(states) > at + 8, timeout=20)
    assert status[-1].stops == 1 and list(states[-1].action) == [0.0, 0.0]
    assert any(list(s.action) == [0.5, 0.0] for s in states)


def test_cart_that_hits_a_wall_is_counted_and_put_back(ros, start):
    simulator, _ = start(["cart"], real_time_factor=10.0)
    node = ros.node()
    states = listen(ros, node, "cart")
    status = []
    node.create_subscription(TaskStatus, "/cart/task_status", status.append, ANNOUNCEMENTS)
    publisher = node.create_publisher(Twist, "/cart/cmd_vel", 10)
    command = Twist()
    command.linear.x = -0.5  # the west wall is behind it

    def hit():
        publisher.publish(command)
        return any(s.cause == "collision" for s in states)

    ros.until(hit, timeout=40, what="a collision")
    end = next(s for s in states if s.cause == "collision")
    ros.until(lambda: any(s.episode > end.episode for s in states), timeout=20, what="the next episode")
    again = next(s for s in states if s.episode > end.episode)
    assert again.step == 0 and min(again.observation[4:]) > 1.0
    ros.until(lambda: status and status[-1].collisions >= 1 and status[-1].episodes >= 2, timeout=20)
    assert status[-1].distance < 4.0, "the way back to the start is not counted"
    assert not simulator.simulation.divergences


def test_with_sync_a_command_counts_when_the_simulator_says_that_it_is_in_force(ros, start):
    """A copy of it that is early, or late, on the way to the on-board part changes no record of what a robot did."""
    _, robots = start(["cart"], sync=True)
    node = ros.node()
    told = node.create_publisher(Twist, "/cart/cmd_vel", MANY)
    obeyed = node.create_publisher(Twist, "/cart/cmd_vel_in_force", MANY)
    ros.until(lambda: obeyed.get_subscription_count() == 1 and told.get_subscription_count() == 1)
    onboard = robots._robots[0].onboard
    told.publish(Twist(linear=Vector3(x=0.5)))
    obeyed.publish(Twist(linear=Vector3(x=0.25)))
    ros.until(lambda: onboard._action[0] != 0.0)
    assert onboard._action.tolist() == [0.25, 0.0]


@pytest.mark.parametrize("sync", ["direct", "radio"])
def test_a_robot_that_is_left_alone_acts_on_its_own_before_the_next_step_of_physics(ros, start, sync):
    """What a hopper commands itself in the place of the safe action is in force at the same instant."""
    simulator, robots = start(["hopper"], simulated={"sync": sync}, sync=True)
    task, onboard = make_task("hopper"), robots._robots[0].onboard
    node = ros.node()
    states = listen(ros, node, "hopper")
    publisher = node.create_publisher(JointTrajectory, "/hopper/joint_commands", MANY)
    ros.until(lambda: publisher.get_subscription_count() == 1)
    step_until(ros, node, lambda: states)
    hopping = task.clip(0.5 * (task.action_low + task.action_high) + 0.3)
    for action in (hopping, task.safe_action):
        publisher.publish(action_to_command(task, action, to_stamp(0)))
        wanted = command_numbers(action_to_command(task, action, to_stamp(0)))
        ros.until(lambda w=wanted: simulator._take_commands() or simulator._in_force.get("hopper") == w)
    before = simulator.simulation.steps
    done = threading.Thread(target=simulator._wait.settle)  # stands, as between two steps of physics
    done.start()
    ros.until(lambda: not done.is_alive(), what="what the hopper does on its own")
    assert simulator.simulation.steps == before and not simulator._wait.silent
    assert onboard._alone and not np.array_equal(onboard._action, task.safe_action)
    own = command_numbers(action_to_command(task, onboard._action, to_stamp(0)))
    assert simulator._in_force["hopper"] == pytest.approx(own)


def test_with_sync_the_simulator_says_what_it_obeyed(ros, start, monkeypatch):
    original = simulator_node.LeanNode.__init__
    overrides = [
        Parameter(name, value=value)
        for name, value in {"world": str(WORLD), "robots": ["cart"], "bridge_file": str(BRIDGE), "cameras": False,
                            "paused": True, "sync": "direct"}.items()
    ]  # fmt: skip
    monkeypatch.setattr(
        simulator_node.LeanNode, "__init__", lambda self, name: original(self, name, parameter_overrides=overrides)
    )
    simulator = ros.add(simulator_node.SimulatorNode())
    node, seen = ros.node(), []
    subscription = node.create_subscription(Twist, "/cart/cmd_vel_in_force", seen.append, MANY)
    publisher = node.create_publisher(Twist, "/cart/cmd_vel", MANY)
    ros.until(lambda: subscription.get_publisher_count() == 1 and publisher.get_subscription_count() == 1)
    for speed in (0.25, float("nan")):
        publisher.publish(Twist(linear=Vector3(x=speed)))
    ros.until(lambda: simulator._take_commands() or simulator._ignored.get("cart"))
    ros.until(lambda: seen)
    assert [m.linear.x for m in seen] == [0.25], "what cannot be obeyed is not"
