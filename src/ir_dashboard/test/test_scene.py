# SPDX-License-Identifier: Apache-2.0
"""The scene against the world that it was made of."""

import json

import numpy as np
import pytest
from conftest import WORLD

from ir_dashboard import scene as drawing
from ir_sim.sdf.world import compose


def matrix(pose):
    x, y, z, w = pose[3:]
    m = np.eye(4)
    m[:3, 3] = pose[:3]
    m[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return m


@pytest.fixture(scope="module")
def scene():
    return drawing.scene(compose(WORLD, ["cart", "spider", "hopper", "cart_2:cart"]))


def test_every_robot_is_there_with_its_joints(scene):
    world = compose(WORLD, ["cart", "spider", "hopper", "cart_2:cart"])
    assert list(scene["robots"]) == list(world.robots)
    for name, robot in world.robots.items():
        joints = {link["joint"] for link in scene["robots"][name]["links"]} - {""}
        rails = {j.name for j in robot.description.joints.values() if j.child == robot.description.base} | {
            "rootx",
            "rootz",
        }
        assert joints == set(robot.joints) - rails
        assert sum(len(link["shapes"]) for link in scene["robots"][name]["links"]) > 0


def test_links_at_rest_are_where_the_model_says(scene):
    world = compose(WORLD, ["cart", "spider", "hopper"])
    for name, robot in world.robots.items():
        model, placed = robot.description, []
        base = model.links[model.base].pose
        for link in scene["robots"][name]["links"]:
            placed.append((placed[link["parent"]] if link["parent"] >= 0 else np.eye(4)) @ matrix(link["rest"]))
            joint = model.joints.get(link["joint"])
            if joint:
                expected = base.inverse() @ model.links[joint.child].pose
                np.testing.assert_allclose(placed[-1][:3, 3], expected.position, atol=1e-4)
                np.testing.assert_allclose(placed[-1][:3, :3], expected.rotation, atol=1e-4)


def test_scenery_and_goals(scene):
    assert scene["goals"]["cart"][0] == [-1.0, -2.2] and len(scene["goals"]["cart_2"]) == 5
    kinds = [shape[0] for shape in scene["shapes"]]
    assert kinds.count("box") == 7 and kinds.count("cylinder") == 13
    assert scene["radius"] == 8.0
    json.dumps(scene, allow_nan=False)
