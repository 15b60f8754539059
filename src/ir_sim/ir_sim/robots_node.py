# SPDX-License-Identifier: Apache-2.0
"""On-board computers of all robots, in one process: task states out of sensor topics, totals, watchdog, resets."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import JointState, LaserScan

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_node import LATCHED, STREAM, LeanNode, drain
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import Contacts, TaskState, TaskStatus
from ir_interfaces.srv import ResetRobots
from ir_sim.onboard import OnBoard
from ir_sim.ros_sensors import message_to_joint_states, message_to_odometry, message_to_scan, message_to_touches
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command, command_to_action, step_to_state
from ir_sim.sdf import Robot, World, compose
from ir_sim.tasks import Step, make_task

STATE_QOS = QoSProfile(depth=20)
STATUS_PERIOD = 0.5  #: s of wall time
RESET_TIMEOUT = 4  #: status periods after which an unanswered reset is asked for again


class RobotsConfig(Config):
    """Parameters of the robots' on-board part."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    sim: Literal["mujoco", "gz"] = Field("mujoco", description="simulator that puts fallen robots back")
    simulator: str = Field("/simulator", description="name of the MuJoCo simulator node")
    command_timeout: float = Field(0.5, gt=0.0, description="s without a command after which the safe action is sent")


class RobotsNode(LeanNode):
    """See README.md for topics and parameters."""

    def __init__(self) -> None:
        super().__init__("robots")
        config = ros_params.declare(self, RobotsConfig).config
        world = compose(config.world, config.robots)
        self._resets = _GzResets(self, world) if config.sim == "gz" else _MujocoResets(self, config.simulator)
        self._robots = [_RobotTopics(self, world, robot, config) for robot in world.robots.values()]
        self._timer = self.create_timer(STATUS_PERIOD, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_timer(self) -> None:
        for robot in self._robots:
            robot.publish_status()
        self._resets.check([robot.onboard for robot in self._robots])

    def ask_reset(self, onboard: OnBoard) -> None:
        """Has a robot put back to its start."""
        self._resets.ask(onboard)


class _RobotTopics:
    """The topics of one robot."""

    def __init__(self, node: RobotsNode, world: World, robot: Robot, config: RobotsConfig) -> None:
        self._node, self._name = node, robot.name
        self.task = make_task(robot.model, world)
        self.onboard = OnBoard(robot.name, self.task, robot.start, world.goals(robot.name), config.command_timeout)
        prefix = f"/{robot.name}/"
        self._command_topic, command_type = COMMAND_TYPES[self.task.command]
        self._state = node.create_publisher(TaskState, prefix + "state", STATE_QOS)
        self._status = node.create_publisher(TaskStatus, prefix + "task_status", LATCHED)
        self._command = node.create_publisher(command_type, prefix + self._command_topic, STATE_QOS)
        self._echoes = 0
        self._ignored = 0
        self._needed: list[Subscription] = []
        # made in this order: at one instant the executor serves what a control step needs before what triggers it
        for message_type, topic, handle in (
            (command_type, self._command_topic, self._on_command),
            (Contacts, "contacts", self._on_contacts),
            (Odometry, "odom", self._on_odometry),
            (JointState, "joint_states", self._on_joint_states),
            *(((LaserScan, "scan", self._on_scan),) if self.task.trigger == "scan" else ()),
        ):
            subscription = node.create_subscription(message_type, prefix + topic, handle, STREAM)
            if topic != self.task.trigger:
                self._needed.append(subscription)

    def _catch_up(self) -> None:
        """Takes what a control step needs: meanwhile the executor, busy with what triggers it, does not look there."""
        for subscription in self._needed:
            drain(subscription, subscription.callback)

    def _on_odometry(self, message: Any) -> None:
        self.onboard.odometry(*message_to_odometry(message))

    def _on_contacts(self, message: Any) -> None:
        self.onboard.contacts(*message_to_touches(message))

    def _on_scan(self, message: Any) -> None:
        self._catch_up()
        self._publish(self.onboard.scan(*message_to_scan(message)))

    def _on_joint_states(self, message: Any) -> None:
        if self.task.trigger == "joint_states":
            self._catch_up()
        try:
            self._publish(self.onboard.joint_states(*message_to_joint_states(message)))
        except ValueError as error:
            self._ignore("joint states", error)

    def _on_command(self, message: Any) -> None:
        try:
            action = command_to_action(self.task, message)
        except ValueError as error:
            self._ignore("command", error)
            return
        if self._echoes and (action == self.task.safe_action).all():
            self._echoes -= 1  # the watchdog's own message
            return
        self.onboard.command(action)

    def _ignore(self, what: str, error: ValueError) -> None:
        self._ignored += 1
        text = f"{what} of {self._name} ignored ({self._ignored} so far): {error}"
        self._node.get_logger().warning(text, throttle_duration_sec=5.0)

    def _publish(self, steps: tuple[Step, ...]) -> None:
        stamp = to_stamp(self.onboard.now)
        for step in steps:
            self._state.publish(step_to_state(self.task, step, self._name, stamp))
        if self.onboard.overdue():
            self._echoes = 1
            self._command.publish(action_to_command(self.task, self.task.safe_action, stamp))
            text = f"no command for {self._name}: safe action sent"
            self._node.get_logger().warning(text, throttle_duration_sec=5.0)
        if steps and self.onboard.needs_reset:
            self.publish_status()
            self._node.ask_reset(self.onboard)

    def publish_status(self) -> None:
        """Publishes the totals."""
        message = TaskStatus(task=self.task.name, **vars(self.onboard.totals))
        message.header.stamp, message.header.frame_id = to_stamp(self.onboard.now), self._name
        self._status.publish(message)


class _MujocoResets:
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

    def _done(self, onboard: OnBoard, future: Future) -> None:
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


class _GzResets:
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


def main() -> None:
    """Entry point."""
    ros_node.run(RobotsNode)


if __name__ == "__main__":
    main()
