# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Nav2: it asks the stack for what Nav2 asks, map and pose, and gives what Nav2 gives, velocities."""

import heapq
import math

import numpy as np


class GridNavigator:
    """A path on the inflated map (Dijkstra), followed by regulated pure pursuit as Nav2's default controller does.

    Args:
        grid: `ir_sim.occupancy.OccupancyMap`.
        radius: m, of the robot and what stays free around it.
    """

    def __init__(self, grid, radius, speed=0.5, ahead=0.5):
        self._grid, self._speed, self._ahead = grid, speed, ahead
        reach = math.ceil(radius / grid.resolution)
        rows, columns = np.nonzero(grid.cells > 0)
        self._blocked = np.zeros(grid.cells.shape, bool)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if math.hypot(dx, dy) * grid.resolution <= radius:
                    y, x = np.clip(rows + dy, 0, len(grid.cells) - 1), np.clip(columns + dx, 0, grid.cells.shape[1] - 1)
                    self._blocked[y, x] = True
        self.path = []

    def go_to(self, start, goal):
        """Plans from a place to a place, m in the map."""
        begin, end = self._cell(*start), self._cell(*goal)
        known, queue, origin = {begin: 0.0}, [(0.0, begin)], {}
        while queue:
            cost, cell = heapq.heappop(queue)
            if cell == end:
                break
            if cost > known[cell]:
                continue
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    following = cell[0] + dy, cell[1] + dx
                    inside = 0 <= following[0] < len(self._blocked) and 0 <= following[1] < self._blocked.shape[1]
                    far = cost + math.hypot(dx, dy)
                    if (dx or dy) and inside and not self._blocked[following] and far < known.get(following, math.inf):
                        known[following], origin[following] = far, cell
                        heapq.heappush(queue, (far, following))
        assert end in known, "no path"
        cells = [end]
        while cells[-1] != begin:
            cells.append(origin[cells[-1]])
        self.path = [self._place(*cell) for cell in reversed(cells)]

    def velocity(self, x, y, heading):
        """Forward speed (m/s) and turn rate (rad/s) at a pose in the map; none at the end of the path."""
        far = [math.hypot(px - x, py - y) for px, py in self.path]
        nearest = int(np.argmin(far))
        del self.path[:nearest]
        far = far[nearest:]
        if far[-1] < 0.1:
            return 0.0, 0.0
        px, py = self.path[next((i for i, distance in enumerate(far) if distance >= self._ahead), -1)]
        bearing = math.remainder(math.atan2(py - y, px - x) - heading, 2 * math.pi)
        if abs(bearing) > 0.8:
            return 0.0, math.copysign(1.0, bearing)
        return self._speed * min(1.0, far[-1] / 0.5 + 0.1), 2.0 * self._speed * math.sin(bearing) / self._ahead

    def _cell(self, x, y):
        (ox, oy), size = self._grid.origin, self._grid.resolution
        return int((y - oy) / size), int((x - ox) / size)

    def _place(self, row, column):
        (ox, oy), size = self._grid.origin, self._grid.resolution
        return ox + (column + 0.5) * size, oy + (row + 0.5) * size
