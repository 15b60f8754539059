# SPDX-License-Identifier: Apache-2.0
"""A robot's task inside the whole stack: state and action cross the radio, the twin may judge, other robots run."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_drl.environments.onlooker import Onlooker, checked_render_mode
from ir_drl.environments.spaces import spaces
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.ros_samples import StateSample
from ir_lab.model_time.simulate_arguments import parse
from ir_sim.camera import Picture

MAX_SEED = 2**31
PATIENCE = 2.0
"""s of simulated time without a state from the robot after which an episode is cut off."""
Array = NDArray[np.float64]


class StackEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One robot of the stack is the agent's; everything else runs as by `./ir simulate`, in simulated time.

    A step proposes an action in answer to the last state that came over the uplink, and ends when the next one comes.
    The twin judges the proposal as its mode says, the downlink carries it as the cell can. The reward of a step is the
    sum of the robot's rewards until that state, those of lost states included. Where no state comes for `PATIENCE`, as
    out of coverage, the episode is truncated (``cause`` link_lost).

    A reset with a seed begins the stack anew; one without goes on to the robot's next episode, so that what the twin
    has learnt stays.

    Args:
        model: robot model; a key of `ir_sim.tasks.TASKS`.
        words: further arguments of the stack as ``name:=value`` words, such as ``twin:=enforce`` or ``robots:=hopper``.
        render_mode: rgb_array: `render` gives pictures [height, width, 3] of an onlooker who follows the robot.

    Raises:
        ConfigError: an argument is wrong, or the robot is not in the world.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, model: str, words: tuple[str, ...] = (), render_mode: str | None = None) -> None:
        self.model, self.render_mode = model, checked_render_mode(render_mode)
        self._words = ("rendering:=false", *words)
        self._run = self._begin(1)
        self.observation_space, self.action_space = spaces(self._task)
        self.metadata = {**type(self).metadata, "render_fps": round(1 / self._task.control_period)}  # type: ignore[misc]

    def _begin(self, seed: int) -> ModelRun:
        arguments = parse([*self._words, f"seed:={seed}"], driven=self.model)
        run = ModelRun(arguments)
        names = [name for name, robot in run.world.robots.items() if robot.model == self.model]
        if not names:
            raise ConfigError(f"no robot of model {self.model} is in the world; give robots:= with one")
        self._robot = names[0]
        self._onlooker: Onlooker | None = None
        self._task = run.tasks[self._robot]
        self.control_period = self._task.control_period
        self._states: deque[StateSample] = deque()
        self._rewarded = 0.0
        self._ended = True
        run.listen(self._robot, self._take)
        return run

    def _take(self, sample: StateSample, expected: bool) -> None:
        """A state that came over the uplink, or the one that the twin expects the answer to meet, in its place."""
        if expected and self._states:
            self._states.pop()
        self._states.append(sample)

    def _next(self) -> StateSample | None:
        """Runs on until a state is there; None: none came for `PATIENCE`."""
        end = self._run.seconds + PATIENCE
        while not self._states and self._run.go_on(end):
            pass
        return self._states.popleft() if self._states else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Goes on to the robot's next episode; with a seed in a stack that begins anew."""
        super().reset(seed=seed)
        if seed is not None:
            self._run.close()
            self._run = self._begin(int(self.np_random.integers(MAX_SEED)))
        while (state := self._next()) is None or state.step.step > 0:
            if state is not None and not state.step.ended:
                self._run.propose(self._robot, self._task.safe_action)  # until the episode under way is over
        self._ended, self._rewarded = False, self._run.rewards(self._robot)
        return state.step.observation, self._information(state)

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Proposes an action [n_act] in the task's units.

        Raises:
            RuntimeError: the episode has ended, or none was begun.
            ValueError: the action is not finite.
        """
        if self._ended:
            raise RuntimeError("no episode is under way: call reset first")
        taken = self._task.clip(np.asarray(action, np.float64))
        if not np.isfinite(taken).all():
            raise ValueError(f"action must be finite, got {taken.tolist()}")
        self._run.propose(self._robot, taken)
        state = self._next()
        total = self._run.rewards(self._robot)
        reward, self._rewarded = total - self._rewarded, total
        if state is None:
            self._ended = True
            lost = np.zeros(self.observation_space.shape, np.float64)
            return lost, reward, False, True, {"cause": "link_lost"}
        if state.step.step == 0:  # the end of the last episode was lost on the way
            self._ended = True
            self._states.appendleft(state)
            return state.step.observation, reward, False, True, {"cause": "state_lost"}
        self._ended = state.step.ended
        return state.step.observation, reward, state.step.terminated, state.step.truncated, self._information(state)

    def _information(self, state: StateSample) -> dict[str, Any]:
        """Why an episode ended, and how old the state is, s."""
        return {"cause": state.step.cause, "age": self._run.seconds - state.stamp * 1e-9}

    def report(self) -> dict[str, Any]:
        """The report of the stack so far."""
        return self._run.report()

    def render(self) -> Picture | None:  # type: ignore[override]
        """[height, width, 3] uint8, an onlooker's picture of the robot; None without a render mode."""
        if self.render_mode is None:
            return None
        self._onlooker = self._onlooker or Onlooker(self._run.simulation, self._robot)
        return self._onlooker.picture()

    def close(self) -> None:
        """Ends the run."""
        self._run.close()
