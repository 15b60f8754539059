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
            traffic[:, env, index] = rate * _slice(config, steps, np.random.default_rng([seed, env, index]))
    return traffic


def _slice(config: TrafficConfig, steps: int, rng: np.random.Generator) -> Floats:
    """[step, device]: traffic of one slice, 1 on average."""
    devices, lines, c = config.devices, config.lines, config.correlation
    line = rng.integers(lines, size=devices)
    stations = rng.integers(config.max_lag + 1, size=(lines, config.stations))
    lag = stations[line, rng.integers(config.stations, size=devices)]
    total = steps + config.max_lag
    then = np.arange(steps)[:, None] + config.max_lag - lag  # [step, device]: when the line's work was at its entrance
    common, own = _ar1(config.memory, total, lines, rng), _ar1(config.memory, steps, devices, rng)
    work = np.exp(config.spread * (np.sqrt(c) * common[then, line] + np.sqrt(1.0 - c) * own) - config.spread**2 / 2.0)
    arrivals = _bursts(config.burst_rate, config.burst_size, (total, lines), rng)[then, line]
    arrivals = arrivals * (rng.random((steps, devices)) < c)
    arrivals += _bursts(config.burst_rate * (1.0 - c), config.burst_size, (steps, devices), rng)
    bursts = lfilter([1.0], [1.0, -config.burst_memory], arrivals, axis=0)
    mean_burst = config.burst_rate * config.burst_size / (1.0 - config.burst_memory)
    phase = rng.uniform(0.0, 2.0 * np.pi)
    day = 1.0 + config.day_amplitude * np.sin(2.0 * np.pi * np.arange(steps) / config.day + phase)
    mean = np.exp(config.device_spread * rng.standard_normal(devices))
    return mean / mean.mean() * day[:, None] * (work + bursts) / (1.0 + mean_burst)


def _ar1(memory: float, steps: int, count: int, rng: np.random.Generator) -> Floats:
    """[step, count]: stationary AR(1) of variance 1."""
    noise = rng.standard_normal((steps, count)) * np.sqrt(1.0 - memory**2)
    noise[0] /= np.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=0))


def _bursts(rate: float, size: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    return (rng.random(shape) < rate) * rng.exponential(size, shape)
