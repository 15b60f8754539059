# SPDX-License-Identifier: Apache-2.0
"""Topics, frames and rates of a robot whose file leaves them to the simulator, or shares with others."""

from __future__ import annotations

from collections.abc import Iterator

from ir_sim.sdf import grammar
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import plugin_kind
from ir_sim.sdf.sensors import KINDS

RATE = 50.0  #: Hz, of odometry and joint states of a model that says nothing
_SENSOR_TOPICS = {"lidar": "scan", "imu": "imu", "camera": "camera/image_raw", "contact": "bumper"}
#: By plugin: what it needs, and what is put there; {robot} is the instance's name.
_NEEDED = {
    **{kind: {"topic": "/{robot}/cmd_vel"} for kind in grammar.DRIVES},
    "JointTrajectoryController": {"topic": "/{robot}/joint_commands"},
    "JointStatePublisher": {"topic": "/{robot}/joint_states", "update_rate": f"{RATE:g}"},
    "OdometryPublisher": {
        "odom_topic": "/{robot}/odom",
        "odom_frame": "map",
        "robot_base_frame": "{robot}/base_link",
        "odom_publish_frequency": f"{RATE:g}",
    },
}
_TOPICS = ("topic", "odom_topic")


def takes_commands(model: Element) -> bool:
    """Whether a <model>, or one in it, has a plugin by which it is commanded."""
    return any(element.tag == "plugin" and plugin_kind(element) in grammar.COMMANDED for element in model.walk())


def complete(model: Element, robot: str, apart: bool) -> None:
    """Gives a robot's sensors and plugins the topics and frames that its file leaves out, in place.

    Odometry and joint states are added where no plugin publishes them. Written into the elements, so that Gazebo is
    told the same.

    Args:
        model: <model> of the robot, a copy of its own.
        robot: name of the instance.
        apart: whether topics that do not begin with the name are put under it, as a further instance of a model needs.
    """
    kinds = set()
    taken: set[str] = set()
    for element in list(model.walk()):
        if element.tag == "plugin" and plugin_kind(element) in grammar.PLUGINS:
            kinds.add(plugin_kind(element))
            _fill(element, _NEEDED[plugin_kind(element)], robot)
            _place_topics(element, robot, apart)
        elif element.tag == "sensor" and element.attributes.get("type") in KINDS:
            _complete_sensor(element, robot, taken)
            _place_topics(element, robot, apart)
    for kind, file in (("OdometryPublisher", "odometry-publisher"), ("JointStatePublisher", "joint-state-publisher")):
        if kind not in kinds and (kind == "OdometryPublisher" or any(_moves(e) for e in model.walk())):
            plugin = model.leaf("plugin", name=f"gz::sim::systems::{kind}", filename=f"gz-sim-{file}-system")
            _fill(plugin, _NEEDED[kind], robot)
            model.children.append(plugin)


def _moves(element: Element) -> bool:
    return element.tag == "joint" and element.attributes.get("type") in ("revolute", "continuous", "prismatic")


def _fill(element: Element, needed: dict[str, str], robot: str) -> None:
    for tag, text in needed.items():
        if element.find(tag) is None:
            element.children.append(element.leaf(tag, text.format(robot=robot)))


def _complete_sensor(sensor: Element, robot: str, taken: set[str]) -> None:
    kind, name = KINDS[sensor.attribute("type")], sensor.attributes.get("name", "")
    holder = sensor.find("contact") if kind == "contact" else sensor
    if holder is not None and holder.find("topic") is None:
        topic = _SENSOR_TOPICS[kind]
        topic = f"/{robot}/{topic}" if topic not in taken else f"/{robot}/{name}/{topic.rpartition('/')[2]}"
        taken.add(_SENSOR_TOPICS[kind])
        holder.children.append(holder.leaf("topic", topic))
    if kind == "contact":
        return
    if sensor.find("gz_frame_id") is None:
        sensor.children.append(sensor.leaf("gz_frame_id", sensor.string("frame_id", "") or f"{robot}/{name}"))


def _place_topics(element: Element, robot: str, apart: bool) -> None:
    for leaf in _leaves(element):
        if leaf.text and not leaf.text.startswith("/"):
            leaf.text = f"/{leaf.text}"
        if apart and leaf.text and not leaf.text.startswith(f"/{robot}/"):
            leaf.text = f"/{robot}{leaf.text}"


def _leaves(element: Element) -> Iterator[Element]:
    for child in element.children:
        if child.tag in _TOPICS:
            yield child
        elif child.tag == "contact":
            yield from child.all("topic")
