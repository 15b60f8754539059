# SPDX-License-Identifier: Apache-2.0
"""URDF robots: the numbers of the file in the compiled model, and what is wrong in it with its line."""

import os
import sys
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from conftest import FLOOR
from other_worlds import write_mesh

from ir_common.config import ConfigError
from ir_sim.sdf import compose
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.resources import MissingResource
from ir_sim.simulation import Simulation

ARM = """<?xml version="1.0"?>
<robot name="arm">
  <material name="red"><color rgba="0.9 0.1 0.2 1"/></material>
  <link name="foot"/>
  <link name="base">
    <inertial><origin xyz="0 0 0.1"/><mass value="20"/>
      <inertia ixx="0.5" ixy="0" ixz="0" iyy="0.5" iyz="0" izz="0.5"/></inertial>
    <collision><geometry><box size="0.6 0.6 0.2"/></geometry></collision>
    <visual><geometry><box size="0.6 0.6 0.2"/></geometry><material name="red"/></visual>
    <visual><geometry><mesh filename="package://arm/box.obj" scale="0.1 0.1 0.1"/></geometry></visual>
  </link>
  <joint name="stand" type="fixed"><parent link="foot"/><child link="base"/><origin xyz="0 0 0.5"/></joint>
  <link name="upper">
    <inertial><mass value="1"/><inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.1"/></inertial>
  </link>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
    <origin xyz="0 0 0.3" rpy="0 0 1.5707963267948966"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="2" effort="40" velocity="3"/><dynamics damping="0.5" friction="0.1"/></joint>
  <link name="finger"><inertial><mass value="0"/>
    <inertia ixx="0" ixy="0" ixz="0" iyy="0" iyz="0" izz="0"/></inertial></link>
  <joint name="slide" type="prismatic"><parent link="upper"/><child link="finger"/><axis xyz="2 0 0"/>
    <limit lower="0" upper="0.04" effort="20" velocity="1"/><mimic joint="shoulder" multiplier="0.01"/></joint>
  <transmission name="t"/>
  <gazebo reference="base"><mu1>0.4</mu1><mu2>0.4</mu2>
    <sensor name="imu" type="imu"><update_rate>100</update_rate></sensor>
    <sensor name="old" type="imu"><imu><topicName>x</topicName></imu></sensor></gazebo>
</robot>
"""


@pytest.fixture
def robot(tmp_path):
    """Writes the URDF in a package of its own, and a world with a floor; returns the world with the robot in it."""
    package = tmp_path / "arm"
    (package / "urdf").mkdir(parents=True)
    (package / "package.xml").write_text("<package><name>arm</name></package>")
    write_mesh(package / "box.obj", "box.obj")
    world = tmp_path / "x.sdf"
    world.write_text(f'<sdf version="1.9"><world name="x">{FLOOR}</world></sdf>')

    def write(text=ARM, wish="a:{}/urdf/arm.urdf"):
        (package / "urdf" / "arm.urdf").write_text(text)
        return compose(world, [wish.format(package)])

    return write


def test_the_numbers_are_those_of_the_file(robot):
    world = robot()
    model = compile_world(world)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert model.body("a/base").mass[0] == 20 and model.body("a/base").ipos.tolist() == [0, 0, 0.1]
    assert data.body("a/base").xpos == pytest.approx([0, 0, 0.5], abs=1e-9)
    assert data.joint("a/shoulder").xanchor == pytest.approx([0, 0, 0.8], abs=1e-9)
    assert data.joint("a/shoulder").xaxis == pytest.approx([-1, 0, 0], abs=1e-9)
    assert model.joint("a/shoulder").range.tolist() == [-1, 2]
    assert model.geom("a::base::base_collision").friction[0] == 0.4
    assert model.geom("a::base::base_visual").rgba == pytest.approx([0.9, 0.1, 0.2, 1], abs=1e-6)
    assert model.nmesh == 1 and model.neq == 1
    description = world.robots["a"].description
    assert (world.robots["a"].model, description.base) == ("arm", "foot")
    assert [s.topic for s in description.links["base"].sensors] == ["/a/imu"]
    assert {note.partition(">: ")[2][:22] for note in world.notes} == {
        "has no controller; its", "is passed over in <rob", "is passed over: is not",
    }  # fmt: skip


