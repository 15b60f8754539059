# SPDX-License-Identifier: Apache-2.0
"""URDF robots, read as the SDFormat model that says the same: the way that everything else here goes on from."""

from __future__ import annotations

import math

import numpy as np

from ir_common.config import ConfigError
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import Notes, check
from ir_sim.sdf.poses import Pose, rotation
from ir_sim.sdf.urdf_controls import give_controls

VERSION = "1.11"
_MARGIN = 1 + 1e-6  # that rounding does not make a body of no thickness an impossible one
_LIGHT, _THIN = "1e-6", "1e-9"  # kg and kg m2 of a link that says nothing: a mere frame
_JOINTS = {"revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic", "fixed": "fixed"}


def read_urdf(root: Element, notes: Notes) -> Element:
    """<sdf> with the <model> of the <robot> of a URDF file.

    Links, inertia, visuals, collisions, joints with limits, damping, friction, mimic, and what <gazebo> elements say of
    friction, sensors and plugins are taken over. A robot that no plugin commands is given controls (`give_controls`).

    Raises:
        ConfigError: not URDF, not well-formed, or something of it that has no counterpart, with file and line.
    """
    path = root.file
    if root.tag != "robot":
        raise root.error("is not URDF: expected <robot>")
    links = {link.attribute("name"): link for link in root.all("link")}
    if not links:
        raise root.error("has no <link>")
    model = Element("model", {"name": root.attributes.get("name") or path.stem}, path, root.line)
    colours = {c.attribute("name"): rgba for c in root.all("material") if (rgba := c.find("color"))}
    extra = _gazebo(root, notes)
    joints = {joint.attribute("name") for joint in root.all("joint")}
    names = {name: f"{name}_link" if name in joints else name for name in links}
    if names.keys() & joints:
        notes.add(root, "has links and joints of the same names; the links get _link after theirs")
    made = {
        name: _link(names[name], link, colours, extra.get(name, []), notes)
        for name, link in links.items()
        if name != "world"
    }
    hung = set()
    for joint in root.all("joint"):
        model.children.append(_joint(joint, names))
        child = joint.require("child").attribute("link")
        hung.add(child)
        made[child].children.append(joint.leaf("pose", relative_to=joint.attribute("name")))
    model.children[:0] = made.values()
    loose = [name for name in links if name not in hung]
    if len(loose) != 1:
        raise root.error(f"must have one link that hangs on no joint, got {loose}")
    if loose != ["world"]:
        model.attributes["canonical_link"] = names[loose[0]]
    model.children += extra.get("", [])
    give_controls(model, notes)
    for ignored in ("transmission", "ros2_control"):
        for element in root.all(ignored):
            notes.add(element, "is passed over in <robot>")
    return Element("sdf", {"version": VERSION}, path, root.line, children=[model])


def _numbers(element: Element, name: str, count: int, default: str) -> list[float]:
    text = element.attributes.get(name, default)
    return element.leaf(element.tag, text).vector(count).tolist()


def _number(element: Element | None, name: str, default: float) -> float:
    return _numbers(element, name, 1, str(default))[0] if element else default


def _origin(element: Element, **attributes: str) -> Element:
    """<pose> of what an <origin> says."""
    origin = element.find("origin")
    if origin is None:
        return element.leaf("pose", "0 0 0 0 0 0", **attributes)
    pose = Pose(np.array(_numbers(origin, "xyz", 3, "0 0 0")), rotation(*_numbers(origin, "rpy", 3, "0 0 0")))
    return origin.leaf("pose", pose.text, **attributes)


def _inner(element: Element, tag: str, *children: Element, **attributes: str) -> Element:
    return Element(tag, attributes, element.file, element.line, children=list(children))


def _link(name: str, link: Element, colours: dict[str, Element], extra: list[Element], notes: Notes) -> Element:
    made = _inner(link, "link", _inertial(link, notes), name=name)
    friction = _friction(link, extra)
    for tag in ("collision", "visual"):
        for number, shape in enumerate(link.all(tag)):
            # URDF names are free, may be missing, and may stand twice
            parts = [_origin(shape), _geometry(shape.require("geometry"))]
            if tag == "collision":
                parts += friction
            elif (colour := _colour(shape, colours)) is not None:
                parts.append(colour)
            made.children.append(_inner(shape, tag, *parts, name=f"{name}_{tag}{f'_{number}' if number else ''}"))
    collisions = [e.attribute("name") for e in made.all("collision")]
    for sensor in (e for e in extra if e.tag == "sensor"):
        contact = sensor.find("contact")
        if contact is not None:  # it names collisions as Gazebo's converter would
            kept = [e for e in contact.children if e.tag != "collision"]
            contact.children = [*kept, *(contact.leaf("collision", name) for name in collisions)]
        made.children.append(sensor)
    return made


