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
    discount: float | None = None,
    bounds: tuple[Array, Array] | None = None,
) -> Rows:
    """Transitions that the twin foresees.

    A rollout ends after ``length`` steps, where the task ends, and before a step that is not finite or about which the
    members disagree too much.

    Args:
        policy: observations [n, n_obs] to actions [n, n_act] in [-1, 1].
        starts: [n, n_obs].
        disagreement_quantile: too much is more than for this share of the first steps; none: no limit.
        actions: [n, n_act], the first; none: the policy's.
        discount: gamma; given: each transition goes on to the end of its rollout, see `to_the_end`.
        bounds: least and greatest row [width] each; what is foreseen beyond them is moved to them.

    Returns:
        [m, width], all first steps, then all second ones, and so on.
    """
    kept, limit, gated = list[Rows](), np.inf, disagreement_quantile is not None
    parents = [np.arange(len(starts))]
    observation = np.asarray(starts, np.float32)
    for step in range(length):
        action = actions if step == 0 and actions is not None else policy(observation)
        foreseen = twin.foresee(observation, action, gated)
        rows = np.empty((len(observation), layout.width), np.float32)
        rows[:, layout.observation], rows[:, layout.action] = observation, action
        rows[:, layout.next_observation], rows[:, layout.reward] = foreseen.next_observation, foreseen.reward
        rows[:, layout.terminated] = foreseen.terminated
        good = np.isfinite(rows).all(axis=1)
        if bounds is not None:
            np.clip(rows, *bounds, out=rows)
        if disagreement_quantile is not None:
            if step == 0:
                limit = float(np.quantile(foreseen.disagreement, disagreement_quantile))
            good &= foreseen.disagreement <= limit
        kept.append(rows[good])
        parents[-1] = parents[-1][good]
        parents.append(np.flatnonzero(kept[-1][:, layout.terminated] == 0.0))
        observation = kept[-1][parents[-1]][:, layout.next_observation]
        if not len(observation):
            break
    if discount is not None:
        to_the_end(kept, parents, layout, discount)
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


def to_the_end(steps: list[Rows], parents: list[NDArray[np.intp]], layout: Layout, discount: float) -> None:
    r"""Makes each transition one of n steps, n to the end of its rollout, in place.

    The critics' target is then :math:`\sum_{i<n} \gamma^i r_i + \gamma^n (1 - d) V(s_n)`: the policy's own rollouts
    need no correction, and rewards reach back n steps in one update. (The entropy of the steps between is left out.)
    In a row, reward is the sum, next observation is s_n, and ``terminated`` is :math:`1 - \gamma^{n-1} (1 - d)`: the
    agent's target is reward + gamma (1 - terminated) V.

    Args:
        steps: of each step k the rows [m_k, width].
        parents: of each step k, for each of its rows, which row of step k - 1 it follows.
    """
    for before, after, parent in zip(steps[-2::-1], steps[:0:-1], parents[len(steps) - 1 : 0 : -1], strict=True):
        before[parent, layout.reward] += discount * after[:, layout.reward]
        before[parent, layout.next_observation] = after[:, layout.next_observation]
        before[parent, layout.terminated] = 1.0 - discount * (1.0 - after[:, layout.terminated])
