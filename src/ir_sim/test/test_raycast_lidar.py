# SPDX-License-Identifier: Apache-2.0
"""Rays that are cast for a simulator elsewhere are those of the embedded one at the same place."""

import numpy as np
import pytest
from conftest import BRIDGE, WORLD
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState, LaserScan
from std_srvs.srv import Trigger

from ir_common.ros_node import RELIABLE
from ir_sim.raycast_lidar_node import RaycastLidarNode
from ir_sim.readings import NANOSECONDS, Reading
from ir_sim.ros_sensors import reading_to_message
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def lidar(ros):
    values = {"world": str(WORLD), "bridge_file": str(BRIDGE), "robots": ["cart", "cart_2:cart"], "seed": 3}
    ros.add(RaycastLidarNode(parameter_overrides=[Parameter(name, value=value) for name, value in values.items()]))
    node = ros.node()
    scans, others = [], []
    node.create_subscription(LaserScan, "/cart/scan", scans.append, RELIABLE)
    node.create_subscription(LaserScan, "/cart_2/scan", others.append, RELIABLE)
    places = {name: node.create_publisher(Odometry, f"/{name}/odom", RELIABLE) for name in ("cart", "cart_2")}
    joints = node.create_publisher(JointState, "/cart/joint_states", RELIABLE)
    ros.until(lambda: all(each.get_subscription_count() for each in (*places.values(), joints)))
    ros.until(lambda: node.count_publishers("/cart/scan") and node.count_publishers("/cart_2/scan"))

    def place(name, value, nanoseconds):
        reading = Reading(name, "odom", "", "map", f"{name}/base_link", nanoseconds, value)
        places[name].publish(reading_to_message(reading))

    return ros, place, scans, others


def test_the_scan_is_that_of_the_same_place_with_all_robots_where_they_are(lidar):
    ros, place, scans, others = lidar
    simulation = Simulation(compose(WORLD, ["cart", "cart_2:cart"]), 3, cameras=False)
    simulation.drive("cart", 0.5, 0.3)
    simulation.drive("cart_2", -0.3, 0.0)
    simulation.step(1500)  # both are elsewhere than at their start
    place("cart_2", simulation.views["cart_2"].odometry(), 3 * NANOSECONDS)
    ros.until(lambda: others)  # it is known there where that one is
    place("cart", simulation.views["cart"].odometry(), 3 * NANOSECONDS)
    ros.until(lambda: scans)
    (_, sensor) = next(pair for pair in simulation.views["cart"].sensors if pair[1].kind == "lidar")
    expected = simulation.views["cart"].scan(sensor, noisy=False)
    found = scans[0]
    assert (found.header.frame_id, found.header.stamp.sec) == (sensor.frame, 3)
    assert (found.range_min, found.range_max) == pytest.approx((sensor.lidar.range_min, sensor.lidar.range_max))
    ranges, known = np.array(found.ranges), np.isfinite(expected.ranges)
    assert known.sum() > 90 and np.array_equal(np.isfinite(ranges), known)
    away = ranges[known] - expected.ranges[known]
    assert np.abs(away).max() < 6 * sensor.lidar.noise.deviation and np.std(away) > 0, "with the sensor's noise"
    start = Simulation(simulation.world, 3, cameras=False)
    assert not np.allclose(
        start.views["cart"].scan(sensor, noisy=False).ranges[known], expected.ranges[known], atol=0.1
    )


def test_scans_come_at_the_sensors_rate_with_the_odometrys_stamps_and_after_a_reset(lidar):
    ros, place, scans, _ = lidar
    simulation = Simulation(compose(WORLD, ["cart"]), 1, cameras=False)
    value = simulation.views["cart"].odometry()
    for milliseconds in (*range(50, 1001, 50), *range(50, 301, 50)):
        before = len(scans)
        place("cart", value, milliseconds * 1_000_000)
        if milliseconds % 100 == 0:  # 20 Hz of odometry, 10 Hz of scans
            ros.until(lambda before=before: len(scans) > before)
    stamps = [round(s.header.stamp.sec * 1e3 + s.header.stamp.nanosec / 1e6) for s in scans]
    assert stamps == [*range(100, 1001, 100), 100, 200, 300], "none between two whole periods, not even the first"


def test_a_node_that_is_told_of_a_reset_begins_as_at_its_start(lidar):
    """Its noise, too; so soon after a reset that no stamp tells of another one."""
    ros, place, scans, _ = lidar
    node = ros.node()
    told = node.create_client(Trigger, "/raycast_lidar/begin_anew")
    ros.until(told.service_is_ready)
    value = Simulation(compose(WORLD, ["cart"]), 1, cameras=False).views["cart"].odometry()
    for _ in range(2):
        before = len(scans)
        for milliseconds in (50, 100, 150, 200):
            place("cart", value, milliseconds * 1_000_000)
        ros.until(lambda before=before: len(scans) == before + 2)
        answer = told.call_async(Trigger.Request())
        ros.until(answer.done)
        assert answer.result().success
    assert [scan.header.stamp.nanosec for scan in scans] == [100_000_000, 200_000_000] * 2
    assert scans[0].ranges == scans[2].ranges and scans[0].ranges != scans[1].ranges


def test_a_node_that_comes_late_begins_at_a_whole_period_too(lidar):
    ros, place, scans, _ = lidar
    value = Simulation(compose(WORLD, ["cart"]), 1, cameras=False).views["cart"].odometry()
    for milliseconds in (3050, 3100):
        place("cart", value, milliseconds * 1_000_000)
    ros.until(lambda: scans and scans[-1].header.stamp.nanosec == 100_000_000)
    assert len(scans) == 1
