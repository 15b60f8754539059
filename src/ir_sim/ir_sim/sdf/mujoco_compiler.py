# SPDX-License-Identifier: Apache-2.0
"""A composed world as a MuJoCo model.

Names in the model: bodies and joints `ROBOT/NAME`, collisions and visuals `ROBOT::LINK::NAME`, actuators as the joint
that they drive, sites and sensors `ROBOT/SENSOR` (gyro and accelerometer with `/gyro` and `/accelerometer` after it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import mujoco
import numpy as np

from ir_common.config import ConfigError
from ir_sim.sdf.drives import ROLLERS, AckermannDrive, MecanumDrive
from ir_sim.sdf.joints import Joint
from ir_sim.sdf.model import Link, Model
from ir_sim.sdf.mujoco_assets import decorate, height_field_name, mesh_name
from ir_sim.sdf.poses import Pose, towards
from ir_sim.sdf.sensors import Sensor
from ir_sim.sdf.shapes import ALL_BITS, Collision, Geometry, Visual
from ir_sim.sdf.world import Placed, World

VISUAL_GROUP, COLLISION_GROUP = 2, 3
WHEEL_GAIN = 30.0  #: N m s/rad; stiff against any load a wheel sees: Gazebo's drive sets wheel speeds exactly
MAX_KICK = 0.1  #: m/s, change of a robot's speed in one step for which a drive is not too strong
MAX_MODELS = 29  #: models whose links pass through each other; each has a bit of MuJoCo's 31-bit collision masks
GRIP_STEPS = 5  #: physics steps in which a mecanum wheel that slips has caught up
CONTACT_TIME = 0.006  #: s, time constant of a contact; three physics steps of 2 ms, the stiffest that is well damped
_SLACK = 1e-6  # rad or m, either way, of a joint that may not move
_FAR = 1e9  # the other end of a joint range with one limit

# SDFormat cameras look along x with z up, MuJoCo's along -z with y up
_CAMERA = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "plane": mujoco.mjtGeom.mjGEOM_PLANE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "cone": mujoco.mjtGeom.mjGEOM_MESH,
    "mesh": mujoco.mjtGeom.mjGEOM_MESH,
    "heightmap": mujoco.mjtGeom.mjGEOM_HFIELD,
}
_ANY = 0x7FFFFFFF  # all bits of a collision mask
_STATIC_BIT, _LONE_BIT = 1, 1 << 1  # of what stands still, and of moving bodies that have nothing of their own to touch


def compile_world(world: World) -> mujoco.MjModel:
    """Compiles a world to MuJoCo.

    Differs from Gazebo: contacts are MuJoCo's soft ones, and a joint's velocity limit bounds the commands of driven
    wheels only. Of two surfaces the smaller friction coefficient counts, as there.

    Raises:
        ConfigError: joints form a loop or a link hangs on two of them, a plane moves, MuJoCo finds a fault.
    """
    spec = mujoco.MjSpec()
    spec.modelname = world.name
    spec.option.timestep = world.time_step
    spec.option.gravity = world.gravity
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Left alone MuJoCo goes over to sparse matrices at 60 degrees of freedom, some five robots. Its Newton solver then
    # stopped at wrong forces where two spiders' legs met, which threw them with 280 rad/s (MuJoCo 4.0; dense: 33).
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    spec.compiler.degree = False
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    decorate(spec)
    everything = [*world.scenery.values(), *(robot.placed for robot in world.robots.values())]
    slippery = _friction_ranks(placed.model for placed in everything)
    masks = _masks(everything)
    if any(link.density is not None for placed in everything for link in placed.model.links.values()):
        spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    for number, placed in enumerate(everything):
        _ModelCompiler(spec, placed.model, placed.pose, masks and masks[number], slippery).add()
    try:
        return spec.compile()
    except ValueError as error:
        raise ConfigError(f"{world.file}: MuJoCo cannot compile it: {error}") from None


def _masks(everything: Sequence[Placed]) -> list[tuple[int, int]]:
    """By model, MuJoCo's contype and conaffinity of its collisions, so that links of one model pass through each other.

    Empty where that does not do: where collisions have bits of their own, or there are too many models.
    """
    masks: list[tuple[int, int]] = []
    bit = _LONE_BIT
    for model in (placed.model for placed in everything):
        if any(c.bits != ALL_BITS for link in model.links.values() for c in link.collisions):
            return []
        if model.static:
            masks.append((_STATIC_BIT, _ANY & ~_STATIC_BIT))
        elif model.self_collide or len(model.links) == 1:  # MuJoCo lets no body, nor it and its parent, touch itself
            masks.append((_LONE_BIT, _ANY))
        else:
            bit <<= 1
            if bit > 1 << (MAX_MODELS + 1):
                return []
            masks.append((bit, _ANY & ~bit))
    return masks


def _friction_ranks(models: Iterable[Model]) -> dict[float, int]:
    """Rank of each friction coefficient, the smallest highest: the geom of higher priority gives a contact its own."""
    values = {c.friction for model in models for link in model.links.values() for c in link.collisions}
    return {value: rank for rank, value in enumerate(sorted(values, reverse=True))}


class _ModelCompiler:
    """Adds one model to a spec."""

    def __init__(
        self,
        spec: mujoco.MjSpec,
        model: Model,
        pose: Pose,
        mask: tuple[int, int] | list[tuple[int, int]],
        ranks: dict[float, int],
    ) -> None:
        self._spec, self._model, self._pose, self._mask, self._ranks = spec, model, pose, mask, ranks
        self._joint_above: dict[str, Joint] = {}
        for joint in model.joints.values():
            if joint.child in self._joint_above:
                raise joint.element.error(
                    f"link {joint.child!r} hangs on joint {self._joint_above[joint.child].name!r} too"
                )
            self._joint_above[joint.child] = joint

    def add(self) -> None:
        added: set[str] = set()
        for name, link in self._model.links.items():
            joint = self._joint_above.get(name)
            if joint is None or joint.parent == "world":
                body = self._add_body(self._spec.worldbody, link, self._pose @ link.pose, joint)
                if joint is None and not self._model.static:
                    body.add_freejoint(name=f"{self._model.name}/{name}")
                self._add_children(body, name, added)
        for name, link in self._model.links.items():
            if name not in added:
                raise link.element.error("hangs in a loop of joints, which is not supported")
        self._add_actuators()
        for joint in self._model.joints.values():
            if joint.mimic and not self._model.static:
                self._add_mimic(joint)
        if not self._mask and not self._model.self_collide and not self._model.static:
            for first, second in combinations(self._model.links, 2):
                bodies = [f"{self._model.name}/{link}" for link in (first, second)]
                self._spec.add_exclude(bodyname1=bodies[0], bodyname2=bodies[1])

    def _add_mimic(self, joint: Joint) -> None:
        """The follower's position is offset + multiplier * leader's, held as a constraint."""
        assert joint.mimic is not None
        names = [f"{self._model.name}/{name}" for name in (joint.name, joint.mimic.leader)]
        added = self._spec.add_equality(
            name=names[0],
            type=mujoco.mjtEq.mjEQ_JOINT,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            name1=names[0],
            name2=names[1],
        )
        added.data[:5] = [joint.mimic.offset, joint.mimic.multiplier, 0.0, 0.0, 0.0]

    def _add_children(self, body: mujoco.MjsBody, name: str, added: set[str]) -> None:
        added.add(name)
        for joint in self._model.joints.values():
            if joint.parent == name:
                child = self._model.links[joint.child]
                pose = self._model.links[name].pose.inverse() @ child.pose
                self._add_children(self._add_body(body, child, pose, joint), joint.child, added)

    def _add_body(self, parent: mujoco.MjsBody, link: Link, pose: Pose, joint: Joint | None) -> mujoco.MjsBody:
        body = parent.add_body(name=f"{self._model.name}/{link.name}", pos=pose.position, quat=pose.quaternion)
        if self._model.static:
            joint = None
        elif link.density is None:
            about = link.inertial_pose.rotation @ link.inertia @ link.inertial_pose.rotation.T
            body.mass, body.ipos = link.mass, link.inertial_pose.position
            body.fullinertia = [*np.diag(about), about[0, 1], about[0, 2], about[1, 2]]
            body.explicitinertial = True
        body.gravcomp = float(link.weightless)
        if joint is not None and joint.kind != "fixed":
            self._add_joint(body, joint)
        for collision in link.collisions:
            self._add_collision(body, link, collision)
        for visual in link.visuals:
            self._add_visual(body, link, visual)
        for sensor in link.sensors:
            self._add_sensor(body, sensor)
        return body

    def _add_joint(self, body: mujoco.MjsBody, joint: Joint) -> None:
        kinds = {"prismatic": mujoco.mjtJoint.mjJNT_SLIDE, "ball": mujoco.mjtJoint.mjJNT_BALL}
        added = body.add_joint(
            name=f"{self._model.name}/{joint.name}",
            type=kinds.get(joint.kind, mujoco.mjtJoint.mjJNT_HINGE),
            pos=joint.position,
            axis=joint.axis,
            frictionloss=joint.friction,
            armature=joint.armature,
            springref=joint.rest,
        )
        added.damping[0], added.stiffness[0] = joint.damping, joint.stiffness
        added.limited = mujoco.mjtLimited.mjLIMITED_FALSE
        if math.isfinite(joint.lower) or math.isfinite(joint.upper):
            added.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            slack = _SLACK if joint.lower == joint.upper else 0.0
            added.range = [max(joint.lower - slack, -_FAR), min(joint.upper + slack, _FAR)]
        if joint.second is not None:
            self._add_joint(body, joint.second)

    def _add_collision(self, body: mujoco.MjsBody, link: Link, collision: Collision) -> None:
        if collision.geometry.kind == "plane" and not self._model.static:
            raise link.element.error(f"collision {collision.name!r} is a plane; planes must be static")
        geom = self._add_geom(body, link, collision.name, collision.pose, collision.geometry)
        geom.contype, geom.conaffinity = self._mask or (collision.bits, collision.bits)
        geom.density = link.density or 1000.0
        if link.density is not None and collision.density is not None:
            geom.density = collision.density
        geom.friction[0] = collision.friction
        geom.priority = self._ranks[collision.friction]
        geom.condim = 3 if collision.friction > 0 else 1
        geom.margin = collision.margin
        geom.group = COLLISION_GROUP
        geom.solref[0] = CONTACT_TIME
        if collision.solref is not None:
            geom.solref[: len(collision.solref)] = collision.solref
        if collision.solimp is not None:
            geom.solimp[: len(collision.solimp)] = collision.solimp

    def _add_visual(self, body: mujoco.MjsBody, link: Link, visual: Visual) -> None:
        geom = self._add_geom(body, link, visual.name, visual.pose, visual.geometry, seen=True)
        geom.contype = geom.conaffinity = 0
        geom.density = 0.0
        geom.group = VISUAL_GROUP
        geom.rgba = visual.colour
        if visual.geometry.kind == "plane":
            geom.material = "floor"

    def _add_geom(
        self, body: mujoco.MjsBody, link: Link, name: str, pose: Pose, shape: Geometry, seen: bool = False
    ) -> mujoco.MjsGeom:
        if shape.kind == "plane":
            pose = pose @ Pose(rotation=towards(shape.size))
        if shape.kind == "heightmap":
            pose = pose @ Pose(shape.shift)
        geom = body.add_geom(
            name=self._free_name(link, name),
            type=_SHAPES[shape.kind],
            pos=pose.position,
            quat=pose.quaternion,
        )
        if shape.kind in ("mesh", "cone"):
            geom.meshname = mesh_name(self._spec, shape, link, seen)
        elif shape.kind == "heightmap":
            geom.hfieldname = height_field_name(self._spec, shape, link)
        else:
            geom.size = _SIZES.get(shape.kind, lambda size: [size[0], size[1] / 2, 0.0])(shape.size)
        return geom

    def _free_name(self, link: Link, name: str) -> str:
        """Name of a collision or visual; collisions come first, and a visual may be called as one of them."""
        full = f"{self._model.name}::{link.name}::{name}"
        while self._spec.geom(full) is not None:
            full += "_visual"
        return full

    def _add_sensor(self, body: mujoco.MjsBody, sensor: Sensor) -> None:
        name = f"{self._model.name}/{sensor.name}"
        if sensor.kind == "camera" and sensor.camera is not None:
            image = sensor.camera
            vertical = 2 * math.atan(math.tan(image.field_of_view / 2) * image.height / image.width)
            turned = Pose(sensor.pose.position, sensor.pose.rotation @ _CAMERA)
            screen = self._spec.visual.global_
            screen.offwidth, screen.offheight = max(screen.offwidth, image.width), max(screen.offheight, image.height)
            body.add_camera(name=name, pos=turned.position, quat=turned.quaternion, fovy=math.degrees(vertical))
        if sensor.kind in ("imu", "lidar"):
            body.add_site(name=name, pos=sensor.pose.position, quat=sensor.pose.quaternion, size=[1e-3] * 3, group=5)
        if sensor.kind == "imu":
            for quantity in ("gyro", "accelerometer"):
                self._spec.add_sensor(
                    name=f"{name}/{quantity}",
                    type=getattr(mujoco.mjtSensor, f"mjSENS_{quantity.upper()}"),
                    objtype=mujoco.mjtObj.mjOBJ_SITE,
                    objname=name,
                )

    def _add_actuators(self) -> None:
        drive, controller = self._model.drive, self._model.controller
        gain = self._wheel_gain()
        for joint in drive.wheels if drive else ():
            limit = self._model.joints[joint].velocity
            self._add_actuator(joint, gain=gain, velocity=-gain, control=limit)
        if isinstance(drive, AckermannDrive):
            for joint in drive.steering:  # a speed in proportion to the angle that is missing
                stiffness = WHEEL_GAIN * drive.steering_gain
                self._add_actuator(joint, gain=stiffness, position=-stiffness, velocity=-WHEEL_GAIN)
        elif isinstance(drive, MecanumDrive):
            for joint, (x, y) in drive.roller_axes.items():
                self._add_rollers(joint, x, y, drive)
        for joint, stiffness, damping in (
            zip(controller.joints, controller.stiffness, controller.damping, strict=True) if controller else ()
        ):
            if controller and controller.by_position:
                self._add_actuator(joint, gain=stiffness, position=-stiffness, velocity=-damping)
            else:
                self._add_actuator(joint, gain=1.0, control=self._model.joints[joint].effort)

    def _wheel_gain(self) -> float:
        """N m s/rad: `WHEEL_GAIN`, or less where the wheels are strong and the robot is light.

        MuJoCo solves contacts with the torque at the start of a step, however much of it is left at its end. A drive
        that could throw the robot off within a step is softened to one that brings it to speed in one.
        """
        drive, step = self._model.drive, self._spec.option.timestep
        if drive is None:
            return 0.0
        wheels = [self._model.joints[name] for name in drive.wheels]
        mass = sum(link.mass for link in self._model.links.values())
        kick = sum(joint.effort for joint in wheels) / (drive.radius * mass) * step
        return WHEEL_GAIN if kick < MAX_KICK else float(min(WHEEL_GAIN, mass * drive.radius**2 / len(wheels) / step))

    def _add_rollers(self, joint: str, x: float, y: float, drive: MecanumDrive) -> None:
        """The grip of a mecanum wheel: below its hub, along its rollers' axes, the ground moves as its rim does.

        A force in proportion to what is missing of that, up to friction under the wheel's share of the weight.
        """
        links, name = self._model.links, f"{self._model.name}/{joint}{ROLLERS}"
        wheel = links[self._model.joints[joint].child]
        hub = links[self._model.base].pose.inverse() @ wheel.pose @ Pose(self._model.joints[joint].position)
        below = hub.position - [0.0, 0.0, drive.radius]
        self._spec.body(f"{self._model.name}/{self._model.base}").add_site(
            name=name, pos=below, size=[1e-3] * 3, group=5
        )
        share = sum(link.mass for link in links.values()) / len(drive.roller_axes)
        gain = share / (GRIP_STEPS * self._spec.option.timestep)
        most = (
            max((c.grip for c in wheel.collisions), default=1.0)
            * share
            * float(np.linalg.norm(self._spec.option.gravity))
        )
        actuator = self._spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_SITE)
        actuator.gear[:2] = x, y
        actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        actuator.gainprm[0], actuator.biasprm[2] = gain, -gain
        actuator.forcelimited, actuator.forcerange = True, [-most, most]

    def _add_actuator(
        self, joint: str, gain: float, position: float = 0.0, velocity: float = 0.0, control: float = math.inf
    ) -> None:
        """An actuator of force gain * u + position * q + velocity * dq, within the joint's effort limit."""
        effort = self._model.joints[joint].effort
        actuator = self._spec.add_actuator(
            name=f"{self._model.name}/{joint}", target=f"{self._model.name}/{joint}", trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        actuator.gainprm[0] = gain
        actuator.biasprm[1], actuator.biasprm[2] = position, velocity
        for limit, what in ((effort, "force"), (control, "ctrl")):
            limited = math.isfinite(limit)
            setattr(actuator, f"{what}limited", limited)
            if limited:
                setattr(actuator, f"{what}range", [-limit, limit])


_SIZES: dict[str, Callable[[np.ndarray], object]] = {
    "box": lambda size: size / 2,
    "ellipsoid": lambda size: size,
    "plane": lambda size: [0.0, 0.0, 1.0],
    "sphere": lambda size: [*size, 0.0, 0.0],
}
