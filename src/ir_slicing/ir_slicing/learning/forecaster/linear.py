# SPDX-License-Identifier: Apache-2.0
"""The linear parts of the slice forecaster: a seasonal head for each device, and who follows whom after how long.

Both are found in closed form. With little data they are nearer to the best linear forecast than a network that has to
find its way by gradients, and ridge strength is a dial from "all of the graph" to "none of it".
"""

from __future__ import annotations

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

WORTH = 0.995
"""The graph is used where it leaves less than this part of the cross-validated error."""


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
    held_out = np.zeros((len(STRENGTHS), n, horizons, nodes), np.float32)
    for block in np.array_split(np.arange(n), FOLDS):
        rows = np.r_[0 : max(block[0] - gap, 0), min(block[-1] + 1 + gap, n) : n]
        for h, path in enumerate(_paths(x[rows], y[rows])):
            for i, strength in enumerate(STRENGTHS):
                held_out[i, block, h] = x[block] @ path.weights(strength)
    error = np.square((residual - middle - held_out) @ deviation).mean(axis=1)  # [strength, h]
    without = np.square((residual - middle) @ deviation).mean(axis=0)
    best, left = error.argmin(axis=0), np.sqrt(error.min(axis=0) / np.maximum(without, 1e-12))
    used = left < WORTH
    weight = np.zeros((horizons, x.shape[1], nodes))
    for h, path in enumerate(_paths(x, y)):
        if used[h]:
            weight[h] = path.weights(STRENGTHS[best[h]]) / scale[:, None]
    bias = np.where(used[:, None], middle - centre @ weight, 0.0)
    chosen = np.stack([held_out[best[h], :, h] if used[h] else np.zeros((n, nodes)) for h in range(horizons)], axis=1)
    strengths = tuple(STRENGTHS[b] if u else np.inf for b, u in zip(best, used, strict=True))
    said = np.asarray(chosen + np.where(used[:, None], middle, 0.0), np.float64)
    return LagFit(weight, bias, strengths, np.where(used, left, 1.0), said)


@dataclass(frozen=True)
class _Path:
    """The second ridge of one horizon for any strength: features that are kept, and its eigenvectors."""

    kept: NDArray[np.int64]
    values: Floats
    turned: Floats
    back: Floats
    features: int

    def weights(self, strength: float) -> Floats:
        """[features, N]."""
        out = np.zeros((self.features, self.turned.shape[1]))
        out[self.kept] = self.back @ (self.turned / (np.maximum(self.values, 0.0) + strength)[:, None])
        return out


def _paths(x: Floats, y: Floats) -> list[_Path]:
    """[n, f], [n, h, N] -> one path for each horizon."""
    n, f = x.shape
    gram, cross = x.T @ x / n, (x.T @ y.reshape(n, -1) / n).reshape(f, *y.shape[1:])
    first = np.linalg.solve(gram + FIRST_STRENGTH * np.eye(f), cross.reshape(f, -1)).reshape(cross.shape)
    paths = []
    for h in range(y.shape[1]):
        size = np.linalg.norm(first[:, h], axis=1)
        kept = np.sort(np.argsort(-size)[:KEPT])
        s = size[kept, None] / max(size.max(), 1e-12)
        values, vectors = np.linalg.eigh(s * gram[np.ix_(kept, kept)] * s[:, 0])
        paths.append(_Path(kept, values, vectors.T @ (s * cross[kept, h]), s * vectors, f))
    return paths