def test_joints_without_a_controller_follow_positions_with_the_effort_of_the_file(robot):
    world = robot()
    assert world.robots["a"].description.controller.joints == ("shoulder",)
    simulation = Simulation(world, 0)
    simulation.move_joints("a", ["shoulder"], [1.0])
    simulation.step(2000)
    assert simulation.views["a"].joint_states().positions[0] == pytest.approx(1.0, abs=0.02)
    assert simulation.model.actuator("a/shoulder").forcerange.tolist() == [-40, 40]
    simulation.move_joints("a", ["shoulder"], [-0.9])
    simulation.step(1)
    assert simulation.views["a"].joint_states().efforts[0] == pytest.approx(-40)


def test_a_folder_with_a_urdf_is_a_model(robot, tmp_path, monkeypatch):
    robot()
    (tmp_path / "arm" / "urdf" / "arm.urdf").rename(tmp_path / "arm" / "arm.urdf")
    monkeypatch.setenv("GZ_SIM_RESOURCE_PATH", str(tmp_path))
    assert robot(wish="a:arm").robots["a"].joints == ("shoulder", "slide")
    assert list(robot(wish="a:{}").robots) == ["a"]


def test_a_robot_is_placed_on_the_floor_and_not_in_it(robot):
    world = robot(ARM.replace('<origin xyz="0 0 0.5"/>', ""))
    assert world.robots["a"].placed.pose.position.tolist() == pytest.approx([0, 0, 0.1])


def test_an_impossible_inertia_is_mended_and_said(robot):
    world = robot(ARM.replace('ixx="0.5"', 'ixx="5"'))
    moments = compile_world(world).body("a/base").inertia
    assert sorted(moments) == pytest.approx([2.5, 2.5, 5], rel=1e-4)
    assert any("arm.urdf:7: <inertia>: is the inertia of no body" in note for note in world.notes)


def test_a_link_may_be_called_as_a_joint(robot):
    world = robot(ARM.replace('"upper"', '"shoulder"'))
    assert world.robots["a"].joints == ("shoulder", "slide")
    assert "shoulder_link" in world.robots["a"].description.links


@pytest.mark.parametrize(
    ("good", "bad", "line", "what"),
    [
        ('<child link="upper"/>', '<child link="lower"/>', 16, "<child>: no link is named 'lower'"),
        ('type="revolute"', 'type="floating"', 16, "<joint>: type 'floating' is not supported"),
        ('<mass value="20"/>', '<mass value="much"/>', 6, "<mass>: expected 1 finite number"),
        ('<box size="0.6 0.6 0.2"/>', "<box/>", 8, "<box>: lacks the attribute size"),
        ('<mimic joint="shoulder"', '<mimic joint="elbow"', 21, "<joint>: follows joint 'elbow'"),
        ('<link name="foot"/>', '<link name="foot"/><link name="other"/>', 2, "<robot>: must have one link"),
        ("<robot", "<rowboat", 2, ""),
    ],
)
def test_mistakes_are_told_with_file_and_line(robot, good, bad, line, what):
    assert good in ARM
    text = ARM.replace(good, bad, 1)
    if bad == "<rowboat":
        text, what = text.replace("</robot>", "</rowboat>"), "<rowboat>: is not URDF: expected <robot>"
    with pytest.raises(ConfigError, match=rf"arm\.urdf:{line}: {what}"):
        robot(text)


def test_xacro_is_told_where_it_is_missing(robot, tmp_path):
    (tmp_path / "arm" / "arm.urdf.xacro").write_text(
        ARM.replace("<robot", '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"').replace('"20"', '"${4 * 5}"')
    )
    wish = "a:{}/arm.urdf.xacro"
    try:
        import xacro  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="xacro is not installed"):
            robot(wish=wish)
    else:
        assert robot(wish=wish).robots["a"].description.links["base"].mass == 20


