# SPDX-License-Identifier: Apache-2.0
"""An occupancy grid of a world's scenery, for planners and localisers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.poses import Pose
from ir_sim.sdf.shapes import Geometry
from ir_sim.sdf.world import GROUND, World

FREE, OCCUPIED = 0, 100
"""Values of nav_msgs/OccupancyGrid."""
HEIGHTS = (0.05, 0.1, 0.2, 0.3)
"""m above the floor at which something counts as in the way of a robot."""
MOST_CELLS = 4_000_000
"""Of a map; that of a wider world is coarser, so that one thing far away does not take all the memory there is."""
MARGIN = 0.5
"""m of free floor around what stands outermost."""


class OccupancyMap(NamedTuple):
    """Cells of equal size, axes along those of the map frame."""

    cells: NDArray[np.int8]
    """[rows, columns]: row along y, column along x."""
    resolution: float
    """m."""
    origin: tuple[float, float]
    """m, the corner of cell [0, 0] with the least x and y."""


def occupancy_map(world: World, resolution: float = 0.05) -> OccupancyMap:
    """The map of what stands still in a world, but for its ground. A cell is occupied where its middle is.

    Cells are larger than asked for where there would be more than `MOST_CELLS`.
    Shapes other than boxes, cylinders, capsules and spheres count with the box around them.
    """
    shapes = [
        (collision.geometry, placed.pose @ link.pose @ collision.pose)
        for name, placed in world.scenery.items()
        for link in (placed.model.links.values() if name != GROUND else ())
        for collision in link.collisions
        if collision.geometry.kind not in ("plane", "heightmap")
    ]
    low, high = np.full(2, -MARGIN), np.full(2, MARGIN)
    for geometry, pose in shapes:
        middle, edges = geometry.box()
        place, half = (pose.position + pose.rotation @ middle)[:2], (np.abs(pose.rotation) @ edges / 2)[:2]
        low, high = np.minimum(low, place - half - MARGIN), np.maximum(high, place + half + MARGIN)
    resolution = max(resolution, math.sqrt(float(np.prod(high - low)) / MOST_CELLS))
    columns, rows = (math.ceil(size / resolution) for size in high - low)
    x = low[0] + resolution * (np.arange(columns) + 0.5)
    y = low[1] + resolution * (np.arange(rows) + 0.5)
    cells = np.full((rows, columns), FREE, np.int8)
    for geometry, pose in shapes:
        for height in HEIGHTS:
            cells[_inside(geometry, pose, x[None, :], y[:, None], height)] = OCCUPIED
    return OccupancyMap(cells, resolution, (float(low[0]), float(low[1])))


def _inside(
    geometry: Geometry, pose: Pose, x: NDArray[np.float64], y: NDArray[np.float64], height: float
) -> NDArray[np.bool_]:
    """Which of the places [rows, columns] at a height are in a shape."""
    middle, edges = geometry.box()
    centre = pose.position + pose.rotation @ middle
    offset = (x - centre[0], y - centre[1], height - centre[2])
    own = [sum(pose.rotation[i, axis] * offset[i] for i in range(3)) for axis in range(3)]
    within = [np.abs(value) <= edge / 2 for value, edge in zip(own, edges, strict=True)]
    inside: NDArray[np.bool_] = within[0] & within[1] & within[2]
    if geometry.kind in ("cylinder", "capsule", "sphere"):
        inside &= own[0] ** 2 + own[1] ** 2 <= (edges[0] / 2) ** 2
    if geometry.kind in ("capsule", "sphere"):
        straight = edges[2] / 2 - edges[0] / 2
        inside &= own[0] ** 2 + own[1] ** 2 + np.maximum(np.abs(own[2]) - straight, 0.0) ** 2 <= (edges[0] / 2) ** 2
    return inside
