# SPDX-License-Identifier: Apache-2.0
"""The part of the slice forecaster that is not linear: gradient-boosted trees on lags (Friedman, 2001 and 2002).

One ensemble a horizon for all devices, squared error, regressors binned at their quantiles; a tree is grown level by
level on rows drawn anew. Traffic is over each device's mean, which weighs its errors, too. What a tree says lies within
what was seen in training, so that a device which wakes up, or a peak that was never there, is not extrapolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.forecaster.fitting import Forecaster
from ir_slicing.learning.forecaster.linear import time_folds
from ir_slicing.learning.forecaster.seasonal_adjustment import trailing_sum

Floats = NDArray[np.float64]
Binned = NDArray[np.uint8]

DEPTH, BINS = 5, 64
"""Splits from the root to a leaf, and bins of a regressor."""

RATE, LEAST, RIDGE = 0.075, 50.0, 5.0
"""The part of what a tree says that is taken; least weight in a leaf; weight of the zero that a leaf is shrunk to."""

ROWS = 4096
"""Rows that a tree is grown on, at most."""


@dataclass(frozen=True)
class LagRegressors:
    """What trees look at: the last steps of the device and of the slice, their mean over the last day, the step of the
    day and the device; with ``day_before`` also what was a day before the step that is forecast.

    Attributes:
        mean: [N] bit/s, positive: of the training part.
        window: steps that are looked back.
        day: steps of a day.
        day_before: whether there is a day before.
    """

    mean: Floats
    window: int
    day: int
    day_before: bool

    def of(self, traffic: NDArray[np.floating], last: NDArray[np.integer], ahead: int, start: int = 0) -> Floats:
        """[k * N, regressor] for forecasts made at the steps ``last`` [k] of [step, N] bit/s, ``ahead`` steps ahead.

        A day before that lies before the traffic is the mean of what there is.

        Args:
            start: steps into a day at which the traffic begins.
        """
        devices = np.column_stack([traffic / self.mean, traffic.sum(axis=1) / self.mean.sum()])  # [step, N + 1]
        count = np.minimum(np.arange(len(traffic)) + 1, self.day)[:, None]
        trailing = trailing_sum(devices, self.day) / count
        columns = [*(devices[last - q] for q in range(self.window)), trailing[last]]
        if self.day_before:
            when = last + ahead - self.day
            columns.append(np.where(when[:, None] >= 0, devices[np.maximum(when, 0)], trailing[last]))
        seen = np.stack(columns, axis=-1)  # [k, N + 1, column]
        n, nodes = len(last), len(self.mean)
        of_slice = np.broadcast_to(seen[:, -1:], (n, nodes, seen.shape[2]))
        clock = np.broadcast_to(((start + last + ahead) % self.day)[:, None, None], (n, nodes, 1))
        who = np.broadcast_to(np.arange(nodes)[:, None], (n, nodes, 1))
        return np.concatenate([seen[:, :-1], of_slice, clock, who], axis=-1).reshape(n * nodes, -1)


@dataclass(frozen=True)
class BoostedTrees:
    """Boosted trees.

    Attributes:
        edges: [regressor, BINS - 1], rising.
        feature: [tree, node], in the order of a heap: the children of i are 2 i + 1 and 2 i + 2.
        threshold: [tree, node]: bins up to it go left.
        value: [tree, leaf].
        base: what is said before the first tree.
    """

    edges: Floats
    feature: NDArray[np.int64]
    threshold: NDArray[np.int64]
    value: Floats
    base: float

    @classmethod
    def fit(cls, x: Floats, y: Floats, weight: Floats, trees: int, seed: int) -> BoostedTrees:
        """From rows [n, regressor], what is to be said [n] and weights [n], 1 on average. Same seed, same trees."""
        edges = np.quantile(x, np.arange(1, BINS) / BINS, axis=0).T.copy()
        rng, base = np.random.default_rng(seed), float(np.average(y, weights=weight))
        binned, left = _binned(x, edges), y - base
        feature = np.zeros((trees, 2**DEPTH - 1), np.int64)
        threshold, value = np.full_like(feature, BINS), np.zeros((trees, 2**DEPTH))
        for i in range(trees):
            rows = rng.permutation(len(x))[:ROWS] if len(x) > ROWS else np.arange(len(x))
            _grow(binned, left, weight, rows, feature[i], threshold[i], value[i])
            value[i] *= RATE
            left -= _said(binned, feature[i : i + 1], threshold[i : i + 1], value[i : i + 1])
        return cls(edges, feature, threshold, value, base)

    def predict(self, x: Floats) -> Floats:
        """[n, regressor] -> [n]."""
        return np.asarray(self.base + _said(_binned(x, self.edges), self.feature, self.threshold, self.value))


@dataclass(frozen=True)
class TreeForecaster:
    """An ensemble for each horizon; of the slice's devices, `LagRegressors`."""

    regressors: LagRegressors
    horizons: tuple[int, ...]
    ensembles: tuple[BoostedTrees, ...]

    @classmethod
    def fit(
        cls, regressors: LagRegressors, traffic: NDArray[np.floating], last: NDArray[np.integer],
        horizons: tuple[int, ...], trees: int, seed: int,
    ) -> TreeForecaster:  # fmt: skip
        """From forecasts that could have been made at the steps ``last`` [k] of traffic [step, N] bit/s."""
        weight = np.tile(regressors.mean / regressors.mean.mean(), len(last))
        made = []
        for ahead in horizons:
            y = (traffic[last + ahead] / regressors.mean).reshape(-1)
            made.append(BoostedTrees.fit(regressors.of(traffic, last, ahead), y, weight, trees, seed))
        return cls(regressors, horizons, tuple(made))

    def predict(self, traffic: NDArray[np.floating], last: NDArray[np.integer], start: int = 0) -> Floats:
        """[k, horizon, N] bit/s, not negative."""
        out = [
            one.predict(self.regressors.of(traffic, last, ahead, start)).reshape(len(last), -1)
            for ahead, one in zip(self.horizons, self.ensembles, strict=True)
        ]
        return np.asarray(np.maximum(np.stack(out, axis=1), 0.0) * self.regressors.mean)


