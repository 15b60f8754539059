# SPDX-License-Identifier: Apache-2.0
"""What SDFormat <geometry>, <collision> and <visual> say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_sim.sdf import resources
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import Notes
from ir_sim.sdf.mesh_files import MeshError, Triangles, load
from ir_sim.sdf.poses import Frames, Pose, towards

Array = NDArray[np.float64]
ALL_BITS = 0xFFFF  #: <collide_bitmask> of what says nothing
_CONE_SIDES = 32
PLATE = 1e-3
"""m, thickness that a plane that moves, or a flat mesh, is given to be seen."""
ALMOST_EQUAL = 0.3  #: how much smaller one direction's friction may be than the other's to be taken for both
MAX_FRICTION = 1e5  #: files write 1e5 and more for "does not slip"


@dataclass(frozen=True)
class MeshFile:
    """Where the triangles, or heights, of a shape stand."""

    path: Path
    submesh: str = ""
    centre: bool = False


@dataclass(frozen=True)
class Geometry:
    """A shape.

    Attributes:
        kind: box, sphere, cylinder, capsule, cone, ellipsoid, plane, mesh or heightmap.
        size: m: box, heightmap full edges; sphere radius; cylinder, capsule, cone radius and length; ellipsoid radii;
            plane unit normal; mesh scale factors.
        file: of a mesh or heightmap.
        shift: [3] m, place of a heightmap's middle.
    """

    kind: str
    size: Array
    file: MeshFile | None = None
    shift: Array = field(default_factory=lambda: np.zeros(3))

    def triangles(self) -> Triangles:
        """The surface of a mesh, or of a cone, m."""
        if self.file is None:
            angles = np.linspace(0.0, 2 * np.pi, _CONE_SIDES, endpoint=False)
            rim = np.stack([np.cos(angles), np.sin(angles), np.full(_CONE_SIDES, -0.5)], axis=1)
            corners = np.vstack([rim, [[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]]])
            here, there = np.arange(_CONE_SIDES), (np.arange(_CONE_SIDES) + 1) % _CONE_SIDES
            tip, foot = np.full(_CONE_SIDES, _CONE_SIDES), np.full(_CONE_SIDES, _CONE_SIDES + 1)
            faces = np.vstack([np.stack([here, there, tip], axis=1), np.stack([there, here, foot], axis=1)])
            return Triangles(corners * [self.size[0], self.size[0], self.size[1]], faces.astype(np.int32))
        found = load(self.file.path, self.file.submesh, self.file.centre)
        return Triangles(found.vertices * self.size, found.faces)

    def box(self) -> tuple[Array, Array]:
        """Middle [3] and full edges [3], m, of the box around the shape in its own axes; not of a plane."""
        middle = np.zeros(3)
        if self.kind == "mesh":
            vertices = self.triangles().vertices
            middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
            return middle, vertices.max(axis=0) - vertices.min(axis=0)
        if self.kind == "heightmap":
            return self.shift + np.array([0.0, 0.0, self.size[2] / 2]), self.size
        if self.kind == "box":
            return middle, self.size
        if self.kind == "ellipsoid":
            return middle, 2 * self.size
        radius, length = self.size[0], self.size[-1] if len(self.size) == 2 else 0.0
        along = {"capsule": length + 2 * radius, "sphere": 2 * radius}.get(self.kind, length)
        return middle, np.array([2 * radius, 2 * radius, along])


@dataclass(frozen=True)
class Collision:
    """A shape that touches. `pose` in its link; `margin` (m), `solref` and `solimp` are MuJoCo's (None: default).

    Two collisions touch where their `bits` have one in common.
    """

    name: str
    pose: Pose
    geometry: Geometry
    friction: float
    margin: float = 0.0
    solref: Array | None = None
    solimp: Array | None = None
    bits: int = ALL_BITS
    density: float | None = None  #: kg/m3, for a link whose inertia is computed
    grip: float = 0.0  #: friction along the rollers of a mecanum wheel, whose `friction` is none


@dataclass(frozen=True)
class Visual:
    """A shape that is seen."""

    name: str
    pose: Pose
    geometry: Geometry
    colour: Array


def _positive(element: Element, path: str, count: int) -> Array:
    values = element.require(path).vector(count)
    if np.any(values <= 0):
        what = "edges" if path == "size" else path
        raise element.error(f"{what} must be positive, got {values.tolist()}")
    return values


def _read_geometry(element: Element) -> Geometry | None:
    """The shape in a collision or visual; None: <empty/>."""
    geometry = element.require("geometry")
    if len(geometry.children) != 1:
        raise geometry.error("must hold one shape")
    shape = geometry.children[0]
    if shape.tag == "empty":
        return None
    if shape.tag == "plane":
        normal = shape.find("normal")
        size = normal.vector(3) if normal else np.array([0.0, 0.0, 1.0])
        if not np.linalg.norm(size) > 0:
            raise shape.error("normal must not be zero")
        return Geometry("plane", size / np.linalg.norm(size))
    if shape.tag == "mesh":
        scale = shape.find("scale")
        part = shape.string("submesh/name", "") if shape.find("submesh") else ""
        file = MeshFile(resources.find(shape.require("uri")), part, shape.boolean("submesh/center", False))
        return Geometry("mesh", scale.vector(3) if scale else np.ones(3), file)
    if shape.tag == "heightmap":
        place = shape.find("pos")
        file = MeshFile(resources.find(shape.require("uri")))
        size = _positive(shape, "size", 3) if shape.find("size") else np.ones(3)
        return Geometry("heightmap", size, file, place.vector(3) if place else np.zeros(3))
    if shape.tag == "box":
        return Geometry("box", _positive(shape, "size", 3))
    if shape.tag == "ellipsoid":
        return Geometry("ellipsoid", _positive(shape, "radii", 3))
    if shape.tag == "sphere":
        return Geometry("sphere", np.array([shape.positive("radius")]))
    return Geometry(shape.tag, np.array([shape.positive("radius"), shape.positive("length")]))


def _read_friction(element: Element, notes: Notes, rollers: bool) -> float:
    """The coefficient of a collision: that of ODE's element, which Gazebo's engine reads, or else of Bullet's.

    With `rollers` that along their axes, which is the greater one.
    """
    ode, bullet = element.find("surface/friction/ode"), element.find("surface/friction/bullet")
    source, names = (bullet, ("friction", "friction2")) if ode is None and bullet else (ode, ("mu", "mu2"))
    if source is None:
        return 1.0
    first, second = source.number(names[0], 1.0), 0.0
    second = source.number(names[1], first)
    if min(first, second) < 0:
        raise element.error(f"friction must not be negative, got {min(first, second):g}")
    low, high = sorted(min(value, MAX_FRICTION) for value in (first, second))
    if rollers:
        return float(high)
    if low < ALMOST_EQUAL * high:
        raise source.error(
            f"{names[1]} differs from {names[0]}; friction that depends on the direction is not supported"
        )
    if low < high:
        notes.add(source, f"{names[1]} differs from {names[0]}; the smaller one counts in every direction")
    for slip in (found for tag in ("slip1", "slip2") if (found := source.find(tag))):
        if slip.vector(1)[0]:
            notes.add(slip, "slip that grows with the force is passed over; contacts here creep a little by themselves")
    return float(low)


def _read_bits(element: Element, notes: Notes) -> int:
    """The bits of which two collisions must share one to touch."""
    bounce = element.find("surface/bounce")
    if bounce is not None and bounce.number("restitution_coefficient", 0.0) > 0:
        raise bounce.require("restitution_coefficient").error("is not supported: contacts here do not bounce")
    contact = element.find("surface/contact")
    if contact is None:
        return ALL_BITS
    if contact.boolean("collide_without_contact", False):
        raise contact.require("collide_without_contact").error("is not supported")
    for tag in ("collide_bitmask", "category_bitmask"):
        found = contact.find(tag)
        try:
            bits = int(found.text, 0) if found else ALL_BITS
        except ValueError:
            bits = -1
        if found and not 0 <= bits <= ALL_BITS:
            raise found.error(f"must be a number of 16 bits, got {found.text!r}")
        if found and tag == "category_bitmask" and bits != ALL_BITS:
            raise found.error("is not supported; collide_bitmask is")
        if tag == "collide_bitmask":
            chosen = bits
    return chosen


def read_collision(
    element: Element, frames: Frames, link: str, notes: Notes, rollers: bool = False
) -> Collision | None:
    """A <collision> of a link, with `rollers` of a mecanum wheel; None: its geometry is empty.

    Raises:
        ConfigError: a value is wrong, its mesh is not there, or it bounces.
    """
    geometry = _read_geometry(element)
    friction, bits = _read_friction(element, notes, rollers), _read_bits(element, notes)
    if geometry is None:
        return None
    if geometry.kind == "mesh":
        shape = element.require("geometry/mesh")
        try:
            geometry.triangles()
        except MeshError as error:
            raise shape.error(str(error)) from None
        if shape.attributes.get("optimization", "") != "convex_hull":
            notes.add(shape, "collides as its convex hull: hollows in a mesh are filled")
    contact = element.find("surface/mujoco:contact")
    solver = attribute_numbers(contact) if contact else {}
    density = element.find("density")
    return Collision(
        element.attribute("name"),
        frames.within(element, link),
        geometry,
        0.0 if rollers else friction,
        float(solver.get("margin", [0.0])[0]),
        solver.get("solref"),
        solver.get("solimp"),
        bits,
        element.positive("density") if density else None,
        friction if rollers else 0.0,
    )


def attribute_numbers(element: Element) -> dict[str, Array]:
    """The attributes of an element, each as numbers.

    Raises:
        ConfigError: one of them is not numbers.
    """
    numbers = {}
    for name, text in element.attributes.items():
        try:
            numbers[name] = np.array([float(word) for word in text.split()])
        except ValueError:
            numbers[name] = np.empty(0)
        if not len(numbers[name]) or not np.all(np.isfinite(numbers[name])):
            raise element.error(f"attribute {name!r} must be numbers, got {text!r}")
    return numbers


def read_visual(element: Element, frames: Frames, link: str, notes: Notes, static: bool) -> Visual | None:
    """A <visual> of a link; None: its geometry is empty, or its mesh cannot be shown, which is noted.

    A plane that moves is seen as a plate of its size; one of a static model has no end.
    """
    colour = _read_colour(element.find("material/diffuse"))
    pose = frames.within(element, link)
    shape = element.find("geometry/mesh")
    if shape is not None and (reason := _unseen(shape)):
        notes.add(shape, f"is not seen: {reason}")
        return None
    geometry = _read_geometry(element)
    if geometry is None:
        return None
    if geometry.kind == "plane" and not static:
        size = element.find("geometry/plane/size")
        edges = np.append(size.vector(2) if size else np.ones(2), PLATE)
        pose, geometry = pose @ Pose(rotation=towards(geometry.size)), Geometry("box", edges)
    return Visual(element.attribute("name"), pose, geometry, colour)


def _unseen(mesh: Element) -> str:
    """Why the mesh of a visual cannot be shown; "": it can. What is only seen is no reason to refuse a world."""
    uri = mesh.find("uri")
    try:
        load(resources.find(uri)) if uri else None
    except MeshError as error:
        return str(error)
    except ConfigError as error:
        return str(error).partition(f"<{uri.tag if uri else ''}>: ")[2]
    return ""


def _read_colour(diffuse: Element | None) -> Array:
    if diffuse is None:
        return np.array([0.7, 0.7, 0.7, 1.0])
    colour = diffuse.vector(len(diffuse.text.split()) if len(diffuse.text.split()) == 3 else 4)
    return np.append(colour, 1.0)[:4]
