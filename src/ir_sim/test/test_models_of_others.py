# SPDX-License-Identifier: Apache-2.0
"""Models in models, joints and robots of other people."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest
from conftest import FLOOR
from hypothesis import given, settings
from hypothesis import strategies as st
from other_worlds import BALL, INERTIAL, TWO_LINKS, settled

from ir_common.config import ConfigError
from ir_sim.robot_view import RobotView
from ir_sim.sdf import compose, write_gz_world
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.poses import Pose, rotation
from ir_sim.simulation import Simulation

INNER = f"""<sdf version="1.9"><model name="arm"><pose>0 0 1 0 0 0</pose><link name="base">{INERTIAL}</link>
<frame name="tip" attached_to="hand"><pose>0 0 0.5 0 0 0</pose></frame>
<link name="hand"><pose relative_to="turn">1 0 0 0 0 0</pose>{INERTIAL}</link>
<joint name="turn" type="revolute"><pose relative_to="base">0 0 1 0 0 0</pose><parent>base</parent><child>hand</child>
<axis><xyz expressed_in="__model__">0 1 0</xyz></axis></joint></model></sdf>"""


@pytest.mark.parametrize(("merge", "prefix"), [("", "arm::"), (' merge="true"', "")])
def test_included_models_become_links_of_the_one_around_them(world, tmp_path, merge, prefix):
    (tmp_path / "models" / "arm").mkdir(parents=True)
    (tmp_path / "models" / "arm" / "model.sdf").write_text(INNER)
    turned = "0 0 0 0 0 1.5707963267948966"
    made = world(
        f'<model name="m"><pose>10 0 0 {turned[6:]}</pose><link name="trunk">{INERTIAL}</link>',
        f"<include{merge}><uri>model://arm</uri><pose>0 3 0 {turned[6:]}</pose></include>",
        f'<link name="lamp"><pose relative_to="{prefix}tip">0 0 1 0 0 0</pose>{INERTIAL}</link>',
        f'<joint name="hold" type="fixed"><parent>trunk</parent><child>{prefix}base</child></joint>',
        f'<joint name="screw" type="fixed"><parent>{prefix}tip</parent><child>lamp</child></joint></model>',
    )
    model, data = settled(made)
    assert data.body(f"m/{prefix}base").xpos == pytest.approx([7, 0, 0], abs=1e-9)
    assert data.body(f"m/{prefix}hand").xpos == pytest.approx([6, 0, 1], abs=1e-9)
    assert data.body("m/lamp").xpos == pytest.approx([6, 0, 2.5], abs=1e-9)
    assert data.joint(f"m/{prefix}turn").xaxis == pytest.approx([0, -1, 0], abs=1e-9)
    assert model.body("m/lamp").parentid[0] == model.body(f"m/{prefix}hand").id
    again = compose(write_gz_world(made, tmp_path / "again.sdf"))
    assert settled(again)[1].body("m/lamp").xpos == pytest.approx([6, 0, 2.5], abs=1e-9)


numbers = st.floats(-3, 3).map(lambda value: round(value, 3))


poses = st.lists(numbers, min_size=6, max_size=6)


@given(st.lists(poses, min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_link_of_models_in_models_stands_at_the_product_of_their_poses(tmp_path_factory, chain):
    expected = Pose()
    text = '<link name="l"/>'
    for depth, values in enumerate(chain):  # from the inside
        expected = Pose(np.array(values[:3]), rotation(*values[3:])) @ expected
        text = f'<model name="m{depth}"><static>1</static><pose>{" ".join(map(str, values))}</pose>{text}</model>'
    path = tmp_path_factory.mktemp("nested") / "x.sdf"
    path.write_text(f'<sdf version="1.9"><world name="x">{text}</world></sdf>')
    (placed,) = compose(path).scenery.values()
    (link,) = placed.model.links.values()
    found = placed.pose @ link.pose
    assert found.position == pytest.approx(expected.position, abs=1e-6)
    assert found.rotation == pytest.approx(expected.rotation, abs=1e-6)


def test_a_model_that_holds_nothing_but_static_models_is_static(world, tmp_path):
    """As worlds place their furniture: a <model> with a pose around an <include>."""
    shelf = f'<link name="l"><collision name="c">{BALL}</collision></link>'
    (tmp_path / "shelf.sdf").write_text(
        f'<sdf version="1.6"><model name="shelf"><static>true</static>{shelf}</model></sdf>'
    )
    include = "<include><uri>shelf.sdf</uri></include>"
    made = world(f'<model name="s1">{include}<pose>1 2 3 0 0 0</pose></model>')
    assert made.scenery["s1"].model.static
    assert settled(made, 0.5)[1].body("s1/shelf::l").xpos == pytest.approx([1, 2, 3])
    for more in ('<link name="own"/>', '<model name="other"><link name="l"/></model>'):
        with pytest.raises(ConfigError, match="is static in a model that moves"):
            world(f'<model name="s1">{include}{more}</model>')


def test_the_first_model_of_a_file_is_read_and_the_others_are_noted(world, tmp_path):
    two = '<model name="a"><link name="l"/></model><model name="b"><link name="l"/></model>'
    (tmp_path / "two.sdf").write_text(f'<sdf version="1.6">{two}</sdf>')
    made = world("<include><uri>two.sdf</uri></include>")
    assert list(made.scenery) == ["a"] and "the first model, 'a', is read" in made.notes[0]


@pytest.mark.parametrize("kind", ["robot", "world"])
def test_sdformat_written_in_xacro_is_read(tmp_path, monkeypatch, kind):
    """As Nav2's TurtleBot is."""
    text = f'<sdf version="1.9"><world name="w">{FLOOR}{VEHICLE if kind == "world" else ""}</world></sdf>'
    texts = {"bot.sdf.xacro": f'<sdf version="1.9">{VEHICLE}</sdf>', "w.sdf.xacro": text}
    made = SimpleNamespace(process_file=lambda path: SimpleNamespace(toprettyxml=lambda: texts[Path(path).name]))
    monkeypatch.setitem(sys.modules, "xacro", made)
    for name, content in texts.items():
        (tmp_path / name).write_text(content)
    wishes = [f"vehicle:{tmp_path / 'bot.sdf.xacro'}"] if kind == "robot" else []
    robot = compose(tmp_path / "w.sdf.xacro", wishes).robots["vehicle"].description
    assert robot.drive.topic.endswith("/cmd_vel") and robot.drive.velocity_high.tolist() == [2, 2]


