# SPDX-License-Identifier: Apache-2.0
"""Messages for navigation: by hand, and against the frames that they are of."""

import math
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry

from ir_sim.occupancy import occupancy_map
from ir_sim.odometry_drift import OdometryDrift
from ir_sim.ros_navigation import camera_infos, in_odom_frame, map_message, optical_frames
from ir_sim.sdf import compose
from ir_sim.sdf.urdf import tree

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"


@pytest.fixture(scope="module")
def world():
    return compose(WORLD, ["cart"])


def odometry(x, y, heading, sec=1):
    message = Odometry()
    message.header.stamp, message.header.frame_id = Time(sec=sec), "map"
    message.pose.pose.position.x, message.pose.pose.position.y = float(x), float(y)
    message.pose.pose.orientation.z, message.pose.pose.orientation.w = math.sin(heading / 2), math.cos(heading / 2)
    message.twist.twist.linear.x = 0.5
    return message


def planar(message):
    q = message.pose.pose.orientation
    return message.pose.pose.position.x, message.pose.pose.position.y, 2 * math.atan2(q.z, q.w)


def test_the_map_has_the_cells_row_by_row(world):
    grid = occupancy_map(world, 0.1)
    message = map_message(grid, "map")
    assert (message.info.height, message.info.width) == grid.cells.shape and message.header.frame_id == "map"
    column, row = (round((value - origin) / 0.1 - 0.5) for value, origin in zip((3.5, 0.5), grid.origin, strict=True))
    assert message.data[row * message.info.width + column] == 100
    assert len(message.data) == grid.cells.size and min(message.data) == 0


def test_odometry_without_drift_is_the_pose_with_a_covariance_that_filters_bear():
    told = in_odom_frame(
        odometry(1, 2, 0.7), OdometryDrift(0.0, np.random.default_rng(1)), "cart/odom", "cart/base_link"
    )
    assert planar(told) == pytest.approx((1.0, 2.0, 0.7)) and told.twist.twist.linear.x == 0.5
    assert (told.header.frame_id, told.child_frame_id, told.header.stamp.sec) == ("cart/odom", "cart/base_link", 1)
    variances = np.array(told.pose.covariance).reshape(6, 6).diagonal()
    assert (variances > 0).all() and variances[2] > 1e3 > variances[0]


def test_odometry_with_drift_is_that_of_the_drift():
    drift = OdometryDrift(0.2, np.random.default_rng(1))
    for step in range(20):
        told = in_odom_frame(odometry(0.3 * step, 0.1 * step, 0.3 + 0.2 * step), drift, "cart/odom", "cart/base_link")
    x, y, heading = planar(told)
    assert (x, y) == pytest.approx(drift.told[:2]) and math.cos(heading - drift.told[2]) == pytest.approx(1.0)
    assert math.hypot(x - 5.7, y - 1.9) > 0.05
    covariance = np.array(told.pose.covariance).reshape(6, 6)
    assert covariance[np.ix_((0, 1, 5), (0, 1, 5))] == pytest.approx(drift.covariance, abs=2e-6)


def test_a_point_ahead_is_on_the_cameras_axis_and_to_the_left_is_left_in_the_picture(world):
    robot = world.robots["cart"]
    ((topic, info),) = camera_infos(robot)
    (optical,) = optical_frames(robot)
    assert topic == "/cart/camera/camera_info" and optical.child == info.header.frame_id == "cart/camera_optical"
    assert optical.parent in {branch.child for branch in tree("cart", robot.description)}
    seen = optical.origin.inverse()
    for point, pixel in (((2.0, 0, 0), (160, 120)), ((1.0, math.tan(0.6), 0), (0, 120)), ((1.0, 0, 0.1), (160, None))):
        u, v, w = np.array(info.k).reshape(3, 3) @ (seen.position + seen.rotation @ np.array(point))
        assert u / w == pytest.approx(pixel[0], abs=1e-6)
        assert v / w == pytest.approx(pixel[1], abs=1e-6) if pixel[1] is not None else v / w < 120
