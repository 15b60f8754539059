# SPDX-License-Identifier: Apache-2.0
"""A composed world as an SDFormat file for gz-sim."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import yaml

from ir_common.config import ConfigError
from ir_sim.bridge import Row, load_rows, rows_for
from ir_sim.sdf import resources
from ir_sim.sdf.elements import Element
from ir_sim.sdf.sensors import KINDS
from ir_sim.sdf.world import Placed, World

RENDERED = ("lidar", "camera")  #: kinds of sensors that Gazebo needs a rendering engine for
IMU_PACE = "/imu_pace"
"""Topic in Gazebo of an IMU that is due at every step.

Gazebo's IMU system forgets the sensors of a model that is removed only in a step in which some IMU is due and heard
(gz-sim 8.14); else they go on sending beside those of the model that takes its place. In an iteration that stands they
would be forgotten, too, but there the physics reads contacts of what it has just removed, and dies.
"""
_LATER = ("cone", "mimic", "density")  # elements of SDFormat 1.10 and 1.11
_SENSORS_SYSTEM = "gz::sim::systems::Sensors"


def write_gz_world(
    world: World, path: str | Path, without: Collection[str] = (), real_time_factor: float | None = None
) -> Path:
    """Writes the world with its chosen robots as one file: models stand in it whole, under their instances' names.

    Args:
        world: composed world.
        path: file to write.
        without: kinds of sensors to leave out, of `RENDERED`; without all of them the system that renders is, too.
        real_time_factor: simulated seconds per second, 0: as fast as it can; None: as the world says.

    Returns:
        The path.
    """
    renders = not set(RENDERED) <= set(without)
    kept = [
        child
        for child in world.element.children
        if child.tag not in ("model", "include") and (renders or child.attributes.get("name") != _SENSORS_SYSTEM)
    ]
    if real_time_factor is not None:
        kept = [_paced(world, real_time_factor), *(child for child in kept if child.tag != "physics")]
    models = [*(_placed(item, without) for item in _all_placed(world)), _imu_pace(world)]
    element = Element("world", world.element.attributes, world.file, 1, children=[*kept, *models])
    path = Path(path)
    path.write_text(_document(element), encoding="utf-8")
    return path


def _paced(world: World, real_time_factor: float) -> Element:
    """The world's <physics> with another real-time factor."""
    given = next((child for child in world.element.children if child.tag == "physics"), None)
    attributes = given.attributes if given else {"name": "paced", "type": "dart"}
    factor = Element("real_time_factor", {}, world.file, 1, str(real_time_factor))
    others = [child for child in given.children if child.tag != "real_time_factor"] if given else []
    return Element("physics", attributes, world.file, 1, children=[*others, factor])


def _imu_pace(world: World) -> Element:
    """The model of `IMU_PACE`: nothing but that sensor."""

    def element(tag: str, name: str, *children: Element, text: str = "") -> Element:
        return Element(tag, {"name": name} if name else {}, world.file, 1, text, children=list(children))

    sensor = element("sensor", "imu", element("topic", "", text=IMU_PACE), element("always_on", "", text="true"))
    sensor.attributes["type"] = "imu"
    return element("model", "imu_pace", element("static", "", text="true"), element("link", "link", sensor))


def gz_model(world: World, robot: str, without: Collection[str] = ()) -> str:
    """A robot of a world as an SDFormat document, with which Gazebo can be asked to put it in again.

    Args:
        world: composed world.
        robot: its name.
        without: as of `write_gz_world`.
    """
    return _document(_placed(world.robots[robot].placed, without))


def _all_placed(world: World) -> list[Placed]:
    return [*world.scenery.values(), *(robot.placed for robot in world.robots.values())]


def _document(element: Element) -> str:
    newest = any(part.tag in _LATER for part in element.walk())
    attributes = {"version": "1.11" if newest else "1.9", "xmlns:mujoco": "http://mujoco.org"}
    root = Element("sdf", attributes, element.file, 1, children=[element])
    return '<?xml version="1.0"?>\n' + "\n".join(_lines(root)) + "\n"


def write_gz_bridge(world: World, rows_file: str | Path, path: str | Path, leave: Collection[str] = ()) -> Path:
    """Writes the configuration of ros_gz_bridge for the robots of a world; returns the path.

    Args:
        world: composed world.
        rows_file: bridge file.
        path: file to write.
        leave: topics of Gazebo that are not bridged.

    Raises:
        ConfigError: `rows_file` is not a list of bridge rows.
    """
    wanted = [row for row in rows_for(load_rows(rows_file), world) if row.gz_topic_name not in leave]
    wanted.append(Row(  # for as long as the bridge listens it is heard
        ros_topic_name=IMU_PACE, gz_topic_name=IMU_PACE, ros_type_name="sensor_msgs/msg/Imu",
        gz_type_name="gz.msgs.IMU", direction="GZ_TO_ROS", lazy=False,
    ))  # fmt: skip
    rows = [row.model_dump(exclude_none=True) for row in wanted]
    path = Path(path)
    path.write_text(yaml.safe_dump(rows, sort_keys=False), encoding="utf-8")
    return path


def _without_sensors(element: Element, kinds: Collection[str]) -> Element:
    """A link without its sensors of some kinds; anything else as it is."""
    if element.tag != "link":
        return element
    children = [
        c for c in element.children if c.tag != "sensor" or KINDS.get(c.attributes.get("type", "")) not in kinds
    ]
    return Element(element.tag, element.attributes, element.file, element.line, element.text, children)


def _placed(item: Placed, without: Collection[str]) -> Element:
    """The <model> of an instance with its pose in the world, without its sensors of some kinds."""
    source = item.model.element
    pose = Element("pose", {}, source.file, source.line, text=item.pose.text)
    children = [_without_sensors(_resolved(child), without) for child in source.children if child.tag != "pose"]
    attributes = {name: value for name, value in source.attributes.items() if name != "placement_frame"}
    return Element("model", attributes, source.file, source.line, children=[pose, *children])


def _resolved(element: Element) -> Element:
    """A copy in which meshes and heightmaps are named by the files that were found."""
    text = element.text
    if element.tag == "uri":
        with contextlib.suppress(ConfigError):  # of a mesh that is only seen: Gazebo may find, or fetch, it
            text = resources.find(element).resolve().as_uri()
    children = [_resolved(child) for child in element.children]
    return Element(element.tag, dict(element.attributes), element.file, element.line, text, children)


def _lines(element: Element, indent: str = "") -> list[str]:
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in element.attributes.items())
    if element.children:
        inner = [line for child in element.children for line in _lines(child, indent + "  ")]
        return [f"{indent}<{element.tag}{attributes}>", *inner, f"{indent}</{element.tag}>"]
    if element.text:
        return [f"{indent}<{element.tag}{attributes}>{escape(element.text)}</{element.tag}>"]
    return [f"{indent}<{element.tag}{attributes}/>"]
