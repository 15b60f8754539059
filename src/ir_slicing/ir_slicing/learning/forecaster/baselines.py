# SPDX-License-Identifier: Apache-2.0
"""Baselines of the slice forecaster: seasonal naive, LSTM (torch), AutoARIMA (statsforecast, optional)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ir_slicing.learning.forecaster.fitting import FitConfig, Forecaster, fit
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS, Floats


def seasonal_naive(traffic: Floats, last: NDArray[np.integer], horizons: tuple[int, ...], day: int) -> Floats:
    """The same time of the day before: [k, horizon, device] for forecasts made at the steps ``last`` [k].

    Raises:
        ValueError: there is no day before.
    """
    when = np.asarray(last)[:, None] + np.array(horizons) - day * -(-max(horizons) // day)
    if len(when) and when.min() < 0:
        raise ValueError(f"there is no day of {day} steps before step {np.min(last)}")
    return traffic[when]


class LSTM(nn.Module):
    """Vanilla LSTM (MAFL section V-A) over the window, with a linear head.

    Args:
        form: "device": one network for all devices, one device at a time; "joint": all devices in one input vector.
        nodes: N.
        horizons: number of horizons.
        channels: Z.
        hidden: size of the state.
    """

    def __init__(
        self, form: Literal["device", "joint"], nodes: int, horizons: int, channels: int = CHANNELS, hidden: int = 32
    ) -> None:
        super().__init__()
        self.form, self.nodes, self.horizons = form, nodes, horizons
        width = 2 * nodes + channels - 2 if form == "joint" else channels
        self.cell = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, horizons * (nodes if form == "joint" else 1))

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, horizon, N]."""
        batch, _, steps, nodes = window.shape
        if self.form == "device":
            series = window.permute(0, 3, 2, 1).reshape(batch * nodes, steps, -1)
        else:
            series = torch.cat([window[:, 0], window[:, 1], window[:, 2:, :, 0].transpose(1, 2)], dim=-1)
        out = self.head(self.cell(series)[0][:, -1])
        if self.form == "device":
            return out.view(batch, nodes, self.horizons).transpose(1, 2)
        return out.view(batch, self.horizons, nodes)


def fit_lstm(
    traffic: Floats, form: Literal["device", "joint"], window: int, horizons: tuple[int, ...], config: FitConfig
) -> Forecaster:
    """Trains an LSTM on [step, device] float32, bit/s, with the windows, loss, optimiser and stopping of the others."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return fit(LSTM(form, traffic.shape[1], len(horizons)), traffic, window, horizons, config)


def auto_arima(series: Floats, last: NDArray[np.integer], horizons: tuple[int, ...], day: int, end: int) -> Floats:
    """AutoARIMA with the day as two harmonics beside it: order and coefficients from the first ``end`` steps, then
    filtered along the series without a new fit.

    Args:
        series: [step] float, of the whole slice; one model per device would take hours.
        last: [k], steps at which a forecast is made, rising, all from ``end`` - 1 on.
        horizons: steps ahead.
        day: steps of a day.
        end: steps to fit on.

    Returns:
        [k, horizon] float.

    Raises:
        ImportError: statsforecast is not installed.
    """
    from statsforecast.arima import auto_arima_f, forecast_arima, forward_arima

    values = np.asarray(series, np.float64)
    phase = 2.0 * np.pi * np.arange(len(values) + max(horizons)) / day
    clock = np.stack([f(k * phase) for k in (1, 2) for f in (np.sin, np.cos)], axis=1)
    model = auto_arima_f(values[:end], xreg=clock[:end], max_p=5, max_q=5, seasonal=False, approximation=True)
    out = np.empty((len(last), len(horizons)), np.float32)
    for row, step in enumerate(last):
        now = int(step) + 1
        known = forward_arima(model, values[:now], xreg=clock[:now])
        ahead = forecast_arima(known, h=max(horizons), xreg=clock[now : now + max(horizons)])["mean"]
        out[row] = np.asarray(ahead)[np.array(horizons) - 1]
    return out