def test_a_model_that_includes_itself_is_told(world, tmp_path):
    (tmp_path / "models" / "loop").mkdir(parents=True)
    include = "<include><uri>model://loop</uri></include>"
    (tmp_path / "models" / "loop" / "model.sdf").write_text(
        f'<sdf version="1.9"><model name="loop">{include}</model></sdf>'
    )
    with pytest.raises(ConfigError, match="includes? itself"):
        world(include)


def test_ball_and_universal_joints(world):
    model, _ = settled(world(TWO_LINKS % ("ball", "")))
    assert model.joint("m/j").type[0] == mujoco.mjtJoint.mjJNT_BALL
    axes = (
        "<axis><xyz>1 0 0</xyz></axis><axis2><xyz>0 1 0</xyz><limit><lower>-1</lower><upper>1</upper></limit></axis2>"
    )
    model, data = settled(world(TWO_LINKS % ("universal", axes)))
    assert data.joint("m/j").xaxis @ data.joint("m/j_axis2").xaxis == pytest.approx(0, abs=1e-9)
    assert model.joint("m/j_axis2").range.tolist() == [-1, 1]


def test_a_joint_follows_the_one_that_it_mimics(world):
    follower = (
        f'<link name="c">{INERTIAL}</link><joint name="k" type="revolute"><parent>a</parent><child>c</child>'
        "<axis>"
        '<mimic joint="j"><multiplier>-2</multiplier><offset>0.3</offset><reference>0.1</reference></mimic>'
        "</axis></joint>"
    )
    text = (TWO_LINKS % ("revolute", "<axis><xyz>0 0 1</xyz></axis>")).replace("</model>", f"{follower}</model>")
    model = compile_world(world(text))
    data = mujoco.MjData(model)
    data.joint("m/j").qvel[0] = 2.0
    mujoco.mj_step(model, data, 500)
    assert abs(data.joint("m/j").qpos[0]) > 0.1
    assert data.joint("m/k").qpos[0] == pytest.approx(-2 * (data.joint("m/j").qpos[0] - 0.1) + 0.3, abs=0.02)
    with pytest.raises(ConfigError, match="follows joint 'q'"):
        world(text.replace('joint="j"', 'joint="q"'))


