# SPDX-License-Identifier: Apache-2.0
"""What forecasters of live slices say, as one line of numbers each, so that those of hundreds of slices speak at once.

    forecast = max(W x + b, 0)    [horizon * device], with x [step * device] the last reports' traffic, bit/s

Live, the slice forecaster divides nothing out and knows no day, so that its regressions and its lag graph are affine in
the traffic that they see. Its CNN is not, and is left out: held-out steps let it in for one live slice of twenty-four.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.forecaster.quantiles import Spread, rank, scale_of

if TYPE_CHECKING:
    from ir_slicing.learning.forecaster.fitting import Forecaster

Floats = NDArray[np.float64]

TAILS = (0.1, 0.9)
"""Quantiles of the slice's sum that are told."""

_LEAST_TAIL = 0.1
"""Of a quantile, over the forecast: a state holds its logarithm."""

_AT_ONCE = 256
"""Windows that are given to a network together."""


@dataclass(frozen=True, eq=False)
class AffineForecast:
    """A fitted forecaster without its CNN.

    Attributes:
        weight: [horizon * device, step * device] float64.
        bias: [horizon * device] float64, bit/s.
        steps: T, reports that it looks back.
        devices: N.
        tails: [tail] float64: quantiles of `TAILS` of what came less the forecast of the slice's sum, scaled.
        power: p of their scale (`quantiles`).
        mean: bit/s, of their scale.
    """

    weight: Floats
    bias: Floats
    steps: int
    devices: int
    tails: Floats
    power: float
    mean: float

    @classmethod
    def of(cls, forecaster: Forecaster) -> AffineForecast:
        """From a forecaster that divides out nothing, of the same clock at each forecast.

        Raises:
            ValueError: it divides out something, looks at the day before, or has trees.
        """
        # torch takes seconds to import: who never fits needs none
        import torch

        from ir_slicing.learning.forecaster.boosted_trees import BlendedForecaster

        adjusts = forecaster.adjustment is not None and forecaster.adjustment.form != "none"
        trees = isinstance(forecaster, BlendedForecaster) and forecaster.trees is not None
        if adjusts or forecaster.day_before or trees:
            raise ValueError("the forecaster divides out level or day, sees the day before or has trees; not affine")
        network, scale, steps = forecaster.network, forecaster.scale, forecaster.window
        devices = len(scale.mean)
        idle = np.zeros((steps, devices), np.float32)
        window = forecaster.windows(idle).inputs(np.array([steps - 1]))  # [1, Z, T, N]

        def said(places: range) -> Floats:
            """[place, horizon * device] for windows in which one number is one more, in units of channel 0."""
            many = window.repeat(len(places), 1, 1, 1)
            many[:, 0].reshape(len(places), -1)[torch.arange(len(places)), torch.tensor(places)] += 1.0
            out = network.closed(many) + network.lags(many)  # type: ignore[operator]
            return np.asarray(out.transpose(1, 2).flatten(1).numpy(), np.float64)

        with torch.no_grad():
            at_idle = network.closed(window) + network.lags(window)  # type: ignore[operator]
            base = np.asarray(at_idle.transpose(1, 2).flatten().numpy(), np.float64)
            inputs = steps * devices
            parts = [said(range(i, min(i + _AT_ONCE, inputs))) for i in range(0, inputs, _AT_ONCE)]
        unit = scale.deviation.astype(np.float64)
        out = np.tile(unit, len(forecaster.horizons))
        weight = (np.concatenate(parts) - base).T * out[:, None] / np.tile(unit, steps)
        bias = base * out + np.tile(scale.mean.astype(np.float64), len(forecaster.horizons))
        spread = cast(Spread, forecaster.slice_spread)
        residuals = spread.residuals[0]
        tails = np.quantile(residuals, [rank(level, len(residuals)) for level in TAILS])
        return cls(weight, bias, steps, devices, tails, float(spread.power[0]), float(spread.mean[0]))

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Steps, devices, numbers that are said."""
        return self.steps, self.devices, len(self.bias)

    def predict(self, recent: Floats) -> Floats:
        """From windows [k, step, device] bit/s: [k, horizon, device] bit/s, not negative."""
        said = recent.reshape(len(recent), -1) @ self.weight.T + self.bias
        return np.asarray(np.maximum(said, 0.0).reshape(len(recent), -1, self.devices))


class Foretold(NamedTuple):
    """What is said of one slice.

    Attributes:
        rates: [horizon][device] bit/s.
        total: bit/s of the slice in the next period.
        low: quantile of it of 0.1 (`TAILS`), over it; positive.
        high: likewise, of 0.9.
    """

    rates: list[list[float]]
    total: float
    low: float
    high: float


class DueForecast(NamedTuple):
    """A forecast that is to be made.

    Attributes:
        by: that makes it.
        number: of the last report, one more each time.
        offered: [report][device] bit/s, the last one at the end.
    """

    by: AffineForecast
    number: int
    offered: Sequence[Sequence[float]]


class JointForecasts:
    """Forecasts of many slices in few calls; those of as many devices and steps go together."""

    def __init__(self) -> None:
        self._stacks: dict[tuple[int, ...], _Stack] = {}

    def of(self, due: Sequence[DueForecast]) -> list[Foretold]:
        """What is said of each slice."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, one in enumerate(due):
            groups.setdefault(one.by.shape, []).append(place)
        out: dict[int, Foretold] = {}
        for shape, places in groups.items():
            chosen = [due[place] for place in places]
            members = [one.by for one in chosen]
            stack = self._stacks.get(shape)
            if stack is None or stack.members != members:
                stack = self._stacks[shape] = _Stack(members)
            out |= zip(places, stack.say(chosen), strict=True)
        return [out[place] for place in range(len(due))]


class _Stack:
    """Forecasts of one shape, side by side, with the reports that they look back on."""

    def __init__(self, members: list[AffineForecast]) -> None:
        self.members = members
        self._weight = np.stack([one.weight for one in members])
        self._bias = np.stack([one.bias for one in members])
        self._tails = np.stack([one.tails for one in members])
        self._power = np.array([one.power for one in members])
        self._mean = np.array([one.mean for one in members])
        self._recent: Floats = np.empty((0, 0, 0))
        self._awaited: list[int] = []

    def say(self, due: list[DueForecast]) -> list[Foretold]:
        """In the order of the members."""
        self._show(due)
        count, _, devices = self._recent.shape
        said = (self._weight @ self._recent.reshape(count, -1, 1))[..., 0] + self._bias
        rates = np.maximum(said, 0.0).reshape(count, -1, devices)
        total = rates[:, 0].sum(axis=-1)
        away = scale_of(total, self._mean, self._power)[:, None] * self._tails
        over = np.divide(away, total[:, None], out=np.zeros_like(away), where=total[:, None] > 0.0)
        tails = np.maximum(1.0 + over, _LEAST_TAIL)
        return list(map(Foretold, rates.tolist(), total.tolist(), tails[:, 0].tolist(), tails[:, 1].tolist()))

    def _show(self, due: list[DueForecast]) -> None:
        """Takes in the last reports [slice, step, device]: the one that is new, where it is the next of all."""
        numbers = [one.number for one in due]
        if numbers == self._awaited:
            self._recent[:, :-1] = self._recent[:, 1:]
            self._recent[:, -1] = [one.offered[-1] for one in due]
        else:
            self._recent = np.array([list(one.offered)[-one.by.steps :] for one in due], np.float64)
        self._awaited = [number + 1 for number in numbers]