def test_a_package_that_nobody_built_is_found_by_xacro_where_meshes_are(robot, tmp_path, monkeypatch):
    """Through the index of packages, which is all that xacro asks."""

    def process_file(path):
        text = ARM.replace("package://arm", f"file://{get_package_share_directory('far_description')}/meshes")
        return SimpleNamespace(toprettyxml=lambda: text)

    monkeypatch.setitem(sys.modules, "xacro", SimpleNamespace(process_file=process_file))
    monkeypatch.setenv("ROS_PACKAGE_PATH", str(tmp_path / "src"))
    before = os.environ.get("AMENT_PREFIX_PATH")
    package = tmp_path / "src" / "far_description"
    (package / "meshes").mkdir(parents=True)
    write_mesh(package / "meshes" / "box.obj", "box.obj")
    (tmp_path / "arm" / "arm.urdf.xacro").write_text(ARM)
    with pytest.raises(MissingResource, match="needs the package far_description"):
        robot(wish="a:{}/arm.urdf.xacro")  # a folder of that name is not yet a package
    (package / "package.xml").write_text("<package><name>far_description</name></package>")
    made = robot(wish="a:{}/arm.urdf.xacro")
    assert compile_world(made).nmesh == 1 and not any("not seen" in note for note in made.notes)
    assert os.environ.get("AMENT_PREFIX_PATH") == before


def test_an_argument_that_a_xacro_file_wants_is_told_with_the_way_to_give_it(robot, tmp_path, monkeypatch):
    def process_file(path):
        raise RuntimeError("Undefined substitution argument ur_type")

    monkeypatch.setitem(sys.modules, "xacro", SimpleNamespace(process_file=process_file))
    (tmp_path / "arm" / "arm.urdf.xacro").write_text(ARM)
    with pytest.raises(
        ConfigError, match=r"argument 'ur_type' has no default; .*xacro arm\.urdf\.xacro ur_type:=VALUE"
    ):
        robot(wish="a:{}/arm.urdf.xacro")


def test_a_package_that_xacro_does_not_find_is_named(robot, tmp_path, monkeypatch):
    def process_file(path):
        raise RuntimeError("<class 'PackageNotFoundError'>: \"package 'far_description' not found, searching: ['a']\"")

    monkeypatch.setitem(sys.modules, "xacro", SimpleNamespace(process_file=process_file))
    (tmp_path / "arm" / "arm.urdf.xacro").write_text(ARM)
    with pytest.raises(MissingResource, match=r"arm\.urdf\.xacro: needs the package far_description; source"):
        robot(wish="a:{}/arm.urdf.xacro")


WHEEL = """<link name="{0}"><inertial><mass value="0.05"/>
<inertia ixx="2e-5" ixy="0" ixz="0" iyy="2e-5" iyz="0" izz="4e-5"/></inertial>
<collision><geometry><cylinder radius="0.03" length="0.01"/></geometry></collision></link>
<joint name="{0}_joint" type="continuous"><parent link="body"/><child link="{0}"/>
<origin xyz="0 {1} 0.03" rpy="-1.5707963267948966 0 0"/><axis xyz="0 0 1"/></joint>"""
TINY = f"""<robot name="tiny"><link name="body"><inertial><origin xyz="0 0 0.03"/><mass value="0.8"/>
<inertia ixx="0.002" ixy="0" ixz="0" iyy="0.002" iyz="0" izz="0.002"/></inertial>
<collision><origin xyz="0.06 0 0.0101"/><geometry><sphere radius="0.01"/></geometry></collision>
<collision><origin xyz="-0.06 0 0.0101"/><geometry><sphere radius="0.01"/></geometry></collision></link>
<gazebo reference="body"><mu1 value="0"/></gazebo>
{WHEEL.format("l", 0.07)}{WHEEL.format("r", -0.07)}</robot>"""


def test_wheels_on_both_sides_are_a_differential_drive(robot):
    world = robot(TINY)
    drive = world.robots["a"].description.drive
    assert (drive.left, drive.right) == (("l_joint",), ("r_joint",))
    assert (drive.separation, drive.radius) == pytest.approx((0.14, 0.03))
    assert any("taken for the wheels" in note for note in world.notes)


def test_a_light_robot_is_driven_without_slipping(robot):
    """The force that a drive has at the start of a step must not be more than brings the robot to speed within it."""
    simulation = Simulation(robot(TINY), 0)
    simulation.drive("a", 0.2, 0.0)
    fastest = 0.0
    for _ in range(400):
        simulation.step(5)
        fastest = max(fastest, float(simulation.views["a"].odometry().linear[0]))
    assert fastest < 0.25
    assert simulation.views["a"].odometry().position[0] == pytest.approx(0.4, rel=0.05)
    assert np.all(np.isfinite(simulation.data.qpos))
