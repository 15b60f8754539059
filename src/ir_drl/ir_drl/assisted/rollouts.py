# SPDX-License-Identifier: Apache-2.0
"""Branched rollouts: the policy acts in the twin, for a few steps from each of many states (Janner et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ir_drl.assisted.twins import Twin
from ir_drl.sac.replay import Layout, Rows

Array = NDArray[np.float32]


def branch(
    twin: Twin,
    policy: Callable[[Array], Array],
    layout: Layout,
    starts: Array,
    length: int,
    disagreement_quantile: float | None = None,
    actions: Array | None = None,
) -> Rows:
    """Transitions that the twin foresees.

    A rollout ends after ``length`` steps, where the task ends, and before a step that is not finite or about which the
    members disagree too much.

    Args:
        policy: observations [n, n_obs] to actions [n, n_act] in [-1, 1].
        starts: [n, n_obs].
        disagreement_quantile: too much is more than for this share of the first steps; none: no limit.
        actions: [n, n_act], the first; none: the policy's.

    Returns:
        [m, width], all first steps, then all second ones, and so on.
    """
    kept, limit, gated = [], np.inf, disagreement_quantile is not None
    observation = np.asarray(starts, np.float32)
    for step in range(length):
        action = actions if step == 0 and actions is not None else policy(observation)
        foreseen = twin.foresee(observation, action, gated)
        rows = np.empty((len(observation), layout.width), np.float32)
        rows[:, layout.observation], rows[:, layout.action] = observation, action
        rows[:, layout.next_observation], rows[:, layout.reward] = foreseen.next_observation, foreseen.reward
        rows[:, layout.terminated] = foreseen.terminated
        good = np.isfinite(rows).all(axis=1)
        if disagreement_quantile is not None:
            if step == 0:
                limit = float(np.quantile(foreseen.disagreement, disagreement_quantile))
            good &= foreseen.disagreement <= limit
        kept.append(rows[good])
        observation = kept[-1][kept[-1][:, layout.terminated] == 0.0][:, layout.next_observation]
        if not len(observation):
            break
    return np.concatenate(kept)
