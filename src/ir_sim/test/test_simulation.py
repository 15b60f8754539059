# SPDX-License-Identifier: Apache-2.0
import math
from collections import Counter

import numpy as np
import pytest
from conftest import FLOOR, WORLD
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import SpiderPatrol
from ir_sim.tasks.base import roll_pitch_yaw
from ir_sim.tasks.spider_patrol import LEGS


def only(robot, **options):
    return Simulation(compose(WORLD, [robot]), **options)


def wall_at(x):
    return (
        f'<model name="wall"><static>true</static><pose>{x} 0 0.5 0 0 0</pose><link name="link">'
        '<collision name="c"><geometry><box><size>0.2 4 1</size></box></geometry></collision>'
        '<visual name="v"><geometry><box><size>0.2 4 1</size></box></geometry></visual></link></model>'
    )


CART = "<include><uri>model://cart</uri></include>"


def test_cart_told_half_a_metre_per_second_is_two_metres_on_after_four_seconds():
    simulation = only("cart")
    simulation.step(500)
    start = simulation.sensors("cart").position
    simulation.drive("cart", 0.5, 0.0)
    simulation.step(2000)
    assert simulation.sensors("cart").position[0] - start[0] == pytest.approx(2.0, rel=0.02)
    assert abs(simulation.sensors("cart").position[1] - start[1]) < 0.05


def test_cart_turns_at_the_rate_it_is_told():
    simulation = only("cart")
    simulation.drive("cart", 0.0, 1.0)
    simulation.step(1000)
    assert roll_pitch_yaw(simulation.sensors("cart").orientation)[2] == pytest.approx(2.0, rel=0.05)


def test_drive_keeps_to_its_limits():
    simulation = only("cart")
    simulation.drive("cart", 9.0, 9.0)
    wheels = simulation.views["cart"].robot.description.drive
    speeds = []
    for _ in range(200):
        simulation.step(1)
        left, right = (simulation.data.actuator(f"cart/{s}_wheel_joint").ctrl[0] for s in ("left", "right"))
        speeds.append(((left + right) / 2 * wheels.radius, (right - left) * wheels.radius / wheels.separation))
    speeds = np.array(speeds)
    assert speeds[-1] == pytest.approx(wheels.velocity_high)
    assert np.all(np.diff(speeds, axis=0) <= wheels.acceleration_high * 0.002 + 1e-9)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 5))
def test_same_seed_and_commands_give_the_same_bits_however_steps_are_grouped(groups, seed):
    def run(parts):
        simulation = Simulation(compose(WORLD), seed, cameras=False)
        readings = []
        random = np.random.default_rng(seed)
        for part in parts:
            simulation.drive("cart", *random.uniform(-1, 1, 2))
            simulation.move_joints("hopper", ["leg_joint"], random.uniform(-100, 100, 1))
            for count in part:
                simulation.step(count, readings.append)
        values = [
            (r.robot, r.kind, r.nanoseconds, [np.asarray(v).tobytes() for v in vars(r.value).values()])
            for r in readings
            if r.kind in ("imu", "lidar", "odom")
        ]
        return simulation.data.qpos.tobytes(), simulation.data.qvel.tobytes(), values

    assert run([[n] for n in groups]) == run([[1] * n for n in groups])


def test_reset_repeats_the_run_and_another_seed_changes_it():
    simulation = Simulation(compose(WORLD), 3, cameras=False)

    def run(seed):
        simulation.reset(seed)
        readings = []
        simulation.step(100, readings.append)
        noise = [tuple(r.value.angular_velocity) for r in readings if r.kind == "imu"]
        return simulation.data.qpos.tobytes(), noise

    first = run(3)
    assert run(3) == first == run(None)
    other = run(4)
    assert other[0] != first[0] and other[1] != first[1]


def test_sensors_report_at_their_rates():
    simulation = Simulation(compose(WORLD))
    seen = Counter()
    times = {}

    def sink(reading):
        seen[reading.robot, reading.kind] += 1
        times.setdefault((reading.robot, reading.kind), []).append(reading.nanoseconds)

    simulation.step(1000, sink)  # 2 s
    assert seen == Counter({
        ("cart", "odom"): 40, ("cart", "imu"): 100, ("cart", "joint_states"): 50, ("cart", "lidar"): 20,
        ("cart", "camera"): 20, ("cart", "contact"): 20,
        ("spider", "odom"): 50, ("spider", "imu"): 100, ("spider", "joint_states"): 50, ("spider", "camera"): 20,
        ("spider", "contact"): 20,
        ("hopper", "odom"): 40, ("hopper", "imu"): 100, ("hopper", "joint_states"): 250, ("hopper", "contact"): 20,
    })  # fmt: skip
    assert set(np.diff(times["hopper", "joint_states"])) == {8_000_000}
    assert set(np.diff(times["cart", "odom"])) == {50_000_000}


