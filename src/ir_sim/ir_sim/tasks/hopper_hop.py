# SPDX-License-Identifier: Apache-2.0
"""The planar one-leg hopper hops forward: the task of IoR section III."""

from __future__ import annotations

import numpy as np

from ir_sim.tasks.base import Array, Flags, Sensors, Task, constants

TORQUE = 100.0  #: N m at action 1, half of the gear of Hopper-v5


class HopperHop(Task):
    """Layouts, reward and limits of Gymnasium's Hopper-v5 (IoR used its version 2), at its control period.

    The robot is another: it has no rotor inertia, which SDFormat cannot say, but geared joints that drag more and pull
    less, and contacts as the simulators have them. So MuJoCo and Gazebo run the same one.

    Observation [11]: height of the torso (m), its pitch, angles of thigh, leg and foot (rad), velocity x and z (m/s),
    rates of pitch, thigh, leg, foot (rad/s), velocities clipped to [-10, 10].

    Action [3]: torques of thigh, leg and foot in units of 100 N m.

    Reward: v + [healthy] - 0.001 |a|^2. Differs from Hopper-v5: v is the mean of the forward velocities before and
    after the step instead of the displacement over the step, because the observation holds no position.
    """

    name = "hopper_hop"
    model = "hopper"
    command = "joint_effort"
    control_period = 0.008
    time_limit = 1000
    reset_on_time_limit = True
    reset_noise = 5e-3
    trigger = "joint_states"
    failure = "fall"
    joint_names = ("rootx", "rootz", "rooty", "thigh_joint", "leg_joint", "foot_joint")
    observation_names = (
        *("height", "pitch", "thigh_angle", "leg_angle", "foot_angle"),
        *("velocity_x", "velocity_z"),
        *("pitch_rate", "thigh_rate", "leg_rate", "foot_rate"),
    )
    action_names = ("thigh_joint", "leg_joint", "foot_joint")
    action_low = constants(-1.0, -1.0, -1.0)
    action_high = constants(1.0, 1.0, 1.0)
    action_scale = constants(TORQUE, TORQUE, TORQUE)
    safe_action = constants(0.0, 0.0, 0.0)
    command_age = 0.024

    stand_height = 1.25  #: m, height of the torso where the joint rootz reads 0
    min_height = 0.7  #: m
    max_pitch = 0.2  #: rad
    max_state = 100.0  #: bound of every other entry of the observation

    def observe(self, sensors: Sensors) -> Array:
        positions = np.array(sensors.joint_positions[1:], dtype=np.float64)
        positions[0] += self.stand_height
        return np.concatenate([positions, np.clip(sensors.joint_velocities, -10.0, 10.0)])

    def reward(self, observation: Array, action: Array, next_observation: Array) -> Array:
        forward = (np.asarray(observation)[..., 5] + np.asarray(next_observation)[..., 5]) / 2
        cost = 1e-3 * np.sum(np.square(action), axis=-1)
        return forward + np.where(self.terminated(next_observation), 0.0, 1.0) - cost

    def terminated(self, next_observation: Array) -> Flags:
        state = np.asarray(next_observation)
        healthy = np.all(np.abs(state[..., 1:]) < self.max_state, axis=-1)
        return ~(healthy & (state[..., 0] > self.min_height) & (np.abs(state[..., 1]) < self.max_pitch))
