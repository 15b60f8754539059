# SPDX-License-Identifier: Apache-2.0
"""A robot's task on the embedded simulator, in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_drl.environments.onlooker import Onlooker, checked_render_mode
from ir_drl.environments.spaces import spaces
from ir_sim.camera import Picture
from ir_sim.sdf import World, compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, Step, robot_task

MAX_SEED = 2**31
Array = NDArray[np.float64]


class TaskEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One robot alone in a world, one control period a step; sensors are free of noise.

    An episode starts with the robot at its place in the world (with its task's perturbation) and the world's goals in
    an order drawn from the seed. ``terminated`` and ``truncated`` are the task's own: a goal that is reached truncates,
    since the robot goes on to the next one from there. So there is no further time limit.

    With ``goals`` over 1 the robot goes on within the episode, which is truncated at the last of them. The observation
    after a goal already refers to the next one, as a policy acts on that; the step's reward refers to the one reached.

    Args:
        model: robot model, or any word that chooses a robot of the world (NAME, NAME:MODEL).
        world: SDF world with obstacles and goals; None: the one that comes with the stack.
        latency: s, until an action takes effect: drawn anew for each step, evenly from 0 to this, in whole physics
            steps and under a control period. A policy that is to act over a radio learns to live with it.
        goals: that an episode takes the robot to.
        render_mode: rgb_array: `render` gives pictures [height, width, 3] of an onlooker who follows the robot.

    Raises:
        ConfigError: the world cannot be read or has no such model, or latency or goals are none.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(
        self, model: str, world: str | Path | None = None, latency: float = 0.0, goals: int = 1,
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        if goals < 1:
            raise ConfigError(f"goals must be at least 1, got {goals}")
        self.goals, self.render_mode = goals, checked_render_mode(render_mode)
        self._onlooker: Onlooker | None = None
        self.world = compose(world or default_world(), [model])
        self.robot = next(iter(self.world.robots))
        self.task = robot_task(self.world.robots[self.robot], self.world)
        self.metadata = {**type(self).metadata, "render_fps": round(1 / self.task.control_period)}  # type: ignore[misc]
        self.observation_space, self.action_space = spaces(self.task)
        self.simulation = Simulation(self.world, 0, cameras=False)
        self._steps = round(self.task.control_period * 1e9 / self.simulation.step_nanoseconds)
        self._late = round(latency * 1e9 / self.simulation.step_nanoseconds)
        if not 0 <= self._late < self._steps:
            raise ConfigError(f"latency must be from 0 to under {self.task.control_period:g} s, got {latency:g}")
        self._episode = Episode(self.task, self._places(self.world))

    def _places(self, world: World) -> Array:
        return np.asarray(world.goals(self.robot)).reshape(-1, 2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Puts the robot back; the same seed gives the same start and goals."""
        super().reset(seed=seed)
        self.simulation.reset(int(self.np_random.integers(MAX_SEED)))
        self._episode = Episode(self.task, self.np_random.permutation(self._places(self.world)))
        step = self._episode.begin(self.simulation.sensors(self.robot))
        return step.observation, self._information(step)

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Carries out an action [n_act] in the task's units, clipped to its bounds, for one control period.

        Raises:
            RuntimeError: the episode has ended, or none was begun.
            ValueError: the action is not finite.
        """
        if not self._episode.running:
            raise RuntimeError("no episode is under way: call reset first")
        taken = self.task.clip(np.asarray(action, np.float64))
        late = int(self.np_random.integers(self._late + 1))
        if late:
            self.simulation.step(late)
        command = taken * self.task.action_scale
        if self.task.command == "twist":
            self.simulation.drive(self.robot, *command)
        else:
            self.simulation.move_joints(self.robot, self.task.action_names, command.tolist())
        self.simulation.step(self._steps - late)
        step = self._episode.advance(self.simulation.sensors(self.robot), taken)
        if step.cause == "goal" and self._episode.goals_reached < self.goals:
            observation = self._episode.begin(self.simulation.sensors(self.robot)).observation
            return observation, step.reward, False, False, {"cause": ""}
        return step.observation, step.reward, step.terminated, step.truncated, self._information(step)

    def render(self) -> Picture | None:  # type: ignore[override]
        """[height, width, 3] uint8, an onlooker's picture of the robot; None without a render mode."""
        if self.render_mode is None:
            return None
        self._onlooker = self._onlooker or Onlooker(self.simulation, self.robot)
        return self._onlooker.picture()

    def _information(self, step: Step) -> dict[str, Any]:
        return {"cause": step.cause}


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
