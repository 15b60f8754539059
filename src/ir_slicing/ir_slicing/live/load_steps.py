# SPDX-License-Identifier: Apache-2.0
"""Load steps, on which policies and agents are judged before they go live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_slicing.allocation.slice_policies import PolicyName
from ir_slicing.learning.agent_weights import AgentWeights
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.live.rehearsal import PERIOD, Rehearsal, RehearsalPeriod, RehearsalScenario
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_sight import state_size, states_of

SLICES = 4
"""Number of slices of a scenario; the first has the step, the last is URLLC."""
STEP = 15
"""Report from which on the load of a `load_step` is higher."""
HELD = 5
"""Reports in a row within the bound that count as recovered."""


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
    scenario: RehearsalScenario, policy: PolicyName, config: SliceAgentConfig, agent: DDPG | None = None
) -> list[RehearsalPeriod]:
    """Runs a scenario under a policy; under the policy learned, ``agent`` (of one slice) acts for each of them."""
    run, asked, periods = Rehearsal(scenario, policy, config), None, []
    while not run.over:
        views, period = run.next(asked)
        periods.append(period)
        if agent is None or any(view is None for view in views):
            continue
        pairs = [(sight, view) for sight, view in zip(run.sights, views, strict=True) if view is not None]
        states = states_of(config, [sight.observe(view) for sight, view in pairs])
        actions = agent.act(states[:, None])[:, 0]
        asked = np.array([sight.ask(float(a), view) for (sight, view), a in zip(pairs, actions, strict=True)])
    return periods


def acting(config: SliceAgentConfig, weights: AgentWeights) -> DDPG:
    """An agent of one slice with given weights; behind a closed gate, one that corrects nothing."""
    agent = DDPG(DDPGConfig(hidden=weights.hidden, first_weight=0.0), 1, 0, state_size(config))
    if weights.gate:
        agent.load_weights(weights.values[None])
    return agent


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
    carrier: Carrier, policy: PolicyName, config: SliceAgentConfig, agent: DDPG | None, seeds: range, after: int = 25
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
