# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from conftest import BRIDGE, FLOOR, ROOT, WORLD

from ir_common.config import ConfigError
from ir_sim.bridge import load_rows, rows_for
from ir_sim.gazebo_words import lacks
from ir_sim.sdf import compose, write_gz_bridge, write_gz_world
from ir_sim.sdf.gazebo import IMU_PACE, RENDERED, gz_model
from ir_sim.sdf.mujoco_compiler import compile_world


def test_only_the_chosen_robots_are_in_the_world():
    world = compose(WORLD, ["hopper", "cart"])
    assert list(world.robots) == ["hopper", "cart"]
    bodies = {compile_world(world).body(b).name.split("/")[0] for b in range(compile_world(world).nbody)}
    assert "spider" not in bodies and {"cart", "hopper", "crate_1"} <= bodies


def test_all_robots_by_default_and_names_in_one_string():
    assert list(compose(WORLD).robots) == ["cart", "spider", "hopper"]
    assert list(compose(WORLD, ["cart,spider"]).robots) == ["cart", "spider"]


@pytest.mark.parametrize(
    ("robots", "message"),
    [
        (["dog"], "unknown robot 'dog'; robots of robot_field.sdf: cart, hopper, spider; others by NAME:MODEL"),
        (["dog_2:dog"], "unknown robot model 'dog'; known models: cart, hopper, spider"),
        (["cart", "cart"], "asked for twice"),
        (["spider:cart"], "must be free"),
        (["Bad-name:cart"], "lower-case"),
    ],
)
def test_wrong_choice_of_robots_is_told(robots, message):
    with pytest.raises(ConfigError, match=message):
        compose(WORLD, robots)


def test_further_instances_stand_free_and_have_topics_of_their_own():
    world = compose(WORLD, ["cart", "cart_2:cart", "cart_3:cart", "spider_2:spider", "hopper", "hopper_2:hopper"])
    model = compile_world(world)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for contact in data.contact:
        assert any(model.geom(g).name.startswith("ground::") for g in contact.geom)
    assert world.robots["cart_2"].description.drive.topic == "/cart_2/cmd_vel"
    assert world.robots["cart_2"].description.odometry.child_frame == "cart_2/base_link"
    assert world.goals("cart_2").tolist() == world.goals("cart").tolist() != []


def test_goals_come_in_the_order_of_their_numbers(write_world):
    goals = [
        f'<model name="goal_cart_{k}"><static>true</static><pose>{k} 0 0 0 0 0</pose><link name="l"/></model>'
        for k in (10, 2, 1)
    ]
    include = "<include><uri>model://cart</uri></include>"
    world = compose(write_world(FLOOR, *goals, include))
    assert world.goals("cart")[:, 0].tolist() == [1, 2, 10]
    with pytest.raises(ConfigError, match="no robot 'spider'"):
        world.goals("spider")


def test_two_includes_of_one_model_need_names(write_world):
    include = "<include><uri>model://cart</uri></include>"
    with pytest.raises(ConfigError, match=r"x\.sdf:4: <include>: the name 'cart' is taken"):
        compose(write_world(include, include))


def test_gazebo_world_is_the_same_world(tmp_path):
    world = compose(WORLD, ["cart", "cart_2:cart", "hopper"])
    again = compose(write_gz_world(world, tmp_path / "gz.sdf"))
    assert list(again.robots) == ["cart", "cart_2", "hopper"]
    assert again.goals("cart").tolist() == world.goals("cart").tolist()
    assert again.scenery.keys() - world.scenery.keys() == {"imu_pace"}, "it is there for Gazebo's IMU system alone"
    first, second = compile_world(world), compile_world(replace(again, scenery=world.scenery))
    for array in ("body_mass", "body_inertia", "geom_size", "jnt_range", "actuator_gainprm", "geom_friction"):
        assert np.array_equal(getattr(first, array), getattr(second, array)), array
    assert second.qpos0 == pytest.approx(first.qpos0, abs=1e-9)


def test_gazebo_world_without_rendering_lacks_what_needs_it(tmp_path):
    world = compose(WORLD, ["cart"])
    text = write_gz_world(world, tmp_path / "gz.sdf", RENDERED).read_text()
    assert "gpu_lidar" not in text and "systems::Sensors" not in text and 'type="imu"' in text
    camera = write_gz_world(world, tmp_path / "gz.sdf", ["lidar"]).read_text()
    assert "gpu_lidar" not in camera and "systems::Sensors" in camera and 'type="camera"' in camera
    assert lacks(world, RENDERED) == [
        "no /cart/scan: it needs rendering",
        "no /cart/camera/image_raw: it needs rendering",
        "cart does not act: its task waits for /cart/scan; lidar:=raycast casts the lidars' rays without rendering",
    ]
    assert lacks(world, ["camera"]) == ["no /cart/camera/image_raw: it needs rendering"]
    left = load_rows(write_gz_bridge(world, BRIDGE, tmp_path / "b.yaml", ["/cart/scan"]))
    assert {row.ros_topic_name for row in rows_for(load_rows(BRIDGE), world)} - {
        row.ros_topic_name for row in left
    } == {"/cart/scan"}