def test_a_link_without_gravity_stays(world):
    made = world(f'<model name="m"><link name="l"><gravity>false</gravity>{INERTIAL}</link></model>')
    assert settled(made, 1.0)[1].body("m/l").xpos[2] == pytest.approx(0, abs=1e-9)


def test_more_models_than_bits(world):
    two = f'<link name="a">{INERTIAL}<collision name="c">{BALL}</collision></link><link name="b">{INERTIAL}</link>'
    lone = f'<link name="a">{INERTIAL}<collision name="c">{BALL}</collision></link>'
    for links in (two, lone):
        models = [f'<model name="m{k}"><pose>0 0 {0.15 * k} 0 0 0</pose>{links}</model>' for k in range(40)]
        _, data = settled(world(*models))
        assert len(data.contact) == 39  # each touches its neighbours


VEHICLE = f"""<model name="vehicle"><link name="chassis">{INERTIAL}
<sensor name="eye" type="ray"><ray><scan><horizontal>
<samples>4</samples><min_angle>0</min_angle><max_angle>3</max_angle>
</horizontal><vertical><samples>3</samples><min_angle>-0.4</min_angle><max_angle>0.5</max_angle></vertical></scan>
<range><min>0.1</min><max>inf</max></range></ray></sensor><sensor name="eye_2" type="lidar"><lidar><scan><horizontal>
<samples>1</samples><min_angle>0</min_angle><max_angle>0</max_angle></horizontal></scan><range><min>0.1</min><max>9</max>
</range></lidar></sensor><sensor name="air" type="altimeter"><altimeter/></sensor></link>
<link name="l">{INERTIAL}</link><link name="r">{INERTIAL}</link>
<joint name="lj" type="revolute"><parent>chassis</parent><child>l</child><axis><xyz>0 1 0</xyz></axis></joint>
<joint name="rj" type="revolute"><parent>chassis</parent><child>r</child><axis><xyz>0 1 0</xyz></axis></joint>
<plugin filename="f" name="gz::sim::systems::DiffDrive"><left_joint>lj</left_joint><right_joint>rj</right_joint>
<topic>cmd_vel</topic><max_velocity>2</max_velocity></plugin></model>"""


def test_a_robot_is_given_the_topics_that_its_file_leaves_out(world):
    robot = world(VEHICLE).robots["vehicle"].description
    assert robot.drive.topic == "/cmd_vel" and robot.drive.velocity_high.tolist() == [2, 2]
    assert robot.odometry.topic == "/vehicle/odom" and robot.odometry.child_frame == "vehicle/base_link"
    assert robot.joint_states.joints == ("lj", "rj")
    first, second = robot.links["chassis"].sensors
    assert (first.topic, second.topic) == ("/vehicle/scan", "/vehicle/eye_2/scan")
    assert first.frame == "vehicle/eye" and first.lidar.elevation == pytest.approx(0.05)
    simulation = Simulation(world(VEHICLE), 0)
    kinds = set()
    simulation.step(50, lambda reading: kinds.add(reading.kind))
    assert kinds == {"odom", "joint_states", "lidar"}


def test_a_tilted_row_of_a_lidar_sees_the_floor(world):
    text = VEHICLE.replace(
        "<min_angle>-0.4</min_angle><max_angle>0.5</max_angle>",
        "<min_angle>-0.5</min_angle><max_angle>-0.5</max_angle>",
    ).replace("<samples>3", "<samples>1")
    made = world(FLOOR, text.replace('name="vehicle">', 'name="vehicle"><pose>0 0 1 0 0 0</pose>', 1))
    seen = FLOOR.replace("<collision", "<visual").replace("</collision", "</visual").replace('"c"', '"v"')
    made = world(seen, text.replace('name="vehicle">', 'name="vehicle"><pose>0 0 1 0 0 0</pose>', 1))
    model = compile_world(made)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    view = RobotView(model, data, made.robots["vehicle"])
    scan = view.scan(view.sensors[0][1], noisy=False)
    assert scan.ranges == pytest.approx([1 / math.sin(0.5)] * 4)
