# SPDX-License-Identifier: Apache-2.0
"""Which SDFormat elements the compiler supports, which it passes over silently, and which with a note.

Silently passed over is what concerns pictures and Gazebo's own tuning only; with a note what Gazebo does more than this
simulator, but for what would change how bodies move: that, and whatever is not known at all, is an error.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from ir_sim.sdf.elements import Element


@dataclass(frozen=True)
class Rule:
    """What may stand in an element.

    Attributes:
        children: elements with a meaning here.
        ignored: elements that only concern Gazebo (rendering, its own tuning); not looked into.
        attributes: attributes with a meaning here.
        noted: elements that are passed over with a note; not looked into.
    """

    children: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    noted: frozenset[str] = frozenset()


@dataclass
class Notes:
    """What was passed over, one line for each kind of thing."""

    _first: dict[tuple[str, str], tuple[Element, int]] = field(default_factory=dict)

    def add(self, element: Element, text: str) -> None:
        """Notes something about an element; what was noted before is only counted."""
        kind = (element.tag, text)
        first, count = self._first.get(kind, (element, 0))
        self._first[kind] = (first, count + 1)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each note with the place where it was met first."""
        return tuple(
            f"{element.file}:{element.line}: <{element.tag}>: {text}{f' ({count} times)' if count > 1 else ''}"
            for (_, text), (element, count) in self._first.items()
        )


def _rule(children: str = "", ignored: str = "", attributes: str = "", noted: str = "") -> Rule:
    return Rule(*(frozenset(words.split()) for words in (children, ignored, attributes, noted)))


_LEAF = _rule()
_NOISY = _rule("noise")
_AXES = _rule("x y z")
_SENSOR_IGNORED = "always_on visualize enable_metrics alwaysOn"
_LIDAR = _rule("scan range noise", ignored="visibility_mask")
_IMAGES = "clip noise lens camera_info_topic optical_frame_id save depth_camera visibility_mask"
_AXIS = _rule("xyz limit dynamics mimic", noted="initial_position")
_DYNAMIC = "inertial collision visual sensor gravity self_collide kinematic velocity_decay"

#: Rules by "parent/element", else by "element"; an element without one is a leaf.
RULES: dict[str, Rule] = {
    "sdf": _rule("world model", attributes="version"),
    "world": _rule(
        "physics gravity model include plugin frame",
        ignored="light scene gui audio atmosphere magnetic_field spherical_coordinates",
        noted="actor state road wind",
        attributes="name",
    ),
    "physics": _rule(
        "max_step_size",
        ignored="real_time_factor real_time_update_rate dart ode bullet simbody max_contacts",
        attributes="name type default",
    ),
    "include": _rule("uri name pose static placement_frame plugin", attributes="merge"),
    "pose": _rule(attributes="relative_to degrees rotation_format"),
    "model": _rule(
        "static pose frame link joint plugin self_collide model include",
        ignored="allow_auto_disable",
        noted="enable_wind gripper",
        attributes="name canonical_link placement_frame",
    ),
    "frame": _rule("pose", attributes="name attached_to"),
    "link": _rule(
        f"pose {_DYNAMIC}",
        ignored="light must_be_base_link",
        noted="enable_wind particle_emitter projector audio_source audio_sink battery plugin static",
        attributes="name",
    ),
    "velocity_decay": _rule("linear angular"),
    "inertial": _rule("pose mass inertia density", attributes="auto"),
    "inertia": _rule("ixx ixy ixz iyy iyz izz"),
    "collision": _rule("pose geometry surface density", ignored="laser_retro max_contacts", attributes="name"),
    "visual": _rule(
        "pose geometry material",
        ignored="cast_shadows transparency laser_retro visibility_flags meta",
        noted="plugin",
        attributes="name",
    ),
    "material": _rule(
        "diffuse",
        ignored="ambient specular emissive script shader pbr lighting double_sided render_order shininess",
    ),
    "geometry": _rule("box sphere cylinder capsule plane ellipsoid cone mesh heightmap empty"),
    "box": _rule("size"),
    "sphere": _rule("radius"),
    "cylinder": _rule("radius length"),
    "capsule": _rule("radius length"),
    "cone": _rule("radius length"),
    "ellipsoid": _rule("radii"),
    "plane": _rule("normal size"),
    "mesh": _rule("uri scale submesh", ignored="convex_decomposition", attributes="optimization"),
    "submesh": _rule("name center"),
    "heightmap": _rule("uri size pos", ignored="texture blend use_terrain_paging sampling"),
    "surface": _rule("friction mujoco:contact contact bounce", noted="soft_contact"),
    "bounce": _rule("restitution_coefficient threshold"),
    "friction": _rule("ode bullet", noted="torsional simbody"),
    "friction/ode": _rule("mu mu2 fdir1 slip1 slip2", noted="max_vel min_depth"),
    "fdir1": _rule(attributes="gz:expressed_in ignition:expressed_in"),
    "friction/bullet": _rule("friction friction2", ignored="fdir1", noted="rolling_friction mu mu2 slip1 slip2"),
    "surface/contact": _rule(
        "collide_bitmask category_bitmask collide_without_contact",
        ignored="collide_without_contact_bitmask poissons_ratio elastic_modulus",
        noted="ode bullet",
    ),
    "mujoco:contact": _rule(attributes="margin solref solimp"),
    "joint": _rule(
        "parent child pose axis axis2 mujoco:joint sensor",
        ignored="gearbox_ratio thread_pitch",
        noted="physics",
        attributes="name type",
    ),
    "axis": _AXIS,
    "axis2": _AXIS,
    "mimic": _rule("multiplier offset reference", attributes="joint axis"),
    "xyz": _rule(attributes="expressed_in"),
    "limit": _rule("lower upper effort velocity", ignored="stiffness dissipation"),
    "dynamics": _rule("damping friction spring_reference spring_stiffness"),
    "mujoco:joint": _rule(attributes="armature"),
    "sensor": _rule(
        "pose topic gz_frame_id frame_id update_rate imu lidar ray camera contact",
        ignored=_SENSOR_IGNORED,
        noted="plugin frame",
        attributes="name type",
    ),
    "imu": _rule(
        "angular_velocity linear_acceleration",
        ignored="enable_orientation orientation_reference_frame",
        noted="topic localization",
    ),
    "angular_velocity": _AXES,
    "linear_acceleration": _AXES,
    "x": _NOISY,
    "y": _NOISY,
    "z": _NOISY,
    "noise": _rule(
        "type mean stddev",
        noted="bias_mean bias_stddev precision dynamic_bias_stddev dynamic_bias_correlation_time",
        attributes="type",
    ),
    "lidar": _LIDAR,
    "ray": _LIDAR,
    "scan": _rule("horizontal vertical"),
    "horizontal": _rule("samples min_angle max_angle", ignored="resolution"),
    "vertical": _rule("samples min_angle max_angle", ignored="resolution"),
    "range": _rule("min max", ignored="resolution"),
    "camera": _rule("horizontal_fov image pose", ignored=_IMAGES, noted="triggered trigger_topic", attributes="name"),
    "image": _rule("width height", ignored="format anti_aliasing"),
    "sensor/contact": _rule("collision topic"),
    "contact/collision": _LEAF,
}

