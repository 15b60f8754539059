# SPDX-License-Identifier: Apache-2.0
"""The compiled MuJoCo model holds the very numbers of the SDF files, read here by another parser."""

import math
import shutil
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
from conftest import ROOT, WORLD

from ir_sim.sdf import compose
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.tasks.hopper_hop import TORQUE

ROBOTS = ("cart", "spider", "hopper")


@pytest.fixture(scope="module")
def model(field):
    return compile_world(field)


def sdf(robot):
    return ElementTree.parse(ROOT / "worlds" / "models" / robot / "model.sdf").getroot().find("model")


def numbers(element, path, default="0"):
    return [float(word) for word in element.findtext(path, default).split()]


def euler(roll, pitch, yaw):
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@pytest.mark.parametrize("robot", ROBOTS)
def test_masses_and_inertias_equal_the_sdf(model, robot):
    for link in sdf(robot).iter("link"):
        body = model.body(f"{robot}/{link.get('name')}")
        inertial = link.find("inertial")
        assert body.mass[0] == float(inertial.findtext("mass"))
        pose = numbers(inertial, "pose", "0 0 0 0 0 0")
        assert body.ipos == pytest.approx(pose[:3], abs=1e-12)
        xx, yy, zz, xy, xz, yz = (
            numbers(inertial, f"inertia/{k}")[0] for k in ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
        )
        turn = euler(*pose[3:])
        expected = turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
        principal = np.empty(9)
        mujoco.mju_quat2Mat(principal, body.iquat)
        principal = principal.reshape(3, 3)
        actual = principal @ np.diag(body.inertia) @ principal.T
        assert actual == pytest.approx(expected, abs=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("robot", ROBOTS)
def test_joints_equal_the_sdf(model, robot):
    for joint in sdf(robot).iter("joint"):
        compiled = model.joint(f"{robot}/{joint.get('name')}")
        lower, upper = numbers(joint, "axis/limit/lower")[0], numbers(joint, "axis/limit/upper")[0]
        limited = abs(lower) < 1e15
        assert bool(model.jnt_limited[compiled.id]) == limited
        if limited:
            assert compiled.range.tolist() == [lower, upper]
        slides = joint.get("type") == "prismatic"
        assert compiled.type[0] == (mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE)
        assert np.ravel(compiled.damping)[0] == numbers(joint, "axis/dynamics/damping")[0]
        assert compiled.axis == pytest.approx(numbers(joint, "axis/xyz"), abs=1e-12)
        effort = joint.findtext("axis/limit/effort")
        if effort is not None:
            actuator = model.actuator(f"{robot}/{joint.get('name')}")
            assert actuator.forcerange.tolist() == [-float(effort), float(effort)]


def test_wheel_geometry_equals_the_sdf(model):
    drive = next(p for p in sdf("cart").iter("plugin") if "DiffDrive" in p.get("name"))
    wheels = [model.body("cart/left_wheel"), model.body("cart/right_wheel")]
    assert wheels[0].pos[1] - wheels[1].pos[1] == pytest.approx(numbers(drive, "wheel_separation")[0], abs=1e-12)
    for side in ("left", "right"):
        tyre = model.geom(f"cart::{side}_wheel::tyre")
        assert tyre.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER
        assert tyre.size[0] == numbers(drive, "wheel_radius")[0]
        assert model.body(f"cart/{side}_wheel").pos[2] == tyre.size[0]


@pytest.mark.parametrize("robot", ROBOTS)
def test_collision_shapes_equal_the_sdf(model, robot):
    for link in sdf(robot).iter("link"):
        for collision in link.iter("collision"):
            if collision.get("name") is None:
                continue  # a contact sensor's reference
            geom = model.geom(f"{robot}::{link.get('name')}::{collision.get('name')}")
            shape = collision.find("geometry")[0]
            sizes = {
                "box": lambda s: [v / 2 for v in numbers(s, "size")],
                "sphere": lambda s: numbers(s, "radius"),
                "cylinder": lambda s: [numbers(s, "radius")[0], numbers(s, "length")[0] / 2],
                "capsule": lambda s: [numbers(s, "radius")[0], numbers(s, "length")[0] / 2],
            }[shape.tag](shape)
            assert geom.size[: len(sizes)] == pytest.approx(sizes, abs=1e-15)
            mu = numbers(collision, "surface/friction/ode/mu", "1")[0]
            assert geom.friction[0] == pytest.approx(mu, abs=1e-4)  # MuJoCo keeps it above 1e-5


def test_the_smaller_friction_of_two_surfaces_counts(model):
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 200)
    seen = set()
    for contact in data.contact:
        names = [model.geom(g).name for g in contact.geom]
        other = next(name for name in names if not name.startswith("ground"))
        geom = model.geom(other)
        seen.add(other)
        if geom.friction[0] > 1e-4:
            assert contact.friction[0] == pytest.approx(min(geom.friction[0], 3.0))
        else:
            assert contact.dim == 1
    assert {"cart::left_wheel::tyre", "cart::base_link::rear_caster"} <= seen


