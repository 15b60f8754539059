# SPDX-License-Identifier: Apache-2.0
"""The six-legged spider patrols from goal to goal."""

from __future__ import annotations

import numpy as np

from ir_sim.tasks.base import Array, Flags, Sensors, Task, constants, goal_polar, roll_pitch_yaw

LEGS = ("left_front", "left_middle", "left_rear", "right_front", "right_middle", "right_rear")
_JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("hip", "knee"))


class SpiderPatrol(Task):
    """Observation [35]: roll, pitch (rad), height (m), goal bearing (rad), goal distance (m), velocity of the body in
    its own axes (3, m/s; 3, rad/s), joint positions (12, rad), joint velocities (12, rad/s).

    Action [12]: joint positions (rad). A hip turns its leg about the vertical axis (positive: counter-clockwise seen
    from above), a knee lifts it (positive: up, zero: foot at its stand height).

    Reward: 2 (d - d') / T + 0.2 cos(roll) cos(pitch) - 0.1 mean (a - q)^2 - 5 [fall] + 10 [goal reached], d the
    distance to the goal, T the control period, q the joint positions: a position error stands for torque.
    """

    name = "spider_patrol"
    model = "spider"
    command = "joint_position"
    control_period = 0.04
    time_limit = 3000
    trigger = "joint_states"
    failure = "fall"
    joint_names = _JOINTS
    observation_names = (
        *("roll", "pitch", "height", "goal_bearing", "goal_distance"),
        *(f"velocity_{axis}" for axis in "xyz"),
        *(f"rate_{axis}" for axis in "xyz"),
        *(f"{joint}_position" for joint in _JOINTS),
        *(f"{joint}_velocity" for joint in _JOINTS),
    )
    action_names = _JOINTS
    action_low = constants(*[-0.7, -0.5] * len(LEGS))
    action_high = constants(*[0.7, 0.9] * len(LEGS))
    action_scale = constants(*[1.0] * len(_JOINTS))
    safe_action = constants(*[0.0] * len(_JOINTS))

    goal_radius = 0.3  #: m
    max_tilt = 0.8  #: rad, roll or pitch beyond it is a fall
    min_height = 0.05  #: m, of the body's centre; under it the belly lies on the ground

    def observe(self, sensors: Sensors) -> Array:
        roll, pitch, yaw = roll_pitch_yaw(sensors.orientation)
        distance, bearing = goal_polar(sensors, yaw)
        return np.concatenate(
            [
                [roll, pitch, sensors.position[2], bearing, distance],
                sensors.linear_velocity,
                sensors.angular_velocity,
                sensors.joint_positions,
                sensors.joint_velocities,
            ]
        )

    def reward(self, observation: Array, action: Array, next_observation: Array) -> Array:
        observation, next_observation = np.asarray(observation), np.asarray(next_observation)
        speed = (observation[..., 4] - next_observation[..., 4]) / self.control_period
        upright = np.cos(next_observation[..., 0]) * np.cos(next_observation[..., 1])
        effort = np.mean(np.square(np.asarray(action) - observation[..., 11:23]), axis=-1)
        end = 10.0 * self.reached(next_observation) - 5.0 * self.terminated(next_observation)
        return 2.0 * speed + 0.2 * upright - 0.1 * effort + end

    def terminated(self, next_observation: Array) -> Flags:
        roll, pitch, height = np.moveaxis(np.asarray(next_observation)[..., :3], -1, 0)
        return (np.abs(roll) > self.max_tilt) | (np.abs(pitch) > self.max_tilt) | (height < self.min_height)

    def reached(self, next_observation: Array) -> Flags:
        return np.asarray(next_observation)[..., 4] < self.goal_radius
