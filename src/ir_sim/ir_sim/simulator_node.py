# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo simulator as a node: publishes and subscribes to what the bridge file names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from ir_common import ros_node, ros_params
from ir_common.config import Config, ConfigError, live
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, LeanNode, drain
from ir_common.ros_poll import Unexecuted
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import HostReport
from ir_interfaces.srv import ResetRobots, ResetSimulation, StepSimulation
from ir_sim.bridge import Row, check_type, load_rows, rows_for
from ir_sim.command_schedule import CommandSchedule
from ir_sim.pacer import Pacer, longest_turn
from ir_sim.readings import NANOSECONDS, Reading
from ir_sim.ros_command_wait import CommandTopic, CommandWait, DirectWait, RadioWait, Sync
from ir_sim.ros_pictures import CameraPictures
from ir_sim.ros_sensors import MESSAGE_TYPES, reading_to_message
from ir_sim.ros_simulation_interfaces import OwnServices, offer
from ir_sim.ros_start import StartGate
from ir_sim.ros_step_requests import step_refusal
from ir_sim.ros_task_messages import COMMAND_TYPES, IN_FORCE, check_age, command_numbers, leaves_alone, twist_of
from ir_sim.sdf import World, compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import robot_task

SENSOR_QOS = QoSProfile(depth=10)
"""As ros_gz_bridge publishes: reliable, so that readers of either kind and recorders get it; little is kept."""

TICK = 0.004  #: s of wall time between looks at the clock
REPORT_PERIOD = 0.5  #: s of wall time between reports of the host
START_LOOK = 0.1  #: s of wall time between two looks whether all are there
_VELOCITIES = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped")
_TRIGGER_KINDS = {"scan": "lidar", "joint_states": "joint_states"}  # kind of reading by a task's trigger topic


