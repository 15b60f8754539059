# SPDX-License-Identifier: Apache-2.0
"""What keeps a driven robot from walls: hand-solved cases, and no collision whatever the driver wishes."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_dashboard.driving_guard import STOP, Body, DrivingGuard, OnTheWay, body_of
from ir_sim.sdf import compose

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"
BODY = Body(radius=0.2, deceleration=4.0)
BEARINGS = np.radians(np.arange(-180.0, 180.0, 2.0))


def wall(distance):
    """Ranges to a wall straight ahead."""
    ahead = np.cos(BEARINGS)
    return np.where(ahead > 1e-3, distance / np.maximum(ahead, 1e-3), np.inf)


@pytest.fixture
def guard():
    return DrivingGuard(BODY, margin=0.1)


def test_in_the_open_a_wish_is_granted(guard):
    guard.see(BEARINGS, np.full(len(BEARINGS), np.inf), 0.0)
    assert guard.limit((1.0, 0.4), OnTheWay(), 0.1, 0.0, 0.0) == (1.0, 0.4)


def test_without_a_scan_ever_a_wish_is_granted_and_with_an_old_one_none(guard):
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.1, 0.0, 9.0) == (1.0, 0.0)
    guard.see(BEARINGS, wall(5.0), 9.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.1, 0.0, 9.4) == (1.0, 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.1, 0.0, 9.6) == STOP


def test_speed_by_hand(guard):
    """1 m/s needs 1/8 m to brake and 0.05 m until the next command: 0.175 m, and 0.3 m stay for body and margin."""
    guard.see(BEARINGS, wall(0.48), 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0) == (1.0, 0.0)
    guard.see(BEARINGS, wall(0.47), 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0) == (0.85, 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.0, 0.2, 0.0)[0] < 0.85  # commands that may be later


def test_commands_on_their_way_count(guard):
    sent = OnTheWay()
    sent.add((1.0, 0.0), 0.0)
    guard.see(BEARINGS, wall(0.85), 0.4)
    assert guard.limit((1.0, 0.0), sent, 0.1, 0.0, 0.4) == (1.0, 0.0)  # 0.1 m nearer by then
    assert guard.limit((1.0, 0.0), sent, 0.5, 0.0, 0.4) == (0.85, 0.0)  # 0.4 m nearer: it was standing before


def test_at_a_wall_it_turns_and_backs_off_but_goes_no_nearer(guard):
    guard.see(BEARINGS, wall(0.29), 0.0)
    assert guard.limit((1.0, 0.5), OnTheWay(), 0.0, 0.0, 0.0)[0] == 0.0
    assert guard.limit((0.0, 1.0), OnTheWay(), 0.0, 0.0, 0.0) == (0.0, 1.0)
    assert guard.limit((-0.5, 0.0), OnTheWay(), 0.0, 0.0, 0.0) == (-0.5, 0.0)


def test_a_curve_past_something_is_as_fast_as_wished(guard):
    ranges = np.where(np.abs(BEARINGS) < np.radians(3.0), 0.42, np.inf)
    guard.see(BEARINGS, ranges, 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0)[0] < 0.8
    guard.see(BEARINGS - np.radians(50.0), ranges, 0.0)  # the same to the right
    assert guard.limit((1.0, 1.5), OnTheWay(), 0.0, 0.0, 0.0) == (1.0, 1.5)


def test_what_is_nearer_than_the_lidar_can_measure_is_in_the_way(guard):
    guard.see(BEARINGS, np.where(np.abs(BEARINGS) < 0.3, -np.inf, np.inf), 0.0)
    assert guard.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0)[0] == 0.0


def test_expected_pose_by_hand():
    sent = OnTheWay()
    sent.add((1.0, 0.0), 1.0)
    sent.add((0.0, math.pi / 2), 2.0)
    sent.add((1.0, 0.0), 3.0)
    assert sent.pose(1.0, 4.0) == pytest.approx((1.0, 1.0, math.pi / 2))
    assert sent.pose(3.5, 4.0) == pytest.approx((0.5, 0.0, 0.0))
    quarter = OnTheWay()
    quarter.add((math.pi / 2, math.pi / 2), 0.0)
    assert quarter.pose(0.0, 1.0) == pytest.approx((1.0, 1.0, math.pi / 2))
    quarter.add(STOP, 1.0)
    assert quarter.pose(0.0, 2.0) == pytest.approx((1.0, 1.0, math.pi / 2))


def test_the_carts_body_and_a_robot_without_lidar():
    world = compose(WORLD, ["cart", "spider"])
    body = body_of(world.robots["cart"].description)
    assert body.radius == pytest.approx(0.2, abs=0.03) and body.deceleration == 4.0 and body.lidar == (0.0, 0.0, 0.0)
    assert body_of(world.robots["spider"].description) is None


@pytest.fixture
def steering():
    return DrivingGuard(BODY, turning=1.5, margin=0.1)


def pillar(bearing, distance=0.9):
    """Ranges to something narrow at a bearing, degrees to the left."""
    return np.where(np.abs(BEARINGS - np.radians(bearing)) < np.radians(10.0), distance, np.inf)


def test_past_something_to_one_side_it_is_steered_to_the_other_at_speed(steering):
    for bearing, side in ((8.0, -1), (-8.0, 1)):
        steering.see(BEARINGS, pillar(bearing), 0.0)
        speed, turn = steering.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0)
        assert speed >= 0.7 and turn * side > 0.2


def test_a_wish_that_meets_nothing_is_not_steered(steering):
    steering.see(BEARINGS, pillar(50.0), 0.0)
    assert steering.limit((1.0, -0.3), OnTheWay(), 0.0, 0.0, 0.0) == (1.0, -0.3)


def test_manoeuvres_backwards_and_turns_on_the_spot_are_not_steered(steering):
    steering.see(BEARINGS, pillar(0.0, 0.45), 0.0)
    for wish in ((0.19, 0.3), (-0.5, 0.3), (0.0, 1.0)):
        assert steering.limit(wish, OnTheWay(), 0.0, 0.0, 0.0)[1] == wish[1]


def test_it_is_steered_on_to_the_side_that_it_began_with(steering):
    steering.see(BEARINGS, pillar(6.0), 0.0)
    assert steering.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0)[1] < 0
    steering.see(BEARINGS, pillar(-6.0), 0.05)
    assert steering.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.05)[1] < 0
    fresh = DrivingGuard(BODY, turning=1.5, margin=0.1)
    fresh.see(BEARINGS, pillar(-6.0), 0.0)
    assert fresh.limit((1.0, 0.0), OnTheWay(), 0.0, 0.0, 0.0)[1] > 0


def test_it_turns_no_faster_than_the_robot_may(steering):
    steering.see(BEARINGS, wall(0.5), 0.0)
    for turn in (-1.5, -0.5, 0.0, 1.5):
        assert abs(steering.limit((1.0, turn), OnTheWay(), 0.0, 0.0, 0.0)[1]) <= 1.5


wishes = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1.5, 1.5)), min_size=40, max_size=40)


@settings(max_examples=25, deadline=None)
@given(wishes, st.integers(0, 6), st.floats(-2, 2), st.floats(0.35, 1.5), st.sampled_from([0.0, 1.5]))
def test_no_wish_drives_a_late_robot_into_a_wall(wishes, lag, heading, room, turning):
    """A point mass between two walls, commands `lag` ticks late; it brakes twice as well as is counted on."""
    guard, sent, tick = DrivingGuard(BODY, turning), OnTheWay(), 0.05
    x, yaw, speed, queue = 0.0, heading, 0.0, [STOP] * lag
    for k in range(200):
        now = k * tick
        forward, turn = wishes[(k // 5) % 40]
        seen = np.cos(BEARINGS + yaw)
        towards = np.where(seen > 0, room - x, room + x)
        guard.see(BEARINGS, np.where(np.abs(seen) > 1e-3, towards / np.maximum(np.abs(seen), 1e-3), np.inf), now)
        command = guard.limit((forward, turn), sent, lag * tick, 0.0, now)
        sent.add(command, now)
        queue.append(command)
        wanted, turn = queue.pop(0)
        speed += np.clip(wanted - speed, -8.0 * tick, 8.0 * tick)
        yaw += turn * tick
        x += speed * math.cos(yaw) * tick
        assert abs(x) <= room - BODY.radius, f"at {x:.3f} of {room:.3f} after {now:.2f} s"
