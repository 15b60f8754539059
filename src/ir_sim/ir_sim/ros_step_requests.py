# SPDX-License-Identifier: Apache-2.0
"""Whether a simulator may do what a `StepSimulation` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from ir_common.ros_poll import drain_until

MAX_COMMAND_WAIT = 60.0  #: s of wall time that a step may wait for its command


def step_refusal(
    node: Node, request: Any, paused: bool, commands: Mapping[str, Subscription], in_force: Mapping[str, list[float]]
) -> str:
    """Why a step cannot be run; empty: it can, and the command that it is to be run with is in force.

    Args:
        node: of the subscriptions.
        request: `ir_interfaces/StepSimulation.Request`.
        paused: whether the simulation stands.
        commands: by robot, the subscription whose callback puts a command into `in_force`.
        in_force: by robot, the numbers of the command that it obeys (`command_numbers`).
    """
    robot, wanted, timeout = request.robot, list(request.command), request.timeout
    if not paused:
        return "pause the simulation first"
    if request.steps < 1:
        return "steps must be at least 1"
    if not robot:
        return ""
    if robot not in commands:
        return f"no robot {robot} takes commands; those that do: {', '.join(commands) or 'none'}"
    if not 0.0 <= timeout <= MAX_COMMAND_WAIT:
        return f"timeout must be within 0 and {MAX_COMMAND_WAIT:g} s, got {timeout:g}"
    subscription = commands[robot]
    if drain_until(node, subscription, subscription.callback, lambda: in_force.get(robot) == wanted, timeout):
        return ""
    found = in_force.get(robot, "none")
    return f"{robot}: {wanted} not commanded within {timeout:g} s, in force is {found}; does somebody else command it?"