#: Types of <sensor> that there are in SDFormat and not here.
OTHER_SENSORS = frozenset(
    [
        "air_pressure",
        "air_speed",
        "altimeter",
        "bounding_box_camera",
        "boundingbox",
        "boundingbox_camera",
        "custom",
        "depth",
        "depth_camera",
        "dvl",
        "force_torque",
        "gps",
        "logical_camera",
        "magnetometer",
        "multicamera",
        "navsat",
        "rfid",
        "rfidtag",
        "rgbd_camera",
        "rgbd",
        "segmentation",
        "segmentation_camera",
        "sonar",
        "thermal",
        "thermal_camera",
        "wide_angle_camera",
        "wideanglecamera",
        "wireless_receiver",
        "wireless_transmitter",
    ]
)

_LIMITS = " ".join(
    f"{bound}_{of}{what}"
    for bound in ("min", "max") for of in ("", "linear_", "angular_") for what in ("velocity", "acceleration")
)  # fmt: skip

#: Plugins with a counterpart here, by class name.
PLUGINS: dict[str, Rule] = {
    "DiffDrive": _rule(
        "left_joint right_joint wheel_separation wheel_radius topic odom_topic odom_publish_frequency frame_id"
        " child_frame_id " + _LIMITS,
        ignored="tf_topic odom_publisher_frequency",
        noted="min_jerk max_jerk min_linear_jerk max_linear_jerk min_angular_jerk max_angular_jerk",
    ),
    "AckermannSteering": _rule(
        "left_joint right_joint left_steering_joint right_steering_joint wheel_separation kingpin_width wheel_base"
        " steering_limit steer_p_gain wheel_radius steering_only use_actuator_msg topic odom_topic"
        " odom_publish_frequency frame_id child_frame_id " + _LIMITS,
        ignored="tf_topic actuator_number",
        noted="min_jerk max_jerk sub_topic",
    ),
    "MecanumDrive": _rule(
        "front_left_joint front_right_joint back_left_joint back_right_joint wheelbase wheel_separation wheel_radius"
        " topic odom_topic odom_publish_frequency frame_id child_frame_id " + _LIMITS,
        ignored="tf_topic",
        noted="min_jerk max_jerk min_linear_jerk max_linear_jerk min_angular_jerk max_angular_jerk",
    ),
    "JointTrajectoryController": _rule(
        "topic joint_name position_p_gain position_d_gain",
        noted="use_header_start_time initial_position position_i_gain position_i_min position_i_max position_cmd_min"
        " position_cmd_max position_cmd_offset velocity_p_gain velocity_i_gain velocity_d_gain velocity_i_min"
        " velocity_i_max velocity_cmd_min velocity_cmd_max velocity_cmd_offset",
    ),
    "JointStatePublisher": _rule("topic update_rate joint_name"),
    "OdometryPublisher": _rule(
        "odom_topic odom_frame robot_base_frame odom_publish_frequency",
        ignored="tf_topic dimensions odom_covariance_topic xyz_offset rpy_offset",
        noted="gaussian_noise",
    ),
}  # fmt: skip

