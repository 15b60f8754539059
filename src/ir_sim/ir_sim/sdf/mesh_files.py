# SPDX-License-Identifier: Apache-2.0
"""Triangles of mesh files: STL here, OBJ by MuJoCo, COLLADA (.dae) by pycollada."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KINDS = (".stl", ".obj", ".dae")
_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
_STL_HEADER = 84


class MeshError(Exception):
    """A mesh file cannot be used; says why."""


@dataclass(frozen=True)
class Triangles:
    """A surface: vertices [n, 3] in the file's units (m for COLLADA), faces [m, 3] of vertex numbers."""

    vertices: Array
    faces: NDArray[np.int32]


@functools.lru_cache(maxsize=128)
def load(path: Path, submesh: str = "", centre: bool = False) -> Triangles:
    """Reads a mesh file.

    Args:
        path: .stl, .obj or .dae.
        submesh: name of the one part that is wanted, of a .dae; empty: all.
        centre: whether the part is moved so that the middle of its box is the origin.

    Raises:
        MeshError: it cannot be read, or holds no such part, or no surface.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise MeshError(f"{path.name}: meshes of this kind are not read; convert it to {', '.join(KINDS)}")
    if submesh and kind != ".dae":
        raise MeshError(f"{path.name}: only .dae has named parts")
    try:
        found = {".stl": _stl, ".obj": _obj}[kind](path) if kind != ".dae" else _collada(path, submesh)
    except (OSError, ValueError, IndexError) as error:
        raise MeshError(f"{path.name}: cannot be read ({error})") from None
    if len(found.vertices) < 3 or not len(found.faces) or not np.all(np.isfinite(found.vertices)):
        raise MeshError(f"{path.name}: holds no surface{f' named {submesh!r}' if submesh else ''}")
    if centre:
        middle = (found.vertices.min(axis=0) + found.vertices.max(axis=0)) / 2
        found = Triangles(found.vertices - middle, found.faces)
    return found


def _joined(corners: Array) -> Triangles:
    """Faces [m, 3 corners, 3] with equal corners made one vertex."""
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return Triangles(vertices.astype(np.float64), index.reshape(-1, 3).astype(np.int32))


def _stl(path: Path) -> Triangles:
    data = path.read_bytes()
    count = int.from_bytes(data[80:_STL_HEADER], "little") if len(data) >= _STL_HEADER else -1
    if len(data) == _STL_HEADER + count * _STL.itemsize:
        return _joined(np.frombuffer(data, _STL, count, _STL_HEADER)["corners"])
    words = data.split()
    at = [index for index, word in enumerate(words) if word == b"vertex"]
    if not data.lstrip().startswith(b"solid") or not at or len(at) % 3:
        raise ValueError("it is neither binary nor ASCII STL")
    return _joined(np.array([[float(w) for w in words[i + 1 : i + 4]] for i in at]).reshape(-1, 3, 3))


def _obj(path: Path) -> Triangles:
    spec = mujoco.MjSpec()
    spec.add_mesh(name="mesh", file=str(path), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    geom = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh")
    geom.contype = geom.conaffinity = 0
    model = spec.compile()
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.mesh_quat[0])
    return Triangles(model.mesh_vert @ turn.reshape(3, 3).T + model.mesh_pos[0], model.mesh_face.astype(np.int32))


def _collada(path: Path, submesh: str) -> Triangles:
    """All parts of a COLLADA file where its scene has them, in metres. Its up axis is left as it is, as RViz does."""
    import collada  # here, as every node would load it, and few worlds have such files

    try:
        document = collada.Collada(str(path), ignore=[collada.DaeError])
        scale = float(document.assetInfo.unitmeter or 1.0)
        corners = []
        for part in document.scene.objects("geometry") if document.scene else ():
            if submesh and submesh not in (part.original.name, part.original.id):
                continue
            for primitive in part.primitives():
                triangles = primitive.triangleset() if hasattr(primitive, "triangleset") else primitive
                if getattr(triangles, "vertex_index", None) is not None and hasattr(triangles, "__getitem__"):
                    corners.append(np.asarray(triangles.vertex)[np.asarray(triangles.vertex_index).reshape(-1, 3)])
    except Exception as error:  # the library has many of its own, and lets those of its XML parser through
        raise MeshError(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from None
    if not corners:
        return Triangles(np.empty((0, 3)), np.empty((0, 3), np.int32))
    return _joined(np.concatenate(corners).astype(np.float64) * scale)