def test_links_of_one_robot_do_not_touch_each_other_but_other_robots(model):
    def collide(a, b):
        first, second = model.geom(a), model.geom(b)
        return bool(first.contype[0] & second.conaffinity[0] | second.contype[0] & first.conaffinity[0])

    assert not collide("spider::left_front_shin::foot", "spider::left_middle_shin::foot")
    assert collide("spider::left_front_shin::foot", "cart::base_link::body")
    assert collide("spider::left_front_shin::foot", "ground::link::collision")
    assert collide("cart::base_link::body", "crate_1::link::collision")


def test_poses_relative_to_frames_and_joints_are_resolved(write_world):
    path = write_world(
        '<model name="m"><link name="a"><pose>1 0 0 0 0 1.5707963267948966</pose></link>',
        '<frame name="f" attached_to="a"><pose>1 0 0 0 0 0</pose></frame>',
        '<link name="b"><pose relative_to="f">0 2 0 0 0 0</pose></link>',
        '<link name="c"><pose relative_to="b" degrees="true">0 0 0 0 0 90</pose></link>',
        '<joint name="j" type="fixed"><parent>a</parent><child>b</child></joint>',
        '<joint name="k" type="revolute"><parent>b</parent><child>c</child><pose>0.5 0 0 0 0 0</pose>',
        '<axis><xyz expressed_in="__model__">1 0 0</xyz></axis></joint>',
        "</model>",
    )
    model = compile_world(compose(path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.body("m/b").xpos == pytest.approx([-1, 1, 0], abs=1e-12)
    assert data.body("m/c").xmat.reshape(3, 3) == pytest.approx(euler(0, 0, math.pi), abs=1e-12)
    assert data.joint("m/k").xaxis == pytest.approx([1, 0, 0], abs=1e-12)
    assert data.joint("m/k").xanchor == pytest.approx([-1.5, 1, 0], abs=1e-12)


def as_hopper_v5(folder):
    """The world with the hopper's joints and contacts as Gymnasium has them: rotors, less damping, softer ground."""
    shutil.copytree(ROOT / "worlds", folder / "worlds")
    file = folder / "worlds" / "models" / "hopper" / "model.sdf"
    text = file.read_text()
    for old, new in (
        ('<sdf version="1.9">', '<sdf version="1.9" xmlns:mujoco="http://mujoco.org">'),
        (f"<effort>{TORQUE:g}</effort>", "<effort>200</effort>"),
        ("<damping>5</damping></dynamics>\n      </axis>",
         '<damping>1</damping></dynamics>\n      </axis><mujoco:joint armature="1"/>'),
        ("</friction>\n", '</friction><mujoco:contact margin="0.001" solref="0.02 1" solimp="0.8 0.8 0.01"/>\n'),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return folder / "worlds" / WORLD.name


def test_a_hopper_with_rotors_moves_as_hopper_v5(tmp_path):
    gymnasium = pytest.importorskip("gymnasium")
    path = f"{gymnasium.__path__[0]}/envs/mujoco/assets/hopper.xml"
    reference = mujoco.MjModel.from_xml_path(path)
    model = compile_world(compose(as_hopper_v5(tmp_path), ["hopper"]))
    data, expected = mujoco.MjData(model), mujoco.MjData(reference)
    rest = expected.qpos.copy()
    random = np.random.default_rng(0)
    for _ in range(30):  # 0.24 s: the fall to the ground and the first contact, before chaos takes over
        action = random.uniform(-1, 1, 3)
        data.ctrl[:], expected.ctrl[:] = 200 * action, action
        mujoco.mj_step(model, data, 4)
        mujoco.mj_step(reference, expected, 4)
    moved = expected.qpos - rest
    assert np.abs(moved).max() > 0.2
    assert data.qpos == pytest.approx(moved, abs=0.02)  # the integrators differ, and two rail links of 1 g


def of_one_simulator(file):
    """Elements that only MuJoCo reads: they make another robot of it in the one simulator than in the other."""
    return [e.tag for e in ElementTree.parse(file).iter() if e.tag.startswith("{http://mujoco")]


@pytest.mark.parametrize("file", sorted((ROOT / "worlds").rglob("*.sdf")), ids=lambda file: file.parent.name)
def test_both_simulators_read_every_element(file):
    assert of_one_simulator(file) == []


def test_an_element_that_gazebo_does_not_know_is_found(tmp_path):
    file = as_hopper_v5(tmp_path).parent / "models" / "hopper" / "model.sdf"
    found = of_one_simulator(file)
    assert len(found) == 3 + 4 and {tag.partition("}")[2] for tag in found} == {"joint", "contact"}
