# SPDX-License-Identifier: Apache-2.0
"""What worlds and models of other people hold: versions, frames, nested models, meshes, joints, and what is refused."""

import math
import struct
from pathlib import Path

import collada
import mujoco
import numpy as np
import pytest
from conftest import FLOOR
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ir_common.config import ConfigError
from ir_sim.robot_view import RobotView
from ir_sim.sdf import compose, write_gz_world
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.poses import Pose, rotation
from ir_sim.simulation import Simulation

INERTIAL = "<inertial><mass>1</mass><inertia><ixx>.1</ixx><iyy>.1</iyy><izz>.1</izz></inertia></inertial>"
BALL = "<geometry><sphere><radius>0.1</radius></sphere></geometry>"
TWO_LINKS = f"""<model name="m"><link name="a"><pose>0 0 1 0 0 0</pose>{INERTIAL}</link>
<link name="b"><pose>1 0 1 1.5707963267948966 0 0</pose>{INERTIAL}</link>
<joint name="j" type="%s"><parent>a</parent><child>b</child>%s</joint></model>"""


@pytest.fixture
def world(tmp_path):
    """Writes a world of these lines, the first in line 2, in a version of SDFormat; returns it composed."""

    def write(*lines, version='version="1.9"', robots=()):
        path = tmp_path / "x.sdf"
        inner = "\n".join(lines)
        path.write_text(f'<sdf {version}><world name="x"><gravity>0 0 -9.8</gravity>\n{inner}\n</world></sdf>\n')
        return compose(path, robots)

    return write


def settled(world, seconds=0.0):
    model = compile_world(world)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, round(seconds / model.opt.timestep))
    mujoco.mj_forward(model, data)
    return model, data


def test_comments_may_hold_dashes_and_keep_the_lines(world):
    """Gazebo's own default world is written so."""
    with pytest.raises(ConfigError, match=r"x\.sdf:4: <mas>"):
        world(
            "<!-- gz sim --verbose 4\n-->",
            '<model name="m"><link name="a"><inertial><mas/></inertial></link></model>',
        )


@pytest.mark.parametrize(
    ("version", "axis", "expected"),
    [
        ("1.4", "", [0, 0, 1]),
        ("1.5", "", [0, -1, 0]),
        ("1.6", "<use_parent_model_frame>1</use_parent_model_frame>", [0, 0, 1]),
        ("1.9", "", [0, -1, 0]),
        ("1.12", "", [0, -1, 0]),
    ],
)
def test_the_version_says_what_frame_an_axis_is_in(world, version, axis, expected):
    made = world(TWO_LINKS % ("revolute", f"<axis><xyz>0 0 1</xyz>{axis}</axis>"), version=f'version="{version}"')
    _, data = settled(made)
    assert data.joint("m/j").xaxis == pytest.approx(expected, abs=1e-9)


def physics_world(tmp_path, version, *gravities, own=""):
    path = tmp_path / "old.sdf"
    physics = "".join(f"<physics type='ode'><gravity>0 0 {g}</gravity></physics>" for g in gravities)
    path.write_text(f"<sdf version='{version}'><world name='w'>{own}{physics}</world></sdf>")
    return compose(path)


def test_up_to_1_5_gravity_stands_in_physics(tmp_path):
    for version in ("1.3", "1.5"):
        assert physics_world(tmp_path, version, -3.7, -9.0).gravity == pytest.approx([0, 0, -3.7])
    assert physics_world(tmp_path, "1.4", -3.7, own="<gravity>0 0 -1</gravity>").gravity == pytest.approx([0, 0, -1])
    with pytest.raises(ConfigError, match=r"old\.sdf:1: <gravity>: is not supported in <physics>"):
        physics_world(tmp_path, "1.6", -3.7)


@pytest.mark.parametrize("version", ["1.4", "1.6"])
def test_noise_of_all_axes_of_an_imu_is_that_of_each(world, version):
    noise = (
        "<noise><type>gaussian</type><rate><mean>0.1</mean><stddev>0.2</stddev><bias_mean>0</bias_mean></rate>"
        "<accel><mean>0.3</mean><stddev>0.4</stddev></accel></noise>"
    )
    made = world(
        f'<model name="m"><link name="a">{INERTIAL}<sensor name="i" type="imu"><imu><topic>t</topic>{noise}</imu>',
        "</sensor></link></model>",
        version=f'version="{version}"',
    )
    [sensor] = made.scenery["m"].model.links["a"].sensors
    assert [(one.mean, one.deviation) for one in sensor.noises] == [(0.1, 0.2)] * 3 + [(0.3, 0.4)] * 3


