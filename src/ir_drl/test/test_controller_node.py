# SPDX-License-Identifier: Apache-2.0
"""The controller as a node, with real rclpy: state in, command out, the safe action where there is no good state."""

import subprocess
import sys
import time

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from trajectory_msgs.msg import JointTrajectory

from ir_common.config import ConfigError
from ir_common.ros_node import RELIABLE
from ir_common.ros_time import to_stamp
from ir_drl.controller_node import ControllerNode
from ir_drl.policies import RandomPolicy, episode_seed, save_policy
from ir_interfaces.msg import TaskState
from ir_sim.ros_task_messages import command_to_action
from ir_sim.tasks import make_task

CART = make_task("cart")
AHEAD = [5.0, 0.0, 0.0, 0.0, *[8.0] * 12]
TIMEOUT = 0.3
MARGIN = 1.0  # s of wall time for a busy machine; the test in simulated time is exact


def parameters(**values):
    return [Parameter(name, value=value) for name, value in ({"input_timeout": 5.0} | values).items()]


class Stack:
    """A controller, and a node that plays the robot and the twin."""

    def __init__(self, ros, message_type=Twist, side="/edge/cart", **values):
        self.ros, self.commands, self.times = ros, [], []
        self.controller = ros.add(ControllerNode(parameter_overrides=parameters(**values)))
        self.peer = ros.node("peer")
        topic = "cmd_vel" if message_type is Twist else "joint_commands"
        self.peer.create_subscription(message_type, f"{side}/{topic}_proposed", self.receive, RELIABLE)
        self.states = self.peer.create_publisher(TaskState, f"{side}/state", RELIABLE)
        ros.until(lambda: self.states.get_subscription_count() == 1, what="controller")
        self.step = 0

    def receive(self, command):
        self.commands.append(command)
        self.times.append(time.monotonic())

    def send(self, observation, task="cart_navigation", episode=1, age=0.0, **fields):
        self.step += 1
        message = TaskState(task=task, episode=episode, step=self.step, observation=list(observation), **fields)
        message.header.stamp = to_stamp(self.controller.get_clock().now().nanoseconds - int(age * 1e9))
        self.states.publish(message)

    def answer(self, *observation, **fields):
        """The first command after a state."""
        seen = len(self.commands)
        self.send(*observation, **fields)
        self.ros.until(lambda: len(self.commands) > seen, what="command")
        return self.commands[-1]


def is_safe(twist):
    return twist.linear.x == 0.0 and twist.angular.z == 0.0


@pytest.fixture
def cart(ros):
    return Stack(ros, robot="cart", policy_file="scripted")


@pytest.fixture
def hasty(ros):
    """A cart whose state grows stale soon."""
    return Stack(ros, robot="cart", policy_file="scripted", input_timeout=TIMEOUT)


def test_state_in_command_out(cart):
    command = cart.answer(AHEAD)
    assert command.linear.x > 0.5 and command.angular.z == pytest.approx(0.0)
    turned = cart.answer([5.0, 1.0, *AHEAD[2:]], episode=2)
    assert turned.angular.z > 0.3


def test_an_episodes_end_and_the_next_ones_first_state_are_both_answered(ros, cart):
    """They may come at one instant; of other states that wait only the newest counts."""
    cart.answer(AHEAD)
    del cart.commands[:]
    node = cart.controller
    waiting = [TaskState(task="cart_navigation", episode=e, step=s, observation=AHEAD, truncated=end)
               for e, s, end in ((1, 8, False), (1, 9, True), (2, 0, False))]  # fmt: skip
    for state in waiting:
        state.header.stamp = node.get_clock().now().to_msg()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ir_drl.controller_node.drain", lambda _, handle: [handle(state) for state in waiting[1:]])
        node._on_state(waiting[0])
    ros.until(lambda: len(cart.commands) >= 2, what="two answers")
    assert node._controller.heard == (2, 0) and len(cart.commands) == 2


