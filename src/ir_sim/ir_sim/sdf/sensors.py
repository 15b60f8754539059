# SPDX-License-Identifier: Apache-2.0
"""What SDFormat <sensor> elements say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import Notes
from ir_sim.sdf.poses import Pose

KINDS = {
    "imu": "imu",
    "gpu_lidar": "lidar",
    "lidar": "lidar",
    "ray": "lidar",
    "gpu_ray": "lidar",
    "camera": "camera",
    "contact": "contact",
}


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, in the units of what it is added to."""

    mean: float = 0.0
    deviation: float = 0.0


@dataclass(frozen=True)
class Lidar:
    """A planar lidar: bearings [beams] rad counter-clockwise from ahead, range m, elevation rad (up is positive)."""

    bearings: NDArray[np.float64]
    range_min: float
    range_max: float
    noise: Noise
    elevation: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: pixels, horizontal field of view in rad."""

    width: int
    height: int
    field_of_view: float


@dataclass(frozen=True)
class Sensor:
    """One sensor. `pose` in its link's frame; for an IMU [6] noises: turn rates, then accelerations."""

    name: str
    kind: str
    pose: Pose
    topic: str
    rate: float  #: Hz; 0: at every physics step
    frame: str
    element: Element
    lidar: Lidar | None = None
    camera: Camera | None = None
    noises: tuple[Noise, ...] = field(default=(Noise(),) * 6)
    collisions: tuple[str, ...] = ()


def read_sensor(element: Element, pose: Pose, notes: Notes) -> Sensor:
    """A <sensor> that `grammar.check` has passed; `pose` in its link's frame."""
    kind = KINDS.get(element.attribute("type"))
    if kind is None:
        raise element.error(f"type {element.attributes['type']!r} is not supported; known: {', '.join(KINDS)}")
    content = element.find(kind) or (element.find("ray") if kind == "lidar" else None)
    if content is None and kind != "imu":
        raise element.error(f"lacks <{kind}>")
    rate = element.number("update_rate", 0.0)
    if rate < 0:
        raise element.require("update_rate").error(f"must not be negative, got {rate:g}")
    camera = _read_camera(content) if kind == "camera" and content else None
    return Sensor(
        name=element.attribute("name"),
        kind=kind,
        pose=pose,
        topic=element.string("contact/topic" if kind == "contact" else "topic", ""),
        rate=rate,
        frame=element.string("gz_frame_id", ""),
        element=element,
        lidar=_read_lidar(content, notes) if kind == "lidar" and content else None,
        camera=camera,
        noises=_read_imu_noise(content) if kind == "imu" and content else (Noise(),) * 6,
        collisions=tuple(e.text for e in content.all("collision")) if kind == "contact" and content else (),
    )


def _read_noise(element: Element | None) -> Noise:
    if element is None:
        return Noise()
    kind = element.attributes.get("type") or element.string("type", "none")
    if kind not in ("gaussian", "gaussian_quantized", "none"):
        raise element.error(f"type {kind!r} is not supported; known: gaussian, none")
    deviation = element.number("stddev", 0.0)
    if deviation < 0:
        raise element.error(f"standard deviation must not be negative, got {deviation:g}")
    return Noise() if kind == "none" else Noise(element.number("mean", 0.0), deviation)


def _read_imu_noise(element: Element) -> tuple[Noise, ...]:
    quantities = ("angular_velocity", "linear_acceleration")
    return tuple(_read_noise(element.find(f"{quantity}/{axis}/noise")) for quantity in quantities for axis in "xyz")


def _whole(element: Element, path: str) -> int:
    value = element.positive(path)
    if value != int(value):
        raise element.require(path).error(f"must be a whole number, got {value:g}")
    return int(value)


def _read_lidar(element: Element, notes: Notes) -> Lidar:
    scan = element.require("scan/horizontal")
    low, high = scan.number("min_angle"), scan.number("max_angle")
    range_min, range_max = element.positive("range/min"), _limit(element.require("range/max"))
    if high < low or range_max <= range_min:
        raise element.error("its maxima must be above its minima")
    bearings = np.linspace(low, high, _whole(scan, "samples"))
    noise, elevation = _read_noise(element.find("noise")), 0.0
    vertical = element.find("scan/vertical")
    if vertical is not None:
        rows = _whole(vertical, "samples") if vertical.find("samples") else 1
        levels = np.linspace(vertical.number("min_angle", 0.0), vertical.number("max_angle", 0.0), rows)
        elevation = float(levels[np.argmin(np.abs(levels))])
        if rows > 1:
            notes.add(vertical, "of its rows the one nearest to the horizontal is scanned")
    return Lidar(bearings, range_min, range_max, noise, elevation)


def _limit(element: Element) -> float:
    """A length that may be inf."""
    return 1e6 if element.text.lower().lstrip("+") in ("inf", "infinity") else float(element.vector(1)[0])


def _read_camera(element: Element) -> Camera:
    view = element.positive("horizontal_fov", 1.047)
    if view >= np.pi:
        raise element.require("horizontal_fov").error(f"must be under pi, got {view:g}")
    width, height = (
        _whole(element, f"image/{side}") if element.find(f"image/{side}") else default
        for side, default in (("width", 320), ("height", 240))
    )
    return Camera(width, height, view)
