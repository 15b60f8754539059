# SPDX-License-Identifier: Apache-2.0
"""Branched model rollouts: a few steps of the policy in a training model from many states (Janner et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ir_drl.assisted.training_models import TrainingModel
from ir_dynamics.transitions import Rows, Transition, TransitionLayout

Array = NDArray[np.float32]


def branched_rollouts(
    model: TrainingModel,
    policy: Callable[[Array], Array],
    layout: TransitionLayout,
    starts: Array,
    length: int,
    actions: Array | None = None,
    bounds: tuple[Array, Array] | None = None,
) -> Rows:
    """Rolls a policy out in a training model, a few steps from each start; returns the transitions that it predicts.

    A rollout ends after ``length`` steps, where the task ends, and before a step that is not finite.

    Args:
        model: what is asked.
        policy: states [n, num_state] to actions [n, num_action] in [-1, 1].
        layout: of the transitions.
        starts: [n, num_state].
        length: steps of a rollout at most.
        actions: [n, num_action], the first; none: the policy's.
        bounds: least and greatest row [width] each; what is predicted beyond them is moved to them.

    Returns:
        [m, width], all first steps, then all second ones, and so on.
    """
    kept = list[Rows]()
    state = np.asarray(starts, np.float32)
    for step in range(length):
        action = actions if step == 0 and actions is not None else policy(state)
        predicted = model.predict(state, action)
        rows = layout.pack(Transition(state, action, predicted.reward, predicted.next_state, predicted.terminated))
        good = np.isfinite(rows).all(axis=1)
        if bounds is not None:
            np.clip(rows, *bounds, out=rows)
        kept.append(rows[good])
        state = kept[-1][kept[-1][:, layout.terminated] == 0.0][:, layout.next_state]
        if not len(state):
            break
    return np.concatenate(kept)


def bounds_of(rows: Rows, layout: TransitionLayout) -> tuple[Array, Array]:
    """Least and greatest row [width] of rows [n, width]; states before and after a step count alike."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    before, after = layout.state, layout.next_state
    low[before] = low[after] = np.minimum(low[before], low[after])
    high[before] = high[after] = np.maximum(high[before], high[after])
    low[layout.action], high[layout.action] = -1.0, 1.0
    low[layout.terminated], high[layout.terminated] = 0.0, 1.0
    return low, high