def test_what_the_twin_expects_is_answered_in_the_place_of_the_state(ros, cart):
    """It is waited for once the last state was answered so, and no longer than a control step where it stays away."""
    expected = cart.peer.create_publisher(TaskState, "/edge/cart/expected_state", RELIABLE)
    ros.until(lambda: expected.get_subscription_count() == 1, what="controller")
    left, right = [5.0, 1.0, *AHEAD[2:]], [5.0, -1.0, *AHEAD[2:]]
    node = cart.controller

    def foresee(step):
        seen = len(cart.commands)
        message = TaskState(task="cart_navigation", episode=1, step=step, observation=right)
        message.header.stamp = node.get_clock().now().to_msg()
        expected.publish(message)
        ros.until(lambda: len(cart.commands) > seen, what="command")
        return cart.commands[-1].angular.z

    assert cart.answer(left).angular.z > 0.3
    assert foresee(1) < -0.3
    seen = len(cart.commands)
    cart.send(left)
    ros.until(lambda: node._controller.heard == (1, 2), what="the second state")
    assert foresee(2) < -0.3
    assert foresee(3) < -0.3, "it may come before the state"
    cart.send(left)
    ros.until(lambda: node._controller.heard == (1, 3), what="the third state")
    cart.send(left)
    ros.until(lambda: node._controller.heard == (1, 4), what="the fourth state")
    assert len(cart.commands) == seen + 2, "states are not answered while the twin speaks"
    assert cart.answer(left).angular.z > 0.3, "nor is it waited for twice"


def test_stale_state_gives_the_safe_action_in_time_and_again(ros, hasty):
    assert not is_safe(hasty.answer(AHEAD))
    arrived, count = hasty.times[-1], len(hasty.commands)
    ros.until(lambda: len(hasty.commands) >= count + 2, what="two safe actions")
    assert all(map(is_safe, hasty.commands[count:]))
    first, second = (t - arrived for t in hasty.times[count : count + 2])
    assert 0.9 * TIMEOUT < first < TIMEOUT + MARGIN
    assert 1.9 * TIMEOUT < second < 2 * TIMEOUT + MARGIN
    assert hasty.controller._controller.faults["stale"] >= 2
    assert not is_safe(hasty.answer(AHEAD)), "fresh input is acted on at once"


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"observation": [float("nan"), *AHEAD[1:]]}, "not_finite"),
        ({"observation": AHEAD[:-1]}, "width"),
        ({"observation": AHEAD, "task": "hopper_hop"}, "task"),
        ({"observation": AHEAD, "age": 6.0}, "late"),
    ],
)
def test_bad_state_gives_the_safe_action_and_is_counted(cart, bad, kind):
    cart.answer(AHEAD)
    assert is_safe(cart.answer(bad.pop("observation"), **bad))
    assert cart.controller._controller.faults[kind] == 1


def test_bad_states_do_not_count_as_input(ros, hasty):
    """A stream of NaN keeps no time-out away."""
    hasty.answer(AHEAD)
    deadline = time.monotonic() + 2 * TIMEOUT
    while time.monotonic() < deadline:
        hasty.answer([float("nan"), *AHEAD[1:]])
    ros.until(lambda: hasty.controller._controller.faults["stale"] > 0, what="stale input")


def test_a_link_that_is_dead_is_told_once_and_its_end_once(ros, hasty, capfd):
    """While it is the safe action goes out again and again, and is counted."""

    def told():
        nonlocal said
        said += capfd.readouterr().err
        return said.count("no state for"), said.count("come again")

    said = ""
    hasty.answer(AHEAD)
    ros.until(lambda: hasty.controller._controller.faults["stale"] >= 3, what="three safe actions")
    hasty.answer(AHEAD)  # one that comes through does not end it
    ros.until(lambda: hasty.controller._controller.faults["stale"] >= 5, what="further ones")
    assert told() == (1, 0)
    hasty.peer.create_timer(0.1, lambda: hasty.send(AHEAD))
    ros.until(lambda: told()[1], 20, "the word that states are back")
    assert said.count("no state for") == 1
    assert f"stale: {hasty.controller._controller.faults['stale']} times" in said.splitlines()[-1]


def test_disabled_controller_is_silent_and_comes_back(ros, hasty):
    hasty.answer(AHEAD)
    assert hasty.controller.set_parameters([Parameter("enabled", value=False)])[0].successful
    count = len(hasty.commands)
    hasty.send(AHEAD)
    other = ros.node("other")
    waited = []
    other.create_timer(2 * TIMEOUT, lambda: waited.append(True))
    ros.until(lambda: waited)
    assert len(hasty.commands) == count
    assert hasty.controller.set_parameters([Parameter("enabled", value=True)])[0].successful
    assert not is_safe(hasty.answer(AHEAD))
    assert not hasty.controller.set_parameters([Parameter("seed", value=3)])[0].successful