@pytest.mark.parametrize(
    ("version", "what"), [("", "lacks version"), ('version="9.9"', "9.9 is not known"), ('version="x"', "is none")]
)
def test_a_version_that_nobody_knows_is_refused(world, version, what):
    with pytest.raises(ConfigError, match=rf"x\.sdf:1: <sdf>: .*{what}"):
        world(FLOOR, version=version)


def test_frames_of_the_world_and_of_models_place_models(world):
    model = '<model name="{}"{}><static>1</static><pose{}>{}</pose>{}<link name="a"/></model>'
    made = world(
        '<frame name="f"><pose>1 2 3 0 0 1.5707963267948966</pose></frame>',
        '<frame name="g" attached_to="m"><pose>1 0 0 0 0 0</pose></frame>',
        model.format("m", "", ' relative_to="f"', "1 0 1 0 0 0", ""),
        model.format("n", "", ' relative_to="g"', "", '<frame name="top"><pose>0 0 5 0 0 0</pose></frame>'),
        model.format("o", ' placement_frame="top"', ' relative_to="n::top"', "0 0 1 0 0 0",
                     '<frame name="top"><pose>0 0 2 0 0 0</pose></frame>'),
    )  # fmt: skip
    assert made.scenery["m"].pose.position == pytest.approx([1, 3, 4])
    assert made.scenery["n"].pose.position == pytest.approx([1, 4, 4])
    assert made.scenery["o"].pose.position == pytest.approx([1, 4, 4 + 5 + 1 - 2])


def test_poses_in_circles_of_the_world_are_told(world):
    with pytest.raises(ConfigError, match="circle: m -> f -> g -> f"):
        world('<frame name="f"><pose relative_to="g"/></frame>', '<frame name="g"><pose relative_to="f"/></frame>',
              '<model name="m"><pose relative_to="f"/><static>1</static><link name="a"/></model>')  # fmt: skip


def falling(bits, name, height):
    surface = f"<surface><contact><collide_bitmask>{bits}</collide_bitmask></contact></surface>"
    return (
        f'<model name="{name}"><pose>0 0 {height} 0 0 0</pose><link name="l">{INERTIAL}'
        f'<collision name="c">{BALL}{surface}</collision></link></model>'
    )


@pytest.mark.parametrize(("bits", "touches"), [("0x02", False), ("3", True), ("0x01", True)])
def test_bits_of_collisions_say_who_touches_whom(world, bits, touches):
    table = (
        '<model name="table"><static>1</static><link name="l"><collision name="c"><geometry><box>'
        "<size>1 1 0.2</size></box></geometry><surface><contact>"
        "<collide_bitmask>0x01</collide_bitmask></contact></surface></collision></link></model>"
    )
    _, data = settled(world(table, falling(bits, "ball", 0.25)), 1.0)
    assert data.body("ball/l").xpos[2] == pytest.approx(0.2, abs=0.01) if touches else data.body("ball/l").xpos[2] < -1


def test_links_of_one_model_pass_through_each_other_with_bits_too(world):
    ball = f'<collision name="c">{BALL}</collision>'
    one = f'<model name="m"><link name="a">{INERTIAL}{ball}</link><link name="b">{INERTIAL}{ball}</link></model>'
    _, data = settled(world(one, falling("0x01", "far", 50)), 0.1)
    assert not len(data.contact)
    _, data = settled(world(one.replace("<link", "<self_collide>1</self_collide><link", 1), falling("1", "far", 50)))
    assert len(data.contact) == 1


@pytest.mark.parametrize(
    ("surface", "tag"),
    [
        ("<bounce><restitution_coefficient>0.9</restitution_coefficient></bounce>", "restitution_coefficient"),
        ("<contact><collide_without_contact>1</collide_without_contact></contact>", "collide_without_contact"),
        ("<contact><collide_bitmask>much</collide_bitmask></contact>", "collide_bitmask"),
        ("<friction><ode><mu>1</mu><mu2>0</mu2></ode></friction>", "ode"),
        ("<friction><bullet><friction>1</friction><friction2>0</friction2></bullet></friction>", "bullet"),
    ],
)
def test_what_changes_physics_and_is_not_supported_is_refused(world, surface, tag):
    with pytest.raises(ConfigError, match=rf"x\.sdf:3: <{tag}>: "):
        world('<model name="m"><link name="a">', f'<collision name="c">{BALL}<surface>{surface}</surface></collision>',
              "</link></model>")  # fmt: skip


