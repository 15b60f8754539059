# SPDX-License-Identifier: Apache-2.0
"""What a MuJoCo model holds beside its bodies: meshes, height fields, sky, light and the floor's material."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ir_sim.sdf.mesh_files import Triangles
from ir_sim.sdf.model import Link
from ir_sim.sdf.shapes import PLATE, Geometry

Array = NDArray[np.float64]
_BASE = 1.0  # m, of solid under the lowest point of a heightmap


def decorate(spec: mujoco.MjSpec) -> None:
    """Sky, light and a chequered floor material, for the cameras."""
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.3, 0.3, 0.3]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.map.znear = 0.005
    spec.visual.quality.offsamples = 0  # shadows and smooth edges cost ten times the rest on a machine without a GPU
    spec.visual.quality.shadowsize = 0
    spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
                     rgb1=[0.55, 0.7, 0.9], rgb2=[0.85, 0.9, 0.95], width=64, height=64)  # fmt: skip
    spec.add_texture(name="floor", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
                     rgb1=[0.9, 0.9, 0.9], rgb2=[1.0, 1.0, 1.0], width=128, height=128)  # fmt: skip
    material = spec.add_material(name="floor", texrepeat=[1.0, 1.0], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    spec.worldbody.add_light(
        name="sun", pos=[0, 0, 10], dir=[-0.4, 0.2, -0.9], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.55, 0.55, 0.55], specular=[0.1, 0.1, 0.1],
    )  # fmt: skip


def mesh_name(spec: mujoco.MjSpec, shape: Geometry, link: Link, seen: bool) -> str:
    """Name of the mesh of a shape, which shapes of the same file, part and scale share.

    Args:
        spec: that it is added to where it is not in it yet.
        shape: mesh or cone.
        link: whose shape it is.
        seen: it is only seen, and may be flat.

    Raises:
        ConfigError: what is to collide is flat.
    """
    key = f"{shape.file or shape.kind} {shape.size.tolist()}"
    plate = f"{key} as a plate"  # a name of its own, so that no shape which collides finds it
    if spec.mesh(key) is None and spec.mesh(plate) is None:
        surface = shape.triangles()
        normal = _normal(surface.vertices)
        if normal is not None:
            corners = [surface.vertices + side * PLATE / 2 * normal for side in (1, -1)]
            surface = Triangles(np.vstack(corners), np.vstack([surface.faces, surface.faces + len(surface.vertices)]))
        mesh = spec.add_mesh(name=key if normal is None else plate, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
        mesh.uservert, mesh.userface = surface.vertices.ravel().tolist(), surface.faces.ravel().tolist()
    if spec.mesh(plate) is None:
        return key
    if not seen:
        name = shape.file.path.name if shape.file else ""
        raise link.element.error(f"its mesh {name} is flat, and has no hull")
    return plate


def _normal(vertices: Array) -> Array | None:
    """Unit normal [3] of the plane that points [n, 3] lie in; None: they do not."""
    spread, axes = np.linalg.eigh(np.cov(vertices.T))
    return None if spread[0] > 1e-12 * spread[2] and len(vertices) >= 4 else axes[:, 0]


def height_field_name(spec: mujoco.MjSpec, shape: Geometry, link: Link) -> str:
    """Name of the height field of a heightmap: a picture whose white is as high as the map."""
    assert shape.file is not None
    key = f"{shape.file} {shape.size.tolist()}"
    if spec.hfield(key) is None:
        try:
            with Image.open(shape.file.path) as picture:
                heights = np.asarray(picture.convert("F"), dtype=np.float64)
        except (OSError, ValueError) as error:
            raise link.element.error(f"heightmap {shape.file.path.name} cannot be read ({error})") from None
        most = heights.max() or 1.0
        white = 255.0 if most <= 255.0 else 65535.0
        scale = [shape.size[0] / 2, shape.size[1] / 2, shape.size[2] * most / white, _BASE]
        field = spec.add_hfield(name=key, nrow=heights.shape[0], ncol=heights.shape[1], size=scale)
        field.userdata = (heights[::-1] / most).ravel().tolist()  # the picture's top row is the far end of y
    return key
