# SPDX-License-Identifier: Apache-2.0
"""Rehearsals of the live slices, the scenes that agents are trained in, and the weights that come with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import load_yaml
from ir_radio.model import channel
from ir_radio.model.slice_specs import SlicesFile
from ir_slicing.learning.agent_weights import TRAINED, digest, load
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.correction import CORRECTION_STATE
from ir_slicing.live.live_training import LiveTrainingConfig, SceneJudgement, gate_of, train_live
from ir_slicing.live.load_steps import STEP, acting, judge, load_step, recovery, rehearse
from ir_slicing.live.scenes import FULL, KINDS, LOADS, scene
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.train_agents import REHEARSALS

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


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_offers_no_more_than_its_load_says_and_repeats(kind):
    for seed in range(5):
        made, again = (scene(CARRIER, kind, seed, 60) for _ in range(2))
        assert np.array_equal(made.offered, again.offered) and made.offered.shape == (60, 4)
        assert (made.offered >= 0.0).all() and bool(made.drives) == (kind == "mobility")
        places = list(made.drives.values()) or [np.full(60, one) for one in made.distances.values()]
        snr = channel.snr(made.carrier, np.hypot(np.array(places), CARRIER.position[2]))
        busy = made.offered.sum(axis=1) * np.mean(1.0 / channel.block_rate(made.carrier, snr), axis=0)
        most = busy.max() / made.carrier.resource_blocks
        assert FULL * LOADS[0] * (1 - 1e-6) <= most <= FULL * LOADS[1] * (1 + 1e-6)
        assert not np.array_equal(made.offered, scene(CARRIER, kind, seed + 50, 60).offered)


def test_training_repeats_and_moves_the_weights():
    agent, run = DDPGConfig(hidden=(8,), warm_up=16, actor_delay=4), LiveTrainingConfig(scenes=1, reports=40, period=5)
    first, second = (train_live(CARRIER, LIVE, run, agent, 1) for _ in range(2))
    assert np.array_equal(first.values, second.values)
    assert not np.array_equal(first.values, DDPG(agent, 4, 1, CORRECTION_STATE).weights().mean(axis=0))


def test_a_gate_opens_where_agents_miss_no_more_than_the_rule_in_any_kind_of_scene():
    rule = {kind: SceneJudgement(0.02, 0.05) for kind in KINDS}
    assert gate_of(rule, rule) == 1.0
    assert gate_of(rule | {"bursts": SceneJudgement(0.01, 0.05)}, rule) == 1.0
    assert (
        gate_of({kind: SceneJudgement(0.0, 0.0) for kind in KINDS} | {"bursts": SceneJudgement(0.021, 0.0)}, rule)
        == 0.0
    )


def test_the_packages_weights_are_those_of_the_record():
    weights, about = load(TRAINED), json.loads(TRAINED.with_suffix(".json").read_text())
    assert about["sha256"] == digest(weights)
    assert about["live agents"] == LIVE.model_dump(mode="json"), "trained for what live agents now are; train anew"


def test_the_packages_agents_are_not_behind_the_rule_that_they_correct_and_recover_long_before_static():
    agent = acting(LIVE, load(TRAINED))
    seeds = range(REHEARSALS.stop, REHEARSALS.stop + 8)  # none that anything was chosen by
    learned, rule = (
        judge(CARRIER, policy, LIVE, agent if policy == "learned" else None, seeds, 15)
        for policy in ("learned", "forecast")
    )
    static = judge(CARRIER, "static", LIVE, None, seeds[:3], 15)  # a factor of two: few will do
    assert learned.missed <= rule.missed + 0.02 and learned.others_missed <= rule.others_missed + 0.005
    assert learned.recovery < 0.5 * static.recovery and learned.missed < 0.5 * static.missed
