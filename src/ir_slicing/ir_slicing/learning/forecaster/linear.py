# SPDX-License-Identifier: Apache-2.0
"""The linear parts of the slice forecaster: a seasonal head for each device, and who follows whom after how long.

Both are found in closed form. With little data they are nearer to the best linear forecast than a network that has to
find its way by gradients, and ridge strength is a dial from "all of the graph" to "none of it".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]

CLOCK = 4
"""Sine and cosine of the time of day and of twice that."""

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Ridge strengths that are tried, per sample, on innovations of deviation 1; and none of the graph."""

FIRST_STRENGTH, KEPT, FOLDS = 1.0, 400, 5
"""Strength of the first ridge, edges' sources that go into the second, and blocks of the cross-validation."""

RANKS = (0, 4, 8, 16)
"""How many independent things the graph may tell of (reduced-rank regression); 0: as many as there are devices."""

PROOF, BATCHES = 2.0, 8
"""Standard errors by which a part has to lower the squared error of held-out steps, and batches of them at least."""


class SeasonalHead(nn.Module):
    """x(t + h) = b + c . clock(t) + sum over p of phi_p x(t - p), with numbers of each device's own.

    Args:
        nodes: N, devices.
        horizons: number of them.
        order: steps of the own past.
    """

    weight: Tensor

    def __init__(self, nodes: int, horizons: int, order: int) -> None:
        super().__init__()
        self.order = order
        self.register_buffer("weight", torch.zeros(nodes, 1 + CLOCK + order, horizons))

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, N, horizon]."""
        return torch.einsum("bnk,nkh->bnh", design(window, window.shape[2] - 1, self.order), self.weight)


class LagGraph(nn.Module):
    """sum over devices z and lags q of W[z, q, v] i_z(t - q): what others' surprises of before mean for device v.

    The innovation i_z(t) is what device z's own past did not say of x_z(t); a surprise at one station is news for those
    that the work reaches later.

    Args:
        nodes: N, devices.
        horizons: number of them.
        order: of the seasonal model whose errors are the innovations.
        window: T; there are T - order lags.
    """

    alone: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, nodes: int, horizons: int, order: int, window: int) -> None:
        super().__init__()
        self.order, self.lags = order, window - order
        self.register_buffer("alone", torch.zeros(nodes, 1 + CLOCK + order, 1))
        self.register_buffer("weight", torch.zeros(horizons, self.lags * nodes, nodes))
        self.register_buffer("bias", torch.zeros(horizons, nodes))

    def innovations(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, lag * N], the latest first."""
        now = window.shape[2] - 1
        expected = [
            torch.einsum("bnk,nk->bn", design(window, now - q - 1, self.order), self.alone[..., 0])
            for q in range(self.lags)
        ]
        return torch.cat([window[:, 0, now - q] - e for q, e in enumerate(expected)], dim=1)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, N, horizon]."""
        return (torch.einsum("bk,hkn->bhn", self.innovations(window), self.weight) + self.bias).transpose(1, 2)


def design(window: Tensor, place: int, order: int) -> Tensor:
    """Regressors of a seasonal model at a place of the window: [batch, N, 1 + CLOCK + order]."""
    x = window[:, 0, place - order + 1 : place + 1].flip(1).transpose(1, 2)
    sine, cosine = window[:, 2, place], window[:, 3, place]
    clock = [torch.ones_like(sine), sine, cosine, 2.0 * sine * cosine, cosine**2 - sine**2]
    return torch.cat([torch.stack(clock, dim=-1), x], dim=-1)


def seasonal_weights(regressors: Floats, targets: Floats) -> Floats:
    """Least squares for each device: [n, N, k], [n, N, h] -> [N, k, h]; a trace of ridge where devices stand still."""
    a = regressors.transpose(1, 2, 0)
    gram = a @ regressors.transpose(1, 0, 2) + 1e-4 * len(regressors) * np.eye(regressors.shape[2])
    return np.asarray(np.linalg.solve(gram, a @ targets.transpose(1, 0, 2)))


@dataclass(frozen=True)
class LagFit:
    """What `lag_weights` found.

    Attributes:
        weight: [h, features, N].
        bias: [h, N].
        strengths: of each horizon; infinity: the graph is not used.
        left: [h]: cross-validated error of the slice's sum with the graph, as a part of that without; 1: not used.
        held_out: [n, h, N]: what the graph says of each row when it was fitted without the rows around it.
    """

    weight: Floats
    bias: Floats
    strengths: tuple[float, ...]
    left: Floats
    held_out: Floats


def lag_weights(features: Floats, residual: Floats, deviation: Floats, gap: int) -> LagFit:
    """Adaptive ridge with cross-validation over blocks of time.

    A first ridge tells which (device, lag) matter to anyone; the second divides their penalties by that, so that the
    few which lead keep their weight and the many which do not are quiet (Zou, 2006, with ridge in place of lasso).

    Args:
        features: [n, f], innovations in the order of time.
        residual: [n, h, N], what the other parts left, normalised.
        deviation: [N], which undoes the normalisation: strengths are chosen by the slice's sum.
        gap: rows on both sides of a held-out block that are not trained on, for they overlap with it.
    """
    n, (_, horizons, nodes) = len(features), residual.shape
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    x, middle = (features - centre) / scale, residual.mean(axis=0)
    y = residual - middle
    choices = [(strength, rank) for strength in STRENGTHS for rank in RANKS if rank < nodes]
    folds = [(rows, block, _paths(x[rows], y[rows], deviation)) for rows, block in time_folds(n, gap)]
    weight, said = np.zeros((horizons, x.shape[1], nodes)), np.zeros((n, horizons, nodes))
    strengths, left = [np.inf] * horizons, np.ones(horizons)
    for h, path in enumerate(_paths(x, y, deviation)):
        whole = y[:, h] @ deviation
        error = np.zeros(len(choices))
        for _, block, paths in folds:
            for i, choice in enumerate(choices):
                error[i] += np.square(whole[block] - x[block] @ (paths[h].weights(*choice) @ deviation)).sum()
        best = choices[int(error.argmin())]
        held_out = np.concatenate([x[block] @ paths[h].weights(*best) for _, block, paths in folds])
        if proven(whole, whole - held_out @ deviation, gap):
            strengths[h], left[h] = best[0], np.sqrt(error.min() / max(np.square(whole).sum(), 1e-12))
            weight[h], said[:, h] = path.weights(*best) / scale[:, None], held_out + middle[h]
    used = np.isfinite(strengths)[:, None]
    return LagFit(weight, np.where(used, middle - centre @ weight, 0.0), tuple(strengths), left, said)


def proven(before: Floats, after: Floats, batch: int) -> bool:
    """Whether errors [n], in the order of time, are smaller in their squares by more than chance would have them.

    The standard error is that of batch means, since neighbouring errors are alike.

    Args:
        before: without a part.
        after: with it.
        batch: steps of a batch.
    """
    batches = len(before) // batch
    if batches < BATCHES:
        return False
    gain = (np.square(before) - np.square(after))[: batches * batch].reshape(batches, batch).mean(axis=1)
    return bool(gain.mean() > PROOF * gain.std(ddof=1) / np.sqrt(batches))


def time_folds(n: int, gap: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Blocks of time for a cross-validation: rows to train on, and those held out, with ``gap`` rows between them."""
    for block in np.array_split(np.arange(n), FOLDS):
        yield np.r_[0 : max(block[0] - gap, 0), min(block[-1] + 1 + gap, n) : n], block


