# SPDX-License-Identifier: Apache-2.0
"""Models put together: <include>s replaced by what they name, models in models taken apart into one flat model."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from ir_sim.sdf import grammar, resources
from ir_sim.sdf.elements import Element, parse
from ir_sim.sdf.grammar import Notes, plugin_kind
from ir_sim.sdf.poses import Frames, Pose, read_pose
from ir_sim.sdf.urdf_reader import read_urdf
from ir_sim.sdf.versions import upgrade
from ir_sim.sdf.xacro_files import read_file

DEPTH = 20  #: of models in models; more is a model that includes itself
#: Models that nearly every world of Gazebo's includes from the net, where they are not on this machine: what they are.
_EVERYWHERE = {
    "sun": "",
    "groundplane": '<model name="ground_plane"><static>true</static><link name="link"><collision name="collision">'
    '<geometry><plane/></geometry></collision><visual name="visual"><geometry><plane/></geometry></visual>'
    "</link></model>",
}
_JOINT_NAMES = ("joint_name", "left_joint", "right_joint")


def load_model(path: Path, notes: Notes, depth: int = 0) -> Element:
    """The checked <model> of an SDFormat, URDF or xacro file, with all that it includes.

    Raises:
        ConfigError: the file is missing, malformed, or holds what is not supported.
    """
    root = read_file(path)
    if root.tag == "robot" or path.name.endswith((".urdf", ".urdf.xacro")):
        root = read_urdf(root, notes)
    elif root.tag != "sdf":
        raise root.error("is no SDFormat: expected <sdf>")
    upgrade(root)
    grammar.check(root, notes)
    first, *others = root.all("model") if root.find("model") else (root.require("model"),)
    if others:
        notes.add(others[0], f"is passed over: of a file the first model, {first.attribute('name')!r}, is read")
    return expand(first, notes, depth)


def _load(element: Element, notes: Notes, depth: int) -> Element | None:
    """The <model> that an <include> names; None: it is a light or an actor, which no robot touches."""
    uri = element.require("uri")
    try:
        folder = resources.find(uri)
    except resources.MissingResource:
        known = re.sub(r"[ _+]|%20", "", uri.text.strip().rstrip("/").rpartition("/")[2]).lower()
        if known not in _EVERYWHERE:
            raise
        text = _EVERYWHERE[known]
        notes.add(uri, f"{uri.text.strip()!r} is not on this machine; {'a plane' if text else 'nothing'} stands for it")
        return parse(uri.file, text.encode()) if text else None
    path = resources.model_file(folder) if folder.is_dir() else folder
    if path is None:
        raise uri.error(f"no model.sdf, and no URDF, in {folder}")
    if path.suffix == ".sdf":
        root = parse(path)
        other = next((child for child in root.children if child.tag in ("light", "actor")), None)
        if other is not None and root.find("model") is None:
            if other.tag == "actor":
                notes.add(uri, "is an actor, which is passed over")
            return None
    return load_model(path, notes, depth)


def expand(model: Element, notes: Notes, depth: int = 0) -> Element:
    """A <model> with each <include> in it replaced by the model that it names, or by that model's content (merge)."""
    if depth > DEPTH:
        raise model.error(f"models stand in each other {DEPTH} deep; does one include itself?")
    children: list[Element] = []
    for child in model.children:
        if child.tag == "model":
            children.append(expand(child, notes, depth + 1))
        elif child.tag == "include":
            included = include(child, notes, depth + 1)
            merge = child.attributes.get("merge", "false").lower() in ("true", "1")
            if included is not None:
                children += _merged(child, included) if merge else [included]
        else:
            children.append(child)
    return model.with_children(children)


def include(element: Element, notes: Notes, depth: int = 0) -> Element | None:
    """The <model> that an <include> names, with the include's name, pose and the like; None: a light or an actor."""
    model = _load(element, notes, depth)
    if model is None:
        return None
    given = {tag: element.find(tag) for tag in ("pose", "static", "placement_frame")}
    model = rename(model, element.string("name", "") or model.attribute("name"))
    placement = given["placement_frame"]
    attributes = {"placement_frame": placement.text} if placement else {}
    replaced = [found for tag in ("pose", "static") if (found := given[tag])]
    tags = {found.tag for found in replaced}
    kept = [child for child in model.children if child.tag not in tags]
    return model.with_children([*replaced, *kept, *element.all("plugin")], **attributes)


def rename(model: Element, instance: str) -> Element:
    """A copy of a <model> under another name: topics and frames that begin with its name begin with the new one."""
    old = model.attribute("name")
    renamed = copy.deepcopy(model)
    renamed.attributes["name"] = instance
    for element in renamed.walk():
        if element.text.startswith((f"/{old}/", f"{old}/")) and element.tag != "uri":
            element.text = element.text.replace(f"{old}/", f"{instance}/", 1)
    return renamed


