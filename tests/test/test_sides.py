# SPDX-License-Identifier: Apache-2.0
"""Robot side and edge side as two stacks, as on two machines: over loopback here."""

from pathlib import Path

import pytest
from nav_msgs.msg import Odometry
from stack import Stack

from ir_common.ros_node import LATCHED, RELIABLE, STREAM
from ir_common.testing import RosHarness
from ir_interfaces.msg import CellReport, TaskStatus, Verdict


@pytest.mark.timeout(300)
def test_two_sides_drive_the_robot_and_it_stops_without_the_edge(ros: RosHarness, tmp_path: Path) -> None:
    node = ros.node("observer")
    reports, verdicts, status, speed = [], [], [], [0.0]
    node.create_subscription(CellReport, "/radio/report", reports.append, RELIABLE)
    node.create_subscription(Verdict, "/edge/cart/verdict", verdicts.append, RELIABLE)
    node.create_subscription(TaskStatus, "/cart/task_status", status.append, LATCHED)
    node.create_subscription(Odometry, "/cart/odom", lambda m: speed.append(abs(m.twist.twist.linear.x)), STREAM)
    common = ["robots:=cart", "headless:=true", "twin:=shadow"]
    stacks = [Stack([*common, f"side:={side}", "dashboard:=off"], tmp_path) for side in ("robot", "edge")]
    robot, edge = stacks
    try:
        ros.until(lambda: speed[-1] > 0.1 and verdicts and status and reports, 150, "a cart driven from the edge")
        ros.until(lambda: status[-1].distance > 0.3, 60, "the cart's way")
        crossed = {row.topic for row in reports[-1].flows if row.books.delivered_messages}
        assert {"state", "cmd_vel", "odom"} <= crossed
        stops = status[-1].stops
        assert edge.interrupt(15)[0] == 0 and edge.processes() == []
        ros.until(lambda: status[-1].stops > stops and speed[-1] < 0.02, 20, "the watchdog's stop")
        assert robot.interrupt(15)[0] == 0 and robot.processes() == []
    finally:
        for stack in stacks:
            stack.close()
