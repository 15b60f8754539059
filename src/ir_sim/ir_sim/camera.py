# SPDX-License-Identifier: Apache-2.0
"""Pictures of the simulated cameras, rendered in a thread of their own on copied states."""

from __future__ import annotations

import ctypes
import io
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ir_sim.readings import Reading, Shot
from ir_sim.sdf.mujoco_compiler import VISUAL_GROUP

Picture = NDArray[np.uint8]
_RAYS_PER_PIXEL = 0.5  # along each side: a quarter of the rays, then enlarged
_SKY = np.array([160.0, 195.0, 235.0])
_SUN = np.array([0.4, -0.2, 0.9]) / np.linalg.norm([0.4, -0.2, 0.9])
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Viewpoint:
    """Where an onlooker stands who is no camera of a robot.

    Attributes:
        target: [3] m, what is looked at.
        distance: m from there.
        azimuth, elevation: degrees; the direction of sight, elevation under 0 looks down.
        width, height: pixels.
    """

    target: NDArray[np.float64]
    distance: float = 4.0
    azimuth: float = 120.0
    elevation: float = -25.0
    width: int = 480
    height: int = 360

    @property
    def pose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position [3] m and axes [3, 3] of the eye: columns right, up, back."""
        a, e = np.radians([self.azimuth, self.elevation])
        sight = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        right = np.array([np.sin(a), -np.cos(a), 0.0])
        return self.target - self.distance * sight, np.stack([right, np.cross(right, sight), -sight], axis=1)


class Renderer(Protocol):
    """Makes pictures of a state."""

    name: str

    def render(self, data: mujoco.MjData, shot: Shot) -> Picture:
        """[height, width, 3] picture of a shot's camera; `data` holds positions of everything."""

    def overlook(self, data: mujoco.MjData, viewpoint: Viewpoint) -> Picture:
        """[height, width, 3] picture as an onlooker sees it."""


class GlRenderer:
    """Off-screen OpenGL by EGL or OSMesa; must be made and used in one thread.

    Raises:
        RuntimeError: this machine has no such library, or it has no device to render on.
    """

    def __init__(self, model: mujoco.MjModel, backend: str) -> None:
        self.name = backend
        try:
            # its import sets this variable, and would break the other backend's if it stayed after a failure
            platform = os.environ.pop("PYOPENGL_PLATFORM", None)
            module = __import__(f"mujoco.{backend}", fromlist=["GLContext"])
            self._gl: Any = module.GLContext(model.vis.global_.offwidth, model.vis.global_.offheight)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # each library has exceptions of its own for "there is nothing here"
            raise RuntimeError(f"{backend}: {error}") from None
        finally:
            if platform is not None:
                os.environ["PYOPENGL_PLATFORM"] = platform
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._size = model.vis.global_.offwidth, model.vis.global_.offheight
        self._model, self._scene = model, mujoco.MjvScene(model, maxgeom=max(1000, 2 * model.ngeom))
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()

    def render(self, data: mujoco.MjData, shot: Shot) -> Picture:
        """[height, width, 3] picture."""
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, shot.camera
        return self._draw(data, shot.width, shot.height)

    def overlook(self, data: mujoco.MjData, viewpoint: Viewpoint) -> Picture:
        """[height, width, 3] picture."""
        self._camera.type, self._camera.lookat[:] = mujoco.mjtCamera.mjCAMERA_FREE, viewpoint.target
        self._camera.distance, self._camera.azimuth = viewpoint.distance, viewpoint.azimuth
        self._camera.elevation = viewpoint.elevation
        width, height = min(viewpoint.width, self._size[0]), min(viewpoint.height, self._size[1])
        return self._draw(data, width, height)

    def _draw(self, data: mujoco.MjData, width: int, height: int) -> Picture:
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        area = mujoco.MjrRect(0, 0, width, height)
        picture = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_render(area, self._scene, self._context)
        mujoco.mjr_readPixels(picture, None, area, self._context)
        return picture[::-1]