@dataclass(frozen=True)
class _Path:
    """The second ridge of one horizon for any strength: features that are kept, and its eigenvectors."""

    kept: NDArray[np.int64]
    values: Floats
    turned: Floats
    back: Floats
    features: int
    deviation: Floats

    def weights(self, strength: float, rank: int) -> Floats:
        """[features, N]; of all that they say, only the ``rank`` directions of most traffic are kept, all with 0."""
        inner = self.turned / (np.maximum(self.values, 0.0) + strength)[:, None]
        if rank:
            said = inner * self.deviation
            most = np.linalg.eigh(said.T @ (np.maximum(self.values, 0.0)[:, None] * said))[1][:, -rank:]
            inner = said @ most @ most.T / self.deviation
        out = np.zeros((self.features, self.turned.shape[1]))
        out[self.kept] = self.back @ inner
        return out


def _paths(x: Floats, y: Floats, deviation: Floats) -> list[_Path]:
    """[n, f], [n, h, N] -> one path for each horizon."""
    n, f = x.shape
    gram, cross = x.T @ x / n, (x.T @ y.reshape(n, -1) / n).reshape(f, *y.shape[1:])
    first = np.linalg.solve(gram + FIRST_STRENGTH * np.eye(f), cross.reshape(f, -1)).reshape(cross.shape)
    paths = []
    for h in range(y.shape[1]):
        size = np.linalg.norm(first[:, h] * (deviation / deviation.max()), axis=1)
        kept = np.sort(np.argsort(-size)[:KEPT])
        s = size[kept, None] / max(size.max(), 1e-12)
        values, vectors = np.linalg.eigh(s * gram[np.ix_(kept, kept)] * s[:, 0])
        paths.append(_Path(kept, values, vectors.T @ (s * cross[kept, h]), s * vectors, f, deviation))
    return paths