def _inertial(link: Element, notes: Notes) -> Element:
    """<inertial> of a link; one without mass is a mere frame, and what is the inertia of no body is made one."""
    inertial = link.find("inertial")
    mass = inertial.require("mass") if inertial else None
    if inertial is None or mass is None or _number(mass, "value", 0.0) == 0.0:
        thin = [link.leaf(f"i{axis}", _THIN) for axis in ("xx", "yy", "zz")]
        return _inner(link, "inertial", link.leaf("mass", _LIGHT), _inner(link, "inertia", *thin))
    inertia = inertial.require("inertia")
    pairs = ("xx", "xy", "xz", "yy", "yz", "zz")
    xx, xy, xz, yy, yz, zz = (_number(inertia, f"i{axes}", 0.0) for axes in pairs)
    given = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    moments, axes = np.linalg.eigh(given)
    least = max(moments[2], float(_THIN)) * 1e-3
    if moments[0] < least * 1e-3 or moments[0] + moments[1] < moments[2] * (2 - _MARGIN):
        notes.add(inertia, "is the inertia of no body; its small principal moments are made larger")
        moments = np.maximum(moments, least)
        moments[:2] += max(0.0, moments[2] * _MARGIN - moments[0] - moments[1]) / 2
        given = axes @ np.diag(moments) @ axes.T
    values = [inertia.leaf(f"i{p}", f"{given['xyz'.index(p[0]), 'xyz'.index(p[1])]:.17g}") for p in pairs]
    parts = (_origin(inertial), mass.leaf("mass", mass.attribute("value")), _inner(inertia, "inertia", *values))
    return _inner(inertial, "inertial", *parts)


def _geometry(geometry: Element) -> Element:
    if len(geometry.children) != 1:
        raise geometry.error("must hold one shape")
    shape = geometry.children[0]
    leaves = {
        "box": ("size",),
        "sphere": ("radius",),
        "cylinder": ("radius", "length"),
        "capsule": ("radius", "length"),
    }
    if shape.tag in leaves:
        return _inner(
            geometry, "geometry",
            _inner(shape, shape.tag, *(shape.leaf(name, shape.attribute(name)) for name in leaves[shape.tag])),
        )  # fmt: skip
    if shape.tag != "mesh":
        raise shape.error(f"is not supported in <geometry>; known there: {', '.join(sorted(leaves))}, mesh")
    scale = shape.leaf("scale", shape.attributes.get("scale", "1 1 1"))
    return _inner(geometry, "geometry", _inner(shape, "mesh", shape.leaf("uri", shape.attribute("filename")), scale))


def _colour(visual: Element, colours: dict[str, Element]) -> Element | None:
    material = visual.find("material")
    if material is None:
        return None
    colour = material.find("color") or colours.get(material.attributes.get("name", ""))
    if colour is None:
        return None
    return _inner(material, "material", colour.leaf("diffuse", colour.attribute("rgba")))


def _joint(joint: Element, links: dict[str, str]) -> Element:
    """<joint> of a joint; `links`: names that the links have in the model."""
    kind = joint.attribute("type")
    if kind not in _JOINTS:
        raise joint.error(f"type {kind!r} is not supported; known: {', '.join(_JOINTS)}")
    ends = []
    for tag in ("parent", "child"):
        end = joint.require(tag)
        if end.attribute("link") not in links:
            raise end.error(f"no link is named {end.attributes['link']!r}")
        ends.append(end.leaf(tag, links[end.attributes["link"]]))
    base = ends[0].text if ends[0].text != "world" else "__model__"
    made = _inner(joint, "joint", *ends, _origin(joint, relative_to=base), name=joint.attribute("name"), type=kind)
    made.attributes["type"] = _JOINTS[kind]
    if kind == "fixed":
        return made
    axis, limit, dynamics = joint.find("axis"), joint.find("limit"), joint.find("dynamics")
    if kind in ("revolute", "prismatic") and limit is None:
        raise joint.error("lacks <limit>")
    low, high = (
        (-math.inf, math.inf) if kind == "continuous" else (_number(limit, "lower", 0), _number(limit, "upper", 0))
    )
    bounds = {"lower": low, "upper": high}
    bounds |= {name: _number(limit, name, math.inf) or math.inf for name in ("effort", "velocity")}
    parts = [
        (axis or joint).leaf("xyz", axis.attributes.get("xyz", "1 0 0") if axis else "1 0 0"),
        _inner(
            limit or joint, "limit", *((limit or joint).leaf(name, f"{value:.12g}") for name, value in bounds.items())
        ),
    ]
    if dynamics is not None:
        values = (dynamics.leaf(name, f"{_number(dynamics, name, 0):.12g}") for name in ("damping", "friction"))
        parts.append(_inner(dynamics, "dynamics", *values))
    mimic = joint.find("mimic")
    if mimic is not None:
        followed = [mimic.leaf(n, f"{_number(mimic, n, d):.12g}") for n, d in (("multiplier", 1.0), ("offset", 0.0))]
        parts.append(_inner(mimic, "mimic", *followed, joint=mimic.attribute("joint")))
    made.children.append(_inner(axis or joint, "axis", *parts))
    return made


def _gazebo(root: Element, notes: Notes) -> dict[str, list[Element]]:
    """What <gazebo> elements say, by the link that they refer to; "": of the whole robot."""
    found: dict[str, list[Element]] = {}
    for element in root.all("gazebo"):
        kept = found.setdefault(element.attributes.get("reference", ""), [])
        for part in element.children:
            if part.tag in ("mu", "mu1", "mu2"):
                kept.append(part)
            elif part.tag in ("sensor", "plugin"):
                try:
                    check(part, Notes())
                    kept.append(part)
                except ConfigError as error:  # many were written for Gazebo's predecessor
                    notes.add(part, f"is passed over: {str(error).partition('>: ')[2]}")
    return found


def _friction(link: Element, extra: list[Element]) -> list[Element]:
    """<surface> of a link's collisions."""
    given = {e.tag: e for e in extra if e.tag in ("mu", "mu1", "mu2")}
    first = given.get("mu1") or given.get("mu")
    if first is None:
        return []
    second = given.get("mu2") or first
    both = [e.leaf(tag, e.text or e.attributes.get("value", "")) for tag, e in (("mu", first), ("mu2", second))]
    return [_inner(link, "surface", _inner(link, "friction", _inner(link, "ode", *both)))]
