# SPDX-License-Identifier: Apache-2.0
"""Rehearsals of the live slices, what live agents are trained in, and the weights that come with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import load_yaml
from ir_radio.model import channel
from ir_radio.model.slice_specs import SlicesFile
from ir_slicing.learning.agent_weights import TRAINED, digest, load
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.live.live_training import environment
from ir_slicing.live.load_steps import STEP, judge, load_step, recovery, rehearse
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.train_agents import REHEARSALS, trained

CARRIER = load_yaml(Path(__file__).parents[3] / "config" / "slices.yaml", SlicesFile).carrier
LIVE = SliceAgentConfig()


@pytest.mark.parametrize("seed", range(20))
def test_a_load_step_fits_the_carrier_and_leaves_the_others_within_their_guarantees(seed):
    scenario = load_step(CARRIER, seed)
    distances = np.hypot(list(scenario.distances.values()), CARRIER.position[2])
    rates = channel.block_rate(scenario.carrier, channel.snr(scenario.carrier, distances))
    needed = scenario.offered[-1].sum() * np.mean(1.0 / rates)
    assert needed <= 0.75 * scenario.carrier.resource_blocks * (1.0 + 1e-9)
    guaranteed = np.array([spec.rate for spec in scenario.specs])
    assert (scenario.offered[-1][1:] < guaranteed[1:]).all() and (scenario.offered[0] < guaranteed).all()
    changed = (scenario.offered[STEP] != scenario.offered[STEP - 1]).tolist()
    assert changed == [True, False, False, False]


def test_rehearsal_repeats_and_static_never_recovers_where_proportional_does():
    runs = [rehearse(load_step(CARRIER, 7, 15), policy, LIVE) for policy in ("proportional", "proportional", "static")]
    blocks = [np.array([period.blocks for period in run]) for run in runs]
    assert np.array_equal(blocks[0], blocks[1])
    assert np.allclose(blocks[0].sum(axis=1), load_step(CARRIER, 7).carrier.resource_blocks)
    times = [recovery(np.array([period.met[0] for period in run[STEP:]])) for run in runs]
    assert times[0] is not None and times[0] == times[1] and times[2] is None


def test_recovery_by_hand():
    met = np.array([0, 1, 1, 0, 1, 1, 1, 1, 1], bool)
    assert recovery(met) == 4
    assert recovery(met[:-1]) is None


def test_environment_forecasts_by_a_low_pass_and_repeats():
    made, again = (environment(CARRIER, LIVE, 40, 2, 3) for _ in range(2))
    assert np.array_equal(made.traffic, again.traffic) and np.array_equal(made.forecast, again.forecast)
    need = np.stack([made.need_at(t).blocks for t in range(40)])
    assert np.allclose(made.forecast[0], need[0])
    rough = np.abs(np.diff(np.log(need), axis=0)).mean()
    assert np.abs(np.diff(np.log(made.forecast), axis=0)).mean() < 0.5 * rough
    assert made.config.max_change == LIVE.max_change


def test_training_repeats_and_moves_the_weights():
    agent = DDPGConfig(hidden=(8,), warm_up=16, actor_delay=4)
    first, second = (trained(CARRIER, LIVE, 1, 40, 2, agent) for _ in range(2))
    assert np.array_equal(first.values, second.values)
    assert not np.array_equal(first.values, DDPG(agent, 4, 1).weights().mean(axis=0))


def test_the_packages_weights_are_those_of_the_record():
    weights, about = load(TRAINED), json.loads(TRAINED.with_suffix(".json").read_text())
    assert about["sha256"] == digest(weights)
    assert about["live agents"] == LIVE.model_dump(mode="json"), "trained for what live agents now are; train anew"


def test_the_packages_agents_cost_others_less_than_proportional_and_recover_long_before_static():
    """Not sooner than proportional: there they are somewhat later (docs/notes/slicing.md)."""
    weights = load(TRAINED)
    agent = DDPG(DDPGConfig(hidden=weights.hidden), 1, 0)
    agent.load_weights(weights.values[None])
    seeds = range(REHEARSALS.stop, REHEARSALS.stop + 8)  # none that anything was chosen by
    learned, proportional = (
        judge(CARRIER, policy, LIVE, agent if policy == "learned" else None, seeds, 15)
        for policy in ("learned", "proportional")
    )
    static = judge(CARRIER, "static", LIVE, None, seeds[:3], 15)  # a factor of two: few will do
    assert learned.others_missed < 0.5 * proportional.others_missed
    assert learned.recovery < 0.5 * static.recovery and learned.missed < 0.5 * static.missed