class SimulatorConfig(Config):
    """Parameters of the simulator."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    bridge_file: str = Field(description="list of topics, as ros_gz_bridge reads it")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of sensor noise and start perturbations")
    real_time_factor: float = live(
        1.0, ge=0.0, le=1000.0, description="simulated seconds per second, 0: as fast as it can"
    )
    paused: bool = Field(False, description="starts paused, for lockstep by the step service")
    clock_rate: float = Field(50.0, gt=0.0, le=1000.0, description="rate of /clock in simulated time, Hz")
    command_age: float = Field(0.5, gt=0.0, description="s after which a command with a stamp is not carried out")
    cameras: bool = Field(True, description="false: no camera pictures")
    adapt_cameras: bool = Field(True, description="pictures as large and as often as the radio carries them")
    sync: Sync = Field(
        "off", description="waits for commands that are on their way: over the radio, or direct; off: never"
    )
    sync_patience: float = Field(
        1.0, gt=0, le=600, description="s of wall time that a command is waited for, with sync"
    )
    wait_for: tuple[str, ...] = Field((), description="full names of the nodes that have to be there before time runs")
    start_patience: float = Field(60.0, gt=0, description="s of wall time that they are waited for")


class SimulatorNode(LeanNode):
    """The node `simulator`; README.md lists its topics, services and parameters."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self._settings = ros_params.declare(self, SimulatorConfig, on_change=lambda _: self._set_pace())
        config = self._settings.config
        world = compose(config.world, config.robots)
        rows = rows_for(load_rows(config.bridge_file), world)
        self.simulation = Simulation(world, config.seed, cameras=config.cameras)
        self._pictures = CameraPictures(self, self.simulation, config.cameras and config.adapt_cameras)
        self._paused = config.paused
        self._clock_steps = max(1, round(NANOSECONDS / config.clock_rate / self.simulation.step_nanoseconds))
        self._clock_message = ClockMessage()
        self._ignored: dict[str, int] = {}
        self._divergences = 0
        self._due: list[str] = []  # robots with a reading of now that may make a control step
        self._in_force: dict[str, list[float]] = {}  # command of each robot since it was put back
        self._commands: dict[str, Subscription] = {}
        self._obeyed: dict[str, Any] = {}  # publishers of what each robot obeyed, with sync
        self._schedule = CommandSchedule(self.simulation.step_nanoseconds)
        self._apply: dict[str, Callable[[str, Any], None]] = {}
        self._outputs: dict[str, Any] = {}
        self._messages: dict[str, Any] = {}
        self._clock_publisher = None
        self._connect(rows, world)
        self._tasks = {name: robot_task(world.robots[name], world) for name in self._commands}
        self._triggers = {name: _TRIGGER_KINDS[task.trigger] for name, task in self._tasks.items()}
        self._wait = self._make_wait(config)
        self._gate = StartGate(self, config.wait_for, config.start_patience) if config.wait_for else None
        self._looked = 0.0
        self._running = 0.0  # s of wall time
        self._host = self.create_publisher(HostReport, "~/host", LATCHED)
        self.create_service(ResetSimulation, "~/reset", self._on_reset)
        group = Unexecuted() if self._synced else None  # robots are put back between two physics steps, too
        self._resets = self.create_service(ResetRobots, "~/reset_robots", self._on_reset_robots, callback_group=group)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(StepSimulation, "~/step", self._on_step)
        own = OwnServices(self._on_reset, self._on_reset_robots, self._on_pause, self._on_step)
        places = {name: view.odometry for name, view in self.simulation.views.items()}
        self._interfaces = offer(self, own, lambda: self._paused, lambda: self.simulation.nanoseconds, places)
        self._pacer = Pacer(world.time_step, longest_turn(world), TICK)
        self._set_pace()
        self._timer = self.create_timer(TICK, self._on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_PERIOD, self._report, clock=steady)
        self._publish_clock()
        robots = ", ".join(f"{r.name} ({r.model})" for r in world.robots.values())
        self.get_logger().info(f"world {world.name} with {robots or 'no robots'}; seed {config.seed}")

    def _make_wait(self, config: SimulatorConfig) -> CommandWait:
        topics = [CommandTopic(name, each.msg_type, each) for name, each in self._commands.items()]
        if config.sync == "direct":
            return DirectWait(
                self, topics, self._schedule, config.sync_patience, self._take_commands,
                self.simulation.step_nanoseconds,
            )  # fmt: skip
        # the radio itself waits for others that long, and says so meanwhile
        patience = 2.0 * config.sync_patience if config.sync == "radio" else 0.0
        return RadioWait(self, topics, self._schedule, patience, self._take_commands)

    @property
    def _synced(self) -> bool:
        return self._settings.config.sync != "off"

    # ------------------------------------------------------------------ topics

    def _connect(self, rows: list[Row], world: World) -> None:
        """Makes a publisher or subscription for every row that something in the world answers to."""
        outputs = self.simulation.outputs
        group = Unexecuted() if self._synced else None  # their turn is between two physics steps
        commands = {d.topic: name for name, r in world.robots.items()
                    for d in (r.description.drive, r.description.controller) if d}  # fmt: skip
        for row in rows:
            if row.ros_type_name == "rosgraph_msgs/msg/Clock":
                self._clock_publisher = self.create_publisher(ClockMessage, row.ros_topic_name, SENSOR_QOS)
            elif row.direction != "ROS_TO_GZ" and row.gz_topic_name in outputs:
                kind = outputs[row.gz_topic_name]
                check_type(row, row.stack_topic[1], MESSAGE_TYPES[kind])
                publisher = self.create_publisher(MESSAGE_TYPES[kind], row.stack_topic[0], SENSOR_QOS)
                self._outputs[row.gz_topic_name] = publisher
            elif row.direction != "GZ_TO_ROS" and row.gz_topic_name in commands:
                robot = commands[row.gz_topic_name]
                drive = world.robots[robot].description.drive is not None
                wanted = COMMAND_TYPES[robot_task(world.robots[robot], world).command][1]
                if not (drive and row.ros_type_name in _VELOCITIES):  # with a stamp or without: the task says which
                    check_type(row, row.ros_type_name, wanted)
                handle = self._handler(robot, self._drive if drive else self._move_joints)
                self._commands[robot] = self.create_subscription(
                    wanted, row.ros_topic_name, handle, STREAM, callback_group=group
                )
                if self._synced:
                    self._obeyed[robot] = self.create_publisher(wanted, row.ros_topic_name + IN_FORCE, RELIABLE)
            elif self._settings.config.cameras or row.ros_type_name != "sensor_msgs/msg/Image":
                self.get_logger().warning(f"bridge file: nothing in world {world.name} is at {row.gz_topic_name}")
        if self._clock_publisher is None:
            raise ConfigError(f"{self._settings.config.bridge_file}: has no row for /clock (rosgraph_msgs/msg/Clock)")

    def _handler(self, robot: str, apply: Callable[[str, Any], None]) -> Callable[[Any], None]:
        """Callback of a command topic; what is scheduled is obeyed in its time, all else at once."""
        self._apply[robot] = apply

        def handle(message: Any) -> None:
            self._wait.catch_up()
            scheduled = self._schedule.copy_of(robot, command_numbers(message))
            if scheduled is None or not self._synced:
                self._obey(robot, message)
            if scheduled is None:
                self._wait.obeyed(robot, self.simulation.steps)
            elif not self._synced:
                self._schedule.lateness.obeyed(self.simulation.steps, scheduled.due)

        return handle

    def _obey(self, robot: str, message: Any) -> None:
        """Does what a command says; what cannot be done is counted and told, never obeyed in part."""
        try:
            self._apply[robot](robot, message)
            self._in_force[robot] = command_numbers(message)
            if robot in self._obeyed:
                self._obeyed[robot].publish(message)
                if leaves_alone(self._tasks[robot], message):
                    self._wait.leave_alone(robot)
        except ValueError as error:
            self._ignored[robot] = self._ignored.get(robot, 0) + 1
            text = f"command for {robot} ignored ({self._ignored[robot]} so far): {error}"
            self.get_logger().warning(text, throttle_duration_sec=5.0)

    def _drive(self, robot: str, message: Twist | TwistStamped) -> None:
        check_age(message, self.simulation.nanoseconds, self._settings.config.command_age)
        twist = twist_of(message)
        self.simulation.drive(robot, twist.linear.x, twist.angular.z, twist.linear.y)

    def _move_joints(self, robot: str, message: JointTrajectory) -> None:
        if len(message.points) != 1:
            raise ValueError(f"expected one trajectory point, got {len(message.points)}")
        controller = self.simulation.world.robots[robot].description.controller
        by_position = controller is not None and controller.by_position
        values = message.points[0].positions if by_position else message.points[0].effort
        self.simulation.move_joints(robot, message.joint_names, list(values))

    def _publish(self, reading: Reading) -> None:
        publisher = self._outputs.get(reading.topic)
        if publisher is None:
            return
        if reading.kind == "camera":
            # in lockstep every picture counts; otherwise a late one is worth less than the pace
            self._pictures.take(reading, publisher, 10**6 if self._paused else len(self._outputs))
        else:
            self._messages[reading.topic] = reading_to_message(reading, self._messages.get(reading.topic))
            publisher.publish(self._messages[reading.topic])

    def _publish_clock(self) -> None:
        self._clock_message.clock = to_stamp(self.simulation.nanoseconds)
        if self._clock_publisher is not None:
            self._clock_publisher.publish(self._clock_message)

    # ------------------------------------------------------------------ time

    def advance(self, count: int, waiting: bool = False) -> None:
        """Runs `count` physics steps and publishes what they report, /clock before the readings of its instant.

        Args:
            count: physics steps.
            waiting: for commands that are on their way, before each step that they may concern.
        """
        end = self.simulation.steps + count
        while self.simulation.steps < end:
            if waiting:
                self._meet()
            for command in self._schedule.take(self.simulation.steps):
                self._obey(command.robot, command.message)
            if waiting and self._synced:
                self._wait.settle()
            tick = (self.simulation.steps // self._clock_steps + 1) * self._clock_steps
            report = self.simulation.next_report
            goal = min(tick, end)
            if self._synced:
                goal = min(goal, report, self._schedule.next_step or goal)
            self._advance_to(goal, tick)
            if self._synced and self.simulation.steps == report:
                self._tell()
        for text in self.simulation.divergences[self._divergences :]:
            self._divergences += 1
            self.get_logger().error(text)

    def _advance_to(self, goal: int, tick: int) -> None:
        readings: list[Reading] = []
        self.simulation.step(goal - self.simulation.steps, readings.append)
        now = self.simulation.nanoseconds
        for reading in readings:
            if reading.nanoseconds < now:
                self._publish(reading)
        if self.simulation.steps == tick:
            self._publish_clock()
        for reading in readings:
            if reading.nanoseconds == now:
                self._publish(reading)
        self._due = [r.robot for r in readings if r.nanoseconds == now and self._triggers.get(r.robot) == r.kind]

    def _tell(self) -> None:
        """Says how far the simulation is: once all is published that is of this instant."""
        simulation = self.simulation
        self._wait.tell(simulation.nanoseconds, simulation.next_report * simulation.step_nanoseconds, self._due)
        self._due = []

    def _meet(self) -> None:
        """Waits until the simulation may go on from here, and does what others have asked for meanwhile."""
        if not self._synced:
            return
        self._wait.meet()
        self._take_commands()
        self._serve_resets()

    def _serve_resets(self) -> None:
        if self._synced and isinstance(self.executor, LeanExecutor):
            self.executor.serve_now(self._resets)

    def _set_pace(self) -> None:
        """Counts the pace from now on."""
        self._since = time.monotonic()
        self._pacer.restart(self._settings.config.real_time_factor, self.simulation.steps)

    def _on_tick(self) -> None:
        if self._paused or (self._gate is not None and not self._begins(self._gate)):
            self._serve_resets()
            return
        for count in self._pacer.round(lambda: self.simulation.steps):
            if not self._synced:
                self._take_commands()
            self.advance(count, waiting=True)
        now = time.monotonic()
        self._running, self._since = self._running + now - self._since, now

    def _begins(self, gate: StartGate) -> bool:
        """Whether all are there; until then they are shown where the robots are, at time zero."""
        if time.monotonic() - self._looked < START_LOOK:
            return False
        self._looked = time.monotonic()
        if not gate.opens(self._wait.ready or not self._synced):
            self.simulation.places(self._publish)
            if self._synced:
                self._tell()
            return False
        self._gate = None
        self._set_pace()
        return True

    def _take_commands(self) -> None:
        """Takes the commands that wait: the executor, busy with a tick, does not look there."""
        for subscription in self._commands.values():
            drain(subscription, subscription.callback)

    def _report(self) -> None:
        """Publishes how far the run was the model's and how far the host's."""
        wait, lateness = self._wait, self._schedule.lateness
        self._host.publish(HostReport(
            sync=self._synced, simulated=self.simulation.time, wall=self._running, commands=lateness.commands,
            late_p50=lateness.quantile(0.5), late_p99=lateness.quantile(0.99), late_max=lateness.quantile(1.0),
            waits=wait.waits, waited=wait.waited, given_up=wait.given_up, silent=wait.silent,
        ))  # fmt: skip

    # ------------------------------------------------------------------ services

    def _on_reset(self, request: Any, response: Any) -> Any:
        if request.seed >= 2**31:
            response.message = f"seed must be under 2^31, got {request.seed}"
            return response
        self._pictures.flush()
        self.simulation.reset(request.seed if request.seed >= 0 else None)
        self._in_force.clear()
        self._schedule.clear()
        self._wait.restart()
        self._set_pace()
        self._publish_clock()
        if self._synced:
            self._tell()
        response.success, response.message = True, f"world reset with seed {self.simulation.seed}"
        return response

    def _on_reset_robots(self, request: Any, response: Any) -> Any:
        unknown = [name for name in request.robots if name not in self.simulation.views]
        if unknown:
            response.message = f"unknown robots {unknown}; known: {', '.join(self.simulation.views)}"
            return response
        outdated = to_nanoseconds(request.stamp) > self.simulation.nanoseconds  # from before a reset of the world
        for name in () if outdated else request.robots or list(self.simulation.views):
            self.simulation.reset_robot(name)
            self._in_force.pop(name, None)
        response.success, response.message = True, f"put back: {', '.join(request.robots or self.simulation.views)}"
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        self._paused = request.data
        self._set_pace()
        response.success, response.message = True, "paused" if self._paused else "running"
        return response

    def _on_step(self, request: Any, response: Any) -> Any:
        response.message = step_refusal(self, request, self._paused, self._commands, self._in_force)
        if not response.message:
            self.advance(request.steps)
            self._pictures.flush()
            response.success = True
        response.time = to_stamp(self.simulation.nanoseconds)
        return response

    def close(self) -> None:
        """Ends the cameras' thread."""
        self._pictures.close()


def main() -> None:
    """Entry point of the executable ``simulator``."""
    ros_node.run(SimulatorNode)


if __name__ == "__main__":
    main()
