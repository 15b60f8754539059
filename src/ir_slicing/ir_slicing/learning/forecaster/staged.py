# SPDX-License-Identifier: Apache-2.0
"""Training of the slice forecaster part by part, where steps that were held out decide how much of each part is used.

    0. level and day: which of them are divided out, by cross-validation of 1;
    1. shared and seasonal: ridge and least squares; their mix by cross-validation;
    2. lags: ridge over what is left, strength and rank (or none) by cross-validation;
    3. own: the feature CNN and its head, by gradients; its blend with 1 by the validation steps, which stop it, too;
    4. attention: by gradients over what that leaves of rows that it was not fitted on; gate by the validation steps;
    5. trees: boosted, on the traffic as it is; their share of the forecast by rows that neither was fitted on;
    6. quantiles: from what all of that leaves of such rows.

A part that finds nothing in what the ones before it left stays at zero, so that a slice whose devices have nothing in
common gets the forecast of single devices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ir_slicing.learning.forecaster.boosted_trees import (
    BlendedForecaster,
    LagRegressors,
    TreeForecaster,
    blended,
    held_out,
)
from ir_slicing.learning.forecaster.fitting import FitConfig, Forecaster, descend, fit, slice_loss, split_places
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig, SliceForecaster
from ir_slicing.learning.forecaster.linear import BATCHES, design, lag_weights, proven, seasonal_weights, time_folds
from ir_slicing.learning.forecaster.seasonal_adjustment import AdjustmentForm, SeasonalAdjustment
from ir_slicing.learning.forecaster.shared_head import SharedFit, SharedHead, shared_weights
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS, Floats, Scale, Windows

TRUST = 0.5
"""Part of the blend that is best on the validation steps which is used: they are few, and stopped the CNN."""

DAYS = 3
"""Days to train on from which level and day may be divided out."""

LONG = 10
"""Days to train on below which the level always trails: fewer may not hold a weekend's beginning and end, and whether
the level changes, only what holds its changes can tell."""

SIMPLER = 0.99
"""A form that divides out more has to leave less than this part of the error of a simpler one."""


def fit_forecaster(traffic: Floats, form: ForecasterConfig, config: FitConfig) -> Forecaster:
    """Trains a slice forecaster on [step, device] float32, bit/s, from the first step of a day on.

    With the linear parts it goes part by part (`fit_parts`), otherwise all at once (`fitting.fit`).
    Same seed, same weights.

    Raises:
        ValueError: too few steps for a window.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        if form.linear and form.head == "linear":
            return fit_parts(traffic, form, config)
        network = SliceForecaster(form, traffic.shape[1], CHANNELS)
        return fit(network, traffic, form.window, form.horizons, config)


def fit_parts(traffic: Floats, form: ForecasterConfig, config: FitConfig) -> Forecaster:
    """Trains part by part; only the first `train` + `validate` share of the traffic is looked at.

    Raises:
        ValueError: too few steps for a window.
    """
    work = _adjusted(traffic, form, config)
    network, windows = work.network, work.windows
    history = _own(work)
    every, held = work.every, work.held
    with torch.no_grad():
        closed, left = _linear(work)
        left = _blend(work, _by_parts(lambda last: _alone(network, windows, last), every), closed, left)
    if form.graph != "none":
        left = _attention(work, left)
    made = BlendedForecaster(
        network, work.scale, form.window, form.horizons, config.day, history, windows.adjustment, work.day_before
    )
    rows = every if float(network.blend.max()) < TRUST / 2 else held
    said = windows.traffic(windows.targets(every) - left, every).numpy()[rows - every[0]]
    actual = traffic[rows[:, None] + np.array(form.horizons)]
    if form.trees and len(rows) >= BATCHES * work.gap:  # with less nothing is proven
        said = _trees(work, made, traffic, rows, said, actual)
    return made.calibrate(said, actual, traffic[: work.places[-1]].mean(axis=0))


