# SPDX-License-Identifier: Apache-2.0
"""Puts robots back to their start, by the services of either simulator."""

from __future__ import annotations

from functools import partial
from typing import Any

from geometry_msgs.msg import Pose as PoseMessage
from rclpy.node import Node
from rclpy.task import Future

from ir_common.ros_executor import LeanExecutor
from ir_interfaces.srv import ResetRobots
from ir_sim.onboard import OnBoard
from ir_sim.sdf import World

RESET_TIMEOUT = 4  #: rounds of `check` after which an unanswered reset is asked for again


class MujocoResets:
    """Resets by the MuJoCo simulator's service, asked for again where no answer comes."""

    def __init__(self, node: Node, simulator: str) -> None:
        self._node = node
        self._client = node.create_client(ResetRobots, f"{simulator}/reset_robots")
        self._waited: dict[str, int] = {}

    def ask(self, onboard: OnBoard) -> None:
        """Asks once, if the simulator is there."""
        self._waited[onboard.name] = 0
        if self._client.service_is_ready():
            future = self._client.call_async(ResetRobots.Request(robots=[onboard.name]))
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


class GzResets:
    """Resets in Gazebo: the pose of a robot that stands free, by ros_gz_interfaces/srv/SetEntityPose."""

    def __init__(self, node: Node, world: World) -> None:
        self._node, self._world = node, world
        self._told: set[str] = set()
        try:
            from ros_gz_interfaces.srv import SetEntityPose  # type: ignore[import-not-found]
        except ImportError:
            self._client = None
            node.get_logger().warning("ros_gz_interfaces is not installed: fallen robots stay where they fell")
            return
        self._type = SetEntityPose
        self._client = node.create_client(SetEntityPose, f"/world/{world.name}/set_pose")

    def ask(self, onboard: OnBoard) -> None:
        """Asks, or says that it cannot."""
        placed = self._world.robots[onboard.name].placed
        on_rail = any(joint.parent == "world" for joint in placed.model.joints.values())
        if self._client is None or on_rail or not self._client.service_is_ready():
            self._cannot(onboard, on_rail)
            return
        request = self._type.Request(pose=_pose_message(placed.pose))
        request.entity.name, request.entity.type = onboard.name, request.entity.MODEL
        self._client.call_async(request).add_done_callback(partial(self._done, onboard))

    def _cannot(self, onboard: OnBoard, on_rail: bool) -> None:
        if onboard.name not in self._told:
            self._told.add(onboard.name)
            why = "it is fixed to the world" if on_rail else f"no service /world/{self._world.name}/set_pose"
            self._node.get_logger().error(f"{onboard.name} cannot be put back in Gazebo ({why}); its episodes end here")

    def _done(self, onboard: OnBoard, future: Future) -> None:
        response = future.result()
        if response is not None and response.success and onboard.needs_reset:
            self._told.discard(onboard.name)
            onboard.resume()

    def take(self, executor: LeanExecutor) -> None:
        """Leaves the answers to the executor: Gazebo waits for nobody."""

    def check(self, robots: list[OnBoard]) -> None:
        """Called once a status period: asks again for robots that still wait."""
        for onboard in robots:
            if onboard.needs_reset:
                self.ask(onboard)


def _pose_message(pose: Any) -> PoseMessage:
    message = PoseMessage()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = pose.position.tolist()
    q.w, q.x, q.y, q.z = pose.quaternion.tolist()
    return message
