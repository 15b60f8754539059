# SPDX-License-Identifier: Apache-2.0
"""The slicing environment as live agents meet it: what their weights are trained in."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment
from ir_slicing.live.rehearsal import PERIOD
from ir_slicing.live.slice_agent_config import SliceAgentConfig

Floats = NDArray[np.float64]

JUMPS = 0.05
"""Probability that a slice's load jumps in a period."""
ROBOTS = 3
PROFILES = (
    SliceProfile(name="video", kind="delay", max_delay=0.135, packet=160e3),
    SliceProfile(name="spider", kind="delay", max_delay=0.052, packet=8e3),
    SliceProfile(name="cart", kind="delay", max_delay=0.01, packet=16e3),
    SliceProfile(name="control", kind="delay", max_delay=0.01, packet=4e3),
)
"""The slices of config/slices.yaml with messages as large as theirs."""
SLICES = len(PROFILES)


class LiveConfig(EnvironmentConfig):
    """The environment with the larger changes that live agents may ask for."""

    action: Literal["geometric"] = "geometric"
    max_change: float = Field(9.0, gt=0, le=9, description="largest gain of a slice in one step, of its own bandwidth")


def environment(carrier: Carrier, live: SliceAgentConfig, steps: int, envs: int, seed: int) -> SlicingEnvironment:
    """The slicing environment as live agents meet it: loads that jump, random messages, periods of `PERIOD`.

    Each slice offers between 1 and 60 % of the carrier's capacity. Forecasts are the needs of the low-passed traffic,
    what a live agent goes by while its forecaster knows no better.

    Args:
        carrier: of the slices file.
        live: whose actions, satisfaction, weights of the reward, and low pass hold.
        steps: report periods.
        envs: parallel environments.
        seed: of everything.
    """
    shared = ("max_change", "min_blocks", "steepness", "target", "utilisation_weight", "utility_weight")
    config = LiveConfig(
        carrier=carrier, slices=PROFILES, radius=20.0, shadowing=0.0, fading_samples=0,
        **{name: getattr(live, name) for name in shared},
    )  # fmt: skip
    rng = np.random.default_rng([seed, 29])
    capacity = carrier.resource_blocks * float(channel.block_rate(carrier, channel.snr(carrier, 12.0)))
    shape = (envs, SLICES)

    def level() -> Floats:
        return capacity * np.exp(rng.uniform(np.log(0.01), np.log(0.6), shape))

    now, messages = level(), np.array([one.packet for one in PROFILES])[:, None]
    traffic = np.empty((steps, *shape, ROBOTS))
    for step in range(steps):
        now = np.where(rng.random(shape) < JUMPS, level(), now)
        mean = np.repeat(now[..., None] / ROBOTS, ROBOTS, axis=-1) * PERIOD / messages
        traffic[step] = rng.poisson(mean) * messages / PERIOD
    weight = -np.expm1(-PERIOD / live.demand_time_constant)
    smooth = lfilter([weight], [1.0, weight - 1.0], traffic, axis=0, zi=(1.0 - weight) * traffic[:1])[0]
    low_passed = SlicingEnvironment(config, smooth, seed)
    return SlicingEnvironment(config, traffic, seed, np.stack([low_passed.need_at(t).blocks for t in range(steps)]))