def _merged(element: Element, model: Element) -> list[Element]:
    """What a merged model brings into the one that includes it: all its parts, in a frame that stands for its own."""
    frame = f"_merged__{model.attribute('name')}__model__"
    parts, _ = _parts(model, frame, "")
    kept = [part for part in parts if part.tag not in ("static", "self_collide")]
    return [_frame(element, frame, model, ""), *kept, *(child for child in model.children if child.tag == "model")]


def _frame(place: Element, name: str, model: Element, prefix: str) -> Element:
    """A <frame> where a model in a model stands."""
    pose, relative_to = read_pose(model)
    placement = model.attributes.get("placement_frame", "")
    if placement:
        pose = pose @ Frames(flatten(model)).pose(placement, model).inverse()
    leaf = place.leaf("pose", pose.text, relative_to=relative_to or "__model__")
    base = model.attributes.get("canonical_link") or next((e.attribute("name") for e in model.all("link")), "")
    attributes = {"name": name} | ({"attached_to": f"{prefix}{base}"} if base else {})
    return Element("frame", attributes, place.file, place.line, children=[leaf])


def flatten(model: Element) -> Element:
    """A <model> without models in it: their links, joints and frames are its own, named `INNER::NAME`.

    One that holds nothing but static models is static.

    Raises:
        ConfigError: an inner model is static in one that moves.
    """
    if model.find("model") is None:
        return model
    children = [child for child in model.children if child.tag != "model"]
    inside = [(inner, flatten(inner)) for inner in model.all("model")]
    fixed = [inner for inner, flat in inside if flat.boolean("static", False)]
    if fixed and not model.boolean("static", False):
        if len(fixed) < len(inside) or model.find("link") is not None:
            raise fixed[0].error("is static in a model that moves, which is not supported")
        children = [child for child in children if child.tag != "static"] + [fixed[0].leaf("static", "true")]
    for inner, flat in inside:
        name = inner.attribute("name")
        parts, plugins = _parts(flat, name, f"{name}::")
        children += [
            _frame(inner, name, flat, f"{name}::"),
            *(p for p in parts if p.tag in ("link", "joint", "frame")),
            *plugins,
        ]
    return model.with_children(children)


def _parts(model: Element, frame: str, prefix: str) -> tuple[list[Element], list[Element]]:
    """Everything in a model as it reads in the model around it, where `frame` is its own; and its plugins apart."""
    parts, plugins = [], []
    for child in model.children:
        if child.tag == "plugin":
            plugins.append(_renamed_plugin(child, prefix))
        elif child.tag in ("link", "frame", "joint"):
            parts.append(_moved(child, frame, prefix))
        elif child.tag not in ("pose", "model"):
            parts.append(child)
    if not prefix:
        return [*parts, *plugins], []
    return parts, plugins


def _name(name: str, frame: str, prefix: str) -> str:
    return frame if name in ("__model__", "") else name if name == "world" else f"{prefix}{name}"


def _moved(element: Element, frame: str, prefix: str) -> Element:
    """A link, frame or joint of a model in a model, as it reads outside."""
    attributes = dict(element.attributes)
    attributes["name"] = f"{prefix}{attributes.get('name', '')}"
    if element.tag == "frame" and attributes.get("attached_to"):
        attributes["attached_to"] = _name(attributes["attached_to"], frame, prefix)
    children = [_rebased(child, frame, prefix) for child in element.children]
    own = element.tag == "link" or (element.tag == "frame" and not element.attributes.get("attached_to"))
    if own:  # its pose is in its model's frame unless it says another one
        pose = element.find("pose")
        if pose is None:
            children.append(element.leaf("pose", Pose().text, relative_to=frame))
        else:
            at = next(index for index, child in enumerate(element.children) if child is pose)
            children[at].attributes.setdefault("relative_to", frame)
        if element.tag == "frame":
            attributes["attached_to"] = frame
    return Element(element.tag, attributes, element.file, element.line, element.text, children)


def _rebased(element: Element, frame: str, prefix: str) -> Element:
    """What stands in a link, frame or joint, with the frames that it names renamed."""
    attributes = dict(element.attributes)
    for key in ("relative_to", "expressed_in"):
        if attributes.get(key):
            attributes[key] = _name(attributes[key], frame, prefix)
    text = element.text
    if element.tag in ("parent", "child"):
        text = _name(text, frame, prefix)
    if element.tag == "mimic" and "joint" in attributes:
        attributes["joint"] = f"{prefix}{attributes['joint']}"
    children = [_rebased(child, frame, prefix) for child in element.children]
    return Element(element.tag, attributes, element.file, element.line, text, children)


def _renamed_plugin(plugin: Element, prefix: str) -> Element:
    """A plugin of an inner model: the joints that it names are named from outside."""
    if plugin_kind(plugin) not in grammar.PLUGINS:
        return plugin
    children = [
        Element(
            c.tag, c.attributes, c.file, c.line, f"{prefix}{c.text}" if c.tag in _JOINT_NAMES else c.text, c.children
        )
        for c in plugin.children
    ]
    return plugin.with_children(children)