def parts(forecaster: Forecaster) -> dict[str, str | list[float]]:
    """How much of each part `fit_parts` let in, by horizon: the gate of the attention among them."""
    network, adjustment = cast(SliceForecaster, forecaster.network), cast(SeasonalAdjustment, forecaster.adjustment)
    return {
        "divided out": adjustment.form,
        "shared": network.pooled.tolist(),
        "own (CNN)": network.blend.tolist(),
        "lags": (network.lags.weight != 0.0).any(dim=1).any(dim=1).float().tolist(),
        "attention, gate": network.gate.tolist(),
        "trees": list(cast(BlendedForecaster, forecaster).share) or [0.0] * len(network.gate),
    }


@dataclass
class _Work:
    """A forecaster in the making.

    Attributes:
        places: steps to train on.
        held: steps to validate on.
        shared: what the shared head says of each step of both, [k, horizon, N]: fitted without it, and with it.
        seasonal: likewise of the seasonal head.
        mix: [horizon]: how much of the first is best.
    """

    network: SliceForecaster
    windows: Windows
    scale: Scale
    config: FitConfig
    places: NDArray[np.int64]
    held: NDArray[np.int64]
    day_before: bool
    shared: tuple[Tensor, Tensor] = ()  # type: ignore[assignment]
    seasonal: tuple[Tensor, Tensor] = ()  # type: ignore[assignment]
    mix: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def every(self) -> NDArray[np.int64]:
        return np.arange(self.places[0], self.held[-1] + 1)

    @property
    def gap(self) -> int:
        return int(self.network.config.window + max(self.network.config.horizons))

    @property
    def deviation(self) -> NDArray[np.float64]:
        """[N] bit/s: what 1 means of each device, on average."""
        return self.windows.unit(self.every).double().mean(dim=(0, 1)).numpy()


def _adjusted(traffic: Floats, form: ForecasterConfig, config: FitConfig) -> _Work:
    """Chooses what is divided out, and fits the shared head on the way."""
    places, held = split_places(len(traffic), form.window, form.horizons, config)
    end = config.split(len(traffic))[0]
    days = form.adjust and end >= DAYS * config.day and form.horizons[-1] < form.window
    day_before = days and config.day > form.horizons[-1]
    if day_before:
        places = places[places >= config.day]
    network = SliceForecaster(form, traffic.shape[1], CHANNELS, day_before)
    forms: tuple[AdjustmentForm, ...] = ("level", "level and day") if days else ("none",)
    if days and end >= LONG * config.day:
        forms = "none", "day", *forms
    best: tuple[_Work, SharedFit, Tensor] | None = None
    for one in forms:
        adjustment = SeasonalAdjustment.of(one, traffic[:end], config.day)
        scale = Scale.adjusted(traffic[:end], adjustment)
        windows = Windows(
            traffic[: held[-1] + 1 + max(form.horizons)], scale, form.window, form.horizons, config.day, adjustment,
            day_before=day_before,
        )  # fmt: skip
        work = _Work(network, windows, scale, config, places, held, day_before)
        found, share = _shared(work)
        if best is None or np.mean(np.log(found.error / best[1].error)) < np.log(SIMPLER):
            best = work, found, share
    assert best is not None
    work, found, share = best
    network.shared.share.copy_(share)
    network.shared.weight.copy_(torch.from_numpy(found.weight))
    _mix(work, found)
    return work


def _shared(work: _Work) -> tuple[SharedFit, Tensor]:
    """The shared head of one adjustment, and the devices' shares of the slice [N]."""
    config, windows, every = work.network.config, work.windows, work.every
    unit = windows.unit(every)
    share = unit.mean(dim=(0, 1))
    share = share / share.square().sum().sqrt()
    head = SharedHead(len(share), config.horizons, config.order, work.day_before)
    head.share.copy_(share)
    rows = head.design(windows.inputs(every)).double().numpy()
    targets = windows.targets(every).double().numpy()
    return shared_weights(rows, targets, unit.double().numpy(), head.groups(), work.gap), share


