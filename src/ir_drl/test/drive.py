# SPDX-License-Identifier: Apache-2.0
"""Closed loop of policies and the simulator's core, in one process."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ir_drl.controller import Controller, Input
from ir_drl.policies import make_policy
from ir_sim.sdf import World
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, Task, make_task


@dataclass
class Outcome:
    """What one robot did."""

    goals: int = 0
    distance: float = 0.0
    causes: Counter = field(default_factory=Counter)
    trace: list = field(default_factory=list)
    place: np.ndarray | None = None


class Loop:
    """One robot's controller, with a number of control periods between an observation and its command."""

    def __init__(self, simulation: Simulation, name: str, seed: int, delay: int, policy: str) -> None:
        self.simulation, self.name = simulation, name
        self.task: Task = make_task(simulation.world.robots[name].model, simulation.world)
        self.controller = Controller(self.task, make_policy(self.task, Path(policy)), name, seed, input_timeout=0.5)
        self.episode = Episode(self.task, simulation.world.goals(name))
        self.period = round(self.task.control_period * 1e9 / simulation.step_nanoseconds)
        self.outcome = Outcome()
        self._noise = np.random.default_rng([seed, 1])
        self._late = deque([self.task.safe_action] * delay)
        self._action = self.task.safe_action

    def act(self) -> None:
        sensors = self.simulation.sensors(self.name)
        sensors = replace(sensors, ranges=sensors.ranges + self._noise.normal(0.0, 0.01, len(sensors.ranges)))
        if self.outcome.place is not None:
            self.outcome.distance += float(np.linalg.norm(sensors.position[:2] - self.outcome.place))
        self.outcome.place = sensors.position[:2]
        step = self.episode.advance(sensors, self._action) if self.episode.running else self.episode.begin(sensors)
        if step.cause:
            self.outcome.causes[step.cause] += 1
            self.outcome.goals = self.episode.goals_reached
        if self.episode.needs_reset(step):
            self.simulation.reset_robot(self.name)
            self.outcome.place = None
        given = Input(self.simulation.time, self.task.name, step.episode, step.observation, step.terminated)
        decision = self.controller.decide(given, self.simulation.time)
        assert not decision.fault, decision.fault
        self._late.append(decision.action)
        self._action = self._late.popleft()
        self.outcome.trace.append(self._action)
        command = self._action * self.task.action_scale
        if self.task.command == "twist":
            self.simulation.drive(self.name, *command)
        else:
            self.simulation.move_joints(self.name, self.task.action_names, command)


def drive(world: World, seconds: float, seed: int = 0, delay: int = 0, policy: str = "trained") -> dict[str, Outcome]:
    """Runs all robots of ``world`` for ``seconds`` of simulated time, under their trained or scripted policies."""
    simulation = Simulation(world, seed, cameras=False)
    loops = [Loop(simulation, name, seed, delay, policy) for name in world.robots]
    while simulation.time < seconds:
        for loop in loops:
            if simulation.steps % loop.period == 0:
                loop.act()
        simulation.step(min(loop.period - simulation.steps % loop.period for loop in loops))
    return {loop.name: loop.outcome for loop in loops}