def test_exploration_is_changed_live_and_the_policy_goes_on(ros):
    stack = Stack(ros, JointTrajectory, "/edge/hopper", robot="hopper", policy_file="scripted", exploration=0.1)
    hopper = make_task("hopper")
    policy = RandomPolicy(hopper)
    policy.reset(episode_seed(0, "hopper", 1))

    def departure():
        return command_to_action(hopper, stack.answer(np.zeros(11), task="hopper_hop")) - policy.act(np.zeros(11))

    assert all(0.0 < np.abs(departure()).max() < 0.6 for _ in range(3))
    assert stack.controller.set_parameters([Parameter("exploration", value=0.0)])[0].successful
    assert departure() == pytest.approx(np.zeros(3)), "the fourth draw, not the first again"
    assert not stack.controller.set_parameters([Parameter("exploration", value=-0.1)])[0].successful


def test_time_of_the_simulation_counts(ros):
    """With simulated time, the state grows stale by /clock and not by the wall."""
    stack = Stack(ros, robot="cart", use_sim_time=True, input_timeout=TIMEOUT)
    clock = stack.peer.create_publisher(Clock, "/clock", 10)
    ros.until(lambda: clock.get_subscription_count() == 1, what="clock")

    def now(seconds):
        clock.publish(Clock(clock=to_stamp(int(seconds * 1e9))))
        ros.until(lambda: stack.controller.get_clock().now().nanoseconds == int(seconds * 1e9), what="clock")

    now(1.0)
    now(5.0)
    for _ in range(5):
        ros.executor.spin_once(timeout_sec=0.05)
    assert not stack.commands, "nothing was commanded yet, so there is nothing to stop"
    assert not is_safe(stack.answer(AHEAD))
    count, waited = len(stack.commands), []
    stack.peer.create_timer(2 * TIMEOUT, lambda: waited.append(True))
    ros.until(lambda: waited)
    assert len(stack.commands) == count, "simulated time stands"
    for k in (1, 2):
        now(5.0 + (k - 0.01) * TIMEOUT)
        ros.executor.spin_once(timeout_sec=0.1)
        assert stack.controller._controller.faults["stale"] == k - 1, "none too early"
        now(5.0 + (k + 0.01) * TIMEOUT)
        ros.until(lambda k=k: len(stack.commands) == count + k, what="safe action")
        assert is_safe(stack.commands[-1])
    now(1.0)
    assert not is_safe(stack.answer(AHEAD)), "time that jumps back is no reason to stop"


def test_spider_and_other_names(ros):
    stack = Stack(ros, JointTrajectory, "/legs", robot="legs:spider", edge_namespace="")
    spider = make_task("spider")
    observation = np.zeros(len(spider.observation_names))
    for _ in range(30):
        command = stack.answer(observation, task="spider_patrol")
    action = command_to_action(spider, command)
    assert np.abs(action).max() > 0.05
    assert command.joint_names == list(spider.action_names)


def test_policy_file_is_used(ros, tmp_path):
    save_policy(tmp_path / "p.npz", CART, [(np.zeros((2, 16)), np.array([0.0, 100.0]))], "tanh")
    stack = Stack(ros, robot="cart", policy_file=str(tmp_path / "p.npz"))
    assert stack.answer(AHEAD).angular.z == pytest.approx(CART.action_high[1])


def test_model_of_a_robot_is_looked_up_in_the_world(ros, tmp_path, worlds):
    world = tmp_path / "world.sdf"
    (tmp_path / "models").symlink_to(worlds / "models")
    world.write_text((worlds / "robot_field.sdf").read_text().replace("<name>cart</name>", "<name>rover</name>"))
    stack = Stack(ros, side="/edge/rover", robot="rover", world=str(world))
    assert stack.answer(AHEAD).linear.x > 0.5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"robot": "submarine"}, "submarine"),
        ({"robot": "Cart 1"}, "robot"),
        ({"robot": "cart", "policy_file": "/nowhere/policy.npz"}, "/nowhere/policy.npz"),
        ({"robot": "cart", "input_timeout": 0.0}, "input_timeout"),
        ({}, "robot"),
    ],
)
def test_wrong_parameters_are_configuration_errors(ros, values, reason):
    with pytest.raises(ConfigError, match=reason):
        ControllerNode(parameter_overrides=parameters(**values))


def test_process_ends_with_78_and_one_line(ros_domain):
    code = "from ir_drl.controller_node import main; main()"
    command = [sys.executable, "-c", code, "--ros-args", "-p", "robot:=cart", "-p", "policy_file:=/nowhere/p.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "/nowhere/p.npz" in done.stderr and "Traceback" not in done.stderr
