# SPDX-License-Identifier: Apache-2.0
"""The list of topics between simulator and stack: the configuration file of ros_gz_bridge."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, RootModel

from ir_common.config import Config, load_yaml

if TYPE_CHECKING:
    from ir_sim.sdf.world import World

IMAGE = "sensor_msgs/msg/Image"
GZ_CONTACTS = "ros_gz_interfaces/msg/Contacts"
_TOPIC = r"^/[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*$"


class Row(Config):
    """One topic of the bridge file, with its name, type and direction on either side."""

    ros_topic_name: str = Field(pattern=_TOPIC, description="ROS name of the topic")
    gz_topic_name: str = Field(pattern=_TOPIC, description="name of the topic in the simulator")
    ros_type_name: str = Field(pattern=r"^\w+/msg/\w+$", description="ROS message type")
    gz_type_name: str = Field(pattern=r"^gz\.msgs\.\w+$", description="Gazebo message type")
    direction: Literal["GZ_TO_ROS", "ROS_TO_GZ", "BIDIRECTIONAL"] = Field(description="way of the messages")
    lazy: bool | None = Field(None, description="bridge only while somebody subscribes")
    subscriber_queue: int | None = Field(None, ge=1, description="messages")
    publisher_queue: int | None = Field(None, ge=1, description="messages")

    @property
    def stack_topic(self) -> tuple[str, str]:
        """Name and type of the stack's own topic that stands for this one."""
        if self.ros_type_name == IMAGE:
            return f"{self.ros_topic_name}/compressed", "sensor_msgs/msg/CompressedImage"
        if self.ros_type_name == GZ_CONTACTS:
            return self.ros_topic_name.rpartition("/")[0] + "/contacts", "ir_interfaces/msg/Contacts"
        return self.ros_topic_name, self.ros_type_name


class _Rows(RootModel[tuple[Row, ...]]):
    pass


def load_rows(path: str | Path) -> tuple[Row, ...]:
    """Reads the file.

    Raises:
        ConfigError: it is missing or malformed, with file, line and key.
    """
    return load_yaml(path, _Rows).root


def rows_for(rows: Iterable[Row], world: World) -> list[Row]:
    """The rows of a world's robots: those of each one's name, or else of its model with its name put in; and all
    rows of nobody (`/clock`).
    """
    rows = list(rows)
    chosen = [row for row in rows if _owner(row) == ""]
    for robot in world.robots.values():
        own = [row for row in rows if _owner(row) == robot.name]
        chosen += own or [_renamed(row, robot.model, robot.name) for row in rows if _owner(row) == robot.model]
    return chosen


def _owner(row: Row) -> str:
    """First part of a name of several parts."""
    first, _, rest = row.ros_topic_name[1:].partition("/")
    return first if rest else ""


def _renamed(row: Row, model: str, name: str) -> Row:
    def swap(topic: str) -> str:
        return f"/{name}/" + topic.removeprefix(f"/{model}/") if topic.startswith(f"/{model}/") else topic

    names = {"ros_topic_name": swap(row.ros_topic_name), "gz_topic_name": swap(row.gz_topic_name)}
    return row.model_copy(update=names)