class RayRenderer:
    """Pictures without OpenGL: one ray for every few pixels, shaded by the colour and slope of what it meets."""

    name = "rays"

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._seen = np.array([group == VISUAL_GROUP for group in range(mujoco.mjNGROUP)], dtype=np.uint8)

    def render(self, data: mujoco.MjData, shot: Shot) -> Picture:
        """[height, width, 3] picture."""
        axes = data.cam_xmat[shot.camera].reshape(3, 3)
        eye, angle = data.cam_xpos[shot.camera], float(self._model.cam_fovy[shot.camera])
        return self._look(data, eye, axes, angle, shot.width, shot.height)

    def overlook(self, data: mujoco.MjData, viewpoint: Viewpoint) -> Picture:
        """[height, width, 3] picture."""
        return self._look(data, *viewpoint.pose, 45.0, viewpoint.width, viewpoint.height)

    def _look(
        self, data: mujoco.MjData, eye: NDArray[np.float64], axes: NDArray[np.float64], angle: float, width: int,
        height: int,
    ) -> Picture:  # fmt: skip
        rows, columns = round(height * _RAYS_PER_PIXEL), round(width * _RAYS_PER_PIXEL)
        half = np.tan(np.radians(angle) / 2)
        x = (np.arange(columns) + 0.5 - columns / 2) / (rows / 2) * half
        y = -(np.arange(rows) + 0.5 - rows / 2) / (rows / 2) * half
        rays = np.stack([*np.meshgrid(x, y), np.full((rows, columns), -1.0)], axis=-1).reshape(-1, 3)
        rays = rays / np.linalg.norm(rays, axis=1, keepdims=True) @ axes.T
        count = len(rays)
        geoms, distance, normals = np.empty(count, np.int32), np.empty(count), np.empty(3 * count)
        mujoco.mj_multiRay(self._model, data, eye, rays.ravel(), self._seen, 1, -1,
                           geoms, distance, normals, count, 100.0)  # fmt: skip
        light = 0.45 + 0.55 * np.maximum(0.0, normals.reshape(-1, 3) @ _SUN)
        pixels = 255 * self._model.geom_rgba[geoms, :3] * light[:, None]
        points = eye + rays * distance[:, None]
        floor = self._model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_PLANE
        pixels[floor & (np.floor(points[:, :2]).sum(axis=1) % 2 == 0)] *= 0.9  # squares of 1 m
        pixels[geoms < 0] = _SKY
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8).reshape(rows, columns, 3))
        return np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))


_LIBRARIES = {"egl": ("libEGL.so.1",), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}


def make_renderer(model: mujoco.MjModel) -> Renderer:
    """The best renderer of this machine: EGL, OSMesa or rays; MUJOCO_GL (egl, osmesa, disable) decides where set."""
    asked = os.environ.get("MUJOCO_GL", "").lower()
    for backend in (asked,) if asked in _LIBRARIES else () if asked in _DISABLED else tuple(_LIBRARIES):
        if any(_loads(library) for library in _LIBRARIES[backend]):
            try:
                return GlRenderer(model, backend)
            except RuntimeError:
                continue
    return RayRenderer(model)


_DISABLED = ("disable", "disabled", "off", "false", "0")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def to_jpeg(picture: Picture) -> bytes:
    """A picture [height, width, 3] as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


class CameraWorker:
    """Renders shots in a thread and hands the JPEGs on.

    Args:
        model: the simulation's; its data is never touched.
        publish: called in the thread with a reading and its JPEG.

    Attributes:
        renderer_name: what renders; empty until the first picture.
        dropped: pictures left out because the thread was busy.
    """

    def __init__(self, model: mujoco.MjModel, publish: Callable[[Reading, bytes], None]) -> None:
        self.renderer_name = ""
        self.dropped = 0
        self._model, self._publish = model, publish
        self._waiting: queue.Queue[Reading | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="cameras", daemon=True)
        self._thread.start()

    def submit(self, reading: Reading, limit: int) -> bool:
        """Takes a shot; drops and counts it when `limit` others already wait."""
        if self._failure is not None:
            raise RuntimeError("the camera thread has ended") from self._failure
        if self._waiting.unfinished_tasks >= limit:
            self.dropped += 1
            return False
        self._waiting.put(reading)
        return True

    def flush(self) -> None:
        """Waits until every picture taken is handed on."""
        self._waiting.join()

    def close(self) -> None:
        """Ends the thread after the picture in work."""
        self._waiting.put(None)
        self._thread.join(timeout=2.0)

    def _work(self) -> None:
        data = mujoco.MjData(self._model)
        renderer: Renderer | None = None
        while (reading := self._waiting.get()) is not None:
            try:
                if self._failure is None and isinstance(reading.value, Shot):
                    renderer = renderer or make_renderer(self._model)
                    self.renderer_name = renderer.name
                    data.qpos[:] = reading.value.positions
                    mujoco.mj_kinematics(self._model, data)
                    mujoco.mj_camlight(self._model, data)
                    self._publish(reading, to_jpeg(renderer.render(data, reading.value)))
            except BaseException as error:  # told to the main thread by the next submit
                self._failure = error
            finally:
                self._waiting.task_done()
