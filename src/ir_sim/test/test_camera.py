# SPDX-License-Identifier: Apache-2.0
import io
import threading

import mujoco
import numpy as np
import pytest
from conftest import FLOOR
from PIL import Image

from ir_sim.camera import CameraWorker, RayRenderer, make_renderer
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation

RED_BOX = (
    '<model name="box"><static>true</static><pose>2 0 0.5 0 0 0</pose><link name="link">'
    '<visual name="v"><geometry><box><size>1 1 1</size></box></geometry>'
    "<material><diffuse>1 0 0 1</diffuse></material></visual></link></model>"
)
CART = "<include><uri>model://cart</uri></include>"


@pytest.fixture
def simulation(write_world):
    return Simulation(compose(write_world(FLOOR.replace("</link>", FLOOR_VISUAL + "</link>"), RED_BOX, CART)))


FLOOR_VISUAL = '<visual name="v"><geometry><plane><normal>0 0 1</normal></plane></geometry></visual>'


def shot(simulation):
    readings = []
    simulation.step(100, readings.append)
    return next(r for r in readings if r.kind == "camera")


def picture_of(renderer, simulation, reading):
    data = mujoco.MjData(simulation.model)
    data.qpos[:] = reading.value.positions
    mujoco.mj_kinematics(simulation.model, data)
    mujoco.mj_camlight(simulation.model, data)
    return renderer.render(data, reading.value)


def check(picture):
    assert picture.shape == (240, 320, 3) and picture.dtype == np.uint8
    middle, left, below = picture[100, 160].astype(int), picture[60, 5].astype(int), picture[235, 5].astype(int)
    assert middle[0] > 2 * middle[1] + 10 and middle[0] > 2 * middle[2] + 10, "the red box is ahead"
    assert left[2] > left[0], "the sky is above and beside it"
    assert np.ptp(below) < 20, "the grey floor is below"


def test_rays_show_what_is_there(simulation):
    check(picture_of(RayRenderer(simulation.model), simulation, shot(simulation)))


def test_opengl_shows_what_is_there(simulation):
    renderer = make_renderer(simulation.model)
    if renderer.name == "rays":
        pytest.skip("no OpenGL library (apt: libegl1 or libosmesa6)")
    check(picture_of(renderer, simulation, shot(simulation)))


def test_without_opengl_rays_are_chosen(simulation, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    assert make_renderer(simulation.model).name == "rays"


def test_worker_hands_on_jpegs_and_drops_what_it_cannot_keep_up_with(simulation, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    reading, got, gate = shot(simulation), [], threading.Event()

    def publish(what, jpeg):
        gate.wait(10)
        got.append((what, jpeg))

    worker = CameraWorker(simulation.model, publish)
    assert [worker.submit(reading, limit=2) for _ in range(4)] == [True, True, False, False]
    gate.set()
    worker.flush()
    worker.close()
    assert worker.dropped == 2 and len(got) == 2 and got[0][0] is reading
    assert Image.open(io.BytesIO(got[0][1])).size == (320, 240)


def test_failure_in_the_worker_is_told_to_the_next_who_asks(simulation, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")

    def publish(what, jpeg):
        raise OSError("disk full")

    worker = CameraWorker(simulation.model, publish)
    worker.submit(shot(simulation), limit=9)
    worker.flush()
    with pytest.raises(RuntimeError, match="camera thread"):
        worker.submit(shot(simulation), limit=9)
    worker.close()