def _mix(work: _Work, found: SharedFit) -> None:
    """Fits the seasonal head, and finds the mix of the two that is best on rows that neither was fitted on."""
    network, windows, every = work.network, work.windows, work.every
    rows = design(windows.inputs(every), network.config.window - 1, network.config.order).double().numpy()
    targets = windows.targets(every).double().numpy()
    weight = seasonal_weights(rows, targets.transpose(0, 2, 1))
    network.seasonal.weight.copy_(torch.from_numpy(weight))
    said = np.zeros(targets.shape)
    for train, block in time_folds(len(every), work.gap):
        without = seasonal_weights(rows[train], targets[train].transpose(0, 2, 1))
        said[block] = np.einsum("bnk,nkh->bhn", rows[block], without)
    unit = windows.unit(every).double().numpy()
    apart, error = ((found.held_out - said) * unit).sum(-1), ((targets - said) * unit).sum(-1)
    best = (apart * error).mean(axis=0) / np.maximum((apart * apart).mean(axis=0), 1e-12)
    work.mix = torch.from_numpy(np.clip(best, 0.0, 1.0).astype(np.float32))
    shared = _by_parts(lambda last: network.shared(windows.inputs(last)).transpose(1, 2), every)
    work.shared = torch.from_numpy(found.held_out.astype(np.float32)), shared
    fitted = np.einsum("bnk,nkh->bhn", rows, weight)
    work.seasonal = torch.from_numpy(said.astype(np.float32)), torch.from_numpy(fitted.astype(np.float32))


def _alone(network: SliceForecaster, windows: Windows, last: NDArray[np.integer]) -> Tensor:
    """The CNN's forecasts [batch, horizon, N]."""
    inputs = windows.inputs(last)
    return network.alone(inputs, network.features(inputs)).transpose(1, 2)


def _own(work: _Work) -> list[float]:
    """Trains the CNN and its head; returns the validation loss after each epoch."""
    network, windows = work.network, work.windows

    def loss(last: NDArray[np.integer]) -> Tensor:
        said = _alone(network, windows, last)
        return slice_loss(said, windows.targets(last), windows.unit(last), work.config.device_weight)

    return descend(network, loss, work.places, work.held, work.config.epochs, work.config)


def _by_parts(part, last: NDArray[np.integer], size: int = 256) -> Tensor:  # type: ignore[no-untyped-def]
    """A part's forecasts for many windows: [k, horizon, N]."""
    return torch.cat([part(last[i : i + size]) for i in range(0, len(last), size)])


def _linear(work: _Work) -> tuple[Tensor, Tensor]:
    """Sets the regressions' mix and the lag graph, horizon by horizon.

    The shared head foretells more than the seasonal one alone, but what it takes from the slice's sum the lag graph may
    tell better device by device: so the graph is fitted to what either leaves, and held-out rows choose.

    Returns:
        of every step [k, horizon, N]: what the regressions say, and what they and the graph leave where they were
        fitted without it.
    """
    network, windows, every = work.network, work.windows, work.every
    unit, targets = windows.unit(every), windows.targets(every)
    features = None if network.config.graph == "none" else _innovations(work)
    least = torch.full((len(network.config.horizons),), torch.inf)
    said, rest = torch.zeros_like(targets), torch.zeros_like(targets)
    for pooled in (work.mix, torch.zeros_like(work.mix)):
        part = pooled[:, None]
        held_out, fitted = (part * a + (1.0 - part) * b for a, b in zip(work.shared, work.seasonal, strict=True))
        left = targets - held_out
        if features is not None:
            found = lag_weights(features, (targets - fitted).double().numpy(), work.deviation, work.gap)
            left = left - torch.from_numpy(found.held_out.astype(np.float32))
        error = (left * unit).sum(-1).square().mean(0)
        better = error < least
        said[:, better], rest[:, better] = fitted[:, better], left[:, better]
        network.pooled[better], least = pooled[better], torch.minimum(error, least)
        if features is not None:
            network.lags.weight[better] = torch.from_numpy(found.weight).float()[better]
            network.lags.bias[better] = torch.from_numpy(found.bias).float()[better]
    return said, rest


def _blend(work: _Work, own: Tensor, closed: Tensor, left: Tensor) -> Tensor:
    """Sets the blend: how much of what the CNN says otherwise than the regressions is in what they and the graph leave.

    Args:
        own: the CNN's forecasts of every step [k, horizon, N].
        closed: the regressions'.
        left: what they and the graph leave.

    Returns:
        what is left then.
    """
    first = work.held[0] - work.every[0]
    unit = work.windows.unit(work.held)
    apart, error = (((one * unit).sum(-1)) for one in ((own - closed)[first:], left[first:]))
    best = ((apart * error).mean(0) / apart.square().mean(0).clamp_min(1e-12)).clamp(0.0, 1.0)
    work.network.blend.copy_(TRUST * _earned(error, best * apart, work) * best)
    return left - work.network.blend[:, None] * (own - closed)


