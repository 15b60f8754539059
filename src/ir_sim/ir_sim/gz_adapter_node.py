# SPDX-License-Identifier: Apache-2.0
"""Runs beside ros_gz_bridge and makes the stack's topics of the two that the bridge has in another form.

Pictures become JPEG; contacts, which Gazebo sends at every physics step and only while there are any, become the
stack's messages at a steady rate and at the begin of a contact, empty ones included.
"""

from __future__ import annotations

from array import array
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from ir_common import ros_node, ros_params
from ir_common.config import Config, ConfigError
from ir_common.ros_node import STREAM, StackNode, drain
from ir_common.ros_poll import ignore
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import Contacts
from ir_sim.bridge import GZ_CONTACTS, IMAGE, Row, load_rows, rows_for
from ir_sim.camera import to_jpeg
from ir_sim.gazebo_words import INSTALL, MISSING_INTERFACES
from ir_sim.readings import Touch
from ir_sim.ros_readers import on_begin_anew
from ir_sim.ros_sensors import touches_to_message
from ir_sim.sdf import GROUND, compose
from ir_sim.simulator_node import SENSOR_QOS

_CHANNELS = {
    "rgb8": (3, slice(None)),
    "bgr8": (3, slice(None, None, -1)),
    "rgba8": (4, slice(0, 3)),
    "mono8": (1, slice(None)),
}
_FRESH = 50_000_000  #: ns; contacts older than this are over


class AdapterConfig(Config):
    """Parameters of the adapter."""

    world: str = Field(description="SDFormat world file")
    robots: tuple[str, ...] = Field((), description="robots: NAME or NAME:MODEL; empty: all of the world")
    bridge_file: str = Field(description="list of topics, as ros_gz_bridge reads it")
    contact_rate: float = Field(10.0, gt=0.0, le=1000.0, description="rate of the contacts topics, Hz")


class GzAdapterNode(StackNode):
    """The node `gz_adapter`; README.md lists its topics and parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gz_adapter", **options)
        config = ros_params.declare(self, AdapterConfig).config
        world = compose(config.world, config.robots)
        rows = rows_for(load_rows(config.bridge_file), world)
        self._contacts: dict[str, tuple[int, tuple[Touch, ...]]] = {}
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Subscription] = []
        self._ignored = 0
        contact_type = _contact_type() if any(row.ros_type_name == GZ_CONTACTS for row in rows) else None
        for row in rows:
            if row.ros_type_name == IMAGE:
                self._connect(row, Image, CompressedImage, self._on_image)
            elif row.ros_type_name == GZ_CONTACTS:
                self._connect(row, contact_type, Contacts, self._on_contacts)
        self._timer = self.create_timer(1.0 / config.contact_rate, self._on_timer)
        on_begin_anew(self, self._begin_anew)

    def _begin_anew(self) -> None:
        for subscription in self._inputs:
            drain(subscription, ignore)
        self._contacts = dict.fromkeys(self._contacts, (0, ()))

    def _connect(self, row: Row, source: Any, target: Any, handle: Any) -> None:
        topic = row.stack_topic[0]
        self._outputs[topic] = self.create_publisher(target, topic, SENSOR_QOS)
        self._inputs.append(self.create_subscription(source, row.ros_topic_name, partial(handle, topic), STREAM))
        if target is Contacts:
            self._contacts[topic] = (0, ())

    def _on_image(self, topic: str, message: Image) -> None:
        if message.encoding not in _CHANNELS:
            self._ignored += 1
            known = ", ".join(_CHANNELS)
            text = f"{topic}: encoding {message.encoding!r} ignored ({self._ignored} so far); known: {known}"
            self.get_logger().warning(text, throttle_duration_sec=5.0)
            return
        jpeg = to_jpeg(image_to_picture(message))
        compressed = CompressedImage(header=message.header, format="jpeg", data=array("B", jpeg))
        self._outputs[topic].publish(compressed)

    def _on_contacts(self, topic: str, message: Any) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        touches = tuple(touch for contact in message.contacts for touch in _touches(contact))
        earlier, before = self._contacts[topic]
        if earlier == stamp:  # another link of the same robot
            touches = before + touches
        self._contacts[topic] = stamp, touches
        if _others(touches) - _others(before):
            self._publish(topic, stamp)

    def _on_timer(self) -> None:
        now = self.get_clock().now().nanoseconds
        for topic, (stamp, _) in list(self._contacts.items()):
            if now - stamp > _FRESH:
                self._contacts[topic] = now, ()
            self._publish(topic, now)

    def _publish(self, topic: str, nanoseconds: int) -> None:
        stamp = to_stamp(nanoseconds)
        self._outputs[topic].publish(touches_to_message(self._contacts[topic][1], "map", stamp))


def image_to_picture(message: Image) -> np.ndarray:
    """[height, width, 3] picture of an 8-bit image message."""
    channels, order = _CHANNELS[message.encoding]
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.step)
    picture = rows[:, : message.width * channels].reshape(message.height, message.width, channels)[:, :, order]
    return np.ascontiguousarray(np.broadcast_to(picture, (message.height, message.width, 3)))


def _contact_type() -> Any:
    """The bridge's message type.

    Raises:
        ConfigError: ros_gz_interfaces is not installed.
    """
    try:
        from ros_gz_interfaces.msg import Contacts as GzContacts  # type: ignore[import-not-found]
    except ImportError:
        raise ConfigError(f"{MISSING_INTERFACES}; {INSTALL}") from None
    return GzContacts


def _touches(contact: Any) -> list[Touch]:
    """The points of one gz contact; forces that Gazebo leaves out are zero."""
    touches = []
    for k, position in enumerate(contact.positions):
        normal = contact.normals[k] if k < len(contact.normals) else None
        wrench = contact.wrenches[k].body_1_wrench.force if k < len(contact.wrenches) else None
        direction = np.array([normal.x, normal.y, normal.z]) if normal else np.zeros(3)
        force = abs(float(np.dot([wrench.x, wrench.y, wrench.z], direction))) if wrench else 0.0
        depth = contact.depths[k] if k < len(contact.depths) else 0.0
        place = np.array([position.x, position.y, position.z])
        touches.append(
            Touch(contact.collision1.name, contact.collision2.name, place, direction, max(0.0, depth), force)
        )
    return touches


def _others(touches: tuple[Touch, ...]) -> set[tuple[str, str]]:
    """Pairs of collisions of which neither is the ground."""
    return {(t.first, t.second) for t in touches if GROUND not in (t.first.split("::")[0], t.second.split("::")[0])}


def main() -> None:
    """Entry point of the executable ``gz_adapter``."""
    ros_node.run(GzAdapterNode)


if __name__ == "__main__":
    main()
