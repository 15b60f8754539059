# SPDX-License-Identifier: Apache-2.0
"""Where another robot has room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_sim.sdf.model import Model
from ir_sim.sdf.poses import Pose

CLEARANCE = 0.3  #: m, free space around a robot that is placed
_SUNK = 0.002  #: m, that a model may stand in a floor
RINGS = 40  #: how many rings around its model's start are tried


class _Placed(Protocol):
    @property
    def model(self) -> Model: ...
    @property
    def pose(self) -> Pose: ...


def free_pose(model: Model, start: Pose, placed: Mapping[str, _Placed], file: Path) -> Pose:
    """The place nearest to `start`, with its height and heading, where a model touches nothing.

    Places are tried to the left and right of the start first, then on the rest of each ring around it, always in the
    same order, so that the same choice of robots gives the same world.

    Raises:
        ConfigError: there is no room.
    """
    boxes = [(low[:2], high[:2]) for item in placed.values() for low, high in _boxes(item.model, item.pose)]
    radius = max((_reach(low[:2], high[:2]) for low, high in _boxes(model, Pose())), default=0.1) + CLEARANCE
    for ring in range(RINGS + 1):
        for angle in np.pi * np.array([0.5, -0.5, 1.0, 0.25, -0.25, 0.75, -0.75, 0.0]):
            offset = ring * radius * np.array([np.cos(angle), np.sin(angle), 0.0])
            pose = Pose(start.position + start.rotation @ offset, start.rotation)
            if all(_distance(pose.position[:2], low, high) >= radius for low, high in boxes):
                return pose
    raise ConfigError(f"{file}: no room for robot {model.name!r} near {start.position.tolist()}; choose fewer robots")


def standing_pose(model: Model) -> Pose:
    """The origin, or as far above it as a model needs that would be in a floor at height zero."""
    low = min((box[0][2] for box in _boxes(model, Pose())), default=0.0)
    return Pose(np.array([0.0, 0.0, max(0.0, -low) if low < -_SUNK else 0.0]))


def _boxes(model: Model, pose: Pose) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Boxes (low [3], high [3]) around a model's collisions; planes, heightmaps are floors."""
    boxes = []
    for link in model.links.values():
        for collision in link.collisions:
            if collision.geometry.kind not in ("plane", "heightmap"):
                at = pose @ link.pose @ collision.pose
                middle, edges = collision.geometry.box()
                place, half = at.position + at.rotation @ middle, np.abs(at.rotation) @ edges / 2
                boxes.append((place - half, place + half))
    return boxes


def _reach(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))


def _distance(point: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.maximum(0.0, np.maximum(low - point, point - high))))
