# SPDX-License-Identifier: Apache-2.0
"""Baselines of the slice forecaster: seasonal naive; LSTM and STID (torch); AutoARIMA, AutoETS, MSTL (statsforecast,
optional); LightGBM on lags (lightgbm, optional).
"""

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


def statistical(
    name: Literal["AutoETS", "MSTL"], series: Floats, last: NDArray[np.integer], horizons: tuple[int, ...], day: int,
    refits: int = 40,
) -> Floats:  # fmt: skip
    """AutoETS, or MSTL (the day by STL, the rest by AutoETS), with the day as its season.

    It is chosen and fitted anew at ``refits`` steps spread over ``last``, on all until then, and filtered in between.

    Args:
        series: [step] float, of the whole slice.
        last: [k], steps at which a forecast is made, rising.
        horizons: steps ahead.
        day: steps of a day; AutoETS leaves seasons longer than 24 out.

    Returns:
        [k, horizon] float.

    Raises:
        ImportError: statsforecast is not installed.
    """
    from statsforecast.models import MSTL, AutoETS

    values, ahead = np.asarray(series, np.float64), np.array(horizons) - 1
    every = max(len(last) // refits, 1)
    out, model = np.empty((len(last), len(horizons)), np.float32), None
    for row, step in enumerate(last):
        known = values[: int(step) + 1]
        if model is None or row % every == 0:
            ets = AutoETS(season_length=day if day <= 24 and name == "AutoETS" else 1)
            model = ets if name == "AutoETS" else MSTL(season_length=day, trend_forecaster=AutoETS(model="ZZN"))
            out[row] = model.fit(known).predict(h=max(horizons))["mean"][ahead]
        else:
            out[row] = model.forward(known, h=max(horizons))["mean"][ahead]
    return out


def lightgbm_lags(
    traffic: Floats, window: int, last: NDArray[np.integer], horizons: tuple[int, ...], day: int, end: int, seed: int
) -> Floats:
    """Gradient-boosted trees on lags, one model a horizon for all devices (as in the M5 competition).

    Regressors are the last ``window`` steps of the device and of the slice, the day before, the step of the day and the
    device; traffic is over each device's mean, which also weighs its errors.

    Args:
        traffic: [step, device] float.
        end: steps to train on.

    Returns:
        [k, horizon] float: the slice's sum.

    Raises:
        ImportError: lightgbm is not installed.
    """
    import lightgbm

    mean = np.maximum(traffic[:end].mean(axis=0), 1e-9)
    y, whole, devices = traffic / mean, traffic.sum(axis=1) / mean.sum(), traffic.shape[1]

    def regressors(steps: NDArray[np.integer], h: int) -> Floats:
        own = np.stack([y[steps - q] for q in range(window)] + [y[steps + h - day]], axis=-1)
        of_slice = np.stack([whole[steps - q] for q in range(window)] + [whole[steps + h - day]], axis=-1)
        same = np.stack([(steps + h) % day, *of_slice.T], axis=-1)[:, None].repeat(devices, axis=1)
        who = np.broadcast_to(np.arange(devices)[None, :, None], (len(steps), devices, 1))
        return np.concatenate([own, same, who], axis=-1).reshape(len(steps) * devices, -1)

    settings = {"learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 50, "verbose": -1, "num_threads": 1}
    out = np.empty((len(last), len(horizons)), np.float32)
    for i, h in enumerate(horizons):
        steps = np.arange(max(window - 1, day - h), end - h)
        weight = np.tile(mean / mean.mean(), len(steps))
        data = lightgbm.Dataset(regressors(steps, h), y[steps + h].reshape(-1), weight=weight)
        model = lightgbm.train({**settings, "seed": seed}, data, 200)
        said = np.asarray(model.predict(regressors(np.asarray(last), h))).reshape(len(last), devices)
        out[:, i] = (said * mean).sum(axis=1)
    return out


class STID(nn.Module):
    """Shao et al. (2022), "Spatial-Temporal Identity": an MLP on a device's window, its embedding and that of the hour.

    Args:
        nodes: N.
        window: T.
        horizons: number of horizons.
        day: steps of a day.
        width: of each embedding.
        layers: residual layers.
    """

    def __init__(self, nodes: int, window: int, horizons: int, day: int, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.day = day
        self.series = nn.Linear(2 * window, width)
        self.place = nn.Parameter(0.1 * torch.randn(nodes, width))
        self.hour = nn.Parameter(0.1 * torch.randn(day, width))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(3 * width, 3 * width), nn.ReLU(), nn.Dropout(0.15), nn.Linear(3 * width, 3 * width))
            for _ in range(layers)
        )
        self.head = nn.Linear(3 * width, horizons)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, horizon, N]."""
        own = self.series(window[:, :2].permute(0, 3, 1, 2).flatten(2))
        turn = torch.atan2(window[:, 2, -1], window[:, 3, -1]) / (2.0 * np.pi)
        hour = self.hour[(turn * self.day).round().long() % self.day]
        x = torch.cat([own, self.place.expand_as(own), hour], dim=-1)
        for layer in self.layers:
            x = x + layer(x)
        return torch.as_tensor(self.head(x).transpose(1, 2))


def fit_stid(traffic: Floats, window: int, horizons: tuple[int, ...], config: FitConfig) -> Forecaster:
    """Trains STID on [step, device] float32, bit/s, as `fit_lstm` does."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = STID(traffic.shape[1], window, len(horizons), config.day)
        return fit(network, traffic, window, horizons, config)
