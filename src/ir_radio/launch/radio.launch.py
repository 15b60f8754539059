# SPDX-License-Identifier: Apache-2.0
"""``ros2 launch ir_radio radio.launch.py config:=FILE``: any ROS 2 system behind the radio, as ``./ir radio FILE``."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """The argument and the process; the launch ends with it."""
    return LaunchDescription([
        DeclareLaunchArgument("config", description="YAML file that says what crosses (docs/guide/radio_only.md)"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="true: the link follows /clock"),
        Node(
            package="ir_radio", executable="radio", name="radio", output="screen",
            arguments=[LaunchConfiguration("config")],
            parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
            on_exit=Shutdown(reason="the radio has ended"),
        ),
    ])  # fmt: skip
