# SPDX-License-Identifier: Apache-2.0
"""Generated traffic: a daily shape, work that moves past the devices, and bursts.

The devices of a slice stand at the stations of lines (production lines, aisles, a road). What drives their traffic, a
workpiece or a convoy, moves along the line and reaches the station of device u a lag L_u after the entrance: that is
the mobility. With the correlation c in [0, 1] of a slice:

    z_u(t) = sqrt(c) s_line(t - L_u) + sqrt(1 - c) e_u(t)         s, e: independent AR(1) of variance 1
    b_u(t) = bursts of the line at t - L_u, each kept with probability c, and own ones at 1 - c times their rate
    d_u(t) = mean_u day(t) (exp(sigma z_u - sigma^2 / 2) + b_u) / (1 + mean of b)

Every single device has the same law whatever c is; c moves only what devices tell about each other. So a model that
looks at one device at a time does equally well for every c, and whatever a graph gains is due to the graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter

from ir_common.config import Config

Floats = NDArray[np.float64]


class TrafficConfig(Config):
    """Traffic of the slices; one value for all of them where no list is asked for."""

    devices: int = Field(100, ge=1, description="devices of each slice (MAFL section V-A)")
    rates: tuple[float, ...] = Field(
        (90e3, 30e3, 40e3, 40e3, 70e3, 25e3), min_length=1, description="mean bit/s of a device, for each slice"
    )
    day: int = Field(96, ge=2, description="steps of a day; 96: one every 15 minutes")
    day_amplitude: float = Field(0.4, ge=0, lt=1, description="how far the day's traffic swings about its mean")
    correlation: float = Field(0.8, ge=0, le=1, description="c: share of the variance that is common to a line")
    lines: int = Field(4, ge=1, description="lines in a slice")
    stations: int = Field(4, ge=1, description="stations of a line; devices are spread over them at random")
    max_lag: int = Field(12, ge=0, description="steps from the entrance of a line to its end")
    memory: float = Field(0.6, ge=0, lt=1, description="AR(1) coefficient of the work on a line")
    spread: float = Field(0.6, ge=0, description="sigma of the logarithm of the traffic")
    device_spread: float = Field(0.4, ge=0, description="sigma of the logarithm of the devices' mean rates")
    burst_rate: float = Field(0.02, ge=0, le=1, description="bursts a step")
    burst_size: float = Field(2.0, ge=0, description="mean height of a burst, in mean rates")
    burst_memory: float = Field(0.6, ge=0, lt=1, description="what is left of a burst one step later")


def generate(config: TrafficConfig, steps: int, envs: int, seed: int) -> NDArray[np.float32]:
    """Traffic of all devices.

    Args:
        config: validated.
        steps: number of steps.
        envs: parallel environments, each with its own lines and devices.
        seed: same seed, same traffic.

    Returns:
        [step, env, slice, device] float32, bit/s, positive.
    """
    traffic = np.empty((steps, envs, len(config.rates), config.devices), np.float32)
    for env in range(envs):
        for index, rate in enumerate(config.rates):
            traffic[:, env, index] = rate * Source(config, steps, np.random.default_rng([seed, env, index])).traffic
    return traffic


class Source:
    """What makes the traffic of one slice, and so what could be known of its future.

    Args:
        config: validated.
        steps: number of them.
        rng: source of everything.

    Attributes:
        traffic: [step, device] float64, 1 on average.
    """

    def __init__(self, config: TrafficConfig, steps: int, rng: np.random.Generator) -> None:
        self.config = config
        devices, lines, c = config.devices, config.lines, config.correlation
        self._line = rng.integers(lines, size=devices)
        stations = rng.integers(config.max_lag + 1, size=(lines, config.stations))
        self._lag = stations[self._line, rng.integers(config.stations, size=devices)]
        total = steps + config.max_lag
        self._common, self._own = _ar1(config.memory, total, lines, rng), _ar1(config.memory, steps, devices, rng)
        then = self._entered(np.arange(steps))
        z = np.sqrt(c) * self._common[then, self._line] + np.sqrt(1.0 - c) * self._own
        work = np.exp(config.spread * z - config.spread**2 / 2.0)
        self._arrivals = _bursts(config.burst_rate, config.burst_size, (total, lines), rng)
        arrivals = self._arrivals[then, self._line] * (rng.random((steps, devices)) < c)
        arrivals += _bursts(config.burst_rate * (1.0 - c), config.burst_size, (steps, devices), rng)
        self._bursts = lfilter([1.0], [1.0, -config.burst_memory], arrivals, axis=0)
        phase = rng.uniform(0.0, 2.0 * np.pi)
        self._day = 1.0 + config.day_amplitude * np.sin(2.0 * np.pi * np.arange(steps) / config.day + phase)
        mean = np.exp(config.device_spread * rng.standard_normal(devices))
        mean_burst = config.burst_rate * config.burst_size / (1.0 - config.burst_memory)
        self._mean = mean / mean.mean() / (1.0 + mean_burst)
        self.traffic = self._mean * self._day[:, None] * (work + self._bursts)

    def _entered(self, steps: NDArray[np.integer]) -> NDArray[np.int64]:
        """[k] steps -> [k, device]: when the work that is at the device was at the entrance of its line."""
        return np.asarray(steps)[:, None] + self.config.max_lag - self._lag

    def best(self, last: NDArray[np.integer], horizons: tuple[int, ...]) -> Floats:
        """Forecast by one who sees what no forecaster does: [k, horizon, device], E[d(t + h) | all hidden until t].

        It knows the law, each device's own process and bursts, and the work on each line as far as it has come to the
        line's first device. Past traffic is a function of these, so no forecast from it has a lower mean squared error.

        Args:
            last: [k], steps t, t + h within the traffic.
            horizons: steps ahead.
        """
        config, c = self.config, self.config.correlation
        first = np.array(
            [np.min(self._lag[self._line == line], initial=config.max_lag) for line in range(config.lines)]
        )
        seen = self._entered(last) + self._lag - first[self._line]  # newest work on the line that anyone has met
        rate = config.burst_rate * config.burst_size
        out = np.empty((len(last), len(horizons), config.devices))
        for i, h in enumerate(horizons):
            wanted = self._entered(np.asarray(last) + h)
            common, own = config.memory ** np.maximum(wanted - seen, 0), config.memory**h
            mean = np.sqrt(c) * common * self._common[np.minimum(wanted, seen), self._line]
            mean += np.sqrt(1.0 - c) * own * self._own[last]
            variance = c * (1.0 - common**2) + (1.0 - c) * (1.0 - own**2)
            bursts = config.burst_memory**h * self._bursts[last]
            for k in range(1, h + 1):
                step = self._entered(np.asarray(last) + k)
                known = np.where(step <= seen, self._arrivals[np.minimum(step, seen), self._line], rate)
                bursts = bursts + config.burst_memory ** (h - k) * (c * known + (1.0 - c) * rate)
            work = np.exp(config.spread * mean + config.spread**2 * (variance - 1.0) / 2.0)
            out[:, i] = self._mean * self._day[np.asarray(last) + h][:, None] * (work + bursts)
        return out


def _ar1(memory: float, steps: int, count: int, rng: np.random.Generator) -> Floats:
    """[step, count]: stationary AR(1) of variance 1."""
    noise = rng.standard_normal((steps, count)) * np.sqrt(1.0 - memory**2)
    noise[0] /= np.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=0))


def _bursts(rate: float, size: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    return (rng.random(shape) < rate) * rng.exponential(size, shape)
