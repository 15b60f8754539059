# SPDX-License-Identifier: Apache-2.0
"""Topics and services through which a person drives a robot in its controller's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from geometry_msgs.msg import Twist, TwistStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node

from ir_common.ros_node import RELIABLE, STREAM
from ir_common.ros_time import to_seconds, to_stamp
from ir_dashboard.driving_guard import Velocity
from ir_sim.ros_task_messages import COMMAND_TYPES, twist_of
from ir_sim.tasks import Task

ENABLED = "enabled"
"""The controllers' live parameter: whether commands are proposed."""


class DrivingPort:
    """Proposed velocities out, and the hold of the controllers. `send` and `hold` may be called from any thread.

    Args:
        node: node to own it all.
        edge: namespace of the edge side.
        robots: tasks of those that take velocities.
        stamp: the stack's time, s, for commands that carry it.
    """

    def __init__(self, node: Node, edge: str, robots: Mapping[str, Task], stamp: Callable[[], float]) -> None:
        self._node, self._stamp = node, stamp
        self._kinds = {name: COMMAND_TYPES[task.command][1] for name, task in robots.items()}
        self._controllers = {node.resolve_service_name(f"{edge}/{r}/controller"): r for r in robots}  # full names
        self._commands = {
            r: node.create_publisher(kind, f"{edge}/{r}/cmd_vel_proposed", RELIABLE) for r, kind in self._kinds.items()
        }
        self._set = {r: node.create_client(SetParameters, f"{c}/set_parameters") for c, r in self._controllers.items()}
        self._get = {r: node.create_client(GetParameters, f"{c}/get_parameters") for c, r in self._controllers.items()}

    def send(self, robot: str, velocity: Velocity) -> None:
        """Proposes a velocity."""
        message = self._kinds[robot]()
        if isinstance(message, TwistStamped):
            message.header.stamp, message.header.frame_id = to_stamp(max(0, round(self._stamp() * 1e9))), robot
        twist = twist_of(message)
        twist.linear.x, twist.angular.z = velocity
        self._commands[robot].publish(message)

    def hear(self, robot: str, edge: str, take: Callable[[str, Velocity, float | None], None]) -> None:
        """Has the velocities of ROS's own tools told: robot, velocity, and its age (s) where it carries a stamp."""
        for kind, topic in ((Twist, "joystick"), (TwistStamped, "joystick_stamped")):
            self._node.create_subscription(
                kind, f"{edge}/{robot}/{topic}", lambda m: take(robot, *self._read(m)), STREAM
            )

    def _read(self, message: Twist | TwistStamped) -> tuple[Velocity, float | None]:
        twist = twist_of(message)
        stamp = to_seconds(message.header.stamp) if isinstance(message, TwistStamped) else 0.0
        return (twist.linear.x, twist.angular.z), (self._stamp() - stamp if stamp else None)

    def hold(self, robot: str, held: bool) -> None:
        """Tells the controller to propose nothing, or to go on."""
        client = self._set[robot]
        if not client.service_is_ready():
            self._node.get_logger().warning(
                f"{robot}: its controller is not there; nothing to {'hold' if held else 'release'}"
            )
            return
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=not held)
        request = SetParameters.Request(parameters=[Parameter(name=ENABLED, value=value)])
        client.call_async(request).add_done_callback(lambda done: self._check(robot, done.result()))

    def _check(self, robot: str, response: SetParameters.Response | None) -> None:
        for result in response.results if response else ():
            if not result.successful:
                self._node.get_logger().error(f"{robot}: its controller refused '{ENABLED}': {result.reason}")

    def robot_of(self, controller: str) -> str:
        """The robot of a controller, by the node's full name; empty: it is none of these robots'."""
        return self._controllers.get(controller, "")

    def ask(self, robot: str, answer: Callable[[bool], None]) -> None:
        """Asks the controller whether it goes on by itself; `answer` is called from the executor."""
        request = GetParameters.Request(names=[ENABLED])

        def done(values: list[ParameterValue]) -> None:
            if values and values[0].type == ParameterType.PARAMETER_BOOL:
                answer(values[0].bool_value)

        if self._get[robot].service_is_ready():
            self._get[robot].call_async(request).add_done_callback(lambda future: done(future.result().values))
