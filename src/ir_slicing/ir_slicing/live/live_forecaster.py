# SPDX-License-Identifier: Apache-2.0
"""The slice forecaster on live traffic: it learns the slice's devices beside the agent, and is used as long as it errs
less than the low pass that stands in its place.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_slicing.live.joint_forecasts import AffineForecast, DueForecast, Foretold, JointForecasts
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig

Floats = NDArray[np.float64]
Rates = Sequence[float]
"""[device] bit/s."""

HORIZONS = (1, 2)
"""Report periods ahead: a decision is in force in the next one, and in the one in which the next is made."""

_LAPLACE = math.log(5.0)
"""The quantile of 0.9 in mean absolute errors, of errors with exponential tails."""

_NO_DAY = 1_000_000
"""Steps of a day: live reports are too short for one, so that the phase says nothing."""


@dataclass(frozen=True)
class Observed:
    """The traffic that a forecaster is fitted to.

    Attributes:
        devices: names.
        offered: [step, device] float64, bit/s.
        smooth: likewise, after the low pass.
    """

    devices: tuple[str, ...]
    offered: Floats
    smooth: Floats


class LiveForecaster:
    """Forecasts the devices' traffic for the next report periods.

    It collects, forecasts, and is fitted when it is told to: by `BackgroundFitting` beside a live radio, or by whoever
    owns the time. At every report the forecast that was made for it, and the low pass of then, are compared with what
    came; both absolute errors of the slice's sum are low-passed over `judge_reports` reports, and the forecast is out
    of use while its own is not the smaller one. (Squared, one jump would be remembered for hundreds of reports.)

    Args:
        config: validated.
        seed: of weights and order.
        train: False: it only collects, and has no forecast.

    Attributes:
        gain: RMSE of the last trained network over that of the low pass, on the fifth of the history that it did not
            see; NaN before there is one.
        refused: reason -> number of fits that came to nothing.
        used: reports at which there was a forecast in use.
    """

    def __init__(self, config: LiveForecasterConfig, seed: int, train: bool = True) -> None:
        self.config, self._seed, self._train = config, seed, train
        self._joint = JointForecasts()
        self._devices: tuple[str, ...] = ()
        self._offered: deque[Rates] = deque(maxlen=config.history)
        self._smooth: deque[Rates] = deque(maxlen=config.history)
        self._fitted: AffineForecast | None = None
        self._shown: AffineForecast | None = None
        self._due = False
        self._told: Foretold | None = None
        self._errors = (math.nan, math.nan)
        self._trusted = False
        self._rough = 0.0
        self._smoothed = 0.0
        self._since = self._pushed = 0
        self.gain = math.nan
        self.used = 0
        self.refused: Counter[str] = Counter()

    def push(self, devices: tuple[str, ...], offered: Rates, smooth: Rates) -> None:
        """Takes [device] bit/s of a period, and after the low pass; with other devices all begins anew."""
        if devices != self._devices:
            self._devices = devices
            self._offered.clear()
            self._smooth.clear()
            self._fitted = self._told = None
            self._due = False
            self._since, self._rough = 0, 0.0
        elif self._smooth:
            self._judge(float(sum(offered)))
        self._offered.append(offered)
        self._smooth.append(smooth)
        self._smoothed = float(sum(smooth))
        self._since += 1
        self._pushed += 1
        self._shown, self._told = self._fitted, None  # a thread may exchange the first meanwhile
        self._due = self._shown is not None and len(self._offered) >= self._shown.steps

    def _judge(self, came: float) -> None:
        """The errors in use of the slice's sum (bit/s): of the low pass, and of the forecast in its place."""
        smoothed, weight = self._smoothed, 1.0 / self.config.judge_reports
        off = abs(came - smoothed)
        self._rough += ((min(off / smoothed, 1.0) if smoothed > 0.0 else 0.0) - self._rough) * weight
        told = self._said()
        if told is not None:
            mine, others = self._errors
            self._errors = mine + weight * (abs(told.total - came) - mine), others + weight * (off - others)

    def _said(self) -> Foretold | None:
        """The forecast of the last report, made now where nobody asked for it yet."""
        if self._due:
            foretell((self,), self._joint)
        return self._told

    @property
    def in_use(self) -> bool:
        """Whether there is a forecast that errs less than the low pass did."""
        return self._said() is not None and self._trusted

    @property
    def ready(self) -> bool:
        """Whether it may be fitted, has seen enough of devices for that, and enough that is new since the last time."""
        least = max(self.config.history // 3, 4 * self.config.window)
        enough = bool(self._devices) and len(self._offered) >= least
        return self._train and enough and self._since >= self.config.history // 6

    def observed(self) -> Observed:
        """What it would be fitted to now; it is not `ready` again before there is more."""
        self._since = 0
        return Observed(self._devices, np.array(self._offered), np.array(self._smooth))

    def forecast(self) -> Sequence[Rates] | None:
        """What is expected in the periods of `HORIZONS`, [horizon][device] bit/s.

        None while the low pass is known to be as good, or the network is of other devices.
        """
        told = self._said()
        return told.rates if told is not None and self._trusted else None

    @property
    def spread(self) -> tuple[float, float]:
        """Quantiles of the slice's sum in the next period, `TAILS`, over what is forecast of it; positive.

        Those of the forecaster while its forecast is in use; else from the recent relative errors of the low pass.
        """
        told = self._said()
        if told is not None and self._trusted:
            return told.low, told.high
        return max(1.0 - _LAPLACE * self._rough, 0.1), 1.0 + _LAPLACE * self._rough

    @property
    def since(self) -> int:
        """Reports since it was fitted, or since its devices are there."""
        return self._since

    @property
    def due(self) -> DueForecast | None:
        """What is to be forecast now; None: nothing."""
        if not self._due or self._shown is None:
            return None
        return DueForecast(self._shown, self._pushed, self._offered)

    def hear(self, told: Foretold) -> None:
        """Takes the forecast that was `due`."""
        self._told, self._due = told, False
        self._trusted = self._errors[0] < self._errors[1]
        self.used += self._trusted

    def fit(self, seen: Observed) -> None:
        """Trains a network; it is used if it beats low pass and persistence on the last fifth."""
        # torch takes seconds to import: a manager is there before, and one that never fits needs none
        from ir_slicing.learning.forecaster.fitting import FitConfig
        from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
        from ir_slicing.learning.forecaster.staged import fit_forecaster

        fitting = FitConfig(day=_NO_DAY, epochs=self.config.epochs, graph_epochs=0, seed=self._seed)
        traffic = seen.offered.astype(np.float32)
        try:
            form = ForecasterConfig(window=self.config.window, horizons=HORIZONS, trees=0)
            made = fit_forecaster(traffic, form, fitting)
        except ValueError:
            self.refused["too short"] += 1
            return
        last = np.arange(max(fitting.split(len(traffic))[1], self.config.window - 1), len(traffic) - 1)
        actual = seen.offered[last + 1].sum(axis=1)
        affine = AffineForecast.of(made)
        windows = np.stack([seen.offered[k + 1 - affine.steps : k + 1] for k in last])
        guesses = affine.predict(windows)[:, 0], seen.smooth[last], seen.offered[last]
        mine, smooth, present = (one.sum(axis=1) - actual for one in guesses)
        squared = [float(np.mean(error**2)) for error in (mine, smooth, present)]
        self.gain = math.sqrt(squared[0] / max(squared[1], 1e-9))
        if not squared[0] < min(squared[1:]):
            self._fitted = None
            self.refused["no better"] += 1
        elif seen.devices == self._devices:  # they may have changed while it was fitted
            self._errors = float(np.abs(mine).mean()), float(np.abs(smooth).mean())
            self._fitted = affine
        else:
            self.refused["other devices"] += 1


def foretell(forecasters: Iterable[LiveForecaster], joint: JointForecasts) -> None:
    """Makes the forecasts that are due, all together."""
    asked = [(one, due) for one in forecasters if (due := one.due) is not None]
    for (one, _), told in zip(asked, joint.of([due for _, due in asked]), strict=True):
        one.hear(told)


def longest_ready(forecasters: Iterable[LiveForecaster], count: int) -> list[LiveForecaster]:
    """Those that are ready to be fitted, who waited longest first, ``count`` at most: so all have their turn."""
    return sorted((one for one in forecasters if one.ready), key=lambda one: -one.since)[:count]


def fit_ready(forecasters: Iterable[LiveForecaster], fits: int) -> int:
    """Fits those that are ready here and now, ``fits`` of them at most; returns how many were fitted."""
    chosen = longest_ready(forecasters, fits)
    for forecaster in chosen:
        forecaster.fit(forecaster.observed())
    return len(chosen)
