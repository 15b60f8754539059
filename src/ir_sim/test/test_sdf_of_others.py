# SPDX-License-Identifier: Apache-2.0
"""What worlds of other people hold: versions, frames, surfaces, what is noted, and what is refused."""

from pathlib import Path

import pytest
from conftest import FLOOR
from other_worlds import BALL, INERTIAL, TWO_LINKS, falling, settled

from ir_common.config import ConfigError
from ir_sim.sdf import compose


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


def test_gravity_that_says_in_physics_what_the_world_says_is_no_mistake(tmp_path):
    """Many worlds of later versions still hold it; Gazebo does not look at it."""
    assert physics_world(tmp_path, "1.9", -9.81).gravity == pytest.approx([0, 0, -9.8])
    assert physics_world(tmp_path, "1.9", -1.62, own="<gravity>0 0 -1.62</gravity>").gravity[2] == -1.62
    with pytest.raises(ConfigError, match="<gravity>: is not supported in <physics>"):
        physics_world(tmp_path, "1.9", -9.81, own="<gravity>0 0 -1.62</gravity>")


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_a_joint_may_be_called_as_a_link_up_to_1_6(world, version):
    text = (TWO_LINKS % ("revolute", "<axis><xyz>0 0 1</xyz></axis>")).replace('name="j"', 'name="b"')
    if version == "1.6":
        made = world(text, version='version="1.6"').scenery["m"].model
        assert list(made.joints) == ["b_joint"] and made.joints["b_joint"].child == "b"
    else:
        with pytest.raises(ConfigError, match="the name 'b' is taken by <link>"):
            world(text, version='version="1.7"')


def test_inertia_of_what_stands_still_does_not_matter(world):
    inertia = "<inertia><ixx>1</ixx><iyy>1</iyy><izz>9</izz></inertia>"
    link = f'<link name="l"><inertial><mass>0</mass>{inertia}</inertial></link>'
    _, data = settled(world(f'<model name="m"><static>1</static>{link}</model>'))
    assert data.body("m/l").xpos.tolist() == [0, 0, 0]
    with pytest.raises(ConfigError, match="must be positive, got 0"):
        world(f'<model name="m">{link}</model>')
    with pytest.raises(ConfigError, match="is not the inertia of any body"):
        world(f'<model name="m">{link.replace("<mass>0", "<mass>1")}</model>')


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
        ("<bullet><friction>0.25</friction><mu>9</mu><slip1>0</slip1></bullet>", 0.25),
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
