# SPDX-License-Identifier: Apache-2.0
"""Stands for Gazebo in the stack: sets its time running, steps it, puts robots back, and says how the run goes.

It offers what the embedded simulator's node offers under the same names, by the services of a bridged world.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Literal

from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.task import Future
from std_srvs.srv import SetBool

from ir_common import ros_node, ros_params
from ir_common.config import Config
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, LeanNode, drain
from ir_common.ros_poll import NEWEST, Unexecuted
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import HostReport
from ir_interfaces.srv import ResetRobots, ResetSimulation, StepSimulation
from ir_sim import gazebo_words as words
from ir_sim.bridge import load_rows, rows_for
from ir_sim.command_schedule import CommandSchedule
from ir_sim.readings import NANOSECONDS
from ir_sim.respawns import Respawns
from ir_sim.ros_command_wait import CommandTopic, CommandWait, DirectWait, RadioWait, Sync
from ir_sim.ros_gz_sensors import SensorWatch
from ir_sim.ros_gz_stepping import Stepping
from ir_sim.ros_gz_world import GazeboWorld
from ir_sim.ros_readers import Readers
from ir_sim.ros_simulation_interfaces import OwnServices, offer
from ir_sim.ros_start import StartGate, StartPlaces
from ir_sim.ros_step_requests import step_refusal
from ir_sim.ros_task_messages import COMMAND_TYPES, IN_FORCE, command_numbers, leaves_alone
from ir_sim.sdf import Robot, compose
from ir_sim.sdf.gazebo import gz_model
from ir_sim.simulator_node import REPORT_PERIOD, START_LOOK
from ir_sim.tasks import Task, robot_task

TICK = 0.01  #: s of wall time between looks at Gazebo's clock
ANSWER = 10.0  #: s of wall time that Gazebo has for what a service was asked for
DELIVERY = 20_000_000  #: ns of simulated time that a reading is on its way at most
TOLD = 10.0  #: s of wall time without Gazebo after which it is said that it is waited for
Kind = Literal["lidar", "camera"]


class GzSimulatorConfig(Config):
    """Parameters of the node that stands for Gazebo."""

    world: str = Field(description="SDFormat world file, before it was written for Gazebo")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    bridge_file: str = Field(description="list of topics, as ros_gz_bridge reads it")
    without: tuple[Kind, ...] = Field((), description="kinds of sensors that Gazebo's world was written without")
    replaced: tuple[Kind, ...] = Field((), description="kinds of sensors that another node publishes instead")
    paused: bool = Field(False, description="stays paused, for lockstep by the step service")
    sync: Sync = Field("off", description="steps Gazebo, and waits for commands: over the radio, or direct; off: never")
    sync_patience: float = Field(1.0, gt=0, le=600, description="s of wall time that a command is waited for")
    wait_for: tuple[str, ...] = Field((), description="full names of the nodes that have to be there before time runs")
    readers: tuple[str, ...] = Field(
        ("/robots",), description="full names of the nodes that hold readings, told in this order of a reset"
    )
    start_patience: float = Field(60.0, gt=0, description="s of wall time that they are waited for")


class GzSimulatorNode(LeanNode):
    """The node `simulator` where Gazebo simulates; README.md lists its topics, services and parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("simulator", **options)
        self._config = config = ros_params.declare(self, GzSimulatorConfig).config
        self._world = world = compose(config.world, config.robots)
        self._step = round(world.time_step * NANOSECONDS)
        self.gazebo = GazeboWorld(self, world.name, self._step)
        silence = {name: _silence(robot) for name, robot in world.robots.items()}
        self._respawns = Respawns(silence, self._remove, self._create, self._tell_down)
        self._schedule = CommandSchedule(self._step)
        self._in_force: dict[str, list[float]] = {}
        self._obeyed: dict[str, Publisher] = {}  # of what each robot obeys, with sync
        self._tasks: dict[str, Task] = {}
        self._commands = {name: self._follow(robot) for name, robot in world.robots.items()}
        self._odometry = [self._watch_odometry(robot) for robot in world.robots.values()]
        self._wait = self._make_wait(config)
        self._stepping: Stepping | None = None
        if config.sync != "off":
            meanwhile, obey = self._between_blocks, self._obey
            self._stepping = Stepping(self, self.gazebo, self._wait, self._schedule, world, meanwhile, obey)
        self._gate: StartGate | None = StartGate(self, config.wait_for, config.start_patience)
        self._places = StartPlaces(self, world) if config.sync == "radio" else None
        self._sensors = SensorWatch(self, world, rows_for(load_rows(config.bridge_file), world), config.without)
        self._readers = Readers(self, config.readers)
        self._lacks = words.lacks(world, set(config.without) - set(config.replaced))
        self._paused, self._expected = config.paused, 0
        self._set_running, self._ran_at = False, (-1, 0.0)
        self._looked, self._made, self._told = 0.0, time.monotonic(), False
        self._simulated, self._last, self._wall, self._since = 0, 0, 0.0, 0.0
        for line in self._lacks:
            self.get_logger().warning(line)
        self._host = self.create_publisher(HostReport, "~/host", LATCHED)
        self.create_service(ResetSimulation, "~/reset", self._on_reset)
        self._resets = self.create_service(ResetRobots, "~/reset_robots", self._on_reset_robots)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(StepSimulation, "~/step", self._on_step)
        own = OwnServices(self._on_reset, self._on_reset_robots, self._on_pause, self._on_step)
        self._interfaces = offer(
            self, own, lambda: self._paused, lambda: max(0, self.gazebo.now), dict.fromkeys(world.robots)
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(TICK, self._on_tick, clock=steady)
        self.create_timer(REPORT_PERIOD, self._report, clock=steady)

    def _make_wait(self, config: GzSimulatorConfig) -> CommandWait:
        topics = [CommandTopic(name, each.msg_type, each) for name, each in self._commands.items()]
        if config.sync == "direct":
            return DirectWait(self, topics, self._schedule, config.sync_patience, self._take_commands, self._step)
        # the radio itself waits for others that long, and says so meanwhile
        patience = 2.0 * config.sync_patience if config.sync == "radio" else 0.0
        return RadioWait(self, topics, self._schedule, patience, self._take_commands)

    # ------------------------------------------------------------------ topics

    def _follow(self, robot: Robot) -> Subscription:
        """Listens to a robot's commands, which the bridge takes to Gazebo."""
        task = self._tasks[robot.name] = robot_task(robot, self._world)
        topic, kind = COMMAND_TYPES[task.command]
        handle = partial(self._on_command, robot.name)
        if self._config.sync != "off":
            self._obeyed[robot.name] = self.create_publisher(kind, f"/{robot.name}/{topic}{IN_FORCE}", RELIABLE)
        return self.create_subscription(kind, f"/{robot.name}/{topic}", handle, STREAM, callback_group=Unexecuted())

    def _on_command(self, robot: str, message: Any) -> None:
        self._wait.catch_up()
        numbers, steps = command_numbers(message), self.gazebo.now // self._step
        self._in_force[robot] = numbers
        scheduled = self._schedule.copy_of(robot, numbers)
        if scheduled is None:
            self._obey(robot, message)
            self._wait.obeyed(robot, steps)
        elif self._stepping is None:
            self._schedule.lateness.obeyed(steps, scheduled.due)

    def _obey(self, robot: str, message: Any) -> None:
        """With sync, says which command a robot obeys from now on."""
        if robot in self._obeyed:
            self._obeyed[robot].publish(message)
            if leaves_alone(self._tasks[robot], message):
                self._wait.leave_alone(robot)

    def _take_commands(self) -> None:
        for subscription in self._commands.values():
            drain(subscription, subscription.callback)

    def _watch_odometry(self, robot: Robot) -> Subscription:
        def seen(message: Odometry) -> None:
            self._respawns.saw(robot.name, to_nanoseconds(message.header.stamp))

        return self.create_subscription(Odometry, f"/{robot.name}/odom", seen, NEWEST, callback_group=Unexecuted())

    def _report(self) -> None:
        """Publishes how far the run was the model's and how far the host's, and what is missing."""
        wait, lateness = self._wait, self._schedule.lateness
        self._host.publish(HostReport(
            sync=self._stepping is not None, simulated=self._simulated / NANOSECONDS, wall=self._wall,
            commands=lateness.commands, late_p50=lateness.quantile(0.5), late_p99=lateness.quantile(0.99),
            late_max=lateness.quantile(1.0), waits=wait.waits, waited=wait.waited, given_up=wait.given_up,
            silent=wait.silent, lacks=[*self._lacks, *self._sensors.lacks],
        ))  # fmt: skip

    # ------------------------------------------------------------------ time

    def _on_tick(self) -> None:
        self.gazebo.take()
        self._take_commands()
        if self._gate is not None and not self._begins(self._gate):
            return
        self._look_at_time()
        if not self._paused:
            if self._stepping is None:
                self._keep_running()
            else:
                self._stepping.run()
        self._between_blocks()
        self._count()

    def _begins(self, gate: StartGate) -> bool:
        """Whether all are there; until then Gazebo stands at time zero."""
        now = time.monotonic()
        if now - self._looked < START_LOOK:
            return False
        self._looked = now
        if not self.gazebo.there:
            if not self._told and now - self._made > TOLD:
                self._told = True
                self.get_logger().warning(words.WAITING)
            return False
        if self._paused or gate.opens(self._stepping is None or self._wait.ready):
            if self._places is not None:
                self._places.close()
            self._gate, self._last, self._since, self._expected = None, self.gazebo.now, now, self.gazebo.begun_anew
            return True
        if self._places is not None and self.gazebo.now == 0:
            self._places.publish()
            self._wait.tell(0, 1, [])
        return False

    def _look_at_time(self) -> None:
        """Notices that Gazebo began anew without being asked, as after its death: it stands at time zero then."""
        if self.gazebo.begun_anew == self._expected:
            return
        self.get_logger().warning(words.started_again(self.gazebo.begun_anew - self._expected))
        self._begin_anew()

    def _begin_anew(self) -> None:
        """The world stands at its start; what the robots have asked for until they are told so is of before."""
        self._readers.begin_anew()
        self._take_resets()
        self._expected, self._last, self._set_running = self.gazebo.begun_anew, 0, False
        self._in_force.clear()
        self._respawns.begin_anew()
        if self._stepping is not None:
            self._stepping.restart()
        else:
            self._schedule.clear()

    def _keep_running(self) -> None:
        """Sets the world running, again where its clock does not move; one that a person pauses later stays so."""
        now, (asked_at, asked) = self.gazebo.now, self._ran_at
        if self._set_running:
            return
        if asked_at >= 0 and now > asked_at:
            self._set_running, self._ran_at = True, (-1, 0.0)
        elif asked_at < 0 or time.monotonic() - asked > 1.0:
            self.gazebo.control(pause=False)
            self._ran_at = now, time.monotonic()

    def _between_blocks(self) -> None:
        """Puts robots back, as far as that is; takes what asks for it."""
        for subscription in self._odometry:
            drain(subscription, subscription.callback)
        self._take_resets()
        self._respawns.progress(self.gazebo.now)

    def _take_resets(self) -> None:
        """Takes what asks that robots be put back."""
        if isinstance(self.executor, LeanExecutor):
            self.executor.serve_now(self._resets)

    def _count(self) -> None:
        """Adds up simulated time and the wall time that it took, without pauses."""
        now, wall = self.gazebo.now, time.monotonic()
        if now > self._last:
            self._simulated += now - self._last
            self._sensors.look(now)
        if not self._paused:
            self._wall += wall - self._since
        self._last, self._since = now, wall

    # ------------------------------------------------------------------ robots

    def _remove(self, name: str) -> None:
        stands = self._paused or self._stepping is not None
        (self.gazebo.remove_soon if stands else self.gazebo.remove)(name)

    def _create(self, name: str) -> None:
        placed = self._world.robots[name].placed
        self.gazebo.create(name, gz_model(self._world, name, self._config.without), placed.pose)

    def _tell_down(self, name: str, tries: int) -> None:
        self.get_logger().error(words.not_put_back(name, tries))

    def _on_reset_robots(self, request: Any, response: Any) -> Any:
        """Answers when the robots are on their way back into the world; their odometry shows when they are there."""
        unknown = [name for name in request.robots if name not in self._world.robots]
        if unknown:
            response.message = f"unknown robots {unknown}; known: {', '.join(self._world.robots)}"
            return response
        names = list(request.robots or self._world.robots)
        response.success, response.message = True, f"put back: {', '.join(names)}"
        # whatever its stamp: a reading may be here before the clock; what is of before a reset is dropped at the reset
        answer, missing = Future(), set(names)

        def back(name: str) -> None:
            missing.discard(name)
            if not missing and not answer.done():
                answer.set_result(response)

        for name in names:
            self._in_force.pop(name, None)
            self._respawns.ask(name, self.gazebo.now, partial(back, name))
        return answer

    # ------------------------------------------------------------------ services

    def _on_reset(self, request: Any, response: Any) -> Any:
        """The world as at its start; Gazebo has no random start, so the seed has no effect."""
        if not self.gazebo.restart(ANSWER):
            response.message = words.SILENT
            return response
        self._begin_anew()
        if self._stepping is not None:
            self._wait.tell(0, 1, [])
        response.success, response.message = True, "world reset"
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        paused = self._paused
        self._paused = request.data
        if request.data and not paused and not self.gazebo.stand(ANSWER):
            response.message = words.SILENT
            return response
        if not request.data and paused:
            self._set_running, self._ran_at = False, (-1, 0.0)
        self._last, self._since = self.gazebo.now, time.monotonic()
        response.success, response.message = True, "paused" if self._paused else "running"
        return response

    def _on_step(self, request: Any, response: Any) -> Any:
        response.message = step_refusal(self, request, self._paused, self._commands, self._in_force)
        if not response.message:
            rounds = self.gazebo.begun_anew
            response.success = self.gazebo.advance(request.steps, ANSWER)
            if not response.success:
                response.message = words.SILENT if self.gazebo.begun_anew == rounds else words.ANEW
        response.time = to_stamp(max(0, self.gazebo.now))
        return response


def _silence(robot: Robot) -> int:
    """ns of simulated time without odometry after which a robot is not in the world: two readings that are missing."""
    output = robot.description.odometry
    return round((2.0 / output.rate if output and output.rate else 0.0) * NANOSECONDS) + DELIVERY


def main() -> None:
    """Entry point of the executable ``gz_simulator``."""
    ros_node.run(GzSimulatorNode)


if __name__ == "__main__":
    main()
