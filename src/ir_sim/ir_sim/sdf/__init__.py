# SPDX-License-Identifier: Apache-2.0
"""SDFormat worlds: read, composed with chosen robots, compiled to MuJoCo (`mujoco_compiler`) or written for Gazebo."""

from ir_sim.sdf.gazebo import write_gz_bridge, write_gz_world
from ir_sim.sdf.world import GROUND, Placed, Robot, World, compose

__all__ = ["GROUND", "Placed", "Robot", "World", "compose", "write_gz_bridge", "write_gz_world"]
