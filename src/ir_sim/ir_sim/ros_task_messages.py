# SPDX-License-Identifier: Apache-2.0
"""Conversions between task vectors and ROS messages."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist, TwistStamped
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ir_common.ros_time import to_nanoseconds
from ir_interfaces.msg import TaskState
from ir_sim.readings import NANOSECONDS
from ir_sim.tasks import Step, Task
from ir_sim.tasks.base import Array

#: Relative topic name and message class of each kind of command (`Task.command`).
COMMAND_TYPES: dict[str, tuple[str, type[Any]]] = {
    "twist": ("cmd_vel", Twist),
    "twist_stamped": ("cmd_vel", TwistStamped),
    "joint_position": ("joint_commands", JointTrajectory),
    "joint_effort": ("joint_commands", JointTrajectory),
}

Command: TypeAlias = Twist | TwistStamped | JointTrajectory

IN_FORCE = "_in_force"
"""What a command topic's name ends with where a simulator that waits for commands says which one a robot obeys now."""

LEFT_ALONE = "/robots/left_alone"
"""Topic on which, with sync, an on-board part notes what it commands in the place of a safe action that is in force."""


def action_to_command(task: Task, action: Array, stamp: Time) -> Command:
    """The command message of an action.

    Args:
        action: [n_act] in the task's units.
        stamp: ROS time of the command (a Twist has no place for it).
    """
    values = np.asarray(action, dtype=np.float64) * task.action_scale
    if task.command == "twist":
        twist = Twist()
        twist.linear.x, twist.angular.z = float(values[0]), float(values[1])
        return twist
    if task.command == "twist_stamped":
        stamped = TwistStamped()
        stamped.header.stamp = stamp
        stamped.twist.linear.x, stamped.twist.angular.z = float(values[0]), float(values[1])
        return stamped
    point = JointTrajectoryPoint()
    if task.command == "joint_position":
        point.positions = values.tolist()
    else:
        point.effort = values.tolist()
    message = JointTrajectory(joint_names=list(task.action_names), points=[point])
    message.header.stamp = stamp
    return message


def twist_of(message: Twist | TwistStamped) -> Twist:
    """The velocity of a command, with a stamp or without."""
    return message.twist if isinstance(message, TwistStamped) else message


def check_age(message: Command, now: int, limit: float) -> None:
    """Refuses a velocity whose stamp says that it is too old, or of another clock.

    What carries no stamp, or zero in its place, is as old as nobody knows, and passes.

    Args:
        message: a command.
        now: ns of ROS time.
        limit: s.

    Raises:
        ValueError: it is older than the limit, or stamped later than now by more than that.
    """
    if not isinstance(message, TwistStamped):
        return
    stamp = to_nanoseconds(message.header.stamp)
    age = (now - stamp) / NANOSECONDS
    if stamp and age > limit:
        raise ValueError(f"it is {age:.3g} s old, at most {limit:g} s count")
    if stamp and age < -limit:
        raise ValueError(f"its stamp is {-age:.3g} s ahead of ROS time; its sender needs use_sim_time")


def command_to_action(task: Task, message: Command) -> Array:
    """The action that a command message asks for, [n_act]; not clipped to the bounds.

    Joints may come in any order.

    Raises:
        ValueError: NaN or infinity, wrong number of values or points, missing, repeated or unknown joints.
    """
    if not isinstance(message, JointTrajectory):
        twist = twist_of(message)
        values = np.array([twist.linear.x, twist.angular.z])
    else:
        values = _joint_values(task, message)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"command is not finite: {values.tolist()}")
    return values / task.action_scale


def leaves_alone(task: Task, message: Command) -> bool:
    """Whether a command is the task's safe action, after which a robot acts on its own; a wrong one is not."""
    try:
        return bool((command_to_action(task, message) == task.safe_action).all())
    except ValueError:
        return False


def command_numbers(message: Command) -> list[float]:
    """A command's numbers as its message has them, by which `StepSimulation` names it."""
    if not isinstance(message, JointTrajectory):
        twist = twist_of(message)
        return [twist.linear.x, twist.angular.z]
    return [number for point in message.points for number in (point.positions or point.effort)]


def _joint_values(task: Task, message: JointTrajectory) -> Array:
    names = list(message.joint_names)
    if len(message.points) != 1:
        raise ValueError(f"expected one trajectory point, got {len(message.points)}")
    point = message.points[0]
    values = np.array(point.positions if task.command == "joint_position" else point.effort)
    if sorted(names) != sorted(task.action_names):
        raise ValueError(f"expected the joints {list(task.action_names)}, got {names}")
    if len(values) != len(names):
        kind = "positions" if task.command == "joint_position" else "efforts"
        raise ValueError(f"expected {len(names)} {kind}, got {len(values)}")
    return values[[names.index(name) for name in task.action_names]]


def step_to_state(task: Task, step: Step, robot: str, stamp: Time) -> TaskState:
    """The message of one control step."""
    message = TaskState(task=task.name, episode=step.episode, step=step.step, reward=step.reward, cause=step.cause)
    message.header.stamp = stamp
    message.header.frame_id = robot
    message.terminated, message.truncated = step.terminated, step.truncated
    message.observation, message.action = step.observation.tolist(), step.action.tolist()
    return message
