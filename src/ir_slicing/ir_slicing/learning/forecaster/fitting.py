# SPDX-License-Identifier: Apache-2.0
"""Training of forecasters on the traffic of one slice: split, loss (13), gradient descent, early stopping."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from ir_common.config import Config
from ir_slicing.learning.forecaster.quantiles import LEVELS, Spread
from ir_slicing.learning.forecaster.seasonal_adjustment import SeasonalAdjustment
from ir_slicing.learning.forecaster.traffic_windows import Floats, Scale, Windows

EMBEDDINGS = ("place", "graph.embedding")
"""Parameters of a network that belong to single devices."""


class FitConfig(Config):
    """How a forecaster is trained."""

    day: int = Field(96, ge=2, description="steps of a day: the phase is an input")
    train: float = Field(0.7, gt=0, lt=1, description="share of the steps to train on; they come first")
    validate_: float = Field(0.1, gt=0, lt=1, alias="validate", description="share of the steps after them, to stop by")
    epochs: int = Field(15, ge=1, description="at most; a forecaster of several parts needs no more than five")
    patience: int = Field(6, ge=1, description="epochs without a better validation loss before it stops")
    batch: int = Field(32, ge=1, description="windows")
    rate: float = Field(5e-3, gt=0, description="peak learning rate (one cycle); the paper's 0.1 does not train")
    embedding_rate: float = Field(
        10.0, gt=0, description="learning rate of the devices' embeddings, relative to `rate`"
    )
    decay: float = Field(1e-4, ge=0, description="weight decay")
    device_weight: float = Field(0.5, ge=0, description="weight of the loss of single devices beside the slice's (13)")
    graph_epochs: int = Field(4, ge=0, description="at most, of the attention over what that and the lag graph left")
    seed: int = Field(0, ge=0, description="of weights and order")

    @model_validator(mode="after")
    def _fits(self) -> FitConfig:
        if self.train + self.validate_ >= 1.0:
            raise ValueError(f"train {self.train:g} and validate {self.validate_:g} leave nothing to test on")
        return self

    def split(self, steps: int) -> tuple[int, int]:
        """Where training ends and where the test begins."""
        return int(steps * self.train), int(steps * (self.train + self.validate_))


@dataclass
class Forecaster:
    """A trained network with the scale of its slice.

    Attributes:
        network: [batch, Z, T, N] -> [batch, horizon, N].
        history: validation loss after each epoch.
        adjustment: level and day that are divided out; none in networks that are trained all at once.
        day_before: whether its windows show the day before.
        slice_spread: how far what came was from the forecasts of the slice's sum.
        device_spread: likewise of each device, in its mean traffic.
    """

    network: nn.Module
    scale: Scale
    window: int
    horizons: tuple[int, ...]
    day: int
    history: list[float]
    adjustment: SeasonalAdjustment | None = None
    day_before: bool = False
    slice_spread: Spread | None = None
    device_spread: Spread | None = None
    means: Floats | None = None

    def windows(self, traffic: Floats, start: int = 0) -> Windows:
        """Windows of [step, device] bit/s that begins ``start`` steps into a day."""
        return Windows(
            traffic, self.scale, self.window, self.horizons, self.day, self.adjustment, start, self.day_before
        )

    def quantiles(
        self, traffic: Floats, last: NDArray[np.integer], levels: Sequence[float] = LEVELS, start: int = 0
    ) -> NDArray[np.float64]:
        """Quantiles of the slice's sum, from forecasts made at the steps ``last`` [k]: [k, horizon, level], bit/s.

        Raises:
            ValueError: as `predict`; a level that is not between 0 and 1.
        """
        forecast = self.predict(traffic, last, start=start).sum(axis=-1)
        return cast(Spread, self.slice_spread).at(forecast, levels)

    def device_quantiles(
        self, traffic: Floats, last: NDArray[np.integer], levels: Sequence[float] = LEVELS, start: int = 0
    ) -> NDArray[np.float64]:
        """Quantiles of each device: [k, horizon, level, device], bit/s. Those of a sum are not their sum.

        Raises:
            ValueError: as `quantiles`.
        """
        means = cast(Floats, self.means)
        return cast(Spread, self.device_spread).at(self.predict(traffic, last, start=start) / means, levels) * means

    def calibrate(self, forecast: Floats, actual: Floats, mean: Floats) -> Forecaster:
        """With spreads from forecasts [n, horizon, device] bit/s of steps that they were made without."""
        self.means = np.maximum(mean, 1e-9).astype(np.float32)
        self.slice_spread = Spread.of(forecast.sum(axis=-1), actual.sum(axis=-1))
        self.device_spread = Spread.of(forecast / self.means, actual / self.means)
        return self

    def predict(self, traffic: Floats, last: NDArray[np.integer], batch: int = 256, start: int = 0) -> Floats:
        """Forecasts made at the steps ``last`` [k]: [k, horizon, device] float32, bit/s, not negative.

        With level and day divided out, the level is that of the day before ``last``, or of what is given of it.

        Args:
            start: steps into a day at which the traffic begins.

        Raises:
            ValueError: traffic of another number of devices, or a step with less than a window before it.
        """
        if traffic.ndim != 2 or traffic.shape[1] != len(self.scale.mean):
            raise ValueError(f"traffic has the shape {traffic.shape}; [step, {len(self.scale.mean)}] is needed")
        if len(last) and (np.min(last) < self.window - 1 or np.max(last) >= len(traffic)):
            raise ValueError(f"forecasts need {self.window} steps of {len(traffic)} before them, asked: {np.min(last)}")
        windows = self.windows(traffic, start)
        self.network.eval()
        with torch.no_grad():
            groups = [last[i : i + batch] for i in range(0, len(last), batch)]
            return np.concatenate([windows.traffic(self.network(windows.inputs(one)), one).numpy() for one in groups])


def slice_loss(predicted: Tensor, actual: Tensor, deviation: Tensor, device_weight: float) -> Tensor:
    """Loss (13), the mean of |d_m - d^_m| over the slice's sums, in units of a device's deviation times sqrt(N), plus
    ``device_weight`` times the same over single devices.

    The paper calls (13) a cross entropy; it is this L1.

    Args:
        predicted: [batch, horizon, device], normalised.
        actual: likewise.
        deviation: [..., device], which undoes the normalisation.
    """
    error = predicted - actual
    total = ((error * deviation).sum(dim=-1).abs() / deviation.square().sum(dim=-1).sqrt()).mean()
    return total + device_weight * error.abs().mean()


def fit(network: nn.Module, traffic: Floats, window: int, horizons: tuple[int, ...], config: FitConfig) -> Forecaster:
    """Trains any network of this form with Adam and keeps its best validation state.

    Args:
        network: [batch, Z, T, N] -> [batch, horizon, N].
        traffic: [step, device] float, bit/s; only its first `train` + `validate` share is looked at.

    Raises:
        ValueError: too few steps for a window.
    """
    places, held = split_places(len(traffic), window, horizons, config)
    scale = Scale.of(traffic[: config.split(len(traffic))[0]])
    windows = Windows(traffic, scale, window, horizons, config.day)
    deviation = torch.from_numpy(scale.deviation)

    def loss(last: NDArray[np.integer]) -> Tensor:
        return slice_loss(network(windows.inputs(last)), windows.targets(last), deviation, config.device_weight)

    history = descend(network, loss, places, held, config.epochs, config)
    made = Forecaster(network, scale, window, horizons, config.day, history)
    actual = traffic[held[:, None] + np.array(horizons)]
    return made.calibrate(made.predict(traffic, held), actual, traffic[places].mean(axis=0))


def split_places(
    steps: int, window: int, horizons: tuple[int, ...], config: FitConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Last steps of the windows to train on and of those to validate on.

    Raises:
        ValueError: too few steps for a window.
    """
    end, test = config.split(steps)
    ahead = max(horizons)
    if end - ahead - window < 1 or test - end <= ahead:
        raise ValueError(f"{steps} steps are too few for windows of {window} and horizons to {ahead}")
    return np.arange(window - 1, end - ahead), np.arange(end, test - ahead)


