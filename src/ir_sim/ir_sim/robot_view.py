# SPDX-License-Identifier: Apache-2.0
"""One robot's part of a MuJoCo model: where its state stands, how it is commanded, what it senses."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from ir_sim.readings import Array, Imu, JointStates, Odometry, Scan, Shot, Touch
from ir_sim.sdf import GROUND, Robot
from ir_sim.sdf.mujoco_compiler import VISUAL_GROUP
from ir_sim.sdf.sensors import Sensor

_LIMIT_OF = (0, 1, 0)
"""By axis of a drive's command, the limit that it has: linear or turn."""
_SEEN = np.array([group == VISUAL_GROUP for group in range(mujoco.mjNGROUP)], dtype=np.uint8)


@dataclass
class Drive:
    """State of a drive: command wanted and in force, each forward (m/s), turn (rad/s) and to the left (m/s)."""

    wanted: Array = field(default_factory=lambda: np.zeros(3))
    given: Array = field(default_factory=lambda: np.zeros(3))

    @property
    def settled(self) -> bool:
        """Whether the command in force is the one wanted."""
        return bool((self.wanted == self.given).all())


class RobotView:
    """A robot in a compiled model.

    Args:
        model, data: the simulation's.
        robot: which.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, robot: Robot) -> None:
        self.robot, self.name = robot, robot.name
        self._model, self._data = model, data
        description = robot.description
        self.base = model.body(f"{self.name}/{description.base}").id
        self.bodies = np.array(sorted({model.body(f"{self.name}/{link}").id for link in description.links}))
        self.geoms = np.flatnonzero(np.isin(model.geom_bodyid, self.bodies))
        joints = [j for j in range(model.njnt) if model.jnt_bodyid[j] in self.bodies]
        self.qpos = _addresses(model, joints, model.jnt_qposadr, _POSITIONS)
        self.dofs = _addresses(model, joints, model.jnt_dofadr, _VELOCITIES)
        free = [
            j for j in joints if model.jnt_bodyid[j] == self.base and model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE
        ]
        self.free = int(model.jnt_qposadr[free[0]]) if free else None  # where its base's pose stands in qpos
        self.joint_names = description.joint_states.joints if description.joint_states else robot.joints
        named = [model.joint(f"{self.name}/{joint}") for joint in self.joint_names]
        self._joint_qpos = np.array([int(j.qposadr[0]) for j in named], dtype=int)
        self._joint_dofs = np.array([int(j.dofadr[0]) for j in named], dtype=int)
        self.actuators = {
            model.actuator(a).name.removeprefix(f"{self.name}/"): a
            for a in range(model.nu)
            if model.actuator(a).name.startswith(f"{self.name}/")
        }
        self.sensors: tuple[tuple[str, Sensor], ...] = tuple(
            (link.name, sensor) for link in description.links.values() for sensor in link.sensors
        )
        self.is_watched = np.zeros(model.ngeom, dtype=bool)  #: [ngeom] whether a contact sensor watches the geom
        for link, sensor in self.sensors:
            for collision in sensor.collisions:
                self.is_watched[model.geom(f"{self.name}::{link}::{collision}").id] = True
        self._is_ground = ground_geoms(model)
        self._names = [model.geom(g).name for g in range(model.ngeom)]
        self.drive = Drive() if description.drive else None
        self._generators: dict[str, np.random.Generator] = {}
        self.random = np.random.default_rng()
        self._imus = {s.name: _ImuParts(model, self.name, s) for _, s in self.sensors if s.kind == "imu"}
        self._rays = {s.name: _Rays(s) for _, s in self.sensors if s.kind == "lidar"}

    def seed(self, seed: int) -> None:
        """Fresh random generators: one for the robot's resets and one for each sensor's noise."""
        self.random = _generator(seed, self.name)
        self._generators = {s.name: _generator(seed, f"{self.name}/{s.name}") for _, s in self.sensors}

    def place(self, start: Array, noise: float) -> None:
        """Puts the robot at its start pose, at rest, with uniform noise on its joints; commands are forgotten."""
        self._data.qpos[self.qpos] = start[self.qpos]
        self._data.qvel[self.dofs] = 0.0
        self._data.qacc_warmstart[self.dofs] = 0.0
        self._data.ctrl[list(self.actuators.values())] = 0.0
        if noise:
            count = len(self._joint_qpos)
            self._data.qpos[self._joint_qpos] += self.random.uniform(-noise, noise, count)
            self._data.qvel[self._joint_dofs] += self.random.uniform(-noise, noise, count)
        if self.drive:
            self.drive = Drive()

    def show(self, odometry: Odometry | None, joints: JointStates | None) -> None:
        """Takes over the pose of what its sensors reported elsewhere, to be looked at: no physics, no velocities."""
        at = self.free
        if odometry is not None and at is not None:
            self._data.qpos[at : at + 3] = odometry.position
            self._data.qpos[at + 3 : at + 7] = odometry.orientation[[3, 0, 1, 2]]
        if joints is not None:
            for name, position in zip(joints.names, joints.positions, strict=True):
                if name in self.joint_names:
                    self._data.qpos[self._joint_qpos[list(self.joint_names).index(name)]] = position

    def drive_on(self, time_step: float) -> None:
        """Moves the drive's command one physics step towards the one wanted, within its limits, and sets the wheels."""
        description, drive = self.robot.description.drive, self.drive
        if description is None or drive is None:
            return
        wanted, given = drive.wanted.tolist(), drive.given.tolist()
        for i, limit in enumerate(_LIMIT_OF):  # numbers are faster as such than as arrays
            low, high = float(description.velocity_low[limit]), float(description.velocity_high[limit])
            wanted[i] = min(max(wanted[i], low), high)
            change, most = wanted[i] - given[i], float(description.acceleration_high[limit]) * time_step
            least = float(description.acceleration_low[limit]) * time_step
            given[i] = wanted[i] if abs(change) <= abs(most) else given[i] + min(max(change, least), most)
        drive.wanted, drive.given = np.array(wanted), np.array(given)
        for name, value in description.commands(*given).items():
            self._data.ctrl[self.actuators[name]] = value

    def odometry(self) -> Odometry:
        """Pose and velocity of the base link."""
        velocity = np.empty(6)
        mujoco.mj_objectVelocity(self._model, self._data, mujoco.mjtObj.mjOBJ_XBODY, self.base, velocity, 1)
        orientation = self._data.xquat[self.base][[1, 2, 3, 0]]
        return Odometry(self._data.xpos[self.base].copy(), orientation, velocity[3:], velocity[:3])

    def joint_states(self) -> JointStates:
        """Positions, velocities and efforts of the joints."""
        return JointStates(
            self.joint_names,
            self._data.qpos[self._joint_qpos],
            self._data.qvel[self._joint_dofs],
            self._data.qfrc_actuator[self._joint_dofs],
        )

    def imu(self, sensor: Sensor) -> Imu:
        """An IMU with its noise."""
        parts = self._imus[sensor.name]
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, self._data.site_xmat[parts.site])
        noise = self._generators[sensor.name].standard_normal(6)
        values = self._data.sensordata[parts.addresses] + parts.mean + parts.deviation * noise
        return Imu(quaternion[[1, 2, 3, 0]], values[:3], values[3:])

    def scan(self, sensor: Sensor, noisy: bool = True) -> Scan:
        """A lidar's sweep over everything visible but the link that it stands on."""
        lidar = sensor.lidar
        if lidar is None:
            raise ValueError(f"{sensor.name} is no lidar")
        rays, site = self._rays[sensor.name], self._data.site(f"{self.name}/{sensor.name}")
        turned = rays.directions @ site.xmat.reshape(3, 3).T
        mount = int(self._model.site_bodyid[site.id])
        mujoco.mj_multiRay(self._model, self._data, site.xpos, turned.ravel(), _SEEN, 1, mount, rays.hit, rays.distance,
                           None, len(rays.distance), lidar.range_max)  # fmt: skip
        ranges = np.where(rays.hit >= 0, rays.distance, np.inf)
        if noisy:
            ranges += lidar.noise.mean + lidar.noise.deviation * self._generators[sensor.name].standard_normal(
                len(ranges)
            )
        ranges[ranges > lidar.range_max] = np.inf
        ranges[ranges < lidar.range_min] = -np.inf
        bearings = lidar.bearings
        step = float(bearings[1] - bearings[0]) if len(bearings) > 1 else 0.0
        return Scan(float(bearings[0]), step, lidar.range_min, lidar.range_max, ranges)

    def shot(self, sensor: Sensor) -> Shot:
        """The state that a camera sees."""
        camera = sensor.camera
        if camera is None:
            raise ValueError(f"{sensor.name} is no camera")
        number = self._model.camera(f"{self.name}/{sensor.name}").id
        return Shot(number, camera.width, camera.height, self._data.qpos.copy())

    def _touching(self) -> NDArray[np.int_]:
        """Indices of the contacts of collisions that a contact sensor watches."""
        contacts = self._data.contact
        if not len(contacts.dist):
            return np.empty(0, dtype=int)
        return np.flatnonzero(self.is_watched[contacts.geom].any(axis=1) & (contacts.dist <= 0.0))

    def bump_bearings(self) -> Array:
        """[k] rad: where the base link is touched by anything but the ground, from ahead, counter-clockwise."""
        contacts = self._data.contact
        chosen = [i for i in self._touching() if not self._is_ground[contacts.geom[i]].any()]
        offset = (contacts.pos[chosen] - self._data.xpos[self.base]) @ self._data.xmat[self.base].reshape(3, 3)
        return np.arctan2(offset[:, 1], offset[:, 0])

    def contacts(self) -> tuple[Touch, ...]:
        """All present contacts of the links that a contact sensor watches."""
        contacts, touches, force = self._data.contact, [], np.empty(6)
        for i in self._touching():
            first, second = contacts.geom[i]
            mujoco.mj_contactForce(self._model, self._data, int(i), force)
            touch = Touch(
                first=self._names[first],
                second=self._names[second],
                position=contacts.pos[i].copy(),
                normal=contacts.frame[i][:3].copy(),
                depth=float(max(0.0, -contacts.dist[i])),
                force=float(max(0.0, force[0])),
            )
            touches.append(touch)
        return tuple(touches)


