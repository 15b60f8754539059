# SPDX-License-Identifier: Apache-2.0
"""The part of the slice forecaster that all devices of a slice share: a regression on own past, slice and day before.

    x_v(t + h) = b + sum_p phi_p x_v(t - p) + sum_p psi_p s(t - p)
                 + delta_1 x_v(t + h - day) + delta_2 x_v(t - day) + epsilon_1 s(t + h - day) + epsilon_2 s(t - day)

s is the slice's sum. One set of numbers for all devices has a chance with a week of hours, where one for each has none.
Ridge strength, and whether the slice and the day before are listened to, are chosen by cross-validation over blocks of
time: where nothing foretells the deviations from level and day, level and day are the forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ir_slicing.learning.forecaster.linear import time_folds
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS

Floats = NDArray[np.float64]

STRENGTHS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)
"""Ridge strengths that are tried, relative to each regressor's own square."""

GROUPS = (1.0, 10.0, np.inf)
"""Further factors of the strength for what is of the slice, and for what is of the day before."""


class SharedHead(nn.Module):
    """The regression; zero until it is fitted.

    Args:
        nodes: N, devices.
        horizons: steps ahead, rising.
        order: steps of the past.
        day_before: whether the windows have the channel of the day before.
    """

    weight: Tensor
    share: Tensor

    def __init__(self, nodes: int, horizons: tuple[int, ...], order: int, day_before: bool) -> None:
        super().__init__()
        self.horizons, self.order, self.day_before = horizons, order, day_before
        width = 1 + 2 * order + (4 if day_before else 0)
        self.register_buffer("weight", torch.zeros(len(horizons), width))
        self.register_buffer("share", torch.full((nodes,), nodes**-0.5))

    def design(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> regressors [batch, horizon, N, k]."""
        x = window[:, 0]
        own = [x[:, -1 - p] for p in range(self.order)]
        of_slice = [(one @ self.share)[:, None].expand_as(one) for one in own]
        rows = []
        for h in self.horizons:
            before = []
            if self.day_before:
                shown, ahead = window[:, CHANNELS], self.horizons[-1]
                own_before = [shown[:, h - ahead - 1], shown[:, -1 - ahead]]
                before = own_before + [(one @ self.share)[:, None].expand_as(one) for one in own_before]
            rows.append(torch.stack([torch.ones_like(own[0]), *own, *of_slice, *before], dim=-1))
        return torch.stack(rows, dim=1)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, N, horizon]."""
        return torch.einsum("bhnk,hk->bnh", self.design(window), self.weight)

    def groups(self) -> NDArray[np.int64]:
        """[k]: 0 intercept, 1 own past, 2 slice, 3 day before."""
        return np.array([0, *[1] * self.order, *[2] * self.order, *[3] * (4 if self.day_before else 0)])


@dataclass(frozen=True)
class SharedFit:
    """What `shared_weights` found.

    Attributes:
        weight: [h, k].
        error: [h]: held-out RMSE of the slice's sum, bit/s.
        held_out: [n, h, N]: what is said of each row by a fit without the rows around it.
    """

    weight: Floats
    error: Floats
    held_out: Floats


def shared_weights(
    regressors: Floats, targets: Floats, unit: Floats, groups: NDArray[np.integer], gap: int
) -> SharedFit:
    """Ridge over all devices and steps; its loss is the devices' squared errors plus that of their sum.

    Args:
        regressors: [n, h, N, k], in the order of time.
        targets: [n, h, N], normalised.
        unit: [n, h, N], which undoes the normalisation.
        groups: [k], as `SharedHead.groups`.
        gap: rows on both sides of a held-out block that are not trained on, for they overlap with it.
    """
    n, horizons, _, width = regressors.shape
    weight, error, held_out = np.zeros((horizons, width)), np.zeros(horizons), np.zeros(targets.shape)
    scale = float(unit.mean())
    for h in range(horizons):
        normal = _Normal.of(regressors[:, h], targets[:, h], unit[:, h] / scale)
        said: dict[_Choice, Floats] = {}
        parts = [(rows, block, normal.solutions(rows, groups)) for rows, block in time_folds(n, gap)]
        for _, block, solutions in parts:
            for choice, solution in solutions.items():
                said.setdefault(choice, np.zeros(n))[block] = normal.sums[block] @ solution
        squares = {choice: float(np.mean((one - normal.total) ** 2)) for choice, one in said.items()}
        best = min(squares, key=squares.__getitem__)
        weight[h] = normal.solutions(np.arange(n), groups)[best]
        for _, block, solutions in parts:
            held_out[block, h] = regressors[block, h] @ solutions[best]
        error[h] = np.sqrt(squares[best]) * scale
    return SharedFit(weight, error, held_out)


_Choice = tuple[float, float, float]
"""Strength, and its factors for the slice and for the day before."""


@dataclass(frozen=True)
class _Normal:
    """The normal equations of one horizon, row by row: gram [n, k, k], cross [n, k]; of sums [n, k], total [n]."""

    gram: Floats
    cross: Floats
    sums: Floats
    total: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, unit: Floats) -> _Normal:
        """[n, N, k], [n, N], [n, N]."""
        weighted = x * unit[..., None]
        sums, total = weighted.sum(axis=1), (y * unit).sum(axis=1)
        gram = weighted.transpose(0, 2, 1) @ weighted + sums[:, :, None] * sums[:, None]
        cross = np.einsum("nvk,nv->nk", weighted, y * unit) + sums * total[:, None]
        return cls(gram, cross, sums, total)

    def solutions(self, rows: NDArray[np.integer], groups: NDArray[np.integer]) -> dict[_Choice, Floats]:
        """[k] for each choice; what an infinite strength forbids is zero."""
        gram, cross, made = self.gram[rows].sum(axis=0), self.cross[rows].sum(axis=0), {}
        for choice in product(STRENGTHS, GROUPS, GROUPS):
            strength = choice[0] * np.array([1.0, 1.0, *choice[1:]])[groups]
            penalty = np.where(groups == 0, 1e-9, strength)
            kept = np.isfinite(penalty)
            solution = np.zeros(len(groups))
            left = gram[np.ix_(kept, kept)]
            left = left + np.diag(penalty[kept] * np.diag(left) + 1e-9)
            solution[kept] = np.linalg.solve(left, cross[kept])
            made[choice] = solution
        return made
