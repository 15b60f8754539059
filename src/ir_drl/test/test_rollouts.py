# SPDX-License-Identifier: Apache-2.0
"""What the twin learns and foresees in training: one-step models, rollouts from them, their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from assisted_cart import LAYOUT, KnownTwin, advance, fallen, policy, transitions

from ir_drl.assisted import TwinTraining
from ir_drl.assisted.rollouts import bounds_of, branch
from ir_drl.assisted.training_models import make_twin, twin_rows


def test_rollouts_are_those_of_known_dynamics() -> None:
    """Against a loop that follows each start by itself."""
    starts = np.random.default_rng(2).uniform(-1.4, 1.4, (50, 2)).astype(np.float32)
    rows = branch(KnownTwin(), policy, LAYOUT, starts, 6)
    expected = []
    for start in starts:
        state, step = start[None], 0
        while step < 6:
            action = policy(state)
            following, reward = advance(state, action)
            end = fallen(following)[0]
            expected.append((step, np.concatenate([state[0], action[0], following[0], reward, [end]])))
            state, step = following.astype(np.float32), 6 if end else step + 1
    expected.sort(key=lambda pair: pair[0])
    np.testing.assert_allclose(rows, [row for _, row in expected], rtol=1e-5, atol=1e-6)
    assert 0 < rows[:, LAYOUT.terminated].sum() < len(starts)


def test_rollouts_start_with_given_actions() -> None:
    starts, actions = np.zeros((4, 2), np.float32), np.full((4, 1), 0.25, np.float32)
    rows = branch(KnownTwin(), policy, LAYOUT, starts, 2, actions=actions)
    assert (rows[:4, LAYOUT.action] == 0.25).all()
    np.testing.assert_allclose(rows[4:, LAYOUT.action], np.tanh(-0.125), rtol=1e-5)


def test_what_is_foreseen_stays_within_what_was_seen() -> None:
    starts = np.random.default_rng(2).uniform(-1.4, 1.4, (50, 2)).astype(np.float32)
    seen = branch(KnownTwin(), policy, LAYOUT, starts, 1)
    bounds = bounds_of(seen, LAYOUT)
    free, held = (
        branch(KnownTwin(), policy, LAYOUT, starts, 4),
        branch(KnownTwin(), policy, LAYOUT, starts, 4, bounds=bounds),
    )
    states = np.concatenate([seen[:, LAYOUT.observation], seen[:, LAYOUT.next_observation]])
    for rows, beyond in ((free, True), (held, False)):
        after, reward = rows[:, LAYOUT.next_observation], rows[:, LAYOUT.reward]
        outside = (
            (after < states.min(0)).any()
            or (after > states.max(0)).any()
            or reward.max() > seen[:, LAYOUT.reward].max()
        )
        assert outside == beyond
    np.testing.assert_array_equal(held[:50], free[:50])


def test_steps_that_are_not_finite_are_left_out() -> None:
    starts = np.zeros((100, 2), np.float32)
    starts[7] = np.nan
    rows = branch(KnownTwin(), policy, LAYOUT, starts, 1)
    assert len(rows) == 99 and np.isfinite(rows).all()


def test_rows_go_to_the_twin_as_it_lays_them_out() -> None:
    rows = transitions(30)
    layout, given = twin_rows(LAYOUT, rows)
    seen = layout.unpack(given)
    assert (seen.state == rows[:, :2]).all() and (seen.action == rows[:, 2:3]).all()
    assert (seen.reward == rows[:, LAYOUT.reward]).all() and (seen.next_state == rows[:, 3:5]).all()
    assert (seen.terminated == (rows[:, LAYOUT.terminated] == 1)).all() and seen.terminated.any()


@pytest.mark.parametrize(
    "model",
    [
        {"model": "network", "preset": "live"},
        {"model": "ensemble", "ensemble": {"members": 3, "elites": 2, "hidden": (32, 32), "learning_rate": 3e-3}},
    ],
)
def test_twins_learn_the_dynamics(model: dict[str, Any]) -> None:
    """Their held-out error falls far below that of 'nothing changes', and what they foresee is near the truth."""
    twin = make_twin(TwinTraining.model_validate(model), LAYOUT, 1, fallen)
    assert twin.error == np.inf
    twin.fit(transitions(1500), 400)
    assert twin.error < 0.2
    rows = transitions(200, seed=5)
    foreseen = twin.foresee(rows[:, LAYOUT.observation], rows[:, LAYOUT.action])
    assert np.abs(foreseen.next_observation - rows[:, LAYOUT.next_observation]).mean() < 0.1
    assert np.abs(foreseen.reward - rows[:, LAYOUT.reward]).mean() < 0.15
    assert (foreseen.terminated == fallen(foreseen.next_observation)).all()


def test_an_ensemble_learns_when_a_task_ends() -> None:
    ensemble = {"members": 3, "elites": 2, "hidden": (32, 32), "learning_rate": 3e-3}
    config = TwinTraining.model_validate({"model": "ensemble", "ensemble": ensemble})
    twin = make_twin(config, LAYOUT, 1, None)
    twin.fit(transitions(2000), 500)
    rows = transitions(400, seed=5)
    ended, truth = twin.foresee(rows[:, LAYOUT.observation], rows[:, LAYOUT.action]).terminated, rows[:, -1] == 1
    assert ended[truth].mean() - ended[~truth].mean() > 0.2  # 0 without knowledge, and never 1: it is drawn
