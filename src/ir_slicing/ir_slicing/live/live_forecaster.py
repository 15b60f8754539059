# SPDX-License-Identifier: Apache-2.0
"""The slice forecaster on live traffic: it learns the slice's devices beside the agent, and is used as long as it is
better than the assumption that nothing changes.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.forecaster.fitting import FitConfig, Forecaster
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster

Floats = NDArray[np.float64]

_NO_DAY = 1_000_000
"""Steps of a day: live reports are too short for one, so that the phase says nothing."""


class LiveForecasterConfig(Config):
    """How the forecaster of a live slice learns."""

    window: int = Field(12, ge=4, le=1000, description="report periods that it looks back")
    history: int = Field(600, ge=50, le=100_000, description="report periods that it learns from")
    duty: float = Field(0.05, gt=0, le=1, description="share of one core that learning may take")
    epochs: int = Field(8, ge=1, le=1000, description="passes over the history each time")


class LiveForecaster:
    """Forecasts the devices' traffic one report period ahead.

    It collects, forecasts, and is fitted when it is told to: by `BackgroundFitting` beside a live radio, or by whoever
    owns the time.

    Args:
        config: validated.
        seed: of weights and order.
        train: False: it only collects, and has no forecast.

    Attributes:
        gain: RMSE of the last trained network over that of persistence, on the fifth of the history that it did not
            see; NaN before there is one.
        refused: reason -> number of fits that came to nothing.
    """

    def __init__(self, config: LiveForecasterConfig, seed: int, train: bool = True) -> None:
        self.config, self._seed, self._train = config, seed, train
        self._devices: tuple[str, ...] = ()
        self._history: deque[Floats] = deque(maxlen=config.history)
        self._forecaster: Forecaster | None = None
        self.gain = float("nan")
        self.refused: Counter[str] = Counter()

    def push(self, devices: tuple[str, ...], offered: Floats) -> None:
        """Takes [device] bit/s of a period; with other devices the history begins anew."""
        if devices != self._devices:
            self._devices = devices
            self._history.clear()
        self._history.append(offered)

    @property
    def ready(self) -> bool:
        """Whether it may be fitted, and has seen enough for that."""
        enough = len(self._history) >= max(self.config.history // 3, 4 * self.config.window)
        return self._train and bool(self._devices) and enough

    def history(self) -> Floats:
        """[step, device] float64, bit/s: what it would be fitted to now."""
        return np.stack(self._history)

    def forecast(self) -> Floats | None:
        """[device] float64, bit/s in the next period; none while it knows no better than the present.

        A network of other devices than there are now gives a forecast of its own width, which the caller must refuse.
        """
        forecaster = self._forecaster
        if forecaster is None or len(self._history) < self.config.window:
            return None
        width = len(forecaster.scale.mean)
        recent = np.stack(list(self._history)[-self.config.window :]).astype(np.float32)
        if recent.shape[1] != width:
            return np.zeros(width)
        return forecaster.predict(recent, np.array([self.config.window - 1]))[0, 0].astype(np.float64)

    def fit(self, traffic: Floats) -> None:
        """Trains a network on [step, device] bit/s; it is used if it beats persistence on the last fifth."""
        fitting = FitConfig(day=_NO_DAY, epochs=self.config.epochs, seed=self._seed)
        try:
            form = ForecasterConfig(window=self.config.window, horizons=(1,))
            made = fit_forecaster(traffic.astype(np.float32), form, fitting)
        except ValueError:
            self.refused["too short"] += 1
            return
        last = np.arange(max(fitting.split(len(traffic))[1], self.config.window - 1), len(traffic) - 1)
        actual = traffic[last + 1].sum(axis=1)
        error = made.predict(traffic.astype(np.float32), last)[:, 0].sum(axis=1) - actual
        naive = traffic[last].sum(axis=1) - actual
        self.gain = float(np.sqrt(np.mean(error**2)) / max(np.sqrt(np.mean(naive**2)), 1e-9))
        if np.isfinite(self.gain) and self.gain < 1.0:
            self._forecaster = made
        else:
            self._forecaster = None
            self.refused["no better"] += 1