def test_lidar_measures_a_wall(write_world):
    simulation = Simulation(compose(write_world(FLOOR, wall_at(2.0), CART)))
    simulation.step(200)
    sensors = simulation.sensors("cart")
    ahead = int(np.argmin(np.abs(sensors.bearings)))
    assert sensors.ranges[ahead] == pytest.approx(1.9, abs=0.005)
    for k in range(len(sensors.bearings)):
        across = 1.9 * math.tan(sensors.bearings[k])
        if abs(sensors.bearings[k]) < 1.4 and abs(across) < 1.9:
            assert sensors.ranges[k] == pytest.approx(1.9 / math.cos(sensors.bearings[k]), abs=0.02)
        elif abs(sensors.bearings[k]) > 1.6:
            assert sensors.ranges[k] == np.inf
    scans = []
    simulation.step(500, lambda r: scans.append(r.value.ranges[ahead]) if r.kind == "lidar" else None)
    assert 0.0 < np.std(scans) < 0.02  # the noise of the SDF, 5 mm


def test_imu_at_rest_feels_gravity():
    simulation = only("cart")
    simulation.step(500)
    forces = []
    simulation.step(500, lambda r: forces.append(r.value.linear_acceleration) if r.kind == "imu" else None)
    assert np.mean(forces, axis=0) == pytest.approx([0, 0, 9.81], abs=0.05)
    assert np.std(forces, axis=0) == pytest.approx(0.02, rel=0.6)


