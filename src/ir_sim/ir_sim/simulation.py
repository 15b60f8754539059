# SPDX-License-Identifier: Apache-2.0
"""The simulation: physics, commands and sensors of all robots, in whole physics steps.

Everything that happens is tied to the number of the physics step, never to how `step` was called, so that the same
seed and the same commands at the same steps give the same trajectory, bit for bit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction

import mujoco
import numpy as np

from ir_sim.readings import NANOSECONDS, Reading, Value
from ir_sim.robot_view import RobotView, ground_geoms
from ir_sim.sdf import World
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.sensors import Sensor
from ir_sim.tasks import Sensors, robot_task

CONTACT_CHECK = 4  #: steps between looks for new contacts
ROOM_DEPTH = 0.001  #: m, of a touch that is none yet
ROOM_STEP, ROOM_RINGS = (
    0.3,
    6,
)  #: m between the places, in rings around the start, that may have room for a robot

Sink = Callable[[Reading], None]


@dataclass
class _Stream:
    """One periodic sensor output: its n-th reading is due at step n * period, rounded up."""

    view: RobotView
    kind: str
    topic: str
    frame: str
    child_frame: str
    period: Fraction
    sensor: Sensor | None
    count: int = 0
    due: int = 0  #: step of the next reading

    def __post_init__(self) -> None:
        self.advance()

    def advance(self) -> None:
        """Goes on to the next reading."""
        self.count += 1
        self.due = -(-self.count * self.period.numerator // self.period.denominator)


class Simulation:
    """The robots of a world in MuJoCo: physics, commands and sensors.

    Args:
        world: composed world.
        seed: of sensor noise and start perturbations, not negative.
        cameras: whether cameras make readings.

    Attributes:
        model, data: MuJoCo's.
        steps: physics steps since the last reset.
        divergences: a sentence for each time that a state was not finite: MuJoCo puts the whole world back then.
    """

    def __init__(self, world: World, seed: int = 0, cameras: bool = True) -> None:
        self.world = world
        self.model = compile_world(world)
        self._described = copy(self.model)
        self.data = mujoco.MjData(self.model)
        self._tasks = {name: robot_task(robot, world) for name, robot in world.robots.items()}
        self.views = {name: RobotView(self.model, self.data, robot) for name, robot in world.robots.items()}
        self.step_nanoseconds = round(world.time_step * NANOSECONDS)
        self.divergences: list[str] = []
        self.seed = seed
        self._cameras = cameras
        self._is_ground = ground_geoms(self.model)
        self._is_robots = np.zeros(self.model.ngeom, bool)
        for view in self.views.values():
            self._is_robots[view.geoms] = True
        self._start = self.model.qpos0.copy()
        self.reset(seed)

    @property
    def nanoseconds(self) -> int:
        """Simulated time, ns."""
        return self.steps * self.step_nanoseconds

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return self.nanoseconds / NANOSECONDS

    def reset(self, seed: int | None = None) -> None:
        """The world as at its start, time at zero; without a seed with the present one again."""
        self.seed = self.seed if seed is None else seed
        mujoco.mj_resetData(self.model, self.data)
        self.steps = 0
        for view in self.views.values():
            view.seed(self.seed)
        self._streams = self._make_streams()
        self._next_due = self._first_due()
        self._contact_streams = [stream for stream in self._streams if stream.kind == "contact"]
        self._bumped: dict[str, set[tuple[int, int]]] = {name: set() for name in self.views}
        self._half_done = False
        self._place_all()

    def _place_all(self) -> None:
        for name in self.views:
            self._place(name)
        mujoco.mj_forward(self.model, self.data)

    def _place(self, name: str) -> None:
        self.views[name].place(self._start, self._tasks[name].reset_noise)
        self._half_done = False

    def reset_robot(self, name: str) -> None:
        """Puts one robot back to its start, at rest, with its task's perturbation. Time goes on.

        Where another robot stands there, it is put beside it: two bodies in one place throw each other over the walls.

        Raises:
            KeyError: no such robot.
        """
        self._place(name)
        view = self.views[name]
        if len(self.views) == 1 or view.free is None or not self._overlaps(view, others=True):
            return
        position = self.data.qpos[view.free : view.free + 2]
        start = position.copy()
        for ring in range(1, ROOM_RINGS + 1):
            for k in range(6 * ring):
                angle = 2.0 * np.pi * k / (6 * ring)
                position[:] = start + ROOM_STEP * ring * np.array([np.cos(angle), np.sin(angle)])
                if not self._overlaps(view):
                    return
        position[:] = start

    def _overlaps(self, view: RobotView, others: bool = False) -> bool:
        """Whether a robot is within anything but the ground; with `others`, within another robot."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        pairs = self.data.contact.geom
        own = np.isin(pairs, view.geoms)
        met = own.any(axis=1) & ~own.all(axis=1) & (self.data.contact.dist < -ROOM_DEPTH)
        met &= self._is_robots[pairs].all(axis=1) if others else ~self._is_ground[pairs].any(axis=1)
        return bool(met.any())

    def vary(self, name: str, mass: float, friction: float) -> None:
        """Makes one robot's body another: all its masses and inertias, and all its friction, times a positive factor.

        Factors refer to the robot as described, not as varied before. Ends with `reset`.

        Raises:
            ValueError: a factor is not positive.
        """
        if not (mass > 0.0 and friction > 0.0):
            raise ValueError(f"factors of mass and friction must be positive, got {mass:g} and {friction:g}")
        bodies, geoms = self.views[name].bodies, self.views[name].geoms
        described = self._described
        self.model.body_mass[bodies] = described.body_mass[bodies] * mass
        self.model.body_inertia[bodies] = described.body_inertia[bodies] * mass
        self.model.geom_friction[geoms, 0] = described.geom_friction[geoms, 0] * friction
        mujoco.mj_setConst(self.model, self.data)
        self.reset()

    def drive(self, name: str, forward: float, turn: float, sideways: float = 0.0) -> None:
        """Tells a robot's drive its speeds, m/s, rad/s and m/s to the left; they stay in force.

        A drive that cannot go sideways passes over what it is told of that.

        Raises:
            ValueError: the robot has no drive on wheels, or a speed is not finite.
        """
        view = self.views[name]
        description = view.robot.description.drive
        if view.drive is None or description is None:
            raise ValueError(f"{name} has no drive on wheels")
        if not all(map(math.isfinite, (forward, turn, sideways))):
            raise ValueError(f"speeds must be finite, got {forward}, {turn}, {sideways}")
        view.drive.wanted = np.array([forward, turn, sideways if description.sideways else 0.0])

    def move_joints(self, name: str, joints: Sequence[str], values: Sequence[float]) -> None:
        """Tells joints their positions (rad or m) or efforts (N m or N), whichever they are controlled by.

        Raises:
            ValueError: unknown or repeated joints, a wrong number of values, or one that is not finite.
        """
        view = self.views[name]
        controller = view.robot.description.controller
        known = controller.joints if controller else ()
        unknown = [joint for joint in joints if joint not in known]
        if unknown:
            raise ValueError(f"{name} does not control {unknown}; its joints: {list(known)}")
        if len(set(joints)) != len(joints) or len(values) != len(joints):
            raise ValueError(f"expected one value for each joint, got {len(values)} for {list(joints)}")
        if not np.all(np.isfinite(values)):
            raise ValueError(f"values must be finite, got {list(values)}")
        for joint, value in zip(joints, values, strict=True):
            self.data.ctrl[view.actuators[joint]] = value

    @property
    def outputs(self) -> dict[str, str]:
        """Kind of reading by topic, for everything that makes readings."""
        return {stream.topic: stream.kind for stream in self._streams}

    @property
    def next_report(self) -> int:
        """The step before which no reading is made."""
        check = (self.steps // CONTACT_CHECK + 1) * CONTACT_CHECK
        return min(check, self._next_due)

    def step(self, count: int, sink: Sink | None = None) -> None:
        """Runs physics steps; what sensors report meanwhile goes to `sink`."""
        end = self.steps + count
        while self.steps < end:
            report = self.next_report
            self._run(min(end, report) - self.steps)
            if self.steps == report:
                self._report(sink)

    def sensors(self, name: str) -> Sensors:
        """What a robot's task observes now, without noise; the goal is left to the `Episode`."""
        self._refresh()
        view = self.views[name]
        odometry = view.odometry()
        joints = view.joint_states()
        order = self._task_order(view)
        scan = next((view.scan(s, noisy=False) for _, s in view.sensors if s.kind == "lidar"), None)
        lidar = next((s.lidar for _, s in view.sensors if s.lidar), None)
        return Sensors(
            time=self.time,
            position=odometry.position,
            orientation=odometry.orientation,
            linear_velocity=odometry.linear,
            angular_velocity=odometry.angular,
            joint_positions=joints.positions[order],
            joint_velocities=joints.velocities[order],
            ranges=scan.ranges if scan else np.empty(0),
            bearings=lidar.bearings if lidar else np.empty(0),
            bumps=view.bump_bearings(),
        )

    def places(self, sink: Sink) -> None:
        """Makes a reading of every robot's odometry, besides those that come with time."""
        self._refresh()
        for stream in self._streams:
            if stream.kind == "odom":
                self._emit(stream, self._value(stream), sink)

    def _task_order(self, view: RobotView) -> list[int]:
        return [view.joint_names.index(joint) for joint in self._tasks[view.name].joint_names]

    def _make_streams(self) -> list[_Stream]:
        """All periodic outputs; at one instant they report in this order, what a task waits for last."""
        streams: list[_Stream] = []
        for view in self.views.values():
            description = view.robot.description
            if description.odometry:
                out = description.odometry
                streams.append(
                    _Stream(view, "odom", out.topic, out.frame, out.child_frame, self._period(out.rate), None)
                )
            topics: set[str] = set()
            for _, sensor in view.sensors:
                if sensor.topic in topics or (sensor.kind == "camera" and not self._cameras):
                    continue  # contact sensors of several links share one topic
                topics.add(sensor.topic)
                streams.append(
                    _Stream(view, sensor.kind, sensor.topic, sensor.frame, "", self._period(sensor.rate), sensor)
                )
            if description.joint_states:
                joints = description.joint_states
                streams.append(_Stream(view, "joint_states", joints.topic, "", "", self._period(joints.rate), None))
        order = ("contact", "odom", "imu", "camera", "joint_states", "lidar")
        return sorted(streams, key=lambda stream: order.index(stream.kind))

    def _period(self, rate: float) -> Fraction:
        """Steps between readings at a rate in Hz; 0: one."""
        if rate == 0.0:
            return Fraction(1)
        exact = Fraction(rate).limit_denominator(1000) * Fraction(self.step_nanoseconds, NANOSECONDS)
        return max(Fraction(1), 1 / exact)

    def _run(self, count: int) -> None:
        """Exactly `count` physics steps, at least one."""
        driven = [view for view in self.views.values() if view.drive is not None]
        for _ in range(count):
            moving = [view for view in driven if view.drive and not view.drive.settled]
            if not moving and not self._half_done:
                break
            for view in moving:
                view.drive_on(self.model.opt.timestep)
            if self._half_done:
                mujoco.mj_step2(self.model, self.data)
            else:
                mujoco.mj_step(self.model, self.data)
            self._half_done = False
            self.steps += 1
            count -= 1
        if count:
            mujoco.mj_step(self.model, self.data, count)
            self.steps += count
        if self.data.warning.number[_BAD].any():
            self._start_again()

    def _start_again(self) -> None:
        """After a state that was not finite, of which MuJoCo has put everything, time too, to its model's zero."""
        warning = self.data.warning[_BAD[int(np.argmax(self.data.warning.number[_BAD]))]]
        names = [name for name, view in self.views.items() if warning.lastinfo in view.dofs]
        whose = f" of {names[0]}" if names else ""
        self.divergences.append(
            f"the physics{whose} diverged at {self.time:g} s: all robots were put back to their start"
        )
        self.data.warning.number[_BAD] = 0
        self._place_all()

    def _refresh(self) -> None:
        """Brings positions and velocities of everything up to the present state."""
        if not self._half_done:
            mujoco.mj_step1(self.model, self.data)  # the first half of the next step
            self._half_done = True

    def _report(self, sink: Sink | None) -> None:
        """Makes the readings due at this step. Contacts are those of the step that has just ended."""
        due = [stream for stream in self._streams if stream.due <= self.steps]
        if sink is None:
            for stream in due:
                stream.advance()
            self._next_due = self._first_due()
            return
        bumped = self._bumps()
        for stream in self._contact_streams:
            name = stream.view.name
            if stream.due <= self.steps or bumped[name] - self._bumped[name]:
                self._emit(stream, stream.view.contacts(), sink)
        self._bumped = bumped
        if any(stream.kind != "contact" for stream in due):
            self._refresh()
        for stream in due:
            stream.advance()
            if stream.kind != "contact":
                self._emit(stream, self._value(stream), sink)
        self._next_due = self._first_due()

    def _first_due(self) -> int:
        """The step of the next periodic reading of any sensor."""
        return min((stream.due for stream in self._streams), default=_NEVER)

    def _bumps(self) -> dict[str, set[tuple[int, int]]]:
        """By robot, the pairs of geoms by which it touches anything but the ground."""
        bumps: dict[str, set[tuple[int, int]]] = {name: set() for name in self.views}
        contacts = self.data.contact
        pairs = contacts.geom
        touching = (contacts.dist <= 0.0) & ~self._is_ground[pairs].any(axis=1) if len(pairs) else ()
        if np.any(touching):
            for first, second in pairs[touching].tolist():
                for name, view in self.views.items():
                    if view.is_watched[first] or view.is_watched[second]:
                        bumps[name].add((first, second))
        return bumps

    def _value(self, stream: _Stream) -> Value:
        view, sensor = stream.view, stream.sensor
        if stream.kind == "odom":
            return view.odometry()
        if sensor is None:
            return view.joint_states()
        make: dict[str, Callable[[Sensor], Value]] = {"imu": view.imu, "lidar": view.scan, "camera": view.shot}
        return make[stream.kind](sensor)

    def _emit(self, stream: _Stream, value: Value, sink: Sink) -> None:
        names = (stream.view.name, stream.kind, stream.topic, stream.frame, stream.child_frame)
        sink(Reading(*names, self.nanoseconds, value))


_NEVER = 2**63 - 1
_BAD = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{name}")) for name in ("QPOS", "QVEL", "QACC")]


def _warn(text: str) -> None:
    """Takes MuJoCo's own warnings, which it would write into a file MUJOCO_LOG.TXT in the present folder."""
    logging.getLogger(__name__).warning("MuJoCo: %s", text)


mujoco.set_mju_user_warning(_warn)