def test_a_robot_alone_is_what_stands_in_the_world(tmp_path):
    """With which it is put into Gazebo again: the same bodies, on its rail, at its start."""
    world = compose(WORLD, ["hopper", "cart"])
    text = gz_model(world, "hopper", RENDERED)
    whole = write_gz_world(world, tmp_path / "gz.sdf", RENDERED).read_text()
    model = text[text.index("<model") : text.rindex("</model>")]
    assert 'name="hopper"' in model and "<parent>world</parent>" in model
    assert "".join(model.split()) in "".join(whole.split())
    assert "gpu_lidar" in gz_model(world, "cart") and "gpu_lidar" not in gz_model(world, "cart", ["lidar"])


def test_bridge_rows_follow_the_instances(tmp_path):
    world = compose(WORLD, ["cart_2:cart", "hopper"])
    rows = rows_for(load_rows(BRIDGE), world)
    names = {row.ros_topic_name for row in rows}
    assert "/clock" in names and "/cart_2/scan" in names and "/hopper/joint_commands" in names
    assert not any(name.startswith(("/cart/", "/spider/")) for name in names)
    *written, pace = load_rows(write_gz_bridge(world, BRIDGE, tmp_path / "b.yaml"))
    assert written == rows
    assert (pace.gz_topic_name, pace.gz_type_name, pace.lazy) == (IMU_PACE, "gz.msgs.IMU", False), "always heard"


def test_an_imu_is_due_at_every_step_in_gazebo(tmp_path):
    """So that its IMU system forgets the sensors of a robot that is taken out (what else it does: gz_double.py)."""
    text = write_gz_world(compose(WORLD, ["cart"]), tmp_path / "gz.sdf", RENDERED).read_text()
    model = text[text.index('<model name="imu_pace">') :]
    assert f"<topic>{IMU_PACE}</topic>" in model and "update_rate" not in model


def test_gazebo_runs_at_the_pace_that_is_asked_for(tmp_path, write_world):
    without = compose(write_world(*FLOOR.split("\n")))
    for world, step in ((compose(WORLD, ["cart"]), "0.002"), (without, None)):
        root = ET.parse(write_gz_world(world, tmp_path / "gz.sdf", RENDERED, 0.25)).getroot()
        (physics,) = root.iter("physics")
        assert float(physics.findtext("real_time_factor")) == 0.25
        assert (physics.findtext("max_step_size"), physics.get("type")) == (step, "dart")
        assert compose(tmp_path / "gz.sdf").time_step == world.time_step
    (physics,) = ET.parse(write_gz_world(compose(WORLD), tmp_path / "gz.sdf")).getroot().iter("physics")
    assert float(physics.findtext("real_time_factor")) == 1.0, "as the world says"


def test_every_topic_of_the_models_has_its_bridge_row(field):
    gz = {row.gz_topic_name for row in load_rows(BRIDGE)}
    for robot in field.robots.values():
        model = robot.description
        parts = [model.drive, model.controller, model.odometry, model.joint_states]
        topics = [part.topic for part in parts if part]
        topics += [sensor.topic for link in model.links.values() for sensor in link.sensors]
        assert set(topics) <= gz


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "valid"),
        ("- ros_topic_name: /a\n  gz_topic: /a\n", "b.yaml:2.*unknown key.*gz_topic_name"),
        (
            "- ros_topic_name: /a\n  gz_topic_name: /a\n  ros_type_name: a/msg/A\n  gz_type_name: gz.msgs.A\n"
            "  direction: UP\n",
            "b.yaml:5.*direction",
        ),
    ],
)
def test_wrong_bridge_file_is_told_with_its_place(tmp_path, text, message):
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_rows(tmp_path / "b.yaml")


FILES = sorted((ROOT / "worlds").rglob("*.sdf"))


@pytest.mark.skipif(
    shutil.which("ign") is None, reason="the SDFormat parser is missing (apt: ignition-tools libsdformat-dev)"
)
@pytest.mark.parametrize("file", [*FILES, None], ids=lambda f: f.parent.name if f else "composed")
def test_sdformat_parser_accepts_the_file(file, tmp_path):
    if file is None:
        file = write_gz_world(compose(WORLD, ["cart", "cart_2:cart", "spider", "hopper"]), tmp_path / "gz.sdf")
    models = str(ROOT / "worlds" / "models")
    environment = {"SDF_PATH": models, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(["ign", "sdf", "-k", str(file)], env=environment, capture_output=True, text=True, timeout=60)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "ignition-tools-backward" not in line]
    assert said == ["Valid."]