def test_friction_is_read_of_every_engine(world):
    for friction, expected in (
        ("<ode><mu>0.5</mu><mu2>0.5</mu2></ode><bullet><friction>2</friction></bullet>", 0.5),
        ("<bullet><friction>0.25</friction><friction2>0.25</friction2></bullet>", 0.25),
        ("<torsional><coefficient>9</coefficient></torsional>", 1.0),
        ("<ode><mu>0.5</mu><mu2>0.8</mu2></ode>", 0.5),
        ("<ode><mu>1e16</mu><mu2>1e20</mu2></ode>", 1e5),
    ):
        surface = f"<surface><friction>{friction}</friction></surface>"
        made = world(f'<model name="m"><link name="a"><collision name="c">{BALL}{surface}</collision></link></model>')
        assert made.scenery["m"].model.links["a"].collisions[0].friction == expected


def test_what_gazebo_alone_knows_is_noted_once_for_each_kind(world):
    made = world(
        '<model name="m"><link name="a"><velocity_decay><linear>1</linear></velocity_decay></link>',
        '<plugin filename="f" name="gz::sim::systems::LiftDrag"/>',
        '<plugin filename="f" name="gz::sim::systems::LiftDrag"><area>1</area></plugin>',
        '<plugin filename="libother.so" name="other"/></model>',
        '<light name="sun" type="point"/><plugin filename="p" name="gz::sim::systems::Physics"/>',
    )
    first, second, third = made.notes
    assert "x.sdf:3: <plugin>: plugin LiftDrag has no counterpart" in first and first.endswith(
        "does not here (2 times)"
    )
    assert "libother.so" in second and "moves bodies" not in second
    assert "<velocity_decay>" in third


def test_each_kind_of_element_that_is_passed_over_is_named(world):
    notes = world(
        '<state world_name="w"/><road name="r"/><model name="m"><gripper name="g"/><link name="a"/></model>'
    ).notes
    assert [note.split(": ")[1] for note in notes] == ["<state>", "<road>", "<gripper>"]


def box_stl(low, high):
    """Corners [12, 3, 3] of the triangles of a box."""
    corners = np.array([[(low, high)[i >> k & 1][k] for k in range(3)] for i in range(8)])
    faces = [(0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4),
             (2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)]  # fmt: skip
    return corners[np.array(faces)], corners, np.array(faces)


def write_mesh(path, kind):
    """A box of 2 x 2 x 1 m standing on z = 0."""
    triangles, corners, faces = box_stl(np.array([-1.0, -1, 0]), np.array([1.0, 1, 1]))
    if kind == "binary.STL":
        records = b"".join(struct.pack("<12fH", 0, 0, 0, *t.ravel(), 0) for t in triangles)
        path.write_bytes(b"solid but binary".ljust(80) + struct.pack("<I", 12) + records)
    elif kind == "ascii.stl":
        facets = "".join(
            "facet normal 0 0 0\nouter loop\n"
            + "".join(f"vertex {x} {y} {z}\n" for x, y, z in t)
            + "endloop\nendfacet\n"
            for t in triangles
        )
        path.write_text(f"solid box\n{facets}endsolid\n")
    elif kind == "box.obj":
        lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
        path.write_text("\n".join(lines) + "\n")
    else:
        document = collada.Collada()
        document.assetInfo.unitmeter, document.assetInfo.unitname = 0.01, "cm"
        source = collada.source.FloatSource("v", 100 * corners.ravel(), ("X", "Y", "Z"))
        geometry = collada.geometry.Geometry(document, "g", "box", [source])
        inputs = collada.source.InputList()
        inputs.addInput(0, "VERTEX", "#v")
        geometry.primitives.append(geometry.createTriangleSet(faces.ravel(), inputs, "m"))
        document.geometries.append(geometry)
        node = collada.scene.Node("n", children=[collada.scene.GeometryNode(geometry, [])])
        document.scene = collada.scene.Scene("s", [node])
        document.scenes.append(document.scene)
        document.write(str(path))


KINDS = ("binary.STL", "ascii.stl", "box.obj", "box.dae")