def held_out(
    regressors: LagRegressors, traffic: NDArray[np.floating], last: NDArray[np.integer], horizons: tuple[int, ...],
    trees: int, seed: int, gap: int,
) -> Floats:  # fmt: skip
    """[k, horizon, N] bit/s: what trees say at each of the steps ``last``, in the order of time, that were fitted
    without the ``gap`` steps around it.
    """
    said = np.zeros((len(last), len(horizons), len(regressors.mean)))
    for rows, block in time_folds(len(last), gap):
        made = TreeForecaster.fit(regressors, traffic, last[rows], horizons, trees, seed)
        said[block] = made.predict(traffic, last[block])
    return said


@dataclass
class BlendedForecaster(Forecaster):
    """A forecaster of which trees say a part.

    Attributes:
        trees: none before there are any.
        share: of the forecast, for each horizon, 0 to 1.
    """

    trees: TreeForecaster | None = None
    share: Sequence[float] = ()

    def predict(
        self, traffic: NDArray[np.float32], last: NDArray[np.integer], batch: int = 256, start: int = 0
    ) -> NDArray[np.float32]:
        """As of `Forecaster`."""
        said = super().predict(traffic, last, batch, start)
        if self.trees is None or not len(last):
            return said
        return blended(said, self.trees.predict(traffic, np.asarray(last), start), self.share)


def blended(said: NDArray[np.floating], by_trees: Floats, share: Sequence[float]) -> NDArray[np.float32]:
    """[k, horizon, N]: two forecasts together, with the share of the second for each horizon."""
    part = np.asarray(share)[:, None]
    return ((1.0 - part) * said + part * by_trees).astype(np.float32)


def _binned(x: Floats, edges: Floats) -> Binned:
    """[n, regressor] -> the bins of each."""
    return np.stack([np.searchsorted(e, column) for e, column in zip(edges, x.T, strict=True)], axis=1).astype(np.uint8)


@numba.njit(cache=True)
def _grow(binned, left, weight, rows, feature, threshold, value):  # type: ignore[no-untyped-def] # pragma: no cover
    """One tree: fills feature and threshold [node], and value [leaf]."""
    width = binned.shape[1]
    at = np.zeros(len(rows), np.int64)
    for level in range(DEPTH):
        nodes = 2**level
        total = np.zeros((nodes, width, BINS, 2))
        for r in range(len(rows)):
            row = rows[r]
            w = weight[row]
            g = w * left[row]
            for k in range(width):
                cell = total[at[r], k, binned[row, k]]
                cell[0] += g
                cell[1] += w
        for node in range(nodes):
            sums = total[node, 0].sum(axis=0)
            least = sums[0] ** 2 / (sums[1] + RIDGE) + 1e-12
            for k in range(width):
                g, w = 0.0, 0.0
                for b in range(BINS - 1):
                    g += total[node, k, b, 0]
                    w += total[node, k, b, 1]
                    if w < LEAST or sums[1] - w < LEAST:
                        continue
                    gain = g**2 / (w + RIDGE) + (sums[0] - g) ** 2 / (sums[1] - w + RIDGE)
                    if gain > least:
                        least, feature[nodes - 1 + node], threshold[nodes - 1 + node] = gain, k, b
        for r in range(len(rows)):
            node = nodes - 1 + at[r]
            at[r] = 2 * at[r] + (binned[rows[r], feature[node]] > threshold[node])
    weights = np.zeros(2**DEPTH)
    for r in range(len(rows)):
        value[at[r]] += weight[rows[r]] * left[rows[r]]
        weights[at[r]] += weight[rows[r]]
    for leaf in range(2**DEPTH):
        value[leaf] /= weights[leaf] + RIDGE


@numba.njit(cache=True)
def _said(binned, feature, threshold, value):  # type: ignore[no-untyped-def] # pragma: no cover
    """The sum of the trees' values: [n]."""
    out = np.zeros(len(binned))
    for row in range(len(binned)):
        for tree in range(len(feature)):
            node = 0
            for _ in range(DEPTH):
                node = 2 * node + 1 + (binned[row, feature[tree, node]] > threshold[tree, node])
            out[row] += value[tree, node - feature.shape[1]]
    return out