def ground_geoms(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """[ngeom] whether a geom belongs to the ground."""
    return np.array([model.geom(g).name.startswith(f"{GROUND}::") for g in range(model.ngeom)])


_POSITIONS, _VELOCITIES = (7, 4, 1, 1), (6, 3, 1, 1)  # numbers of a free, ball, slide and hinge joint


def _addresses(model: mujoco.MjModel, joints: list[int], first: Array, widths: tuple[int, ...]) -> NDArray[np.int_]:
    """Where the joints' numbers stand in qpos or qvel."""
    return np.concatenate([first[j] + np.arange(widths[model.jnt_type[j]]) for j in joints])


class _ImuParts:
    """Where an IMU's numbers stand, and its noise."""

    def __init__(self, model: mujoco.MjModel, robot: str, sensor: Sensor) -> None:
        name = f"{robot}/{sensor.name}"
        self.site = model.site(name).id
        first = [int(model.sensor(f"{name}/{quantity}").adr[0]) for quantity in ("gyro", "accelerometer")]
        self.addresses = np.concatenate([adr + np.arange(3) for adr in first])
        self.mean = np.array([noise.mean for noise in sensor.noises])
        self.deviation = np.array([noise.deviation for noise in sensor.noises])


class _Rays:
    """Buffers and directions of a lidar."""

    def __init__(self, sensor: Sensor) -> None:
        bearings = sensor.lidar.bearings if sensor.lidar else np.empty(0)
        up = sensor.lidar.elevation if sensor.lidar else 0.0
        flat, rise = math.cos(up), math.sin(up)
        self.directions = np.stack(
            [flat * np.cos(bearings), flat * np.sin(bearings), np.full_like(bearings, rise)], axis=1
        )
        self.hit = np.zeros(len(bearings), dtype=np.int32)
        self.distance = np.zeros(len(bearings))


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
