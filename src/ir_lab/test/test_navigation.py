# SPDX-License-Identifier: Apache-2.0
"""A navigator of Nav2's form drives the cart to a goal: map, drifting odometry and its correction in, cmd_vel out."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import Twist
from grid_navigator import GridNavigator

from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse
from ir_sim.occupancy import occupancy_map
from ir_sim.odometry_drift import OdometryDrift
from ir_sim.ros_navigation import in_odom_frame
from ir_sim.ros_sensors import reading_to_message
from ir_sim.ros_task_messages import command_to_action

CONFIG = Path(__file__).parents[3] / "config" / "nav2"
PERIOD = 0.05


class Odometer:
    """The pose in the map as Nav2 finds it: odometry in the odom frame, then the transform of a localiser."""

    def __init__(self, drift):
        self._drift = OdometryDrift(drift, np.random.default_rng(1))
        self.pose, self.strayed = None, 0.0

    def take(self, reading):
        message = in_odom_frame(reading_to_message(reading), self._drift, "cart/odom", "cart/base_link")
        told, q = message.pose.pose.position, message.pose.pose.orientation
        heading = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
        x, y, turn = self._drift.correction()
        cos, sin = math.cos(turn), math.sin(turn)
        self.pose = x + cos * told.x - sin * told.y, y + sin * told.x + cos * told.y, heading + turn
        self.strayed = max(self.strayed, math.hypot(x, y))


@pytest.mark.parametrize("goal", [(5.5, 3.0), (4.0, -4.8)])
def test_the_cart_reaches_a_goal_by_map_odometry_and_cmd_vel(goal):
    run = ModelRun(parse(["rendering:=false", "twin:=off", "robots:=cart", "duration:=90"], driven="cart"))
    odometer = Odometer(0.05)
    run.sensed("cart", "odom", odometer.take)
    task, navigator = run.tasks["cart"], GridNavigator(occupancy_map(run.world), 0.35)
    for tick in range(1, round(60.0 / PERIOD)):
        while run.go_on(tick * PERIOD):
            pass
        if odometer.pose is None:
            continue
        if not navigator.path:
            navigator.go_to(odometer.pose[:2], goal)
        command = Twist()
        command.linear.x, command.angular.z = navigator.velocity(*odometer.pose)
        run.propose("cart", command_to_action(task, command))
        if (command.linear.x, command.angular.z) == (0.0, 0.0):
            break
    there = run.simulation.sensors("cart").position[:2]
    report = run.report()["robots"]["cart"]
    run.close()
    assert math.dist(there, goal) < 0.25 and report["collisions"] == 0
    assert odometer.strayed > 0.05, "the odometry does not drift: the localiser's transform is not tried"


def strings(node):
    """All texts in a parsed YAML file."""
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def test_nav2s_parameters_name_frames_and_topics_that_the_stack_has():
    given = yaml.safe_load((CONFIG / "cart.yaml").read_text())
    frames = {text for text in strings(given) if text in ("map", "odom", "base_link") or text.startswith("cart/")}
    assert frames == {"map", "cart/odom", "cart/base_link"}
    topics = {text for text in strings(given) if text.startswith("/")}
    assert topics == {"/map", "/edge/cart/scan", "/edge/cart/odometry"}
    stack = yaml.safe_load((CONFIG / "stack.yaml").read_text())
    assert stack["/robot_state"]["ros__parameters"] == {"localiser": True, "drift": 0.02}
