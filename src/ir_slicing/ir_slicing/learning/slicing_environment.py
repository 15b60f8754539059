# SPDX-License-Identifier: Apache-2.0
"""The slicing environment of MAFL: one base station, M slices of devices, one decision a period.

Everything is an array [env, slice, device] or [env, slice]. What the agents do changes nobody's traffic, so traffic,
channel and needs are functions of (seed, step) and can be looked up for any step: the clairvoyant bound does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ir_common.config import Config
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import NAME
from ir_slicing.allocation.carrier_sharing import best_shares, share_out
from ir_slicing.learning import satisfaction

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UTILITY_GRID = 0.25
"""RB: grid on which slices declare their utilities."""
MAFL_CARRIER = Carrier(
    bandwidth=10e6, resource_blocks=50, frequency=2e9, tx_power=30.0, noise_figure=20.2, position=(0.0, 0.0, 0.0)
)
"""MAFL section V-A and Table II. 20.2 dB lift the noise of a block to the paper's interference threshold, -101.2 dBm:
with thermal noise alone all devices within 500 m have the best modulation, and the channel would not matter."""


class SliceProfile(Config):
    """Requirements of the devices of one slice."""

    name: str = Field(pattern=NAME, description="of the slice")
    kind: Literal["rate", "delay"] = Field(description="rate-constrained, eq. (2), or delay-constrained, eq. (3)")
    max_delay: float = Field(0.1, gt=0, description="tolerated delay of a packet, s (delay slices)")
    packet: float = Field(12e3, gt=0, description="mean packet size, bit")


SLICES = (
    SliceProfile(name="video", kind="rate"),
    SliceProfile(name="control", kind="delay", max_delay=0.05, packet=1.6e3),
    SliceProfile(name="metering", kind="rate"),
    SliceProfile(name="tracking", kind="delay", max_delay=0.2, packet=4e3),
    SliceProfile(name="inspection", kind="rate"),
    SliceProfile(name="alarm", kind="delay", max_delay=0.1, packet=2.4e3),
)
"""Six slices (MAFL section V-A), half of them rate-constrained, half delay-constrained, with unlike packets."""


class EnvironmentConfig(Config):
    """The environment; defaults are MAFL section V-A where it says anything."""

    carrier: Carrier = MAFL_CARRIER
    slices: tuple[SliceProfile, ...] = Field(SLICES, min_length=1, description="what each slice wants")
    radius: float = Field(500.0, gt=0, description="of the cell; devices are uniform in it, m")
    shadowing: float = Field(6.0, ge=0, description="standard deviation of log-normal shadowing, dB")
    fading_samples: int = Field(
        8, ge=0, description="Rayleigh gains averaged over a period and the band; 1: one draw, as printed; 0: none"
    )
    steepness: float = Field(20.0, gt=0, description="of the satisfaction curves, relative to the bound")
    target: float = Field(0.95, gt=0.5, lt=1, description="satisfaction that counts as the need being met")
    utilisation: satisfaction.Utilisation = Field("efficient", description="what eq. (5) means above 1")
    utilisation_weight: float = Field(0.5, ge=0, description="Lambda of eq. (14)")
    utility_weight: float = Field(0.5, ge=0, description="mu of eq. (14)")
    max_change: float = Field(0.5, gt=0, le=1, description="largest gain of a slice in one step, of its own bandwidth")
    action: Literal["geometric", "printed"] = Field(
        "geometric",
        description="w (1 + max_change)^a, or w (1 + max_change a), under which random actions starve a slice",
    )
    overload: Literal["fair", "scaled", "utility"] = Field(
        "fair",
        description="requests beyond the carrier: max-min fair, so that small ones are granted, all scaled alike, or "
        "by the utility that slices declare",
    )
    min_blocks: float = Field(0.25, gt=0, description="every slice keeps at least this (w_m > 0 in eq. (7)), RB")
    max_share: float = Field(1.0, gt=0, le=1, description="kappa of eq. (7) as a share of the carrier")

    @property
    def blocks(self) -> float:
        """RB of the carrier."""
        return float(self.carrier.resource_blocks)

    @property
    def max_blocks(self) -> float:
        """kappa of eq. (7), RB."""
        return self.max_share * self.blocks

    @model_validator(mode="after")
    def _fits(self) -> EnvironmentConfig:
        names = [one.name for one in self.slices]
        if len(set(names)) < len(names):
            raise ValueError(f"slices must have different names, given: {', '.join(names)}")
        if self.min_blocks * len(names) > self.blocks or self.min_blocks > self.max_blocks:
            raise ValueError(
                f"min_blocks {self.min_blocks:g} for each of {len(names)} slices does not fit in {self.blocks:g} RB "
                f"with at most {self.max_blocks:g} a slice; lower it"
            )
        return self


@dataclass(frozen=True)
class Need:
    """The needs of the slices in one step.

    Attributes:
        blocks: [env, slice] float64, RB: varphi_m, with which every device is satisfied to the target; positive.
        rate: [env, slice, device] float64, bit/s: of each device at that; 0 for an idle one.
        required: [env, slice, device] float64: bit/s offered by the device, d_m = {r_u}.
        covered: [env, slice, device] bool: the device is active and has any rate on the air.
        active: [env, slice] int: devices with traffic, covered or not.
    """

    blocks: Floats
    rate: Floats
    required: Floats
    covered: Bools
    active: NDArray[np.int64]


@dataclass(frozen=True)
class PeriodOutcome:
    """Reward, utilisation and satisfaction of one allocation; all [env, slice] float64."""

    reward: Floats
    utilisation: Floats
    satisfaction: Floats


class SlicingEnvironment:
    """Traffic in, bandwidth changes in, rewards and states out (MAFL sections II and IV-A).

    Args:
        config: validated.
        traffic: [step, env, slice, device] float, bit/s offered by each device; 0 where there is none.
        forecast: [step, env, slice] float, RB: what is expected, at that step, of `Need.blocks` one step later;
            without one the agents see the present need twice.
        seed: of positions, shadowing and fading.
        quantiles: [step, env, slice, level] float, RB: likewise, at equally likely levels (`need_forecast.LEVELS`).

    Raises:
        ValueError: an array of another shape, negative or not finite.
    """

    def __init__(
        self, config: EnvironmentConfig, traffic: NDArray[np.floating], seed: int, forecast: Floats | None = None,
        quantiles: Floats | None = None,
    ) -> None:  # fmt: skip
        if traffic.ndim != 4 or traffic.shape[2] != len(config.slices) or not len(traffic):
            raise ValueError(
                f"traffic has the shape {traffic.shape}; "
                f"[step, env, slice, device] with {len(config.slices)} slices is needed"
            )
        if not np.isfinite(traffic).all() or (traffic < 0.0).any():
            raise ValueError("traffic holds negative values or NaN; bit/s, 0 for an idle device, are needed")
        if forecast is not None and (forecast.shape != traffic.shape[:3] or not np.isfinite(forecast).all()):
            raise ValueError(
                f"the forecast has the shape {forecast.shape} or NaN; finite {traffic.shape[:3]} is needed"
            )
        if quantiles is not None and (quantiles.shape[:-1] != traffic.shape[:3] or not np.isfinite(quantiles).all()):
            raise ValueError(
                f"quantiles have the shape {quantiles.shape} or NaN; finite {traffic.shape[:3]} are needed"
            )
        self.config, self.traffic, self.forecast, self.seed = config, traffic, forecast, seed
        self.quantiles = quantiles
        self.steps, self.envs, self.slices, self.devices = traffic.shape
        self._delay = np.array([one.kind == "delay" for one in config.slices])[:, None]
        self._max_delay = np.array([one.max_delay for one in config.slices])[:, None]
        self._packet = np.array([one.packet for one in config.slices])[:, None]
        rng = np.random.default_rng([seed, 0])
        shape = (self.envs, self.slices, self.devices)
        self.distance = config.radius * np.sqrt(rng.random(shape))
        self._gain = channel.shadowing(rng, shape, config.shadowing)
        self.reset()

    def reset(self, step: int = 0, blocks: Floats | None = None) -> Floats:
        """Begins at a step with equal shares, or with what fits of ``blocks`` [env, slice]; returns the state."""
        self.step_index = step
        equal = np.full((self.envs, self.slices), self.config.blocks / self.slices)
        self.need = self.need_at(step)
        self.blocks = self.fit(equal if blocks is None else blocks)
        return self.observe()

    def block_rate(self, step: int) -> Floats:
        """bit/s of one RB for each device in a step, eq. (1): [env, slice, device], 0 out of coverage."""
        carrier, samples = self.config.carrier, self.config.fading_samples
        if not samples:
            return channel.block_rate(carrier, channel.snr(carrier, self.distance, self._gain))
        rng = np.random.default_rng([self.seed, 1, step])
        fading = channel.rayleigh_fading(rng, (samples, *self.distance.shape))
        return channel.block_rate(carrier, channel.snr(carrier, self.distance, self._gain + fading)).mean(axis=0)

    def needed_rate(self, offered: Floats) -> Floats:
        """bit/s that satisfy a device to the target: (2) or (3) solved for the rate.

        rate slices: r = d (1 + x); delay slices: r = d + L / (tau_max (1 - x)), with x of `satisfaction.headroom` and L
        bits a packet; an idle device needs none.

        Args:
            offered: [..., slice, device] float, bit/s.
        """
        x = satisfaction.headroom(self.config.target, self.config.steepness)
        by_delay = satisfaction.rate_for_delay(offered, self._packet, self._max_delay, x)
        return np.where(offered > 0.0, np.where(self._delay, by_delay, offered * (1.0 + x)), 0.0)

    def need_at(self, step: int) -> Need:
        """The needs of the slices in a step."""
        offered = np.asarray(self.traffic[step], np.float64)
        on_air = self.block_rate(step)
        covered = (offered > 0.0) & (on_air > 0.0)
        rate = np.where(covered, self.needed_rate(offered), 0.0)
        blocks = np.divide(rate, on_air, out=np.zeros_like(rate), where=covered).sum(axis=-1)
        return Need(np.maximum(blocks, self.config.min_blocks), rate, offered, covered, (offered > 0.0).sum(axis=-1))

    def outcome(self, need: Need, blocks: Floats) -> PeriodOutcome:
        """Reward of holding ``blocks`` while ``need`` is there, eqs. (2) to (5) and (14).

        A slice divides its blocks among its devices in proportion to what each needs. U_m is the mean over the active
        devices, not the sum of (4), so that Lambda and mu weigh two numbers between 0 and 1.

        Args:
            need: of the step.
            blocks: [env, slice] or [choice, env, slice] float64, RB.
        """
        served = (blocks / need.blocks)[..., None]
        rate, offered = np.where(need.covered, need.rate, 1.0), np.where(need.covered, need.required, 1.0)
        by_rate = satisfaction.rate_satisfaction(served * rate, offered, self.config.steepness)
        tau = satisfaction.delay(served * rate / self._packet, offered / self._packet)
        by_delay = satisfaction.delay_satisfaction(tau, self._max_delay, self.config.steepness)
        each = np.where(need.covered, np.where(self._delay, by_delay, by_rate), 0.0)
        satisfied = np.where(need.active > 0, each.sum(axis=-1) / np.maximum(need.active, 1), 1.0)
        used = satisfaction.utilisation(blocks, need.blocks, self.config.utilisation)
        reward = self.config.utilisation_weight * used + self.config.utility_weight * satisfied
        return PeriodOutcome(reward, used, satisfied)

    def observe(self) -> Floats:
        """State of the slices, section IV-A: [env, slice, 3] = log(d/w), log(d^/w), log(w/w_equal).

        The paper's s = [d(t), d^(t-1)] (d^(t-1) is the forecast made for the coming step, in RB) says nothing of the
        bandwidth that a *relative* action changes; with w beside them the state is Markov. The three numbers are an
        invertible transform of (d, d^, w) in which slices of any size look alike: their weights can be averaged.
        """
        equal = self.config.blocks / self.slices
        parts = [self.need.blocks / self.blocks, self.expected() / self.blocks, self.blocks / equal]
        return np.log(np.stack(parts, axis=-1))

    def expected(self) -> Floats:
        """[env, slice] RB that are expected to be needed in the next step; without a forecast what is needed now."""
        forecast = self.need.blocks if self.forecast is None else self.forecast[self.step_index]
        return np.maximum(forecast, self.config.min_blocks)

    def outlook(self) -> Floats:
        """[level, env, slice] RB that are equally likely to be needed in the next step; one, where nothing more is
        known than what is expected.
        """
        if self.quantiles is None:
            return self.expected()[None]
        return np.maximum(np.moveaxis(self.quantiles[self.step_index], -1, 0), self.config.min_blocks)

    def declared(self, choices: Floats) -> Floats:
        """Utilities that slices declare for the next step: the reward (14) that they expect of numbers of blocks.

        Args:
            choices: [choice, 1, 1] float64, RB.

        Returns:
            [choice, env, slice] float64: means over `outlook`.
        """
        rewards = [self.outcome(replace(self.need, blocks=need), choices).reward for need in self.outlook()]
        return np.asarray(np.mean(rewards, axis=0))

    def step(self, action: NDArray[np.floating]) -> tuple[Floats, PeriodOutcome, bool]:
        """Each slice asks for a relative change of its bandwidth, section IV-A; the carrier grants what fits.

        Args:
            action: [env, slice] float, clipped to [-1, 1].

        Returns:
            state [env, slice, 3], what the period was worth, and whether the traffic ends here.

        Raises:
            ValueError: an action of another shape or NaN.
        """
        if action.shape != self.blocks.shape or not np.isfinite(action).all():
            raise ValueError(f"action of shape {action.shape} or NaN; finite {self.blocks.shape} is needed")
        return self.allocate(self.requested(action))

    def requested(self, action: NDArray[np.floating]) -> Floats:
        """RB that actions ask for, [env, slice]: w (1 + max_change)^a.

        Differs from the paper, whose w (1 + max_change a) has "printed": half less and then half more is a loss:
        a slice that explores walks down to its least share, where all rewards are zero and nothing can be learnt.
        """
        a, change = np.clip(action, -1.0, 1.0), self.config.max_change
        return self.blocks * ((1.0 + change) ** a if self.config.action == "geometric" else 1.0 + change * a)

    def allocate(self, requested: Floats) -> tuple[Floats, PeriodOutcome, bool]:
        """As `step`, with the RB themselves: [env, slice]. For policies that see all slices."""
        if self.step_index + 1 >= self.steps:
            raise ValueError(f"the traffic ends after {self.steps} steps; call reset")
        self.blocks = self.fit(requested)
        self.step_index += 1
        self.need = self.need_at(self.step_index)
        return self.observe(), self.outcome(self.need, self.blocks), self.step_index + 1 >= self.steps

    def fit(self, requested: Floats) -> Floats:
        """Constraint (7): at least ``min_blocks``, at most kappa, and a sum within the carrier.

        The paper does not say what becomes of requests beyond the carrier. Scaled alike, a tenth too much leaves every
        slice a tenth short, where sigmoids (2), (3) have fallen from 0.95 to 0.66; max-min fair, as NVS does it, the
        slices that ask for less than an equal share have all that they ask for, and nobody gains by asking for more.
        """
        low = self.config.min_blocks
        extra = np.clip(requested, low, self.config.max_blocks) - low
        room = self.config.blocks - low * self.slices
        if self.config.overload == "utility":
            return self._by_utility(low + extra)
        if self.config.overload == "fair":
            return low + share_out(extra, np.ones(self.slices), room)
        total = extra.sum(axis=-1, keepdims=True)
        return low + extra * np.minimum(1.0, room / np.maximum(total, 1e-12))

    def _by_utility(self, requested: Floats) -> Floats:
        """Requests beyond the carrier, shared so that the slices' declared utilities have the largest sum.

        A slice declares what it expects of any number of blocks up to its request (`declared`); nothing of the next
        step is looked at. The knapsack over them is exact on its grid, also where utilities are sigmoids: on a carrier
        that is far too small it is better to serve some slices than none.
        """
        over = requested.sum(axis=-1, keepdims=True) > self.config.blocks
        if not over.any():
            return requested
        low = self.config.min_blocks
        units = int((self.config.blocks - low * self.slices) / UTILITY_GRID + 1e-9)
        choices: Floats = (low + UTILITY_GRID * np.arange(units + 1, dtype=np.float64))[:, None, None]
        worth = self.declared(choices)
        worth[1:][np.broadcast_to(choices[1:] > requested + 0.5 * UTILITY_GRID, worth[1:].shape)] = -np.inf
        best = low + UTILITY_GRID * best_shares(np.ascontiguousarray(worth.transpose(1, 2, 0)), units)
        return np.where(over, np.minimum(best, requested), requested)
