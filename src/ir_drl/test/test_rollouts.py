# SPDX-License-Identifier: Apache-2.0
"""What a training model learns and predicts: one-step models, rollouts from them, their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from assisted_cart import LAYOUT, KnownModel, advance, fallen, policy, transitions

from ir_drl.assisted import TrainingModelConfig
from ir_drl.assisted.rollouts import bounds_of, branched_rollouts
from ir_drl.assisted.training_models import make_model


def test_rollouts_are_those_of_known_dynamics() -> None:
    """Against a loop that follows each start by itself."""
    starts = np.random.default_rng(2).uniform(-1.4, 1.4, (50, 2)).astype(np.float32)
    rows = branched_rollouts(KnownModel(), policy, LAYOUT, starts, 6)
    expected = []
    for start in starts:
        state, step = start[None], 0
        while step < 6:
            action = policy(state)
            following, reward = advance(state, action)
            end = fallen(following)[0]
            expected.append((step, np.concatenate([state[0], action[0], reward, following[0], [end]])))
            state, step = following.astype(np.float32), 6 if end else step + 1
    expected.sort(key=lambda pair: pair[0])
    np.testing.assert_allclose(rows, [row for _, row in expected], rtol=1e-5, atol=1e-6)
    assert 0 < rows[:, LAYOUT.terminated].sum() < len(starts)


def test_rollouts_start_with_given_actions() -> None:
    starts, actions = np.zeros((4, 2), np.float32), np.full((4, 1), 0.25, np.float32)
    rows = branched_rollouts(KnownModel(), policy, LAYOUT, starts, 2, actions=actions)
    assert (rows[:4, LAYOUT.action] == 0.25).all()
    np.testing.assert_allclose(rows[4:, LAYOUT.action], np.tanh(-0.125), rtol=1e-5)


def test_what_is_predicted_stays_within_what_was_seen() -> None:
    starts = np.random.default_rng(2).uniform(-1.4, 1.4, (50, 2)).astype(np.float32)
    seen = branched_rollouts(KnownModel(), policy, LAYOUT, starts, 1)
    bounds = bounds_of(seen, LAYOUT)
    free, held = (
        branched_rollouts(KnownModel(), policy, LAYOUT, starts, 4),
        branched_rollouts(KnownModel(), policy, LAYOUT, starts, 4, bounds=bounds),
    )
    states = np.concatenate([seen[:, LAYOUT.state], seen[:, LAYOUT.next_state]])
    for rows, beyond in ((free, True), (held, False)):
        after, reward = rows[:, LAYOUT.next_state], rows[:, LAYOUT.reward]
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
    rows = branched_rollouts(KnownModel(), policy, LAYOUT, starts, 1)
    assert len(rows) == 99 and np.isfinite(rows).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "network", "preset": "live"},
        {"model": "ensemble", "ensemble": {"members": 3, "elites": 2, "hidden": (32, 32), "learning_rate": 3e-3}},
    ],
)
def test_models_learn_the_dynamics(settings: dict[str, Any]) -> None:
    """Their held-out error falls far below that of 'nothing changes', and what they predict is near the truth."""
    model = make_model(TrainingModelConfig.model_validate(settings), LAYOUT, 1, fallen)
    assert model.error == np.inf
    model.fit(transitions(1500), 400)
    assert model.error < 0.2
    rows = transitions(200, seed=5)
    predicted = model.predict(rows[:, LAYOUT.state], rows[:, LAYOUT.action])
    assert np.abs(predicted.next_state - rows[:, LAYOUT.next_state]).mean() < 0.1
    assert np.abs(predicted.reward - rows[:, LAYOUT.reward]).mean() < 0.15
    assert (predicted.terminated == fallen(predicted.next_state)).all()


def test_an_ensemble_learns_when_a_task_ends() -> None:
    ensemble = {"members": 3, "elites": 2, "hidden": (32, 32), "learning_rate": 3e-3}
    config = TrainingModelConfig.model_validate({"model": "ensemble", "ensemble": ensemble})
    model = make_model(config, LAYOUT, 1, None)
    model.fit(transitions(2000), 500)
    rows = transitions(400, seed=5)
    ended, truth = model.predict(rows[:, LAYOUT.state], rows[:, LAYOUT.action]).terminated, rows[:, -1] == 1
    assert ended[truth].mean() - ended[~truth].mean() > 0.2  # 0 without knowledge, and never 1: it is drawn
