# SPDX-License-Identifier: Apache-2.0
"""A robot's task on the embedded simulator, in process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_drl.environments.conditions import Conditions, LateCommands, blurred, draw, read_conditions
from ir_drl.environments.onlooker import Onlooker, checked_render_mode
from ir_drl.environments.spaces import spaces
from ir_drl.policies import ActionMemory
from ir_sim.camera import Picture
from ir_sim.sdf import World, compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, Step, require_goals, robot_task

MAX_SEED = 2**31
Array = NDArray[np.float64]


class TaskEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One robot alone in a world, one control period a step; without conditions, sensors are free of noise.

    An episode starts with the robot at its place in the world (with its task's perturbation) and the world's goals in
    an order drawn from the seed. ``terminated`` and ``truncated`` are the task's own: a goal that is reached truncates,
    since the robot goes on to the next one from there. So there is no further time limit.

    With ``goals`` over 1 the robot goes on within the episode, which is truncated at the last of them. The observation
    after a goal already refers to the next one, as a policy acts on that; the step's reward refers to the one reached.

    Args:
        model: robot model, or any word that chooses a robot of the world (NAME, NAME:MODEL).
        world: SDF world with obstacles and goals; None: the one that comes with the stack.
        latency: s, until an action takes effect: drawn anew for each step, evenly from 0 to this, in whole physics
            steps. A policy that is to act over a radio learns to live with it.
        goals: that an episode takes the robot to.
        conditions: further trouble of the radio, and how far sensors and bodies are off: a YAML file, or its content.
        memory: so many of the last actions, and the one in force, follow the observation (`ActionMemory`). A goal
            within an episode begins the memory anew, as a controller does.
        render_mode: rgb_array: `render` gives pictures [height, width, 3] of an onlooker who follows the robot.

    Raises:
        ConfigError: the world cannot be read, has no such model or no goals for it, or latency or goals are none.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(
        self, model: str, world: str | Path | None = None, latency: float = 0.0, goals: int = 1,
        conditions: str | Path | Mapping[str, Any] | Conditions | None = None, memory: int = 0,
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        for name, value, least in (("goals", goals, 1), ("latency", latency, 0), ("memory", memory, 0)):
            if not least <= value < np.inf:
                raise ConfigError(f"{name} must be at least {least} and finite, got {value}")
        self.goals, self.render_mode = goals, checked_render_mode(render_mode)
        self._onlooker: Onlooker | None = None
        self.world = compose(world or default_world(), [model])
        self.robot = next(iter(self.world.robots))
        self.task = robot_task(self.world.robots[self.robot], self.world)
        require_goals(self.robot, self.task, self.world)
        self.metadata = {**type(self).metadata, "render_fps": round(1 / self.task.control_period)}  # type: ignore[misc]
        self.conditions, self.memory = read_conditions(conditions), ActionMemory(self.task, memory)
        self.observation_space, self.action_space = spaces(self.task, self.memory.width)
        self.simulation = Simulation(self.world, 0, cameras=False)
        self._steps = round(self.task.control_period * 1e9 / self.simulation.step_nanoseconds)
        self._late = round(latency * 1e9 / self.simulation.step_nanoseconds)
        self._drawn = draw(self.conditions, np.random.default_rng(0))
        self._episode = Episode(self.task, self._places(self.world))

    def _places(self, world: World) -> Array:
        return np.asarray(world.goals(self.robot)).reshape(-1, 2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Puts the robot back; the same seed gives the same start and goals."""
        super().reset(seed=seed)
        start = int(self.np_random.integers(MAX_SEED))
        goals = self.np_random.permutation(self._places(self.world))
        if self.conditions != Conditions():
            self._drawn = draw(self.conditions, self.np_random)
            self.simulation.vary(self.robot, self._drawn.mass, self._drawn.friction)
        self.simulation.reset(start)
        self._commands, self._in_force = LateCommands(), self.task.safe_action
        self._episode = Episode(self.task, goals)
        step = self._episode.begin(self.simulation.sensors(self.robot))
        return self._begun(step), self._information(step)

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Sends an action [n_act] in the task's units, clipped to its bounds, and goes on for one control period.

        Raises:
            RuntimeError: the episode has ended, or none was begun.
            ValueError: the action is not finite.
        """
        if not self._episode.running:
            raise RuntimeError("no episode is under way: call reset first")
        taken = self.task.clip(np.asarray(action, np.float64))
        end = self.simulation.steps + self._steps
        self._commands.send(taken, self._arrival())
        self.memory.propose(taken)
        for instant, arrived in self._commands.take(end):
            if instant > self.simulation.steps:
                self.simulation.step(instant - self.simulation.steps)
            self._obey(arrived)
        self.simulation.step(end - self.simulation.steps)
        step = self._episode.advance(self.simulation.sensors(self.robot), self._in_force)
        if step.cause == "goal" and self._episode.goals_reached < self.goals:
            begun = self._episode.begin(self.simulation.sensors(self.robot))
            return self._begun(begun), step.reward, False, False, self._information(step) | {"cause": ""}
        shown = self.memory.extend(self._seen(step), self._in_force)
        return shown, step.reward, step.terminated, step.truncated, self._information(step)

    def _arrival(self) -> int | None:
        """When a command that is sent now arrives, physics steps; None: never."""
        late = int(self.np_random.integers(self._late + 1))
        if self.conditions == Conditions():
            return self.simulation.steps + late
        drawn, uniform = self._drawn, self.np_random.random(3)
        steps = drawn.delay + drawn.jitter * uniform[0] + self.conditions.spike * (uniform[1] < drawn.spikes)
        return None if uniform[2] < drawn.loss else self.simulation.steps + late + round(steps * self._steps)

    def _obey(self, action: Array) -> None:
        self._in_force = action
        command = action * self.task.action_scale
        if self.task.velocities:
            self.simulation.drive(self.robot, *command)
        else:
            self.simulation.move_joints(self.robot, self.task.action_names, command.tolist())

    def _begun(self, step: Step) -> Array:
        """The first observation of an episode or towards a goal, as a controller has it: it remembers nothing."""
        self.memory.begin()
        return self.memory.extend(self._seen(step))

    def _seen(self, step: Step) -> Array:
        return blurred(step.observation, self.conditions.noise, self.np_random)

    def render(self) -> Picture | None:  # type: ignore[override]
        """[height, width, 3] uint8, an onlooker's picture of the robot; None without a render mode."""
        if self.render_mode is None:
            return None
        self._onlooker = self._onlooker or Onlooker(self.simulation, self.robot)
        return self._onlooker.picture()

    def _information(self, step: Step) -> dict[str, Any]:
        """Why the episode ended, the action in force, and goals that were reached by this step."""
        return {"cause": step.cause, "action": self._in_force.copy(), "goals": int(step.cause == "goal")}


def default_world() -> Path:
    """The world that comes with the stack, where ir_twin has installed it.

    Raises:
        ConfigError: it is not there.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        file = Path(get_package_share_directory("ir_twin")) / "worlds" / "robot_field.sdf"
    except PackageNotFoundError:
        raise ConfigError(
            "ir_twin is not installed, and brings the worlds; build the workspace, or give world="
        ) from None
    if not file.exists():
        raise ConfigError(f"{file} is not there; build the workspace again, or give world=")
    return file
