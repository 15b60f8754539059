# SPDX-License-Identifier: Apache-2.0
"""Conversions between sensors' readings and ROS messages."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CompressedImage, JointState, LaserScan
from sensor_msgs.msg import Imu as ImuMessage

from ir_common.ros_time import NANOSECONDS, to_nanoseconds, to_stamp
from ir_interfaces.msg import Contact, Contacts
from ir_sim.readings import Imu, JointStates, Odometry, Reading, Scan, Touch

#: Message class of each kind of reading.
MESSAGE_TYPES: dict[str, type[Any]] = {
    "odom": OdometryMessage,
    "imu": ImuMessage,
    "joint_states": JointState,
    "lidar": LaserScan,
    "camera": CompressedImage,
    "contact": Contacts,
}


def reading_to_message(reading: Reading, message: Any = None) -> Any:
    """The message of any reading but a camera's; an earlier one of its topic may be filled anew, which is faster."""
    if message is None:
        message = MESSAGE_TYPES[reading.kind]()
    stamp = message.header.stamp
    stamp.sec, stamp.nanosec = divmod(reading.nanoseconds, NANOSECONDS)
    message.header.frame_id = reading.frame
    _FILL[reading.kind](message, reading)
    return message


def picture_to_message(reading: Reading, jpeg: bytes) -> CompressedImage:
    """The message of a camera's rendered picture."""
    message = CompressedImage(format="jpeg", data=array("B", jpeg))
    message.header.stamp = to_stamp(reading.nanoseconds)
    message.header.frame_id = reading.frame
    return message


def touches_to_message(touches: tuple[Touch, ...], frame: str, stamp: Time) -> Contacts:
    """All contacts of a robot."""
    message = Contacts()
    message.header.stamp, message.header.frame_id = stamp, frame
    _fill_contacts(message, touches)
    return message


def _fill_odometry(message: OdometryMessage, reading: Reading) -> None:
    value = reading.value
    assert isinstance(value, Odometry)
    message.child_frame_id = reading.child_frame
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = value.position.tolist()
    _fill_quaternion(pose.orientation, value.orientation)
    twist.linear.x, twist.linear.y, twist.linear.z = value.linear.tolist()
    twist.angular.x, twist.angular.y, twist.angular.z = value.angular.tolist()


def _fill_quaternion(message: Any, value: np.ndarray) -> None:
    message.x, message.y, message.z, message.w = value.tolist()


def _fill_imu(message: ImuMessage, reading: Reading) -> None:
    value = reading.value
    assert isinstance(value, Imu)
    _fill_quaternion(message.orientation, value.orientation)
    turn, force = message.angular_velocity, message.linear_acceleration
    turn.x, turn.y, turn.z = value.angular_velocity.tolist()
    force.x, force.y, force.z = value.linear_acceleration.tolist()


def _fill_joint_states(message: JointState, reading: Reading) -> None:
    value = reading.value
    assert isinstance(value, JointStates)
    message.name = list(value.names)
    message.position, message.velocity = array("d", value.positions), array("d", value.velocities)
    message.effort = array("d", value.efforts)


def _fill_scan(message: LaserScan, reading: Reading) -> None:
    value = reading.value
    assert isinstance(value, Scan)
    message.angle_min, message.angle_increment = value.low, value.step
    message.angle_max = value.low + value.step * (len(value.ranges) - 1)
    message.range_min, message.range_max = value.range_min, value.range_max
    message.ranges = array("f", value.ranges.astype(np.float32).tobytes())


def _fill_touches(message: Contacts, reading: Reading) -> None:
    assert isinstance(reading.value, tuple)
    message.header.frame_id = "map"
    _fill_contacts(message, reading.value)


def _fill_contacts(message: Contacts, touches: tuple[Touch, ...]) -> None:
    message.contacts = []
    for touch in touches:
        contact = Contact(collision1=touch.first, collision2=touch.second, depth=touch.depth, force=touch.force)
        contact.position.x, contact.position.y, contact.position.z = touch.position.tolist()
        contact.normal.x, contact.normal.y, contact.normal.z = touch.normal.tolist()
        message.contacts.append(contact)


_FILL: dict[str, Callable[[Any, Reading], None]] = {
    "odom": _fill_odometry,
    "imu": _fill_imu,
    "joint_states": _fill_joint_states,
    "lidar": _fill_scan,
    "contact": _fill_touches,
}


def message_to_reading(robot: str, topic: str, message: Any) -> Reading:
    """The reading of a message of odometry, joint states, a scan or contacts.

    Args:
        robot: name.
        topic: on which the message came.
        message: of one of the types in `MESSAGE_TYPES`.

    Raises:
        KeyError: no readings are made of messages of this type.
    """
    kind, read = _READ[type(message)]
    header = message.header
    child_frame = getattr(message, "child_frame_id", "")
    return Reading(robot, kind, topic, header.frame_id, child_frame, to_nanoseconds(header.stamp), read(message))


def _read_odometry(message: OdometryMessage) -> Odometry:
    pose, twist = message.pose.pose, message.twist.twist
    p, q, v, w = pose.position, pose.orientation, twist.linear, twist.angular
    return Odometry(
        np.array([p.x, p.y, p.z]),
        np.array([q.x, q.y, q.z, q.w]),
        np.array([v.x, v.y, v.z]),
        np.array([w.x, w.y, w.z]),
    )


def _read_joint_states(message: JointState) -> JointStates:
    """What the message leaves out is zero."""
    count = len(message.name)

    def column(values: Any) -> np.ndarray:
        return np.array(values, dtype=np.float64) if len(values) == count else np.zeros(count)

    return JointStates(tuple(message.name), column(message.position), column(message.velocity), column(message.effort))


def _read_scan(message: LaserScan) -> Scan:
    ranges = np.array(message.ranges, dtype=np.float64)
    return Scan(message.angle_min, message.angle_increment, message.range_min, message.range_max, ranges)


def _read_touches(message: Contacts) -> tuple[Touch, ...]:
    return tuple(
        Touch(
            c.collision1,
            c.collision2,
            np.array([c.position.x, c.position.y, c.position.z]),
            np.array([c.normal.x, c.normal.y, c.normal.z]),
            c.depth,
            c.force,
        )
        for c in message.contacts
    )


_READ: dict[type[Any], tuple[str, Callable[[Any], Any]]] = {
    OdometryMessage: ("odom", _read_odometry),
    JointState: ("joint_states", _read_joint_states),
    LaserScan: ("lidar", _read_scan),
    Contacts: ("contact", _read_touches),
}
