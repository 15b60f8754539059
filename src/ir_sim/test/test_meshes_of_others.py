# SPDX-License-Identifier: Apache-2.0
"""Meshes, heightmaps and shapes of other people's worlds."""

import mujoco
import numpy as np
import pytest
from conftest import FLOOR
from other_worlds import BALL, INERTIAL, falling, on_mesh, settled, write_mesh
from PIL import Image

from ir_common.config import ConfigError
from ir_sim.sdf import write_gz_world
from ir_sim.sdf.mujoco_compiler import compile_world

KINDS = ("binary.STL", "ascii.stl", "box.obj", "box.dae")


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


def test_what_is_flat_is_seen_and_may_not_collide(world, tmp_path):
    (tmp_path / "sign.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 2 0\nv 0 2 0\nf 1 2 3 4\n")
    mesh = "<geometry><mesh><uri>sign.obj</uri></mesh></geometry>"
    plane = "<geometry><plane><normal>1 0 0</normal><size>0.2 0.4</size></plane></geometry>"
    made = world(
        f'<model name="m"><link name="l">{INERTIAL}<visual name="sign">{mesh}</visual>',
        f'<visual name="plate">{plane}</visual></link></model>',
    )
    model, data = settled(made)
    assert sorted(np.ptp(model.mesh_vert, axis=0)) == pytest.approx([0.001, 1, 2], abs=1e-6)
    plate = model.geom("m::l::plate")
    assert plate.type[0] == mujoco.mjtGeom.mjGEOM_BOX and plate.size == pytest.approx([0.1, 0.2, 0.0005])
    assert data.geom("m::l::plate").xmat.reshape(3, 3)[:, 2] == pytest.approx([1, 0, 0])
    with pytest.raises(ConfigError, match=r"its mesh sign\.obj is flat, and has no hull"):
        settled(
            world(f'<model name="m"><link name="l">{INERTIAL}<collision name="c">{mesh}</collision></link></model>')
        )
    with pytest.raises(ConfigError, match=r"its mesh sign\.obj is flat, and has no hull"):
        settled(  # nor where it is seen first
            world(
                f'<model name="a"><static>true</static><link name="l"><visual name="v">{mesh}</visual></link></model>',
                f'<model name="b"><link name="l">{INERTIAL}<collision name="c">{mesh}</collision></link></model>',
            )
        )


def test_files_that_are_no_meshes_are_told(world, tmp_path):
    for name, data in (("a.stl", b"solid x\nendsolid"), ("b.obj", b"hello"), ("c.ply", b"ply"), ("d.STL", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=rf"x\.sdf:2: <mesh>: {name}: "):
            world(on_mesh(name))


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


def test_a_visual_may_be_called_as_a_collision(world):
    link = f'<link name="l"><collision name="c">{BALL}</collision><visual name="c">{BALL}</visual></link>'
    model = compile_world(world(f'<model name="m"><static>1</static>{link}</model>'))
    assert model.geom("m::l::c").contype[0] and not model.geom("m::l::c_visual").contype[0]
    with pytest.raises(ConfigError, match="two collisions named 'c'"):
        world(f'<model name="m">{link.replace("visual", "collision")}</model>')
