# SPDX-License-Identifier: Apache-2.0
"""The spider walks to its goal in an alternating tripod gait.

Three legs (front and rear of one side, middle of the other) stand and push while the other three swing. With the phase
p in [0, 1) of a leg's cycle, its hip goes evenly from the front to the rear end of its stroke in the stance half and
back in the swing half, in which its knee lifts the foot by a half sine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ir_drl.policies.policy import FloatArray

if TYPE_CHECKING:
    from ir_sim.tasks import SpiderPatrol

TRIPOD = ("left_front", "left_rear", "right_middle")


class SpiderPolicy:
    """Walks and turns towards the goal.

    Args:
        task: gives joint order, bounds and control period.
    """

    frequency = 1.5  # Hz, cycles of the gait
    stroke = 0.4  # rad, hip angle from the middle to an end of the stroke
    lift = 0.5  # rad, knee angle at the top of the swing
    turn_gain = 1.5  # share of the stroke used for turning, per rad of bearing
    ramp = 1.0  # s over which an episode's first strokes grow

    def __init__(self, task: SpiderPatrol) -> None:
        self.task = task
        legs = [name.removesuffix("_hip") for name in task.action_names[::2]]
        self._side = np.array([1.0 if leg.startswith("left") else -1.0 for leg in legs])
        self._offset = np.array([0.0 if leg in TRIPOD else 0.5 for leg in legs])
        self._bearing = task.observation_names.index("goal_bearing")
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins the gait anew, from standing."""
        self._time = 0.0

    def act(self, observation: FloatArray) -> FloatArray:
        """[n_obs] to joint positions, rad."""
        bearing = float(observation[self._bearing])
        turn = float(np.clip(self.turn_gain * bearing, -1.0, 1.0))
        ahead = max(0.0, np.cos(bearing)) * (1.0 - abs(turn) / 2.0)
        # A left hip that turns counter-clockwise (positive) pushes the body ahead, a right one that turns clockwise.
        push = self.stroke * np.clip(ahead - self._side * turn, -1.0, 1.0) * min(1.0, self._time / self.ramp)
        phase = (self._time * self.frequency + self._offset) % 1.0
        swing = phase >= 0.5
        along = np.where(swing, 3.0 - 4.0 * phase, 4.0 * phase - 1.0)  # -1: front end, 1: rear end
        self._time += self.task.control_period
        action = np.empty(len(self.task.action_names))
        action[0::2] = self._side * push * along
        action[1::2] = np.where(swing, self.lift * np.sin(2.0 * np.pi * (phase - 0.5)), 0.0)
        return self.task.clip(action)