DRIVES = ("DiffDrive", "AckermannSteering", "MecanumDrive")  #: plugins that drive on wheels
COMMANDED = (*DRIVES, "JointTrajectoryController")  #: plugins that make a model a robot: they take commands

#: Plugins whose work the simulator does by itself.
IGNORED_PLUGINS = frozenset(
    {"Physics", "UserCommands", "SceneBroadcaster", "Sensors", "Imu", "Contact", "PosePublisher", "BatchedSceneUpdates"}
)

#: Plugins that push bodies about.
FORCES = frozenset(
    [
        "AdvancedLiftDrag",
        "ApplyJointForce",
        "ApplyLinkWrench",
        "Buoyancy",
        "BuoyancyEngine",
        "DetachableJoint",
        "DriveToPoseController",
        "Elevator",
        "Hydrodynamics",
        "JointController",
        "JointPositionController",
        "LiftDrag",
        "LighterThanAirDynamics",
        "LookupWheelSlip",
        "MulticopterMotorModel",
        "MulticopterVelocityControl",
        "SpacecraftThrusterModel",
        "Thruster",
        "TrackController",
        "TrackedVehicle",
        "TrajectoryFollower",
        "VelocityControl",
        "WheelSlip",
        "WindEffects",
    ]
)


def plugin_kind(element: Element) -> str:
    """Class name of a <plugin> without its namespace; one of the older Gazebos is known by its file."""
    name = element.attributes.get("name", "")
    if "::" not in name and name not in PLUGINS:
        name = element.attributes.get("filename", "") or name
    return name.rsplit("::", 1)[-1]


def check(element: Element, notes: Notes, parent: str = "") -> None:
    """Goes through an element and everything in it.

    Raises:
        ConfigError: an element or attribute that is not supported, with file and line.
    """
    if element.tag == "plugin":
        _check_plugin(element, notes)
        return
    if element.tag == "sensor" and element.attributes.get("type") in OTHER_SENSORS:
        notes.add(element, f"sensors of type {element.attributes['type']!r} do not exist here; nothing is on its topic")
        return
    rule = RULES.get(f"{parent}/{element.tag}") or RULES.get(element.tag, _LEAF)
    _check_attributes(element, rule.attributes)
    for child in element.children:
        if child.tag in rule.children:
            check(child, notes, element.tag)
        elif child.tag in rule.noted or (":" in child.tag and not child.tag.startswith("mujoco:")):
            notes.add(child, f"is passed over in <{element.tag}>")
        elif child.tag not in rule.ignored:
            raise _unsupported(child, rule, f"<{element.tag}>")
    if element.text and element.children:
        notes.add(element, f"holds text beside its elements, which says nothing: {element.text.split()[0]!r}")


def _check_plugin(element: Element, notes: Notes) -> None:
    kind = plugin_kind(element)
    if kind in IGNORED_PLUGINS:
        return
    if kind not in PLUGINS:
        acts = "; it moves bodies in Gazebo, and does not here" if kind in FORCES else ""
        notes.add(element, f"plugin {kind} has no counterpart here and is passed over{acts}")
        return
    _check_attributes(element, frozenset({"name", "filename"}))
    rule = PLUGINS[kind]
    for child in element.children:
        if child.tag in rule.noted:
            notes.add(child, f"is passed over in plugin {kind}")
        elif child.tag not in rule.children | rule.ignored:
            raise _unsupported(child, rule, f"plugin {kind}")


def _check_attributes(element: Element, known: frozenset[str]) -> None:
    for name in element.attributes:
        if name not in known and not name.startswith("xmlns"):
            raise element.error(f"attribute {name!r} is not supported here{_hint(name, known)}")


def _unsupported(child: Element, rule: Rule, where: str) -> Exception:
    return child.error(f"is not supported in {where}{_hint(child.tag, rule.children | rule.ignored | rule.noted)}")


def _hint(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known there: {', '.join(sorted(known)) or 'nothing'}"
