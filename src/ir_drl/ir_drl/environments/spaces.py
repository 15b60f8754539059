# SPDX-License-Identifier: Apache-2.0
"""Spaces of a task."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box

from ir_sim.tasks import Task


def spaces(task: Task, remembered: int = 0) -> tuple[Box, Box]:
    """Observations (unbounded, float64) and actions (the task's bounds, float32), both in the task's units.

    Args:
        remembered: numbers by which observations are extended.
    """
    width = len(task.observation_names) + remembered
    observations = Box(-np.inf, np.inf, (width,), np.float64)
    low, high = (bound.astype(np.float32) for bound in (task.action_low, task.action_high))
    return observations, Box(low, high, dtype=np.float32)
