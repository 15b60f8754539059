# SPDX-License-Identifier: Apache-2.0
"""Simulators that are run on step by step over ROS services."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import SetBool

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_time import to_nanoseconds
from ir_interfaces.srv import ResetSimulation, StepSimulation

_LOOK = 0.1
"""s of wall time after which a condition is looked at again: who comes and goes in the graph wakes no executor."""


class Peer:
    """A node that waits: for answers, and for conditions that its subscriptions fulfil.

    Args:
        node: the node.
        timeout: s of wall time after which waiting is given up.
    """

    def __init__(self, node: Node, timeout: float) -> None:
        self.node, self.timeout = node, timeout
        self._executor = LeanExecutor()
        self._executor.add_node(node)

    def wait(self, condition: Callable[[], object], what: str, timeout: float | None = None) -> None:
        """Serves the node until the condition holds.

        Raises:
            TimeoutError: it does not within the timeout.
        """
        limit = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise TimeoutError(f"{what} not seen within {limit:g} s")
            self._executor.spin_once(min(left, _LOOK))

    def call(self, client: Client, request: Any) -> Any:
        """Calls a service and waits for the answer.

        Raises:
            TimeoutError: it is not there, or does not answer in time.
        """
        self.wait_for(client)
        future = client.call_async(request)
        self.wait(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def wait_for(self, client: Client) -> None:
        """Waits until a service is there."""
        if not client.wait_for_service(self.timeout):
            raise TimeoutError(f"no service {client.srv_name} within {self.timeout:g} s; is the simulator running?")

    def close(self) -> None:
        """Ends the executor and the node."""
        self._executor.shutdown()
        self.node.destroy_node()


class Lockstep:
    """A simulator, MuJoCo or Gazebo, that stands and runs when it is told to, by the services of its node.

    Args:
        peer: asks.
        simulator: name of the node.
        robot: whose commands are waited for.
    """

    def __init__(self, peer: Peer, simulator: str, robot: str) -> None:
        self._peer, self._robot = peer, robot
        self._step = peer.node.create_client(StepSimulation, f"{simulator}/step")
        self._reset = peer.node.create_client(ResetSimulation, f"{simulator}/reset")
        pause = peer.node.create_client(SetBool, f"{simulator}/pause")
        _check(peer.call(pause, SetBool.Request(data=True)))

    def reset(self, seed: int) -> None:
        """The world as at its start, time at zero."""
        _check(self._peer.call(self._reset, ResetSimulation.Request(seed=seed)))

    def step(self, count: int, command: Sequence[float] = ()) -> int:
        """Runs physics steps, and returns when they are done.

        Args:
            count: how many.
            command: numbers of the command (`ir_sim.ros_task_messages.command_numbers`), published already, that the
                steps must be run with; empty: whichever is in force. A topic and a service have no common order, so the
                simulator is told what to wait for.

        Returns:
            Simulated time after them, ns.
        """
        request = StepSimulation.Request(steps=count)
        if command:
            request.robot, request.command, request.timeout = self._robot, list(command), self._peer.timeout / 2
        answer = self._peer.call(self._step, request)
        _check(answer)
        return to_nanoseconds(answer.time)


def _check(answer: Any) -> None:
    if not answer.success:
        raise RuntimeError(f"the simulator refused: {getattr(answer, 'message', 'no reason given')}")