def on_mesh(uri, scale="1 1 2"):
    mesh = f"<geometry><mesh><uri>{uri}</uri><scale>{scale}</scale></mesh></geometry>"
    return (
        f'<model name="stand"><static>1</static><link name="l"><collision name="c">{mesh}</collision>'
        f'<visual name="v">{mesh}</visual></link></model>'
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_ball_rests_on_a_mesh_of_any_kind(world, tmp_path, kind):
    write_mesh(tmp_path / kind, kind)
    made = world(on_mesh(kind), falling(0xFFFF, "ball", 2.15))
    model, data = settled(made, 1.0)
    assert data.body("ball/l").xpos[2] == pytest.approx(2.1, abs=0.01)
    assert model.nmesh == 1  # collision and visual share it
    assert any("convex hull" in note for note in made.notes)


def test_meshes_are_found_by_every_kind_of_uri(world, tmp_path, monkeypatch):
    fuel = "https://fuel.gazebosim.org/1.0/Somebody/models/Nice Box"
    version = tmp_path / "cache" / "fuel.gazebosim.org" / "somebody" / "models" / "nice box"
    package = tmp_path / "ros" / "share" / "boxes"
    for folder in (version / "2" / "meshes", version / "10" / "meshes", package, tmp_path / "elsewhere" / "boxes"):
        folder.mkdir(parents=True)
        write_mesh(folder / "box.obj", "box.obj")
    (version / "10" / "model.config").write_text('<model><sdf version="1.6">nice.sdf</sdf></model>')
    (version / "10" / "nice.sdf").write_text(f'<sdf version="1.6">{on_mesh("meshes/box.obj")}</sdf>')
    monkeypatch.setenv("GZ_FUEL_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ros"))
    monkeypatch.setenv("GZ_SIM_RESOURCE_PATH", str(tmp_path / "elsewhere"))
    for uri in (
        f"{fuel}/files/meshes/box.obj",
        f"{fuel}/2/files/meshes/box.obj".replace(" ", "%20"),
        "package://boxes/box.obj",
        "model://boxes/box.obj",
        f"file://{package}/box.obj",
    ):
        assert settled(world(on_mesh(uri)))[0].nmesh == 1
    assert settled(world(f"<include><uri>{fuel}</uri></include>"))[0].nmesh == 1
    with pytest.raises(ConfigError, match=r"<uri>: .*gz fuel download -u 'https://fuel"):
        world(on_mesh(f"{fuel}/3/files/meshes/box.obj"))
    exported = write_gz_world(world(on_mesh("package://boxes/box.obj")), tmp_path / "elsewhere.sdf").read_text()
    assert f"<uri>file://{package}/box.obj</uri>" in exported


def test_a_mesh_that_is_only_seen_is_no_reason_to_refuse(world):
    mesh = "<geometry><mesh><uri>model://gone/a.stl</uri></mesh></geometry>"
    made = world(f'<model name="m"><static>1</static><link name="l"><visual name="v">{mesh}</visual></link></model>')
    assert len(made.notes) == 1 and "is not seen: no 'model://gone/a.stl'" in made.notes[0]
    with pytest.raises(ConfigError, match="no 'model://gone/a.stl'"):
        world(on_mesh("model://gone/a.stl"))