def descend(
    network: nn.Module, loss: Callable[[NDArray[np.integer]], Tensor], places: NDArray[np.integer],
    held: NDArray[np.integer], epochs: int, config: FitConfig,
) -> list[float]:  # fmt: skip
    """Adam on a loss of windows; the network is left in its state of least loss on the windows ``held``.

    Returns:
        that loss after each epoch.
    """
    rng = np.random.default_rng(config.seed)
    optimiser = torch.optim.AdamW(_groups(network, config), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [g["lr"] for g in optimiser.param_groups],
        total_steps=epochs * -(-len(places) // config.batch),
        pct_start=0.15,
    )

    def epoch() -> float:
        network.train()
        order = rng.permutation(places)
        for i in range(0, len(order), config.batch):
            optimiser.zero_grad()
            loss(order[i : i + config.batch]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            return float(loss(held))

    return _until_no_better(network, epoch, epochs, config.patience)


def _groups(network: nn.Module, config: FitConfig) -> list[dict[str, Any]]:
    """The devices' embeddings, of which each window moves only little, learn faster than what all devices share."""
    learnt = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    fast = [p for name, p in learnt if name in EMBEDDINGS]
    groups: list[dict[str, Any]] = [{"params": [p for name, p in learnt if name not in EMBEDDINGS], "lr": config.rate}]
    return [*groups, {"params": fast, "lr": config.rate * config.embedding_rate}] if fast else groups


def _until_no_better(network: nn.Module, epoch: Callable[[], float], epochs: int, patience: int) -> list[float]:
    """Runs epochs until none was better for ``patience`` of them; the network is left in its best state."""
    history: list[float] = []
    best = copy.deepcopy(network.state_dict())
    for _ in range(epochs):
        history.append(epoch())
        if history[-1] <= min(history):
            best = copy.deepcopy(network.state_dict())
        elif len(history) - 1 - int(np.argmin(history)) >= patience:
            break
    network.load_state_dict(best)
    return history
