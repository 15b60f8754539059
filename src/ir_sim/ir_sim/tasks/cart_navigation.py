# SPDX-License-Identifier: Apache-2.0
"""The cart drives from goal to goal around obstacles."""

from __future__ import annotations

import numpy as np

from ir_sim.tasks.base import Array, Flags, Sensors, Task, constants, goal_polar, roll_pitch_yaw, wrap

SECTORS = 12


class CartNavigation(Task):
    """Observation: goal distance (m) and bearing (rad), forward speed (m/s), turn rate (rad/s), and the nearest
    range (m) in each of 12 sectors of 30 degrees, the first one centred straight ahead, counter-clockwise.
    A touch of the bumper is a range of 0 in its sector, so that a collision can be read from the observation.

    Action: forward speed (m/s), turn rate (rad/s).

    Reward: 5 (d - d') - 0.02 |a / a_high|^2 - 10 [collision] + 10 [goal reached], d the distance to the goal.
    """

    name = "cart_navigation"
    model = "cart"
    command = "twist"
    control_period = 0.1
    time_limit = 600
    trigger = "scan"
    failure = "collision"
    observation_names = (
        *("goal_distance", "goal_bearing", "forward_speed", "turn_rate"),
        *(f"range_{360 // SECTORS * k:03d}" for k in range(SECTORS)),
    )
    action_names = ("forward_speed", "turn_rate")
    action_low = constants(-0.5, -1.5)
    action_high = constants(1.0, 1.5)
    action_scale = constants(1.0, 1.0)
    safe_action = constants(0.0, 0.0)

    max_range = 8.0  #: m, what a sector says when it sees nothing
    body_radius = 0.19  #: m, a range under it is a collision (the body's 0.2 less the lidar's noise)
    goal_radius = 0.3  #: m

    def observe(self, sensors: Sensors) -> Array:
        _, _, yaw = roll_pitch_yaw(sensors.orientation)
        distance, bearing = goal_polar(sensors, yaw)
        sectors = np.full(SECTORS, self.max_range)
        ranges = np.concatenate(
            [np.maximum(np.fmin(sensors.ranges, self.max_range), 0.0), np.zeros(len(sensors.bumps))]
        )
        bearings = np.concatenate([sensors.bearings, sensors.bumps])
        width = 2 * np.pi / SECTORS
        index = ((wrap(bearings) + width / 2) // width).astype(int) % SECTORS
        np.minimum.at(sectors, index, ranges)
        motion = [sensors.linear_velocity[0], sensors.angular_velocity[2]]
        return np.concatenate([[distance, bearing], motion, sectors])

    def reward(self, observation: Array, action: Array, next_observation: Array) -> Array:
        observation, next_observation = np.asarray(observation), np.asarray(next_observation)
        progress = observation[..., 0] - next_observation[..., 0]
        effort = np.sum(np.square(np.asarray(action) / self.action_high), axis=-1)
        end = 10.0 * self.reached(next_observation) - 10.0 * self.terminated(next_observation)
        return 5.0 * progress - 0.02 * effort + end

    def terminated(self, next_observation: Array) -> Flags:
        return np.min(np.asarray(next_observation)[..., 4:], axis=-1) < self.body_radius

    def reached(self, next_observation: Array) -> Flags:
        return np.asarray(next_observation)[..., 0] < self.goal_radius
