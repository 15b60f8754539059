# SPDX-License-Identifier: Apache-2.0
"""What the simulated robots' sensors and joints report, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NANOSECONDS = 1_000_000_000  #: of a second


@dataclass(frozen=True)
class Odometry:
    """Pose of the base link in the world (m; quaternion x, y, z, w) and its velocity in its own axes (m/s, rad/s)."""

    position: Array
    orientation: Array
    linear: Array
    angular: Array


@dataclass(frozen=True)
class Imu:
    """Orientation (x, y, z, w), turn rates [3] rad/s, specific force [3] m/s2, in the sensor's axes, noise included."""

    orientation: Array
    angular_velocity: Array
    linear_acceleration: Array


@dataclass(frozen=True)
class JointStates:
    """Joints in the order of the stream's names: rad or m, per second, N m or N."""

    names: tuple[str, ...]
    positions: Array
    velocities: Array
    efforts: Array


@dataclass(frozen=True)
class Scan:
    """Ranges [beams] m, infinite beyond the range, minus infinite under it; beam k points at low + k * step rad."""

    low: float
    step: float
    range_min: float
    range_max: float
    ranges: Array


@dataclass(frozen=True)
class Touch:
    """One contact: scoped names of both collisions, place in the world m, unit normal from the first to the second
    body, penetration depth m, normal force N.
    """

    first: str
    second: str
    position: Array
    normal: Array
    depth: float
    force: float


@dataclass(frozen=True)
class Shot:
    """A camera's picture yet to be rendered: the state of the world at its instant."""

    camera: int  #: MuJoCo id
    width: int
    height: int
    positions: Array  #: [nq]


Value = Odometry | Imu | JointStates | Scan | Shot | tuple[Touch, ...]


@dataclass(frozen=True)
class Reading:
    """One message's worth of one robot's sensor.

    Attributes:
        robot: name.
        kind: odom, imu, joint_states, lidar, camera or contact.
        topic, frame, child_frame: as the SDF says.
        nanoseconds: simulated time.
        value: by kind; a tuple of `Touch` for contacts.
    """

    robot: str
    kind: str
    topic: str
    frame: str
    child_frame: str
    nanoseconds: int
    value: Value
