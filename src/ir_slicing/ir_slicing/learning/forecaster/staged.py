# SPDX-License-Identifier: Apache-2.0
"""Training of the slice forecaster part by part, where steps that were held out decide how much of each part is used.

    1. own: the feature CNN and its head, by gradients, stopped by the validation steps;
    2. seasonal: least squares; blend of 1 and 2 by the validation steps;
    3. lags: ridge over what is left, strength (or none) by cross-validation;
    4. attention: by gradients over what 3 leaves of rows that it was not fitted on; gate by the validation steps.

A part that finds nothing in what the ones before it left stays at zero, so that a slice whose devices have nothing in
common gets the forecast of single devices.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ir_slicing.learning.forecaster.fitting import FitConfig, Forecaster, descend, fit, slice_loss, split_places
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig, SliceForecaster
from ir_slicing.learning.forecaster.linear import design, lag_weights, seasonal_weights
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS, Floats, Scale, Windows

MIXED = 0.5
"""The blend that is expected before the validation steps are looked at; it counts as much as they do."""

GATED = 0.99
"""The attention is let in where it leaves less than this part of the squared error on the validation steps."""


def fit_forecaster(traffic: Floats, form: ForecasterConfig, config: FitConfig) -> Forecaster:
    """Trains a slice forecaster on [step, device] float32, bit/s; same seed, same weights.

    With the linear parts it goes part by part (`fit_parts`), otherwise all at once (`fitting.fit`).

    Raises:
        ValueError: too few steps for a window.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = SliceForecaster(form, traffic.shape[1], CHANNELS)
        if form.linear and form.head == "linear":
            return fit_parts(network, traffic, config)
        return fit(network, traffic, form.window, form.horizons, config)


def fit_parts(network: SliceForecaster, traffic: Floats, config: FitConfig) -> Forecaster:
    """Trains a fresh slice forecaster; only the first `train` + `validate` share of the traffic is looked at.

    Raises:
        ValueError: too few steps for a window.
    """
    form = network.config
    places, held = split_places(len(traffic), form.window, form.horizons, config)
    scale = Scale.of(traffic[: config.split(len(traffic))[0]])
    windows = Windows(traffic, scale, form.window, form.horizons, config.day)
    deviation = torch.from_numpy(scale.deviation)

    def own(last: NDArray[np.integer]) -> Tensor:
        inputs = windows.inputs(last)
        return network.alone(inputs, network.features(inputs)).transpose(1, 2)

    def loss(last: NDArray[np.integer]) -> Tensor:
        return slice_loss(own(last), windows.targets(last), deviation, config.device_weight)

    history = descend(network, loss, places, held, config.epochs, config)
    every = np.arange(places[0], held[-1] + 1)
    with torch.no_grad():
        single = _blend(network, windows, scale, _by_parts(own, every), every, held)
        left = windows.targets(every) - single
        if form.graph == "none":
            return Forecaster(network, scale, form.window, form.horizons, config.day, history)
        left = _lags(network, windows, scale, left, every)
    _attention(network, windows, deviation, left, (places, held), config)
    return Forecaster(network, scale, form.window, form.horizons, config.day, history)


def _by_parts(part, last: NDArray[np.integer], size: int = 256) -> Tensor:  # type: ignore[no-untyped-def]
    """A part's forecasts for many windows: [k, horizon, N]."""
    return torch.cat([part(last[i : i + size]) for i in range(0, len(last), size)])


def _blend(
    network: SliceForecaster, windows: Windows, scale: Scale, own: Tensor, every: NDArray[np.integer],
    held: NDArray[np.integer],
) -> Tensor:  # fmt: skip
    """Fits the seasonal head, sets the blend, and returns the blended forecasts of all windows."""
    order, targets = network.config.order, windows.targets(every)
    inputs = windows.inputs(every)
    rows = design(inputs, network.config.window - 1, order).double().numpy()
    weight = seasonal_weights(rows, targets.transpose(1, 2).double().numpy())
    network.seasonal.weight.copy_(torch.from_numpy(weight))
    seasonal = network.seasonal(inputs).transpose(1, 2)
    first = held[0] - every[0]
    apart = ((own - seasonal) @ torch.from_numpy(scale.deviation))[first:]
    error = ((targets - seasonal) @ torch.from_numpy(scale.deviation))[first:]
    best = (apart * error).mean(0) / apart.square().mean(0).clamp_min(1e-12)
    network.blend.copy_((0.5 * (best + MIXED)).clamp(0.0, 1.0))
    return network.blend[:, None] * own + (1.0 - network.blend[:, None]) * seasonal


def _lags(
    network: SliceForecaster, windows: Windows, scale: Scale, left: Tensor, every: NDArray[np.integer]
) -> Tensor:  # fmt: skip
    """Fits the lag graph to what is left [k, horizon, N]; returns what it leaves of rows it was not fitted on."""
    graph, form = network.lags, network.config
    steps = np.arange(every[0], every[-1] + 1)
    rows = design(windows.inputs(steps), form.window - 2, form.order).double().numpy()
    now = windows.channels[0, torch.from_numpy(steps)].double().numpy()
    graph.alone.copy_(torch.from_numpy(seasonal_weights(rows, now[..., None])))
    features = _by_parts(lambda last: graph.innovations(windows.inputs(last)), every).double().numpy()
    gap = form.window + max(form.horizons)
    found = lag_weights(features, left.double().numpy(), scale.deviation.astype(np.float64), gap)
    graph.weight.copy_(torch.from_numpy(found.weight))
    graph.bias.copy_(torch.from_numpy(found.bias))
    return left - torch.from_numpy(found.held_out.astype(np.float32))


def _attention(
    network: SliceForecaster, windows: Windows, deviation: Tensor, left: Tensor,
    split: tuple[NDArray[np.integer], NDArray[np.integer]], config: FitConfig,
) -> None:  # fmt: skip
    """Trains the attention on what is left, with the features as they are, and sets its gate."""
    places, held = split
    network.gate.zero_()
    if not config.graph_epochs:
        return
    for parameter in (*network.features.parameters(), *network.own.parameters(), *network.linear.parameters()):
        parameter.requires_grad_(False)

    def attention(last: NDArray[np.integer]) -> Tensor:
        inputs = windows.inputs(last)
        return network.attention(inputs, network.features(inputs)).transpose(1, 2)

    def loss(last: NDArray[np.integer]) -> Tensor:
        return slice_loss(attention(last), left[last - places[0]], deviation, config.device_weight)

    descend(network, loss, places, held, config.graph_epochs, config)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    with torch.no_grad():
        network.eval()
        added, error = _by_parts(attention, held) @ deviation, left[held - places[0]] @ deviation
        best = ((added * error).mean(0) / added.square().mean(0).clamp_min(1e-12)).clamp(0.0, 1.0)
        gain = (error - best * added).square().mean(0) / error.square().mean(0).clamp_min(1e-12)
        network.gate.copy_(torch.where(gain < GATED, best, 0.0))
