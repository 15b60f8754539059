# SPDX-License-Identifier: Apache-2.0
"""The on-board computers of all robots as one node: sensor topics into `OnBoard`, what follows out to topics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState, LaserScan

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, LeanNode, drain
from ir_common.ros_poll import ignore
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import Contacts, ControlStepDone, TaskState, TaskStatus
from ir_sim.onboard import NOTHING, OnBoard, OnBoardOutput
from ir_sim.readings import NANOSECONDS
from ir_sim.ros_readers import on_begin_anew
from ir_sim.ros_resets import Resets
from ir_sim.ros_sensors import message_to_reading
from ir_sim.ros_task_messages import (
    COMMAND_TYPES,
    IN_FORCE,
    LEFT_ALONE,
    action_to_command,
    check_age,
    command_to_action,
    leaves_alone,
    step_to_state,
)
from ir_sim.sdf import Robot, World, compose
from ir_sim.tasks import robot_task
from ir_sim.watchdog import SilenceNotice

STATE_QOS = QoSProfile(depth=20)
DONE_QOS = QoSProfile(depth=1000)
STATUS_PERIOD = 0.5  #: s of wall time
ODOMETRY = 0.25
"""s of wall time that Gazebo's odometry of an instant may come after what triggers the control step of that instant."""


class RobotsConfig(Config):
    """Parameters of the robots' on-board part."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    sim: Literal["mujoco", "gz"] = Field("mujoco", description="simulator: in Gazebo a reading may come twice")
    simulator: str = Field("/simulator", description="name of the simulator's node, which puts fallen robots back")
    sync: bool = Field(False, description="says when a control step is done, for a simulator that waits for commands")
    command_timeout: float = Field(0.5, gt=0.0, description="s without a command after which a robot acts on its own")
    command_age: float = Field(0.5, gt=0.0, description="s after which a command with a stamp is not carried out")


class RobotsNode(LeanNode):
    """The node `robots`; README.md lists its topics and parameters."""

    def __init__(self) -> None:
        super().__init__("robots")
        config = ros_params.declare(self, RobotsConfig).config
        world = compose(config.world, config.robots)
        self.done = self.left_alone = None
        if config.sync:
            self.done = self.create_publisher(ControlStepDone, "/robots/done", DONE_QOS)
            self.left_alone = self.create_publisher(ControlStepDone, LEFT_ALONE, DONE_QOS)
        self._resets = Resets(self, config.simulator)
        self._robots = [_RobotTopics(self, world, robot, config) for robot in world.robots.values()]
        on_begin_anew(self, self._begin_anew)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [self.create_timer(STATUS_PERIOD, self._on_timer, clock=steady)]
        if config.sim == "gz":
            self._timers.append(self.create_timer(ODOMETRY / 5, self._wait_no_longer, clock=steady))

    def _begin_anew(self) -> None:
        for robot in self._robots:
            robot.begin_anew()

    def _on_timer(self) -> None:
        for robot in self._robots:
            robot.publish_status()
            robot.say_heard()
        self._resets.check([robot.onboard for robot in self._robots])

    def _wait_no_longer(self) -> None:
        for robot in self._robots:
            robot.wait_no_longer()

    def ask_reset(self, onboard: OnBoard) -> None:
        """Has a robot put back to its start."""
        self._resets.ask(onboard)

    def take_answers(self) -> None:
        """Takes the answers to `ask_reset` that have come."""
        if self.done is not None and isinstance(self.executor, LeanExecutor):
            self._resets.take(self.executor)


class _RobotTopics:
    """The topics of one robot."""

    def __init__(self, node: RobotsNode, world: World, robot: Robot, config: RobotsConfig) -> None:
        self._node, self._name, self._command_age = node, robot.name, config.command_age
        self.task = robot_task(robot, world)
        goals, repeats = world.goals(robot.name), config.sim == "gz"  # the embedded simulator sends no reading twice
        self.onboard = OnBoard(robot.name, self.task, robot.start, goals, config.command_timeout, repeats)
        output = robot.description.odometry
        self._odometry_period = round(NANOSECONDS / output.rate) if repeats and output and output.rate else 0
        self._missed = -1  # ns, the odometry after which the next one was waited for in vain
        self._waiting: Any = None  # what triggers a control step, and waits for the odometry of its instant
        self._waits_since = 0.0
        prefix = f"/{robot.name}/"
        self._command_topic, command_type = COMMAND_TYPES[self.task.command]
        self._state = node.create_publisher(TaskState, prefix + "state", STATE_QOS)
        self._status = node.create_publisher(TaskStatus, prefix + "task_status", LATCHED)
        self._command = node.create_publisher(command_type, prefix + self._command_topic, STATE_QOS)
        self._ignored, self._repeats, self._done_at = 0, repeats, None
        self._silence = SilenceNotice()
        self._all: list[Subscription] = []
        self._needed: list[Subscription] = []  # all but what triggers a control step
        # with sync as the simulator obeyed it: by itself a command may arrive after the readings that it led to
        obeyed = self._command_topic + IN_FORCE if config.sync else self._command_topic
        # made in this order: at one instant the executor serves what a control step needs before what triggers it
        for message_type, topic, handle in (
            (command_type, obeyed, self._on_command),
            *((kind, topic, partial(self._on_reading, topic)) for kind, topic in self._sensors()),
        ):
            qos = RELIABLE if topic == obeyed and config.sync else STREAM
            subscription = node.create_subscription(message_type, prefix + topic, handle, qos)
            self._all.append(subscription)
            if topic != self.task.trigger:
                self._needed.append(subscription)

    def _sensors(self) -> Iterator[tuple[type[Any], str]]:
        yield from ((Contacts, "contacts"), (Odometry, "odom"), (JointState, "joint_states"))
        if self.task.trigger == "scan":
            yield LaserScan, "scan"

    def begin_anew(self) -> None:
        """The world begins anew: what was read and what waits to be is of before."""
        for subscription in self._all:
            drain(subscription, ignore)
        self.onboard.begin_anew()
        self._done_at, self._missed, self._waiting = None, -1, None

    def _catch_up(self) -> None:
        """Takes what a control step needs: meanwhile the executor, busy with what triggers it, does not look there."""
        self._node.take_answers()
        for subscription in self._needed:
            drain(subscription, subscription.callback)

    def _on_reading(self, topic: str, message: Any) -> None:
        if topic == self.task.trigger:
            self._catch_up()
            self._on_trigger(message)
            return
        self._feed(topic, message)
        if topic == "odom" and self._waiting is not None and not self._odometry_due(self._waiting):
            self._go_on()

    def _on_trigger(self, message: Any) -> None:
        """Feeds what triggers a control step, or keeps it until the odometry of its instant is there.

        In Gazebo the readings of an instant have no order. Each odometry is waited for once, until the next such
        reading at most, or `ODOMETRY`. Nothing else waits: other robots' control steps are due meanwhile.
        """
        if self._waiting is not None:
            if message.header.stamp == self._waiting.header.stamp:  # Gazebo stands, and repeats it
                return
            self._go_on()
        if self.onboard.idle or self._missed == self.onboard.located_at or not self._odometry_due(message):
            self._feed(self.task.trigger, message)
        else:
            self._waiting, self._waits_since = message, time.monotonic()

    def _odometry_due(self, message: Any) -> bool:
        """Whether there should be a newer odometry at the instant of a reading."""
        since = to_nanoseconds(message.header.stamp) - self.onboard.located_at
        return bool(self._odometry_period) and since >= self._odometry_period

    def _go_on(self) -> None:
        message, self._waiting = self._waiting, None
        if self._odometry_due(message):
            self._missed = self.onboard.located_at
        self._feed(self.task.trigger, message)

    def wait_no_longer(self) -> None:
        """Makes the control step whose odometry has been waited for for too long."""
        if self._waiting is not None and time.monotonic() - self._waits_since > ODOMETRY:
            self._go_on()

    def _feed(self, topic: str, message: Any) -> None:
        output = NOTHING
        try:
            output = self.onboard.feed(message_to_reading(self._name, topic, message))
        except ValueError as error:
            self._ignore(topic, error)
        if output is not NOTHING:
            self._carry_out(output)
        again = self._repeats and output is NOTHING and message.header.stamp == self._done_at  # Gazebo stands
        if topic == self.task.trigger and not again:
            self._done_at = message.header.stamp
            self._note(self._node.done, message.header.stamp, len(output.steps) + (output.command is not None))

    def _note(self, publisher: Publisher | None, stamp: Any, commands: int) -> None:
        """With sync, tells the simulator how many commands are to come."""
        if publisher is not None:
            note = ControlStepDone(answers=commands)
            note.header.stamp, note.header.frame_id = stamp, self._name
            publisher.publish(note)

    def say_heard(self) -> None:
        """Before the first reading: says that the robot's states are heard and its commands come, once that is so."""
        heard = self._state.get_subscription_count() and self._command.get_subscription_count()
        heard = heard and self._needed[0].get_publisher_count()
        if self.onboard.now == 0 and heard:
            self._note(self._node.done, to_stamp(0), 0)

    def _on_command(self, message: Any) -> None:
        own = None
        try:
            check_age(message, self.onboard.now, self._command_age)
            own = self.onboard.command(command_to_action(self.task, message))
        except ValueError as error:
            self._ignore("command", error)
        if not self.onboard.alone and self._silence.heard(self.onboard.now):
            stops = self.onboard.counters.stops
            text = f"commands for {self._name} come again; they have stayed away for too long {stops} times so far"
            self._node.get_logger().warning(text)
        now = to_stamp(self.onboard.now)
        if own is not None:
            self._command.publish(action_to_command(self.task, own, now))
        if leaves_alone(self.task, message):
            self._note(self._node.left_alone, now, own is not None)

    def _ignore(self, what: str, error: ValueError) -> None:
        self._ignored += 1
        text = f"{what} of {self._name} ignored ({self._ignored} so far): {error}"
        self._node.get_logger().warning(text, throttle_duration_sec=5.0)

    def _carry_out(self, output: OnBoardOutput) -> None:
        stamp = to_stamp(self.onboard.now)
        if output.command is not None:  # before the state: an answer to that is to come later, and to be in force
            self._command.publish(action_to_command(self.task, output.command, stamp))
        for step in output.steps:
            self._state.publish(step_to_state(self.task, step, self._name, stamp))
        if output.stop and self._silence.stopped():
            self._node.get_logger().warning(f"no command for {self._name}: it acts on its own")
        if output.reset:
            self.publish_status()
            self._node.ask_reset(self.onboard)

    def publish_status(self) -> None:
        """Publishes the counters."""
        message = TaskStatus(task=self.task.name, **vars(self.onboard.counters))
        message.header.stamp, message.header.frame_id = to_stamp(self.onboard.now), self._name
        self._status.publish(message)


def main() -> None:
    """Entry point of the executable ``robots``."""
    ros_node.run(RobotsNode)


if __name__ == "__main__":
    main()
