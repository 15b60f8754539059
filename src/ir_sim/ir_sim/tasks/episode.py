# SPDX-License-Identifier: Apache-2.0
"""What one robot's run through its task consists of: episodes, steps and goals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ir_sim.tasks.base import Array, Sensors, Task


@dataclass(frozen=True)
class Step:
    """One control step, as `ir_interfaces/TaskState` carries it; the fields are explained there."""

    episode: int
    step: int
    observation: Array
    action: Array = field(default_factory=lambda: np.empty(0))
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    cause: str = ""

    @property
    def ended(self) -> bool:
        """Whether this is the last step of its episode."""
        return self.terminated or self.truncated


class Episode:
    """Episode state of one robot: `begin`, then `advance` until a step has ended, then `begin` again.

    Reaching a goal ends the episode (truncated, cause "goal"): the next one has the next goal, and begins where the
    robot stands. So both observations of a transition always refer to the same goal.

    Args:
        task: the robot's task.
        goals: [n, 2] m, goals in the frame `map`, visited in turn and round again; may be empty.
    """

    def __init__(self, task: Task, goals: Array) -> None:
        self.task = task
        self.goals = np.asarray(goals, dtype=np.float64).reshape(-1, 2)
        self.goals_reached = 0
        self._goal = 0
        self._episode = 0
        self._step = 0
        self._observation: Array | None = None

    @property
    def goal(self) -> Array:
        """[2] m, present goal in the frame `map`; the origin for a task without goals."""
        return self.goals[self._goal % len(self.goals)] if len(self.goals) else np.zeros(2)

    @property
    def running(self) -> bool:
        """Whether an episode is under way, so that `advance` may be called."""
        return self._observation is not None

    def begin(self, sensors: Sensors) -> Step:
        """Starts the next episode at what the robot senses now."""
        self._episode += 1
        self._step = 0
        self._observation = self._observe(sensors)
        return Step(self._episode, 0, self._observation)

    def advance(self, sensors: Sensors, action: Array) -> Step:
        """Ends a control step in which `action` was in force.

        Raises:
            RuntimeError: no episode is under way.
        """
        if self._observation is None:
            raise RuntimeError("no episode is under way: call begin first")
        before, after = self._observation, self._observe(sensors)
        self._step += 1
        cause = self.task.cause(after)
        terminated = bool(self.task.terminated(after))
        if not cause and self._step >= self.task.time_limit:
            cause = "time_limit"
        if cause in ("goal", "time_limit"):
            self.goals_reached += cause == "goal"
            self._goal += 1
        self._observation = None if cause else after
        return Step(
            episode=self._episode,
            step=self._step,
            observation=after,
            action=np.array(action, dtype=np.float64),
            reward=float(self.task.reward(before, action, after)),
            terminated=terminated,
            truncated=bool(cause) and not terminated,
            cause=cause,
        )

    def needs_reset(self, step: Step) -> bool:
        """Whether the robot has to be put back to its start after this step."""
        return step.terminated or (step.cause == "time_limit" and self.task.reset_on_time_limit)

    def abandon(self) -> None:
        """Drops a running episode without an end (the simulation was reset)."""
        self._observation = None

    def _observe(self, sensors: Sensors) -> Array:
        return self.task.observe(replace(sensors, goal=self.goal))