def _earned(error: Tensor, added: Tensor, work: _Work) -> Tensor:
    """[horizon] of 0 and 1: where adding ``added`` to what left ``error`` on the validation steps was no chance."""
    pairs = zip(error.double().T.numpy(), (error - added).double().T.numpy(), work.network.config.horizons, strict=True)
    return torch.tensor([float(proven(before, after, h)) for before, after, h in pairs])


def _innovations(work: _Work) -> NDArray[np.float64]:
    """Fits what the lag graph calls expected; returns the innovations of every step [k, lag * N]."""
    graph, form, windows, every = work.network.lags, work.network.config, work.windows, work.every
    inputs = windows.inputs(every)
    rows = design(inputs, form.window - 2, form.order).double().numpy()
    now = inputs[:, 0, -1].double().numpy()
    graph.alone.copy_(torch.from_numpy(seasonal_weights(rows, now[..., None])))
    return _by_parts(lambda last: graph.innovations(windows.inputs(last)), every).double().numpy()


def _attention(work: _Work, left: Tensor) -> Tensor:
    """Trains the attention on what is left, on features as they are, and sets its gate; returns what it leaves."""
    network, windows, config, places, held = work.network, work.windows, work.config, work.places, work.held
    network.gate.zero_()
    if not config.graph_epochs:
        return left
    for parameter in (*network.features.parameters(), *network.own.parameters(), *network.linear.parameters()):
        parameter.requires_grad_(False)

    def attention(last: NDArray[np.integer]) -> Tensor:
        inputs = windows.inputs(last)
        return network.attention(inputs, network.features(inputs)).transpose(1, 2)

    def loss(last: NDArray[np.integer]) -> Tensor:
        return slice_loss(attention(last), left[last - places[0]], windows.unit(last), config.device_weight)

    descend(network, loss, places, held, config.graph_epochs, config)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    with torch.no_grad():
        network.eval()
        said, unit, first = _by_parts(attention, work.every), windows.unit(held), held[0] - places[0]
        added, error = (said[first:] * unit).sum(-1), (left[first:] * unit).sum(-1)
        best = ((added * error).mean(0) / added.square().mean(0).clamp_min(1e-12)).clamp(0.0, 1.0)
        network.gate.copy_(_earned(error, best * added, work) * best)
        return left - network.gate[:, None] * said


def _trees(
    work: _Work, made: BlendedForecaster, traffic: Floats, rows: NDArray[np.int64], said: Floats, actual: Floats
) -> Floats:
    """Gives the forecaster trees where they earn a share; returns what it says then of the rows [k, horizon, N].

    Args:
        rows: steps that nothing in ``said`` was fitted on, of `_Work.every`.
        said: forecasts of the other parts, bit/s.
        actual: what came.
    """
    form, every = work.network.config, work.every
    mean = np.maximum(traffic[: every[-1] + 1].mean(axis=0, dtype=np.float64), 1e-9)
    regressors = LagRegressors(mean, form.window, work.config.day, work.day_before)
    fit = form.trees, work.config.seed
    by_trees = held_out(regressors, traffic, every, form.horizons, *fit, work.gap)[rows - every[0]]
    error, apart = (actual - said).sum(axis=-1, dtype=np.float64), (by_trees - said).sum(axis=-1)
    best = np.clip((apart * error).mean(axis=0) / np.maximum((apart * apart).mean(axis=0), 1e-12), 0.0, 1.0)
    earned = [proven(error[:, i], error[:, i] - best[i] * apart[:, i], work.gap) for i in range(len(form.horizons))]
    made.share = np.where(earned, best, 0.0).tolist()
    if any(made.share):
        made.trees = TreeForecaster.fit(regressors, traffic, every, form.horizons, *fit)
    return blended(said, by_trees, made.share)