def test_files_that_are_no_meshes_are_told(world, tmp_path):
    for name, data in (("a.stl", b"solid x\nendsolid"), ("b.obj", b"hello"), ("c.ply", b"ply"), ("d.STL", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=rf"x\.sdf:2: <mesh>: {name}: "):
            world(on_mesh(name))


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


@pytest.mark.parametrize(
    ("shape", "height"),
    [
        ("<ellipsoid><radii>0.3 0.2 0.1</radii></ellipsoid>", 0.1),
        ("<cone><radius>0.2</radius><length>0.4</length></cone>", 0.2),
        ("<capsule><radius>0.1</radius><length>0.4</length></capsule>", 0.3),
    ],
)
def test_shapes_stand_on_the_floor(world, shape, height):
    made = world(FLOOR, f'<model name="m"><pose>0 0 {height} 0 0 0</pose><link name="l">{INERTIAL}<collision name="c">'
                        f"<geometry>{shape}</geometry></collision></link></model>")  # fmt: skip
    _, data = settled(made, 0.1)
    assert data.body("m/l").xpos[2] == pytest.approx(height, abs=0.01)
    assert len(data.contact) >= 1


def test_inertia_that_is_to_be_computed(world):
    made = world('<model name="m"><link name="l"><inertial auto="true"><density>500</density></inertial>'
                 '<collision name="c"><pose>1 0 0 0 0 0</pose><geometry><box><size>1 2 3</size></box></geometry>'
                 "</collision>"
                 f'<visual name="v">{BALL}</visual></link></model>')  # fmt: skip
    model = compile_world(made)
    assert model.body("m/l").mass[0] == pytest.approx(3000)
    assert model.body("m/l").ipos == pytest.approx([1, 0, 0])
    assert sorted(model.body("m/l").inertia) == pytest.approx([3000 / 12 * v for v in (5, 10, 13)])


def test_a_link_without_gravity_stays(world):
    made = world(f'<model name="m"><link name="l"><gravity>false</gravity>{INERTIAL}</link></model>')
    assert settled(made, 1.0)[1].body("m/l").xpos[2] == pytest.approx(0, abs=1e-9)


def test_a_heightmap_is_as_high_as_its_picture_is_white(world, tmp_path):
    heights = np.zeros((33, 33), np.uint8)
    heights[:, 17:] = 255  # the half with positive x
    heights[:8, :16] = 127  # far end of y, negative x
    Image.fromarray(heights).save(tmp_path / "hill.png")
    made = world(
        '<model name="hill"><static>1</static><link name="l"><collision name="c"><geometry><heightmap>'
        "<uri>hill.png</uri><size>10 10 2</size><pos>0 0 0.5</pos></heightmap></geometry></collision></link></model>"
    )
    model, data = settled(made)
    for x, y, height in ((3, 0, 2.5), (-3, -3, 0.5), (-3, 4, 0.5 + 2 * 127 / 255)):
        distance = mujoco.mj_ray(model, data, np.array([x, y, 10.0]), np.array([0, 0, -1.0]), None, 1, -1,
                                 np.zeros(1, np.int32), np.zeros(3))  # fmt: skip
        assert 10 - distance == pytest.approx(height, abs=0.02)


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


def test_the_cases_of_other_peoples_worlds_that_were_right_stay_so(world):
    for text, what in (
        ('<model name="m"><pose>0, 0, 1, 0, 0, 0</pose><link name="l"/></model>', "6 finite numbers"),
        ('<model name="m"><pose>nan 0 0 0 0 0</pose><link name="l"/></model>', "6 finite numbers"),
        ('<physics name="p" type="ode"><max_step_size>0</max_step_size></physics>', "must be positive"),
        ('<model name="m"><link name="l"><kinematic>true</kinematic></link></model>', "<kinematic>"),
    ):
        with pytest.raises(ConfigError, match=what):
            world(text)
    assert "second world" not in "".join(world(FLOOR).notes)


def test_only_the_first_world_of_a_file_is_read_and_that_is_noted(tmp_path):
    path = Path(tmp_path / "two.sdf")
    path.write_text('<sdf version="1.9"><world name="a"/><world name="b"/></sdf>')
    assert compose(path).name == "a" and "only the file's first world" in compose(path).notes[0]


def test_the_ground_and_the_sun_of_every_world_need_no_download(world, tmp_path, monkeypatch):
    monkeypatch.setenv("GZ_FUEL_CACHE_PATH", str(tmp_path / "cache"))
    base = "https://fuel.gazebosim.org/1.0/OpenRobotics/models"
    lines = [f"<include><uri>{uri}</uri></include>" for uri in (f"{base}/Sun", f"{base}/Ground Plane", "model://sun")]
    made = world(*lines, falling(0xFFFF, "ball", 0.15))
    assert list(made.scenery) == ["ground_plane", "ball"] and len(made.notes) == 3
    assert settled(made, 1.0)[1].body("ball/l").xpos[2] == pytest.approx(0.1, abs=0.01)
    sun = tmp_path / "cache" / "fuel.gazebosim.org" / "openrobotics" / "models" / "sun" / "1"
    sun.mkdir(parents=True)
    (sun / "model.sdf").write_text('<sdf version="1.6"><light name="sun" type="directional"/></sdf>')
    assert world(lines[0]).notes == ()


def test_a_visual_may_be_called_as_a_collision(world):
    link = f'<link name="l"><collision name="c">{BALL}</collision><visual name="c">{BALL}</visual></link>'
    model = compile_world(world(f'<model name="m"><static>1</static>{link}</model>'))
    assert model.geom("m::l::c").contype[0] and not model.geom("m::l::c_visual").contype[0]
    with pytest.raises(ConfigError, match="two collisions named 'c'"):
        world(f'<model name="m">{link.replace("visual", "collision")}</model>')
