# SPDX-License-Identifier: Apache-2.0
"""Quantiles about a forecast, from what came of earlier ones (split conformal prediction; Vovk et al., 2005).

    q_tau = max(f + s(f) r_tau, 0),    s(f) = f^p m^(1 - p)

r_tau is the tau-quantile of (actual - f) / s(f) over forecasts made without the steps that they were compared with;
m is their mean, and p (0, 1/2 or 1: errors that do not grow with the forecast, grow as its root, or in proportion) is
what has the least pinball loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVELS = (0.1, 0.5, 0.9)
"""Quantiles that are told where nobody asks for others."""

POWERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Spread:
    """How far what comes is from the forecast, for each horizon.

    Attributes:
        residuals: a sorted array for each horizon, scaled.
        power: [h].
        mean: [h], bit/s.
    """

    residuals: tuple[Floats, ...]
    power: Floats
    mean: Floats

    @classmethod
    def of(cls, forecast: NDArray[np.floating], actual: NDArray[np.floating]) -> Spread:
        """From forecasts and what came: [n, h] for a sum, [n, h, device] for devices that share one spread."""
        residuals, powers, means = [], [], []
        for h in range(forecast.shape[1]):
            f, y = forecast[:, h].ravel().astype(np.float64), actual[:, h].ravel().astype(np.float64)
            mean = max(float(f.mean()), 1e-9)
            scaled = [np.sort((y - f) / scale_of(f, mean, p)) for p in POWERS]
            losses = [
                np.mean([pinball(f + scale_of(f, mean, p) * np.quantile(r, tau), y, tau) for tau in LEVELS])
                for p, r in zip(POWERS, scaled, strict=True)
            ]
            best = int(np.argmin(losses))
            residuals.append(scaled[best])
            powers.append(POWERS[best])
            means.append(mean)
        return cls(tuple(residuals), np.array(powers), np.array(means))

    def at(self, forecast: NDArray[np.floating], levels: Sequence[float] = LEVELS) -> Floats:
        """[k, h, ...] -> [k, h, level, ...], not negative, rising with the level.

        Raises:
            ValueError: a level that is not between 0 and 1.
        """
        if not all(0.0 < level < 1.0 for level in levels):
            raise ValueError(f"levels {tuple(levels)} must lie between 0 and 1")
        out = []
        for h, residuals in enumerate(self.residuals):
            r = np.quantile(residuals, [rank(level, len(residuals)) for level in levels])
            f = forecast[:, h].astype(np.float64)
            spread = scale_of(f, self.mean[h], self.power[h])
            out.append(f[:, None] + spread[:, None] * r.reshape(1, -1, *[1] * (f.ndim - 1)))
        return np.maximum(np.stack(out, axis=1), 0.0)


def pinball(quantile: ArrayLike, actual: ArrayLike, level: float) -> float:
    """Mean pinball (quantile) loss, in the unit of both: level (y - q) above, (1 - level) (q - y) below."""
    over = np.asarray(actual, np.float64) - np.asarray(quantile, np.float64)
    return float(np.mean(np.maximum(level * over, (level - 1.0) * over)))


def rank(level: float, n: int) -> float:
    """The level at which n samples cover a new one with at least that probability: ceil((n + 1) tau) / n, both ways."""
    if level == 0.5:
        return level
    return min(level + level / n, 1.0) if level > 0.5 else max(level - (1.0 - level) / n, 0.0)


def scale_of(forecast: Floats, mean: float | Floats, power: float | Floats) -> Floats:
    """s(f): the unit of residuals at forecasts [...], bit/s."""
    return np.asarray(np.maximum(forecast, 1e-3 * mean) ** power * mean ** (1.0 - power))
