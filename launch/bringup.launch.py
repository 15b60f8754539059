# SPDX-License-Identifier: Apache-2.0
"""``ros2 launch ir_twin bringup.launch.py``: the same stack as ``./ir up``, by the ROS launcher."""

from launch import LaunchDescription

from ir_twin.bringup.ros_launcher import launch_description


def generate_launch_description() -> LaunchDescription:
    """The arguments and the processes."""
    return launch_description()
