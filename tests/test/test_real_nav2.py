# SPDX-License-Identifier: Apache-2.0
"""What test_navigation.py tries on a stand-in, with the Nav2 that is installed; skipped where there is none."""

import math
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from nav2_guide import ROOT, commands
from nav_msgs.msg import Odometry
from rclpy.qos import qos_profile_sensor_data
from stack import Stack

from ir_common.testing import RosHarness

pytestmark = pytest.mark.timeout(500)
GOAL, WITHIN = (5.5, 3.0), 0.5
"""Of the guide's last command; m, more than the tolerance of the goal checker and the localiser together."""
for package in dict.fromkeys(command[2] for command in commands()[:-1]):
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed (it comes with Nav2)", allow_module_level=True)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which ends with it."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


def test_the_cart_reaches_a_goal_by_the_commands_of_the_guide(ros: RosHarness, tmp_path: Path) -> None:
    *nodes, goal = commands()
    words = [
        "params_file:=config/nav2/stack.yaml",
        "robots:=cart",
        "external:=cart",
        "headless:=true",
        "rendering:=false",
    ]
    stack = Stack([*words, "twin:=off", "dashboard:=off"], tmp_path)
    try:
        with ExitStack() as all_of_them:
            for number, command in enumerate(nodes):
                all_of_them.enter_context(running(command, tmp_path / f"{number}.log"))
            # the navigator takes goals once it is active, and says nothing of those that came before
            all_of_them.enter_context(
                running([*(w for w in goal if w != "--once"), "-r", "0.2"], tmp_path / "goal.log")
            )
            places: list[tuple[float, float]] = []

            def take(message: Odometry) -> None:
                places.append((message.pose.pose.position.x, message.pose.pose.position.y))

            node = ros.node()
            node.create_subscription(Odometry, "/cart/odom", take, qos_profile_sensor_data)
            ros.until(lambda: places and math.dist(places[-1], GOAL) < WITHIN, 300.0, "the cart at its goal")
    finally:
        stack.close()
