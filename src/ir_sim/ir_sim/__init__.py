# SPDX-License-Identifier: Apache-2.0
"""Robots, tasks, the MuJoCo simulator node and the Gazebo side of the stack."""
