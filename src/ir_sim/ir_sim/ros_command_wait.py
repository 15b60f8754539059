# SPDX-License-Identifier: Apache-2.0
"""The simulator waits for commands that are on their way, so that no robot runs ahead of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from ir_common.ros_node import drain
from ir_common.ros_poll import Unexecuted
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import CommandEffect, ControlStepDone, RadioHorizon, SimulatedInstant
from ir_sim.command_schedule import CommandSchedule, ScheduledCommand
from ir_sim.owed_commands import OwedCommands
from ir_sim.ros_task_messages import LEFT_ALONE, command_numbers

Sync = Literal["off", "radio", "direct"]
KEPT = QoSProfile(depth=1000)
"""Reliable: none may be lost."""
_LOOK = 0.05
"""s; then it is looked whether the wait is over, or the process told to end."""
_SOON = 100_000_000
"""ns; a radio that is no further behind the simulation is one to wait for."""


class CommandTopic(NamedTuple):
    """A topic on which a robot takes commands."""

    robot: str
    kind: type[Any]
    subscription: Subscription


class CommandWait:
    """What the simulator knows of commands that are on their way.

    A robot that obeys the safe action acts on its own from then on: `settle` waits for what it commands itself, so that
    this takes effect at the same instant.

    Args:
        node: of the topics.
        topics: of the commands.
        schedule: of the commands; counts how late they were.
        patience: s of wall time that a robot's controller, or its on-board part, is waited for.
        take: takes the commands that have come.

    Attributes:
        waits: times that the simulation stood still for a command.
        waited: s of wall time that it did.
        given_up: waits that ended without what they were for.
    """

    def __init__(
        self, node: Node, topics: Sequence[CommandTopic], schedule: CommandSchedule, patience: float,
        take: Callable[[], None],
    ) -> None:  # fmt: skip
        self.waits, self.waited, self.given_up = 0, 0.0, 0
        self._node, self._commands, self._schedule, self._take = node, topics, schedule, take
        self._owed = OwedCommands(patience, self._fell_silent)
        self._left_alone = node.create_subscription(
            ControlStepDone, LEFT_ALONE, self._on_left_alone, KEPT, callback_group=Unexecuted()
        )

    @property
    def silent(self) -> list[str]:
        """Robots that do not answer their states and are not waited for."""
        return sorted(self._owed.silent)

    @property
    def ready(self) -> bool:
        """Whether what carries the commands is there."""
        return True

    @property
    def owed(self) -> bool:
        """Whether a command may be on its way that is not there yet, once `meet` has let the simulation go on."""
        return False

    def tell(self, now: int, after: int, due: Sequence[str]) -> None:
        """Says how far the simulation is: ns of now and of the next reading, robots whose control step is due."""

    def expect(self, robots: Iterable[str]) -> None:
        """The simulation goes on, and these robots may make a control step that is heard of after its command."""

    def catch_up(self) -> None:
        """Takes what was said about commands until now."""

    def meet(self) -> None:
        """Waits until the simulation may go on from where it is."""

    def obeyed(self, robot: str, steps: int) -> None:
        """A command that nothing was said about was obeyed before the step with number `steps`."""

    def leave_alone(self, robot: str) -> None:
        """A command was obeyed that leaves the robot to itself; its on-board part notes what it commands instead."""
        self._owed.ask(robot)

    def settle(self) -> None:
        """Waits until all robots that were left alone have said what they do, and do it."""
        topics = [self._left_alone, *(topic.subscription for topic in self._commands)]
        self._stand(topics, self._look, lambda: not self._owed.waiting())

    def restart(self) -> None:
        """Time begins anew."""
        self._owed.dismiss()

    def _look(self) -> None:
        self._take()
        self.catch_up()
        drain(self._left_alone, self._on_left_alone)

    def _on_left_alone(self, message: ControlStepDone) -> None:
        if self._owed.expects(message.header.frame_id):  # else it is of before a reset
            self._note(message.header.frame_id, to_nanoseconds(message.header.stamp), message.answers)

    def _note(self, robot: str, stamp: int, answers: int) -> None:
        """Takes an on-board part's note, of a reading with this stamp, that so many commands are to come."""
        self._owed.noted(robot, answers)

    def _fell_silent(self, robot: str, why: str) -> None:
        self.given_up += 1
        self._node.get_logger().warning(f"{robot}: {why}; it is not waited for until it does so again")

    def _stand(self, subscriptions: Sequence[Subscription], look: Callable[[], None], done: Callable[[], bool]) -> None:
        """Waits on subscriptions, looking whenever something comes, until it is done; counts that."""
        look()
        if done():
            return
        began = time.monotonic()
        context = self._node.context
        wait_set = _rclpy.WaitSet(len(subscriptions), 0, 0, 0, 0, 0, context.handle)
        while not done() and context.ok():
            wait_set.clear_entities()
            for subscription in subscriptions:
                wait_set.add_subscription(subscription.handle)
            wait_set.wait(int(_LOOK * 1e9))
            look()
        self.waits += 1
        self.waited += time.monotonic() - began


