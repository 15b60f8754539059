# SPDX-License-Identifier: Apache-2.0
"""Boosted trees of the slice forecaster: one split by brute force, what they look at, and when they earn a share."""

import numpy as np
import pytest

from ir_slicing.learning.forecaster.boosted_trees import (
    BINS,
    RIDGE,
    BoostedTrees,
    LagRegressors,
    TreeForecaster,
    held_out,
)
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster, parts

SMALL = {"window": 6, "horizons": (1, 2), "features": 8, "embedding": 4, "heads": 2, "graph": "none"}


def test_the_first_split_is_the_best_there_is():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.0, 1.0, (800, 3)), rng.normal(0.0, 0.1, 800)
    y += np.where(x[:, 1] > 0.6, 1.0, 0.0)
    made = BoostedTrees.fit(x, y, np.ones(800), 1, 0)
    left, best = y - y.mean(), (0.0, -1, -1)
    for k in range(3):
        for b in range(BINS - 1):
            low = x[:, k] <= made.edges[k, b]
            if 50 <= low.sum() <= 750:
                gain = sum(left[part].sum() ** 2 / (part.sum() + RIDGE) for part in (low, ~low))
                best = max(best, (gain, k, b))
    assert (made.feature[0, 0], made.threshold[0, 0]) == best[1:]
    assert best[1] == 1 and made.edges[1, best[2]] == pytest.approx(0.6, abs=0.02)


def test_trees_find_what_is_not_linear_and_stay_within_what_was_seen():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1.0, 1.0, (3000, 4))
    y = np.sign(x[:, 0] * x[:, 2])  # no line says anything of it
    made = BoostedTrees.fit(x[:2000], y[:2000], np.ones(2000), 100, 0)
    assert np.mean((made.predict(x[2000:]) - y[2000:]) ** 2) < 0.2
    assert np.abs(made.predict(100.0 * x)).max() < 1.5
    again = BoostedTrees.fit(x[:2000], y[:2000], np.ones(2000), 100, 0)
    assert (again.predict(x) == made.predict(x)).all()


@pytest.mark.parametrize("day_before", [False, True])
def test_regressors_agree_with_loops(day_before):
    traffic, mean = np.random.default_rng(2).uniform(1.0, 9.0, (30, 2)), np.array([2.0, 4.0])
    got = LagRegressors(mean, 3, 10, day_before).of(traffic, np.array([4, 25]), 2, start=7).reshape(2, 2, -1)
    for row, t in enumerate((4, 25)):
        first = max(t - 9, 0)
        for v in range(2):
            for at, one in ((0, traffic[:, v] / mean[v]), (1, traffic.sum(axis=1) / mean.sum())):
                seen = [one[t], one[t - 1], one[t - 2], one[first : t + 1].mean()]
                seen += ([one[t - 8]] if t >= 8 else [seen[-1]]) if day_before else []
                assert got[row, v, at * len(seen) : (at + 1) * len(seen)] == pytest.approx(np.array(seen))
            assert got[row, v, -2:].tolist() == [(7 + t + 2) % 10, v]


def tent(steps=500, devices=5, seed=3):
    """[step, device]: each device's next number is a tent of its present one: a line says nothing of it."""
    rng, rows = np.random.default_rng(seed), [np.random.default_rng(seed).uniform(0.1, 0.9, devices)]
    for _ in range(steps - 1):
        rows.append(np.clip(0.98 * (1.0 - np.abs(2.0 * rows[-1] - 1.0)) + 0.01 * rng.uniform(size=devices), 0.01, 0.99))
    return (1e6 * np.array(rows)).astype(np.float32)


def error_of(made, traffic, last):
    """[horizon] RMSE of the slice's sum."""
    actual = traffic[last[:, None] + [1, 2]].sum(-1)
    return np.sqrt(np.mean((made.predict(traffic, last).sum(-1) - actual) ** 2, axis=0))


def test_trees_earn_a_share_where_the_next_step_is_not_linear():
    traffic, fit = tent(), FitConfig(day=1000, epochs=1, seed=1)
    last = np.arange(fit.split(500)[1], 498)
    made = fit_forecaster(traffic, ForecasterConfig(**SMALL, trees=40), fit)
    without = fit_forecaster(traffic, ForecasterConfig(**SMALL, trees=0), fit)
    assert min(parts(made)["trees"]) > 0.5 and parts(without)["trees"] == [0.0, 0.0]
    assert (error_of(made, traffic, last) < 0.6 * error_of(without, traffic, last)).all()
    changed = traffic.copy()
    changed[401:] = 9e6
    assert (made.predict(changed, np.array([400])) == made.predict(traffic, np.array([400]))).all()


def test_trees_earn_nothing_of_noise():
    traffic = np.random.default_rng(4).uniform(1.0, 3.0, (400, 5)).astype(np.float32)
    made = fit_forecaster(traffic, ForecasterConfig(**SMALL, trees=40), FitConfig(day=1000, epochs=1, seed=1))
    assert parts(made)["trees"] == [0.0, 0.0] and made.trees is None


def test_what_is_held_out_was_not_fitted_on():
    """The first block of five is said by trees that did not see it: other numbers there change nothing of it."""
    traffic, last = tent(200).astype(np.float64), np.arange(6, 190)
    look = LagRegressors(traffic.mean(axis=0), 6, 1000, False)
    said = held_out(look, traffic, last, (1,), 20, 0, 8)
    assert said.shape == (184, 1, 5)
    without = TreeForecaster.fit(look, traffic, last[37 + 8 :], (1,), 20, 0).predict(traffic, last[:37])
    assert said[:37] == pytest.approx(without)
