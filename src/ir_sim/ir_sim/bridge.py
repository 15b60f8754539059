# SPDX-License-Identifier: Apache-2.0
"""The list of topics between simulator and stack: the configuration file of ros_gz_bridge."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, RootModel

from ir_common.config import Config, ConfigError, load_yaml

if TYPE_CHECKING:
    from ir_sim.sdf.world import Robot, World

IMAGE = "sensor_msgs/msg/Image"
GZ_CONTACTS = "ros_gz_interfaces/msg/Contacts"
GZ_SERVICES = {"control": "ControlWorld", "create": "SpawnEntity", "remove": "DeleteEntity"}
"""Type in ros_gz_interfaces/srv of each service of a world that is bridged, by the last part of its name."""
_TOPIC = r"^/[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*$"


_SENSORS = {
    "imu": ("imu", "sensor_msgs/msg/Imu", "gz.msgs.IMU"),
    "lidar": ("scan", "sensor_msgs/msg/LaserScan", "gz.msgs.LaserScan"),
    "camera": ("camera/image_raw", IMAGE, "gz.msgs.Image"),
    "contact": ("bumper", GZ_CONTACTS, "gz.msgs.Contacts"),
}


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


def gz_service_names(world: str) -> dict[str, str]:
    """Full name of each service of a world that has to be bridged, and its type."""
    return {f"/world/{world}/{name}": f"ros_gz_interfaces/srv/{kind}" for name, kind in GZ_SERVICES.items()}


def load_rows(path: str | Path) -> tuple[Row, ...]:
    """Reads the file.

    Raises:
        ConfigError: it is missing or malformed, with file, line and key.
    """
    return load_yaml(path, _Rows).root


def rows_for(rows: Iterable[Row], world: World) -> list[Row]:
    """The rows of a world's robots: those of each one's name, or else of its model with its name put in, or else the
    topics of its file under the stack's names; and all rows of nobody (`/clock`).
    """
    rows = list(rows)
    chosen = [row for row in rows if _owner(row) == ""]
    for robot in world.robots.values():
        own = [row for row in rows if _owner(row) == robot.name]
        own = own or [_renamed(row, robot.model, robot.name) for row in rows if _owner(row) == robot.model]
        chosen += own or default_rows(robot)
    return chosen


def default_rows(robot: Robot) -> list[Row]:
    """Rows of a robot that a bridge file says nothing of: what it senses and follows, under the stack's names."""
    description, rows = robot.description, []
    taken: set[str] = set()

    def add(
        name: str, topic: str, ros: str, gz: str, direction: Literal["GZ_TO_ROS", "ROS_TO_GZ"], apart: str = ""
    ) -> None:
        name = f"/{robot.name}/{name}" if name not in taken else f"/{robot.name}/{apart}/{name.rpartition('/')[2]}"
        taken.add(name.removeprefix(f"/{robot.name}/"))
        rows.append(
            Row(ros_topic_name=name, gz_topic_name=topic, ros_type_name=ros, gz_type_name=gz, direction=direction)
        )

    for output, name, ros, gz in (
        (description.odometry, "odom", "nav_msgs/msg/Odometry", "gz.msgs.Odometry"),
        (description.joint_states, "joint_states", "sensor_msgs/msg/JointState", "gz.msgs.Model"),
    ):
        if output is not None:
            add(name, output.topic, ros, gz, "GZ_TO_ROS")
    for sensor in (sensor for link in description.links.values() for sensor in link.sensors):
        name, ros, gz = _SENSORS[sensor.kind]
        if sensor.kind != "contact" or name not in taken:  # the contacts of all links are one topic
            add(name, sensor.topic, ros, gz, "GZ_TO_ROS", sensor.name)
    if description.drive is not None:
        add("cmd_vel", description.drive.topic, "geometry_msgs/msg/Twist", "gz.msgs.Twist", "ROS_TO_GZ")
    elif description.controller is not None:
        kind = ("trajectory_msgs/msg/JointTrajectory", "gz.msgs.JointTrajectory")
        add("joint_commands", description.controller.topic, *kind, "ROS_TO_GZ")
    return rows


def _owner(row: Row) -> str:
    """First part of a name of several parts."""
    first, _, rest = row.ros_topic_name[1:].partition("/")
    return first if rest else ""


def _renamed(row: Row, model: str, name: str) -> Row:
    def swap(topic: str) -> str:
        return f"/{name}/" + topic.removeprefix(f"/{model}/") if topic.startswith(f"/{model}/") else topic

    names = {"ros_topic_name": swap(row.ros_topic_name), "gz_topic_name": swap(row.gz_topic_name)}
    return row.model_copy(update=names)


def check_type(row: Row, given: str, wanted: type[object]) -> None:
    """Checks that a message of the type `wanted` is what a row says, its topic's type as the stack has it `given`.

    Raises:
        ConfigError: it is another one.
    """
    name = f"{wanted.__module__.split('.')[0]}/msg/{wanted.__name__}"
    if given != name:
        raise ConfigError(f"bridge file: {row.ros_topic_name}: type {row.ros_type_name} cannot carry it; needs {name}")
