# SPDX-License-Identifier: Apache-2.0
"""How much faster than real time the three-robot world runs on one core, without cameras, all robots moving."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from harness import Axis, Goal, Options, Result, interval, main

from ir_sim.readings import Reading
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.simulator_node import SimulatorNode
from ir_sim.tasks import HopperHop, SpiderPatrol

ROOT = Path(__file__).resolve().parents[1]
WORLD = ROOT / "worlds" / "robot_field.sdf"
PERIOD = 20  #: physics steps between commands
GOAL = 20.0


def move(simulation: Simulation, random: np.random.Generator) -> None:
    """A fresh random command for every robot."""
    spider, hopper = SpiderPatrol(), HopperHop()
    simulation.drive("cart", *random.uniform(-0.5, 0.5, 2))
    simulation.move_joints("spider", spider.action_names, random.uniform(-0.3, 0.3, 12).tolist())
    simulation.move_joints("hopper", hopper.action_names, random.uniform(-100.0, 100.0, 3).tolist())


def factor(simulation: Simulation, advance: Callable[[int], None], seed: int, seconds: float) -> float:
    """Simulated seconds per second of this process's processor time; the best of five runs of a length."""
    random, best = np.random.default_rng(seed), 0.0
    steps = round(seconds / simulation.world.time_step)
    for _ in range(5):
        simulation.reset(seed)
        began = time.process_time()
        for _ in range(steps // PERIOD):
            move(simulation, random)
            advance(PERIOD)
        best = max(best, seconds / (time.process_time() - began))
    return best


def node_factor(seed: int, seconds: float) -> float:
    """The same for the whole node, which publishes everything but pictures."""
    given = {"world": WORLD, "bridge_file": ROOT / "config" / "bridge.yaml", "paused": "true", "cameras": "false"}
    rclpy.init(args=["--ros-args", *(word for name, value in given.items() for word in ("-p", f"{name}:={value}"))])
    try:
        node = SimulatorNode()
        try:
            return factor(node.simulation, node.advance, seed, seconds)
        finally:
            node.close()
            node.destroy_node()
    finally:
        rclpy.shutdown()


def run(options: Options) -> Result:
    """Physics alone, with all sensors, and the node."""
    os.environ.setdefault("ROS_DOMAIN_ID", "99")
    seconds = 1.0 if options.quick else 5.0
    readings: list[Reading] = []
    rows = []
    for seed in options.seed_list:
        simulation = Simulation(compose(WORLD), seed, cameras=False)

        def sense(count: int, simulation: Simulation = simulation) -> None:
            readings.clear()
            simulation.step(count, readings.append)

        bare, sensed = (factor(simulation, advance, seed, seconds) for advance in (simulation.step, sense))
        rows.append([bare, sensed, node_factor(seed, seconds)])
    means = np.mean(rows, axis=0)
    names = ["physics", "with sensors", "node, publishing"]
    return Result(
        Axis("what runs", "", names),
        "times real time on one core",
        {"three robots": interval(rows)},
        {"world": WORLD.name, "time_step": 0.002, "simulated seconds a run": seconds, "runs": "best of 5"},
        {},
        [
            Goal(
                f"three-robot world, {name}",
                f"at least {GOAL:g} x real time",
                round(float(mean), 1),
                bool(mean >= GOAL),
            )
            for name, mean in zip(names[1:], means[1:], strict=True)
        ],
    )


if __name__ == "__main__":
    main("sim-speed", run)