class RadioWait(CommandWait):
    """Commands that cross a radio: it says when each is there, and how far the simulation may run.

    Args:
        node: of the topics.
        topics: of the commands.
        schedule: takes what the radio says.
        patience: s of wall time without a sign of the radio after which the simulation goes on without it; 0: it never
            waits, and what the radio says serves to measure only.
        take: takes the commands that have come.
    """

    def __init__(
        self, node: Node, topics: Sequence[CommandTopic], schedule: CommandSchedule, patience: float,
        take: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(node, topics, schedule, patience, take)
        self._patience = patience
        self._topics = {topic.subscription.topic_name: topic for topic in topics}
        self._instants = node.create_publisher(SimulatedInstant, "~/instant", KEPT)
        self._horizons = node.create_subscription(
            RadioHorizon, "/radio/horizon", self._on_horizon, KEPT, callback_group=Unexecuted()
        )
        self._silent: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Time begins anew."""
        super().restart()
        self._now, self._next, self._due = -1, 0, -1
        self._told, self._until = -1, -1
        self._alone, self._heard = False, time.monotonic()

    @property
    def silent(self) -> list[str]:
        """Robots that do not answer their states and are not waited for."""
        return sorted({*self._silent, *super().silent})

    @property
    def ready(self) -> bool:
        """Whether the radio has all its flows open."""
        self.catch_up()
        return self._told >= 0

    @property
    def owed(self) -> bool:
        """As `CommandWait.owed`."""
        return not self._alone and 0 <= self._until <= self._next

    def tell(self, now: int, after: int, due: Sequence[str]) -> None:
        """As `CommandWait.tell`."""
        self._now, self._next = now, after
        if due:
            self._due = now
        self._instants.publish(SimulatedInstant(now=to_stamp(now), next=to_stamp(after), due=list(due)))

    def catch_up(self) -> None:
        """As `CommandWait.catch_up`."""
        drain(self._horizons, self._on_horizon)

    def meet(self) -> None:
        """As `CommandWait.meet`."""
        self.catch_up()
        if self._patience and not self._may_go():
            self._heard = time.monotonic()
            self._stand([self._horizons], self.catch_up, lambda: self._may_go() or self._give_up())

    def _may_go(self) -> bool:
        known = self._told >= self._now or (self._told >= self._due and self._until >= self._next)
        return self._alone or self._now < 0 or known

    def _give_up(self) -> bool:
        if time.monotonic() - self._heard < self._patience:
            return False
        self.given_up += 1
        self._alone = True
        self._node.get_logger().warning(
            f"the radio has said nothing for {self._patience:g} s; the simulation goes on without it until it does"
        )
        return True

    def _on_horizon(self, message: RadioHorizon) -> None:
        now, until = to_nanoseconds(message.now), to_nanoseconds(message.until)
        for effect in message.commands:
            self._plan(effect)
        self._heard, self._silent = time.monotonic(), list(message.silent)
        if until and now <= max(self._now, 0):
            self._told, self._until = now, until
            if self._alone and now >= self._now - _SOON:
                self._alone = False

    def obeyed(self, robot: str, steps: int) -> None:
        """As `CommandWait.obeyed`."""
        self._owed.came(robot)

    def _plan(self, effect: CommandEffect) -> None:
        topic = self._topics.get(effect.topic)
        if topic is None:
            return
        message = deserialize_message(bytes(effect.command), topic.kind)
        numbers, due = command_numbers(message), to_nanoseconds(effect.due)
        command = ScheduledCommand(topic.robot, message, numbers, to_nanoseconds(effect.effect), due)
        if self._patience:
            self._schedule.add(command)
        else:
            self._schedule.expect_copy(command)


class DirectWait(CommandWait):
    """Commands that no radio carries: the on-board parts say which states they made, and each is to be answered.

    Args as `CommandWait`; step: ns of a physics step.
    """

    def __init__(
        self, node: Node, topics: Sequence[CommandTopic], schedule: CommandSchedule, patience: float,
        take: Callable[[], None], step: int,
    ) -> None:  # fmt: skip
        super().__init__(node, topics, schedule, patience, take)
        self._step = step
        self._done = node.create_subscription(
            ControlStepDone, "/robots/done", self._on_done, KEPT, callback_group=Unexecuted()
        )
        self._all = [self._done, self._left_alone, *(topic.subscription for topic in topics)]
        self._asked: dict[str, int] = {}
        self._done_at: dict[str, int] = {}
        self._expected = False  # answers may come before the note about their instant, too
        self._heard: set[str] = set()  # robots whose states somebody hears

    @property
    def ready(self) -> bool:
        """Whether each robot's states are heard and somebody besides its watchdog is there to command it."""
        self.catch_up()
        return all(t.robot in self._heard and t.subscription.get_publisher_count() > 1 for t in self._commands)

    def tell(self, now: int, after: int, due: Sequence[str]) -> None:
        """As `CommandWait.tell`."""
        for robot in due:
            self._owed.ask(robot, beginning=not self._expected)
            if self._done_at.get(robot) == now:
                self._note(robot, now, 0)

    def expect(self, robots: Iterable[str]) -> None:
        """As `CommandWait.expect`."""
        self._expected = True
        for robot in robots:
            self._owed.foresee(robot)

    def catch_up(self) -> None:
        """As `CommandWait.catch_up`."""
        drain(self._done, self._on_done)

    def meet(self) -> None:
        """As `CommandWait.meet`."""
        self._stand(self._all, self._look, lambda: not self._owed.waiting())

    def obeyed(self, robot: str, steps: int) -> None:
        """As `CommandWait.obeyed`."""
        if self._owed.came(robot):
            self._schedule.lateness.obeyed(steps, self._asked.pop(robot, 0))

    def restart(self) -> None:
        """As `CommandWait.restart`."""
        super().restart()
        self._asked.clear()
        self._done_at.clear()

    def _on_done(self, message: ControlStepDone) -> None:
        robot, stamp = message.header.frame_id, to_nanoseconds(message.header.stamp)
        self._heard.add(robot)
        self._done_at[robot] = stamp
        if message.answers:
            self._asked[robot] = stamp
        self._note(robot, stamp, message.answers)

    def _note(self, robot: str, stamp: int, answers: int) -> None:
        for _ in range(self._owed.noted(robot, answers)):
            self._schedule.lateness.obeyed(stamp // self._step, self._asked.pop(robot, 0))
