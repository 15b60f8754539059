# SPDX-License-Identifier: Apache-2.0
"""Has robots put back to their start, by the service that either simulator's node offers."""

from __future__ import annotations

from functools import partial

from rclpy.node import Node
from rclpy.task import Future

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_time import to_stamp
from ir_interfaces.srv import ResetRobots
from ir_sim.onboard import OnBoard

RESET_TIMEOUT = 4  #: rounds of `check` after which an unanswered reset is asked for again


class Resets:
    """Resets by the simulator's service, asked for again where no answer comes."""

    def __init__(self, node: Node, simulator: str) -> None:
        self._node = node
        self._client = node.create_client(ResetRobots, f"{simulator}/reset_robots")
        self._waited: dict[str, int] = {}

    def ask(self, onboard: OnBoard) -> None:
        """Asks once, if the simulator is there."""
        self._waited[onboard.name] = 0
        if self._client.service_is_ready():
            future = self._client.call_async(ResetRobots.Request(robots=[onboard.name], stamp=to_stamp(onboard.now)))
            future.add_done_callback(partial(self._done, onboard))

    def take(self, executor: LeanExecutor) -> None:
        """Takes the answers that have come."""
        if self._waited:
            executor.serve_now(self._client)

    def _done(self, onboard: OnBoard, future: Future) -> None:
        self._waited.pop(onboard.name, None)
        response = future.result()
        if response is None or not onboard.needs_reset:
            return
        if response.success:
            onboard.resume()
        else:
            self._node.get_logger().error(f"{onboard.name} was not put back: {response.message}")

    def check(self, robots: list[OnBoard]) -> None:
        """Called once a status period: asks again for robots that still wait."""
        for onboard in robots:
            if onboard.needs_reset:
                self._waited[onboard.name] = self._waited.get(onboard.name, 0) + 1
                if self._waited[onboard.name] >= RESET_TIMEOUT:
                    self.ask(onboard)
