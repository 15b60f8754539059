# SPDX-License-Identifier: Apache-2.0
"""What live agents are trained in, and load steps on which they are judged before they go live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_slicing.learning.agents.ddpg import DDPG
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment
from ir_slicing.manager import Policy
from ir_slicing.ros_rehearsal import Period, Rehearsal, RehearsalScenario
from ir_slicing.slice_agent import SliceAgentConfig

Floats = NDArray[np.float64]

PERIOD = 0.2
"""Of the radio's reports and the manager's decisions, s."""
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
STEP = 15
"""Report from which on the load of a `load_step` is higher."""
HELD = 5
"""Reports in a row within the bound that count as recovered."""


class LiveConfig(EnvironmentConfig):
    """The environment with the larger changes that live agents may ask for."""

    action: Literal["geometric"] = "geometric"
    max_change: float = Field(9.0, gt=0, le=9, description="largest gain of a slice in one step, of its own bandwidth")


def environment(carrier: Carrier, live: SliceAgentConfig, steps: int, envs: int, seed: int) -> SlicingEnvironment:
    """The slicing environment as live agents meet it: loads that jump, random messages, periods of `PERIOD`.

    Each slice offers between 1 and 60 % of the carrier's capacity. Forecasts are the needs of the low-passed traffic,
    what a live agent goes by while its twin knows no better.

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


def load_step(carrier: Carrier, seed: int, after: int = 25) -> RehearsalScenario:
    """A random scenario in which one slice's load jumps beyond its guarantee, and all that is offered still fits.

    A tenth to all of the carrier's blocks; guarantees of half to four fifths of them; the other slices offer less than
    is guaranteed to them; with the jump, up to three quarters of the capacity is offered: all bounds can be met.

    Args:
        carrier: of the slices file.
        seed: of everything.
        after: reports after the step.
    """
    rng = np.random.default_rng([seed, 13])
    blocks = int(carrier.resource_blocks * np.exp(rng.uniform(np.log(0.1), 0.0)))
    bandwidth = carrier.bandwidth * blocks / carrier.resource_blocks
    part = carrier.model_copy(update={"resource_blocks": blocks, "bandwidth": bandwidth})
    distances = {f"robot_{k}": float(d) for k, d in enumerate(rng.uniform(3.0, 25.0, rng.integers(2, 5)))}
    rates = channel.block_rate(part, channel.snr(part, np.hypot(list(distances.values()), part.position[2])))
    capacity = blocks * len(rates) / np.sum(1.0 / rates)
    urllc = np.arange(SLICES) == SLICES - 1
    shares = rng.dirichlet(np.where(urllc, 0.7, 3.0)) + 0.02
    guaranteed = shares / shares.sum() * capacity * rng.uniform(0.5, 0.8) / np.where(urllc, 1.25, 1.0)
    bounds = np.exp(rng.uniform(np.log(np.where(urllc, 0.01, 0.02)), np.log(np.where(urllc, 0.03, 0.2))))
    # between 15 messages a second and 400 of each robot at the guaranteed rate, as the robots' topics are
    sizes = guaranteed / 8.0 / len(distances) / np.exp(rng.uniform(np.log(15.0), np.log(400.0), SLICES))
    sizes = np.clip(sizes, 64, np.where(urllc, 600, 20_000)).astype(int)
    low = guaranteed * np.where(urllc, 0.3, rng.uniform(0.3, 0.8, SLICES))
    high = low + np.eye(SLICES)[0] * rng.uniform(0.5, 1.0) * (0.75 * capacity - low.sum())
    specs = tuple(
        SliceSpec(
            name=f"slice_{m}", type="urllc" if urllc[m] else "embb", rate=float(guaranteed[m]), reliability=0.99,
            max_latency=float(bounds[m]), priority=int(not urllc[m]), queue_limit=2_000_000,
            flows=(FlowSpec(robots=("*",), topic=f"topic_{m}", direction="uplink"),),
        )
        for m in range(SLICES)
    )  # fmt: skip
    offered = np.concatenate([np.tile(low, (STEP, 1)), np.tile(high, (after, 1))])
    return RehearsalScenario(
        part, specs, distances, tuple(sizes.tolist()), offered, float(rng.uniform(0.0, PERIOD)), seed
    )


def rehearse(
    scenario: RehearsalScenario, policy: Policy, config: SliceAgentConfig, agent: DDPG | None = None
) -> list[Period]:
    """What a policy makes of a scenario; under the policy learned, ``agent`` (of one slice) acts for each of them."""
    run, asked, periods = Rehearsal(scenario, policy, config, PERIOD), None, []
    while not run.over:
        views, period = run.next(asked)
        periods.append(period)
        if agent is None or any(view is None for view in views):
            continue
        pairs = [(sight, view) for sight, view in zip(run.sights, views, strict=True) if view is not None]
        states = np.stack([sight.observe(view) for sight, view in pairs])
        actions = agent.act(states[:, None])[:, 0]
        asked = np.array([sight.ask(float(a), view) for (sight, view), a in zip(pairs, actions, strict=True)])
    return periods


@dataclass(frozen=True)
class Judgement:
    """Means over load steps.

    Attributes:
        recovery: reports until the slice with the step meets its bound `HELD` times in a row.
        never: load steps in which it did not.
        missed, others_missed: share of the reports after the step in which this slice, and others, missed the bound.
    """

    recovery: float
    never: int
    missed: float
    others_missed: float


def judge(
    carrier: Carrier, policy: Policy, config: SliceAgentConfig, agent: DDPG | None, seeds: range, after: int = 25
) -> Judgement:
    """A policy on load steps of the given seeds."""
    runs = [rehearse(load_step(carrier, seed, after), policy, config, agent)[STEP:] for seed in seeds]
    met = np.array([[period.met for period in run] for run in runs])  # [run, report, slice]
    times = [recovery(one[:, 0]) for one in met]
    known = [after if time is None else time for time in times]
    return Judgement(
        float(np.mean(known)), times.count(None), float(1 - met[:, :, 0].mean()), float(1 - met[:, :, 1:].mean())
    )


def recovery(met: NDArray[np.bool_]) -> int | None:
    """Reports until the bound is met `HELD` times in a row; None: never."""
    return next((i for i in range(len(met) - HELD + 1) if met[i : i + HELD].all()), None)
