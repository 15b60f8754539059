# SPDX-License-Identifier: Apache-2.0
"""Branched rollouts: the policy acts in the twin, for a few steps from each of many states (Janner et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ir_drl.assisted.training_models import Twin
from ir_drl.sac.agent_replay import Layout, Rows

Array = NDArray[np.float32]


def branch(
    twin: Twin,
    policy: Callable[[Array], Array],
    layout: Layout,
    starts: Array,
    length: int,
    actions: Array | None = None,
    bounds: tuple[Array, Array] | None = None,
) -> Rows:
    """Transitions that the twin foresees.

    A rollout ends after ``length`` steps, where the task ends, and before a step that is not finite.

    Args:
        policy: observations [n, n_obs] to actions [n, n_act] in [-1, 1].
        starts: [n, n_obs].
        actions: [n, n_act], the first; none: the policy's.
        bounds: least and greatest row [width] each; what is foreseen beyond them is moved to them.

    Returns:
        [m, width], all first steps, then all second ones, and so on.
    """
    kept = list[Rows]()
    observation = np.asarray(starts, np.float32)
    for step in range(length):
        action = actions if step == 0 and actions is not None else policy(observation)
        foreseen = twin.foresee(observation, action)
        rows = np.empty((len(observation), layout.width), np.float32)
        rows[:, layout.observation], rows[:, layout.action] = observation, action
        rows[:, layout.next_observation], rows[:, layout.reward] = foreseen.next_observation, foreseen.reward
        rows[:, layout.terminated] = foreseen.terminated
        good = np.isfinite(rows).all(axis=1)
        if bounds is not None:
            np.clip(rows, *bounds, out=rows)
        kept.append(rows[good])
        observation = kept[-1][kept[-1][:, layout.terminated] == 0.0][:, layout.next_observation]
        if not len(observation):
            break
    return np.concatenate(kept)


def bounds_of(rows: Rows, layout: Layout) -> tuple[Array, Array]:
    """Least and greatest row [width] of rows [n, width]; observations before and after a step count alike."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    before, after = layout.observation, layout.next_observation
    low[before] = low[after] = np.minimum(low[before], low[after])
    high[before] = high[after] = np.maximum(high[before], high[after])
    low[layout.action], high[layout.action] = -1.0, 1.0
    low[layout.terminated], high[layout.terminated] = 0.0, 1.0
    return low, high
