# SPDX-License-Identifier: Apache-2.0
"""The map against the world that it is of."""

from pathlib import Path

import numpy as np
import pytest

from ir_sim.occupancy import FREE, MOST_CELLS, OCCUPIED, occupancy_map
from ir_sim.sdf import compose

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"


@pytest.fixture(scope="module")
def grid():
    return occupancy_map(compose(WORLD, ["cart"]))


def at(grid, x, y):
    return grid.cells[int((y - grid.origin[1]) / grid.resolution), int((x - grid.origin[0]) / grid.resolution)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((0.0, 6.0), OCCUPIED), ((0.0, 5.85), FREE), ((-8.0, 3.0), OCCUPIED), ((0.0, 6.3), FREE),  # walls of 0.2 m
        ((3.5, 0.5), OCCUPIED), ((3.5, 0.82), OCCUPIED), ((3.74, 0.74), OCCUPIED), ((3.77, 0.77), FREE),  # a pillar
        ((-3.0, -3.0), OCCUPIED), ((-3.0 + 0.5, -3.0), FREE), ((-3.0 + 0.37, -3.0 + 0.11), OCCUPIED),  # a turned crate
        ((-2.9, 0.1), FREE),
    ],
)  # fmt: skip
def test_what_stands_there_is_in_the_map(grid, place, value):
    assert at(grid, *place) == value


def test_one_thing_far_away_makes_the_cells_larger_not_the_map(tmp_path):
    """A box 2 km away would have made it one of 1.6 thousand million cells."""
    box = "<link name='l'><collision name='c'><geometry><box><size>10 10 1</size></box></geometry></collision></link>"
    (tmp_path / "wide.sdf").write_text(
        f"<sdf version='1.9'><world name='w'><model name='far'><static>1</static><pose>2000 1995 0 0 0 0</pose>{box}"
        "</model></world></sdf>"
    )
    grid = occupancy_map(compose(tmp_path / "wide.sdf"))
    assert 0.9 * MOST_CELLS < grid.cells.size < 1.01 * MOST_CELLS
    assert at(grid, 2000, 1995) == OCCUPIED and at(grid, 1990, 1995) == FREE
    assert np.sum(grid.cells == OCCUPIED) * grid.resolution**2 == pytest.approx(100, rel=0.3)


def test_its_area_is_that_of_the_scenery(grid):
    crate = 0.8 * 0.8
    x, y = (np.arange(n) * grid.resolution + o for n, o in zip(grid.cells.T.shape, grid.origin, strict=True))
    near = (np.abs(x[None] + 3) < 0.8) & (np.abs(y[:, None] + 3) < 0.8)
    assert (grid.cells[near] == OCCUPIED).sum() * grid.resolution**2 == pytest.approx(crate, rel=0.05)
    assert grid.cells[0].max() == FREE and grid.cells[:, -1].max() == FREE  # free floor outside the walls