def test_bump_is_reported_at_once_with_its_place(write_world):
    simulation = Simulation(compose(write_world(FLOOR, wall_at(1.0), CART)), cameras=False)
    simulation.drive("cart", 0.93, 0.0)
    hits = []

    def sink(reading):
        if reading.kind == "contact" and reading.value:
            hits.append(reading)

    while not hits and simulation.time < 3:
        simulation.step(10, sink)
    touch = hits[0].value[0]
    assert {touch.first, touch.second} == {"cart::base_link::body", "wall::link::c"}
    assert touch.position[0] == pytest.approx(0.9, abs=0.01) and touch.force > 0
    assert hits[0].nanoseconds % 100_000_000 != 0, "told between the periodic reports"
    assert np.all(np.abs(simulation.sensors("cart").bumps) < 0.3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_commands_that_are_not_finite_are_refused_and_change_nothing(value):
    simulation = Simulation(compose(WORLD), cameras=False)
    before = simulation.data.ctrl.copy()
    for wrong in ((value, 0.0), (0.0, value)):
        with pytest.raises(ValueError, match="finite"):
            simulation.drive("cart", *wrong)
    with pytest.raises(ValueError, match="finite"):
        simulation.move_joints("hopper", ["leg_joint", "foot_joint"], [1.0, value])
    assert np.array_equal(simulation.data.ctrl, before)


def test_commands_for_unknown_or_repeated_joints_are_refused():
    simulation = Simulation(compose(WORLD), cameras=False)
    for joints, values in ((["tail"], [0.0]), (["leg_joint"] * 2, [0.0, 0.0]), (["leg_joint"], [0.0, 1.0])):
        with pytest.raises(ValueError):
            simulation.move_joints("hopper", joints, values)
    with pytest.raises(ValueError, match="no drive on wheels"):
        simulation.drive("hopper", 0.0, 0.0)


def test_reset_of_one_robot_leaves_the_others_alone():
    simulation = Simulation(compose(WORLD), cameras=False)
    simulation.drive("cart", 0.5, 0.0)
    simulation.step(1000)
    cart, steps = simulation.sensors("cart").position, simulation.steps
    assert simulation.sensors("hopper").joint_positions[1] < -0.3, "the unpowered hopper has fallen"
    simulation.reset_robot("hopper")
    assert simulation.sensors("hopper").joint_positions == pytest.approx(np.zeros(6), abs=5e-3)
    assert np.array_equal(simulation.sensors("cart").position, cart) and simulation.steps == steps
    simulation.reset_robot("cart")
    simulation.step(50)
    assert simulation.sensors("cart").position == pytest.approx([-6, -3.5, 0], abs=1e-3)


def test_spider_stands_at_rest_and_walks_a_tripod_gait():
    simulation = only("spider")
    task = SpiderPatrol()
    simulation.step(500)
    assert simulation.sensors("spider").position[2] == pytest.approx(0.138, abs=0.01)
    start = simulation.sensors("spider").position
    for k in range(200):  # 8 s
        phase = 2 * math.pi * k * task.control_period / 0.8
        action = []
        for leg in LEGS:
            # left front, left rear and right middle swing together
            swing = phase + (0.0 if leg in ("left_front", "left_rear", "right_middle") else math.pi)
            side = -1.0 if leg.startswith("left") else 1.0
            action += [0.35 * side * math.cos(swing), 0.45 * max(0.0, math.sin(swing))]
        simulation.move_joints("spider", task.joint_names, action)
        simulation.step(20)
    sensors = simulation.sensors("spider")
    roll, pitch, _ = roll_pitch_yaw(sensors.orientation)
    assert abs(roll) < 0.3 and abs(pitch) < 0.3 and sensors.position[2] > 0.1
    assert abs(sensors.position[0] - start[0]) > 0.5


def crowd(count: int, model: str, apart: float) -> Simulation:
    """So many robots of a model in a row of three, their legs in each other's way."""
    simulation = Simulation(compose(WORLD, [model, *(f"{model}_{k}:{model}" for k in range(1, count))]), cameras=False)
    for k, view in enumerate(simulation.views.values()):
        simulation.data.qpos[view.free : view.free + 3] = [apart * (k % 3), apart * (k // 3), 0.2]
    return simulation


@pytest.mark.parametrize("seed", range(3))
def test_robots_that_kick_each_other_stay_bodies(seed):
    """With MuJoCo's sparse solver, its own choice for so many joints, each of these seeds ended beyond 300 rad/s."""
    simulation, random, fastest = crowd(6, "spider", 0.3), np.random.default_rng(seed), 0.0
    for _ in range(100):
        for name, view in simulation.views.items():
            joints = view.robot.description.controller.joints
            simulation.move_joints(name, joints, random.uniform(-0.8, 0.8, len(joints)))
        for _ in range(20):
            simulation.step(1)
            fastest = max(fastest, np.abs(simulation.data.qvel).max())
    assert not simulation.divergences and 5.0 < fastest < 100.0


def test_a_robot_whose_start_is_taken_is_put_beside_it():
    simulation = Simulation(compose(WORLD, ["cart", "cart_2:cart"]), cameras=False)
    first, second = simulation.views["cart"], simulation.views["cart_2"]
    simulation.step(50)
    start = simulation.data.qpos[first.free : first.free + 2].copy()
    simulation.data.qpos[second.free : second.free + 2] = start + np.array([0.1, 0.0])
    simulation.reset_robot("cart")
    place = simulation.data.qpos[first.free : first.free + 2].copy()
    assert 0.2 < np.linalg.norm(place - start) < 1.0, "near it, but not on it"
    simulation.step(200)
    assert np.abs(simulation.data.qvel).max() < 0.1, "nobody was thrown"
    simulation.data.qpos[second.free : second.free + 2] = start + np.array([0.0, 2.0])
    simulation.reset_robot("cart")
    assert simulation.data.qpos[first.free : first.free + 2] == pytest.approx(start, abs=1e-3), "free again: the start"


def test_a_state_that_is_not_finite_puts_every_robot_back_and_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    simulation = Simulation(compose(WORLD, ["cart", "spider"]), cameras=False)
    start = simulation.data.qpos.copy()
    simulation.drive("cart", 0.5, 0.0)
    simulation.step(500)
    simulation.data.qvel[simulation.views["spider"].dofs[0]] = np.nan
    simulation.step(1)
    assert len(simulation.divergences) == 1 and "spider" in simulation.divergences[0]
    assert simulation.time == pytest.approx(1.002), "time goes on"
    assert np.abs(simulation.data.qpos - start).max() < 0.02
    simulation.step(500)
    assert len(simulation.divergences) == 1
    assert not list(tmp_path.iterdir()), "MuJoCo's own log file"
    assert "unstable" in caplog.text
