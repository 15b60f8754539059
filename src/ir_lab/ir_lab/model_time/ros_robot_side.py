# SPDX-License-Identifier: Apache-2.0
"""The robots' side of a simulated run: physics and sensors, and what runs on board of each robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np

from ir_common.ros_time import to_stamp
from ir_interfaces.msg import TaskStatus
from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.ros_samples import CellReportSample, CommandSample, PictureSample, ReadingSample, StateSample
from ir_sim.camera import make_renderer, to_jpeg
from ir_sim.onboard import OnBoard
from ir_sim.picture_rate import PictureRate
from ir_sim.readings import Reading, Scan, Shot
from ir_sim.ros_task_messages import COMMAND_TYPES
from ir_sim.sdf import World
from ir_sim.simulation import Simulation
from ir_sim.tasks import robot_task
from ir_sim.tasks.base import Array


class SimulatorPart:
    """Physics and sensors, run from one instant at which a sensor may report to the next.

    A command takes effect with the first physics step that begins at or after its arrival.

    Args:
        agenda, bus: of the run.
        world: composed world.
        seed: of sensor noise and start perturbations.
        cameras: whether pictures are rendered.
        topics: stack topic of each sensor topic that is published; others are left out.
        adapt: whether pictures are as large and as often as the radio carries them.
        warn: is told when the physics diverged.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, world: World, seed: int, cameras: bool, topics: dict[str, str], adapt: bool,
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self._topics, self._warn = agenda, bus, topics, warn
        self._diverged = 0
        self.simulation = Simulation(world, seed, cameras=cameras)
        self._step = self.simulation.step_nanoseconds
        self._renderer = make_renderer(self.simulation.model) if cameras else None
        self._shown = mujoco.MjData(self.simulation.model) if cameras else None
        self._pictures = PictureRate()
        if cameras and adapt:
            bus.listen("/radio/report", self._on_radio)

    @property
    def next_output(self) -> int:
        """The next instant at which a sensor may report, ns."""
        return self.simulation.next_report * self._step

    def run_to(self, time: int) -> None:
        """Runs physics to an instant, ns, and publishes what sensors report; nothing reports before that instant."""
        count = time // self._step - self.simulation.steps
        if count > 0:
            self.simulation.step(count, self._publish)
        for text in self.simulation.divergences[self._diverged :]:
            self._diverged += 1
            self._warn(text)

    def _publish(self, reading: Reading) -> None:
        topic = self._topics.get(reading.topic)
        if topic is None:
            return
        if isinstance(reading.value, Shot):
            assert self._renderer is not None and self._shown is not None
            shot = self._pictures.take(topic, reading)
            if shot is None or not isinstance(shot.value, Shot):
                return
            reading = shot
            self._shown.qpos[:] = shot.value.positions
            mujoco.mj_kinematics(self.simulation.model, self._shown)
            mujoco.mj_camlight(self.simulation.model, self._shown)
            self._bus.publish(topic, PictureSample(reading, to_jpeg(self._renderer.render(self._shown, shot.value))))
        else:
            self._bus.publish(topic, ReadingSample(reading))

    def _on_radio(self, sample: CellReportSample) -> None:
        for flow in sample.report.flows:
            if flow.direction == "uplink":
                dropped = sum(messages for messages, _ in flow.counters.dropped.values())
                topic, now = f"/{flow.robot}/{flow.topic}", self._agenda.now / NANOSECONDS
                self._pictures.report(topic, flow.counters.offered, flow.counters.queued, dropped, now)

    def obey(self, sample: CommandSample) -> None:
        """Has a robot's command take effect with the next physics step."""
        boundary = -(-self._agenda.now // self._step) * self._step
        self._agenda.at(boundary, self._apply, sample)

    def _apply(self, sample: CommandSample) -> None:
        self.run_to(self._agenda.now)
        values = np.asarray(sample.action, np.float64) * sample.task.action_scale
        if sample.task.velocities:
            self.simulation.drive(sample.robot, float(values[0]), float(values[1]))
        else:
            self.simulation.move_joints(sample.robot, sample.task.action_names, values.tolist())

    def put_back(self, robot: str, done: Callable[[], None]) -> None:
        """Puts a robot back to its start with the next physics step, and says when that is done."""
        boundary = -(-self._agenda.now // self._step) * self._step
        self._agenda.at(boundary, self._reset, robot, done)

    def _reset(self, robot: str, done: Callable[[], None]) -> None:
        self.run_to(self._agenda.now)
        self.simulation.reset_robot(robot)
        done()


class OnBoardPart:
    """What runs on board of one robot: control steps from its sensors, its watchdog, and being put back after a fall.

    Args:
        agenda, bus: of the run.
        simulator: that the robot lives in.
        world: composed world.
        robot: name.
        command_timeout: s without a command after which the robot acts on its own.
        command_age: s after which a command with a stamp is not carried out.

    Attributes:
        onboard: the engine of the live node.
        refused: commands that were too old.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, simulator: SimulatorPart, world: World, robot: str, command_timeout: float,
        command_age: float,
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self._simulator = agenda, bus, simulator
        self._command_age, self.refused = round(command_age * NANOSECONDS), 0
        described = world.robots[robot]
        task = robot_task(described, world)
        goals = world.goals(robot)
        self.onboard = OnBoard(robot, task, described.start, goals, command_timeout, repeats=False)
        self._state_topic, self._command_topic = f"/{robot}/state", f"/{robot}/{COMMAND_TYPES[task.command][0]}"
        for topic in ("contacts", "odom", "joint_states", "scan"):
            bus.listen(f"/{robot}/{topic}", self._on_reading)
        bus.listen(self._command_topic, self._on_command)

    def _on_command(self, sample: CommandSample) -> None:
        stamped = sample.task.command == "twist_stamped"
        if stamped and self._agenda.now - sample.stamp > self._command_age:
            self.refused += 1
            return
        self._simulator.obey(sample)
        self._send(self.onboard.command(sample.action))

    def _send(self, own: Array | None) -> None:
        """Sends what the robot commands itself, if anything."""
        if own is not None:
            onboard = self.onboard
            self._bus.publish(self._command_topic, CommandSample(onboard.name, onboard.task, own, onboard.now))

    def _on_reading(self, sample: ReadingSample) -> None:
        onboard = self.onboard
        output = onboard.feed(as_carried(sample.reading))
        for step in output.steps:
            self._bus.publish(self._state_topic, StateSample(onboard.name, onboard.task, step, onboard.now))
        self._send(output.command)
        if output.reset:
            self._simulator.put_back(onboard.name, onboard.resume)

    def status(self) -> TaskStatus:
        """The message of the robot's counters."""
        message = TaskStatus(task=self.onboard.task.name, **vars(self.onboard.counters))
        message.header.stamp, message.header.frame_id = to_stamp(self.onboard.now), self.onboard.name
        return message


def as_carried(reading: Reading) -> Reading:
    """A reading as its message carries it: a scan in single precision, all else as it is."""
    value = reading.value
    if not isinstance(value, Scan):
        return reading
    low, step, near, far = (float(np.float32(x)) for x in (value.low, value.step, value.range_min, value.range_max))
    ranges = value.ranges.astype(np.float32).astype(np.float64)
    return replace(reading, value=Scan(low, step, near, far, ranges))
