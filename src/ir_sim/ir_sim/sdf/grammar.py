# SPDX-License-Identifier: Apache-2.0
"""Which SDFormat elements the compiler supports, and which it knowingly leaves to Gazebo.

Everything else is an error: an element that is silently passed over would make the two simulators differ.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ir_sim.sdf.elements import Element


@dataclass(frozen=True)
class Rule:
    """What may stand in an element.

    Attributes:
        children: elements with a meaning here.
        ignored: elements that only concern Gazebo (rendering, its own tuning); not looked into.
        attributes: attributes with a meaning here.
    """

    children: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()


def _rule(children: str = "", ignored: str = "", attributes: str = "") -> Rule:
    return Rule(frozenset(children.split()), frozenset(ignored.split()), frozenset(attributes.split()))


_LEAF = _rule()
_NOISY = _rule("noise")
_AXES = _rule("x y z")
_SENSOR_IGNORED = "always_on visualize enable_metrics"

#: Rules by "parent/element", else by "element"; an element without one is a leaf.
RULES: dict[str, Rule] = {
    "sdf": _rule("world model", attributes="version xmlns:mujoco"),
    "world": _rule(
        "physics gravity model include plugin",
        ignored="light scene gui audio atmosphere wind magnetic_field spherical_coordinates",
        attributes="name",
    ),
    "physics": _rule(
        "max_step_size", ignored="real_time_factor real_time_update_rate dart", attributes="name type default"
    ),
    "include": _rule("uri name pose static"),
    "pose": _rule(attributes="relative_to degrees"),
    "model": _rule(
        "static pose frame link joint plugin self_collide",
        ignored="enable_wind allow_auto_disable",
        attributes="name canonical_link",
    ),
    "frame": _rule("pose", attributes="name attached_to"),
    "link": _rule(
        "pose inertial collision visual sensor", ignored="light enable_wind velocity_decay", attributes="name"
    ),
    "inertial": _rule("pose mass inertia"),
    "inertia": _rule("ixx ixy ixz iyy iyz izz"),
    "collision": _rule("pose geometry surface", ignored="laser_retro", attributes="name"),
    "visual": _rule(
        "pose geometry material", ignored="cast_shadows transparency laser_retro visibility_flags", attributes="name"
    ),
    "material": _rule("diffuse", ignored="ambient specular emissive script shader pbr lighting double_sided"),
    "geometry": _rule("box sphere cylinder capsule plane"),
    "box": _rule("size"),
    "sphere": _rule("radius"),
    "cylinder": _rule("radius length"),
    "capsule": _rule("radius length"),
    "plane": _rule("normal size"),
    "surface": _rule("friction mujoco:contact", ignored="contact bounce"),
    "friction": _rule("ode"),
    "friction/ode": _rule("mu mu2"),
    "mujoco:contact": _rule(attributes="margin solref solimp"),
    "joint": _rule("parent child pose axis mujoco:joint", attributes="name type"),
    "axis": _rule("xyz limit dynamics"),
    "xyz": _rule(attributes="expressed_in"),
    "limit": _rule("lower upper effort velocity", ignored="stiffness dissipation"),
    "dynamics": _rule("damping friction spring_reference spring_stiffness"),
    "mujoco:joint": _rule(attributes="armature"),
    "sensor": _rule(
        "pose topic gz_frame_id update_rate imu lidar camera contact", ignored=_SENSOR_IGNORED, attributes="name type"
    ),
    "imu": _rule("angular_velocity linear_acceleration", ignored="enable_orientation"),
    "angular_velocity": _AXES,
    "linear_acceleration": _AXES,
    "x": _NOISY,
    "y": _NOISY,
    "z": _NOISY,
    "noise": _rule("type mean stddev", attributes="type"),
    "lidar": _rule("scan range noise"),
    "scan": _rule("horizontal"),
    "horizontal": _rule("samples min_angle max_angle", ignored="resolution"),
    "lidar/range": _rule("min max", ignored="resolution"),
    "camera": _rule("horizontal_fov image", ignored="clip noise lens camera_info_topic", attributes="name"),
    "image": _rule("width height", ignored="format anti_aliasing"),
    "sensor/contact": _rule("collision topic"),
    "contact/collision": _LEAF,
}

#: Plugins with a counterpart here, by class name.
PLUGINS: dict[str, Rule] = {
    "DiffDrive": _rule(
        "left_joint right_joint wheel_separation wheel_radius topic "
        + " ".join(f"{bound}_{axis}_{what}" for bound in ("min", "max") for axis in ("linear", "angular")
                   for what in ("velocity", "acceleration")),
        ignored="odom_topic odom_publish_frequency tf_topic frame_id child_frame_id",
    ),
    "JointTrajectoryController": _rule("topic joint_name position_p_gain position_d_gain"),
    "JointStatePublisher": _rule("topic update_rate joint_name"),
    "OdometryPublisher": _rule(
        "odom_topic odom_frame robot_base_frame odom_publish_frequency",
        ignored="tf_topic dimensions odom_covariance_topic",
    ),
}  # fmt: skip

#: Plugins of Gazebo alone: what they do is done here by the simulator itself, or not needed.
IGNORED_PLUGINS = frozenset(
    {"Physics", "UserCommands", "SceneBroadcaster", "Sensors", "Imu", "Contact", "PosePublisher"}
)


def plugin_kind(element: Element) -> str:
    """Class name of a <plugin> without its namespace."""
    return element.attribute("name").rsplit("::", 1)[-1]


def check(element: Element, parent: str = "") -> None:
    """Goes through an element and everything in it.

    Raises:
        ConfigError: an element, attribute or plugin that is not supported, with file and line.
    """
    if element.tag == "plugin":
        _check_plugin(element)
        return
    rule = RULES.get(f"{parent}/{element.tag}") or RULES.get(element.tag, _LEAF)
    _check_attributes(element, rule.attributes)
    for child in element.children:
        if child.tag in rule.children:
            check(child, element.tag)
        elif child.tag not in rule.ignored:
            raise _unsupported(child, rule, f"<{element.tag}>")
    if element.text and element.children:
        raise element.error(f"holds text beside its elements: {element.text.split()[0]!r}")


def _check_plugin(element: Element) -> None:
    kind = plugin_kind(element)
    if kind in IGNORED_PLUGINS:
        return
    if kind not in PLUGINS:
        known = ", ".join(sorted({*PLUGINS, *IGNORED_PLUGINS}))
        raise element.error(f"plugin {element.attributes['name']!r} is not supported; known ones: {known}")
    _check_attributes(element, frozenset({"name", "filename"}))
    rule = PLUGINS[kind]
    for child in element.children:
        if child.tag not in rule.children | rule.ignored:
            raise _unsupported(child, rule, f"plugin {kind}")


def _check_attributes(element: Element, known: frozenset[str]) -> None:
    for name in element.attributes:
        if name not in known:
            raise element.error(f"attribute {name!r} is not supported here{_hint(name, known)}")


def _unsupported(child: Element, rule: Rule, where: str) -> Exception:
    return child.error(f"is not supported in {where}{_hint(child.tag, rule.children | rule.ignored)}")


def _hint(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known there: {', '.join(sorted(known)) or 'nothing'}"
