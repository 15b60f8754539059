# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from trajectory_msgs.msg import JointTrajectoryPoint

from ir_sim.ros_task_messages import (
    COMMAND_TYPES,
    action_to_command,
    check_age,
    command_numbers,
    command_to_action,
    step_to_state,
)
from ir_sim.tasks import TASKS, CartNavigation, Step, make_task


class StampedCart(CartNavigation):
    """The cart's task with stamps on its commands."""

    name = "stamped_cart"
    command = "twist_stamped"


TASK_OBJECTS = [*(make_task(model) for model in TASKS), StampedCart()]
JOINT_TASKS = [task for task in TASK_OBJECTS if not task.velocities]
BY_NAME = {"ids": lambda task: task.name}


@pytest.mark.parametrize("task", TASK_OBJECTS, **BY_NAME)
@given(data=st.data())
def test_actions_survive_the_round_trip(task, data):
    action = data.draw(arrays(np.float64, len(task.action_names), elements=st.floats(-3, 3)))
    message = action_to_command(task, action, Time(sec=3))
    assert isinstance(message, COMMAND_TYPES[task.command][1])
    assert command_to_action(task, message) == pytest.approx(action, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("task", TASK_OBJECTS, **BY_NAME)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(task, value):
    action = task.safe_action.copy()
    action[-1] = value
    with pytest.raises(ValueError, match="finite"):
        command_to_action(task, action_to_command(task, action, Time()))


@pytest.mark.parametrize("task", JOINT_TASKS, **BY_NAME)
def test_joints_may_come_in_any_order(task):
    action = np.arange(len(task.action_names), dtype=float)
    message = action_to_command(task, action, Time())
    message.joint_names = message.joint_names[::-1]
    field = "positions" if task.command == "joint_position" else "effort"
    setattr(message.points[0], field, list(getattr(message.points[0], field))[::-1])
    assert command_to_action(task, message) == pytest.approx(action)


def _no_point(message):
    message.points = []


def _two_points(message):
    message.points = [message.points[0], JointTrajectoryPoint()]


def _short(message):
    message.points[0].positions = message.points[0].positions[:-1]
    message.points[0].effort = message.points[0].effort[:-1]


def _unknown_joint(message):
    message.joint_names = ["tail", *message.joint_names[1:]]


def _joint_twice(message):
    message.joint_names = [message.joint_names[1], *message.joint_names[1:]]


@pytest.mark.parametrize("task", JOINT_TASKS, **BY_NAME)
@pytest.mark.parametrize("spoil", [_no_point, _two_points, _short, _unknown_joint, _joint_twice])
def test_malformed_trajectories_are_refused(task, spoil):
    message = action_to_command(task, task.safe_action, Time())
    spoil(message)
    with pytest.raises(ValueError, match="expected"):
        command_to_action(task, message)


def test_a_velocity_with_a_stamp_is_refused_when_it_is_old_or_of_another_clock():
    task, now = StampedCart(), 10_000_000_000
    message = action_to_command(task, np.array([0.5, 0.1]), Time(sec=9, nanosec=600_000_000))
    assert command_numbers(message) == [0.5, 0.1]
    check_age(message, now, 0.5)
    with pytest.raises(ValueError, match=r"0\.4 s old, at most 0\.3 s count"):
        check_age(message, now, 0.3)
    message.header.stamp.sec = 1_700_000_000
    with pytest.raises(ValueError, match="use_sim_time"):
        check_age(message, now, 0.5)
    message.header.stamp = Time()  # nobody knows
    check_age(message, now, 0.5)
    check_age(message.twist, now, 0.5)


def test_step_becomes_a_state():
    task = make_task("hopper")
    step = Step(2, 7, np.arange(11.0), np.array([0.1, 0.2, 0.3]), 1.5, True, False, "fall")
    message = step_to_state(task, step, "hopper", Time(sec=1))
    assert (message.task, message.episode, message.step, message.reward) == ("hopper_hop", 2, 7, 1.5)
    assert (message.terminated, message.truncated, message.cause) == (True, False, "fall")
    assert list(message.observation) == list(range(11)) and list(message.action) == [0.1, 0.2, 0.3]
    assert message.header.frame_id == "hopper" and message.header.stamp.sec == 1
