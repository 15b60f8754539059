# SPDX-License-Identifier: Apache-2.0
"""Steps Gazebo from one control step of any robot to the next, and waits there for the commands that follow.

While a command is on its way through the radio, Gazebo makes single physics steps, so that the command takes effect at
the step at which the model says that it is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from ir_common.ros_node import drain
from ir_common.ros_poll import Unexecuted, drain_until
from ir_common.ros_time import to_nanoseconds
from ir_interfaces.msg import ControlStepDone
from ir_sim.command_schedule import CommandSchedule
from ir_sim.control_instants import ControlInstants
from ir_sim.readings import NANOSECONDS
from ir_sim.ros_command_wait import KEPT, CommandWait
from ir_sim.ros_gz_world import GazeboWorld
from ir_sim.sdf import World
from ir_sim.tasks import robot_task

READING = 0.25
"""s of wall time that a reading which triggers a control step has from Gazebo through the bridge to its robot."""
ROUND = 0.05
"""s of wall time of stepping before a node's other callbacks get their turn."""
ANSWER = 5.0
"""s of wall time that Gazebo has for a block of steps, before the node's other callbacks get their turn."""


class Stepping:
    """Runs a standing world on, block by block.

    Args:
        node: listens to the robots' on-board parts.
        gazebo: the world.
        wait: for commands.
        schedule: counts how late they were.
        world: composed world, for the robots' control periods.
        meanwhile: called between two blocks.
        obeyed: called for each command that takes effect now, with its robot and message.
    """

    def __init__(
        self, node: Node, gazebo: GazeboWorld, wait: CommandWait, schedule: CommandSchedule, world: World,
        meanwhile: Callable[[], None], obeyed: Callable[[str, Any], None],
    ) -> None:  # fmt: skip
        self._node, self._gazebo, self._wait, self._schedule = node, gazebo, wait, schedule
        self._step, self._meanwhile = round(world.time_step * NANOSECONDS), meanwhile
        self._obeyed = obeyed
        tasks = {name: robot_task(robot, world) for name, robot in world.robots.items()}
        self._instants = ControlInstants({n: round(task.control_period * NANOSECONDS) for n, task in tasks.items()})
        self._done = node.create_subscription(
            ControlStepDone, "/robots/done", self._on_done, KEPT, callback_group=Unexecuted()
        )

    def _on_done(self, message: ControlStepDone) -> None:
        self._instants.read(message.header.frame_id, to_nanoseconds(message.header.stamp), message.answers > 0)

    def restart(self) -> None:
        """Time begins anew."""
        self._wait.restart()
        self._schedule.clear()

    def run(self) -> None:
        """Runs blocks for a while; returns early where Gazebo does not answer."""
        end = time.monotonic() + ROUND
        while time.monotonic() < end and self._node.context.ok():
            self._meet()
            now = self._gazebo.now
            ahead = now + self._step if self._wait.owed else self._instants.next_stop(now)
            rounds = self._gazebo.begun_anew
            self._wait.expect(self._instants.robots)
            if not self._gazebo.advance(max(1, (ahead - now) // self._step), ANSWER):
                if self._gazebo.begun_anew != rounds:
                    self.restart()
                return
            self._meanwhile()

    def _meet(self) -> None:
        """Has the robots make their control steps of now, and waits for the commands that these lead to."""
        now = self._gazebo.now
        drain(self._done, self._on_done)
        if self._instants.due(now):
            drain_until(self._node, self._done, self._on_done, lambda: not self._instants.due(now), READING)
            for robot in self._instants.due(now):  # it was put back, or its sensor has another phase now
                self._instants.forget(robot)
        self._wait.tell(now, now + 1, self._instants.read_at(now))
        self._wait.meet()
        for command in self._schedule.take(now // self._step):
            self._obeyed(command.robot, command.message)
        self._wait.settle()
