# SPDX-License-Identifier: Apache-2.0
"""URDF and frames of the robots against MuJoCo: its own URDF reader, and the compiled SDF model."""

from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from ir_sim.sdf import compose
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.urdf import Branch, to_urdf, tree

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"
ROBOTS = ("cart", "spider", "hopper")


@pytest.fixture(scope="module")
def world():
    return compose(WORLD, [*ROBOTS, "cart_2:cart"])


def rotation(quaternion):
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quaternion, dtype=float))
    return matrix.reshape(3, 3)


def positions_of(branches, rng):
    """A position within the limits of every joint."""
    joints = [branch.joint for branch in branches if branch.joint]
    return {j.name: rng.uniform(max(j.lower, -1.0), min(j.upper, 1.0)) for j in joints}


def poses_of(base: str, branches: tuple[Branch, ...], positions: dict[str, float]) -> dict[str, Pose]:
    """Pose of every frame in that of the base."""
    poses = {base: Pose()}
    for branch in branches:
        translation, quaternion = branch.at(positions[branch.joint.name] if branch.joint else 0.0)
        poses[branch.child] = poses[branch.parent] @ Pose(translation, rotation(quaternion))
    return poses


@pytest.mark.parametrize("name", [*ROBOTS, "cart_2"])
def test_urdf_read_by_mujoco_has_links_masses_and_motion_of_the_model(world, name):
    description = world.robots[name].description
    branches = tree(name, description)
    text = to_urdf(name, description)
    flags = '<mujoco><compiler fusestatic="false" discardvisual="false" strippath="false"/></mujoco></robot>'
    model = mujoco.MjModel.from_xml_string(text.replace("</robot>", flags))
    links = [
        link for link in description.links if f"{name}/{link}" in {b.child for b in branches} | {f"{name}/base_link"}
    ]
    assert sum(description.links[link].mass for link in links) == pytest.approx(float(model.body_mass.sum()), rel=1e-6)
    data = mujoco.MjData(model)
    positions = positions_of(branches, np.random.default_rng(3))
    assert {model.joint(j).name for j in range(model.njnt)} == set(positions)
    for joint, position in positions.items():
        data.joint(joint).qpos = position
    mujoco.mj_kinematics(model, data)
    for frame, pose in poses_of(f"{name}/base_link", branches, positions).items():
        if frame in {model.body(b).name for b in range(model.nbody)}:
            np.testing.assert_allclose(pose.position, data.body(frame).xpos, atol=1e-6, err_msg=frame)
            np.testing.assert_allclose(pose.rotation, data.body(frame).xmat.reshape(3, 3), atol=1e-6, err_msg=frame)


@pytest.mark.parametrize("name", ROBOTS)
def test_frames_move_as_the_simulated_links_and_sensors_do(world, name):
    description = world.robots[name].description
    branches = tree(name, description)
    model = compile_world(world)
    data = mujoco.MjData(model)
    positions = positions_of(branches, np.random.default_rng(5))
    for joint, position in positions.items():
        data.joint(f"{name}/{joint}").qpos = position
    mujoco.mj_kinematics(model, data)
    base = data.body(f"{name}/{description.base}")
    root = Pose(base.xpos.copy(), base.xmat.reshape(3, 3).copy())
    moved = {branch.child: branch.joint for branch in branches}
    for frame, pose in poses_of(f"{name}/base_link", branches, positions).items():
        link = frame.removeprefix(f"{name}/")
        if frame == f"{name}/base_link":
            link = description.base
        seen = root @ pose
        if link in description.links:
            body = data.body(f"{name}/{link}")
            at = moved.get(frame).position if moved.get(frame) else np.zeros(3)
            expected = body.xpos + body.xmat.reshape(3, 3) @ at
            np.testing.assert_allclose(seen.rotation, body.xmat.reshape(3, 3), atol=1e-9, err_msg=frame)
        else:
            sensor, owner = next((s, o) for o in description.links.values() for s in o.sensors if s.frame == frame)
            body = data.body(f"{name}/{owner.name}")
            expected = body.xpos + body.xmat.reshape(3, 3) @ sensor.pose.position
        np.testing.assert_allclose(seen.position, expected, atol=1e-9, err_msg=frame)


def test_hopper_stands_on_a_base_link_of_its_own_and_rails_are_left_out(world):
    branches = tree("hopper", world.robots["hopper"].description)
    assert [b.child for b in branches][:2] == ["hopper/torso", "hopper/thigh"]
    assert branches[0].joint is None and not any("slider" in b.child for b in branches)


def test_every_sensor_with_a_frame_has_it_in_the_tree(world):
    for name, robot in world.robots.items():
        frames = {f"{name}/base_link", *(b.child for b in tree(name, robot.description))}
        sensors = [s for link in robot.description.links.values() for s in link.sensors if s.frame]
        assert {s.frame for s in sensors} <= frames


def test_a_capsule_is_a_cylinder_with_balls_and_names_are_unique(world):
    root = ElementTree.fromstring(to_urdf("hopper", world.robots["hopper"].description))
    torso = root.find("link[@name='hopper/torso']")
    shapes = [visual.find("geometry")[0].tag for visual in torso.findall("visual")]
    assert shapes == ["cylinder", "sphere", "sphere"]
    assert len({visual.get("name") for visual in torso.findall("visual")}) == 3
    assert root.find("joint[@name='thigh_joint']/limit").get("lower") == "-2.61799388"
    wheels = ElementTree.fromstring(to_urdf("cart", world.robots["cart"].description))
    assert wheels.find("joint[@name='left_wheel_joint']").get("type") == "continuous"
