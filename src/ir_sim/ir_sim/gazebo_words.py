# SPDX-License-Identifier: Apache-2.0
"""What the stack says about Gazebo: what it needs, what it waits for, what is missing without rendering."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ir_sim.sdf import World
from ir_sim.tasks import robot_task

INSTALL = "install ros-jazzy-ros-gz (or -kilted-) and source ROS, or leave out sim:=gz"
MISSING_INTERFACES = "the Python package ros_gz_interfaces is missing"
WAITING = "waiting for Gazebo: no /clock and no world control yet (gz sim and ros_gz_bridge make them)"
SILENT = "Gazebo does not answer; its log is gz_sim.log"
ANEW = "Gazebo began anew while it was stepped"
RAYCAST = "lidar:=raycast casts the lidars' rays without rendering"


def started_again(count: int) -> str:
    """Gazebo's clock went back without anybody's asking for it."""
    return f"Gazebo began anew ({count} so far); it is set running again"


def not_put_back(robot: str, tries: int) -> str:
    """A robot is not seen at its start."""
    return f"{robot} does not come back after {tries} requests to Gazebo; they go on, and this is not told again"


def lacks(world: World, kinds: Collection[str]) -> list[str]:
    """What is missing in Gazebo when sensors of some kinds do not work, one line each.

    Args:
        world: composed world.
        kinds: of sensors that send nothing: `lidar`, `camera`.

    Returns:
        First the topics of each robot, then the robots that will not act, as their task waits for such a sensor.
    """
    return lacking_topics(world, sensor_topics(world, kinds))


def lacking_topics(world: World, topics: Collection[str]) -> list[str]:
    """As `lacks`, of some topics of sensors."""
    lines = [f"no {topic}: it needs rendering" for topic in topics]
    return lines + [
        f"{robot} does not act: its task waits for {topic}; {RAYCAST}" for robot, topic in idle(world, topics)
    ]


def sensor_topics(world: World, kinds: Collection[str]) -> list[str]:
    """Topics of the sensors of some kinds, as the robots' files name them."""
    return [
        sensor.topic
        for robot in world.robots.values()
        for link in robot.description.links.values()
        for sensor in link.sensors
        if sensor.kind in kinds
    ]


def idle(world: World, topics: Iterable[str]) -> list[tuple[str, str]]:
    """Robots whose task is triggered by a lidar on one of some topics, and that topic."""
    missing = set(topics)
    return [
        (robot.name, sensor.topic)
        for robot in world.robots.values()
        if robot_task(robot, world).trigger == "scan"
        for link in robot.description.links.values()
        for sensor in link.sensors
        if sensor.kind == "lidar" and sensor.topic in missing
    ]
