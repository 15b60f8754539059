# SPDX-License-Identifier: Apache-2.0
"""Agents that correct a rule: at zero they are the rule; their state by hand; they learn what the rule gets wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.correction import (
    CORRECTION_STATE,
    CorrectedEnvironment,
    CorrectionConfig,
    corrected,
    correction_state,
)
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.policy_training import PolicyTrainingConfig, asking, evaluate, train
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment

positive = st.floats(0.01, 1e3)


def world(steps=40, seed=3, factor=1.0, **changes):
    """Two slices whose forecast is the next need times a factor; the quantiles are a tenth beside it."""
    profiles = (SliceProfile(name="a", kind="rate"), SliceProfile(name="b", kind="delay", max_delay=0.05, packet=4e3))
    config = EnvironmentConfig(slices=profiles, **changes)
    traffic = generate(TrafficConfig(devices=5, rates=(1e6, 4e5), day=8), steps, 2, seed)
    blind = SlicingEnvironment(config, traffic, seed)
    forecast = factor * np.stack([blind.need_at(min(t + 1, steps - 1)).blocks for t in range(steps)])
    quantiles = forecast[..., None] * np.array([0.9, 1.0, 1.1])
    return CorrectedEnvironment(config, traffic, seed, forecast, quantiles, CorrectionConfig(margin=1.2))


def test_an_untrained_agent_is_the_rule():
    env = world()
    agent = DDPG(DDPGConfig(hidden=(8,), first_weight=0.0), 2, 0, CORRECTION_STATE)
    learnt, rule = (evaluate(env, policy) for policy in (asking(agent), lambda e: rules.forecast(e, 1.2)))
    assert np.array_equal(learnt.reward, rule.reward)


def test_state_by_hand():
    env = world(factor=2.0)
    state = env.observe()
    need, ahead = env.need.blocks, env.expected()
    base = 1.2 * np.maximum(need, ahead)
    assert state.shape == (2, 2, CORRECTION_STATE)
    assert np.exp(state[..., 0]) == pytest.approx(need / base) and np.exp(state[..., 1]) == pytest.approx(ahead / base)
    assert np.exp(state[..., 2]) == pytest.approx(np.full((2, 2), 0.9))
    assert np.exp(state[..., 3]) == pytest.approx(np.full((2, 2), 1.1))
    assert not state[..., 4].any() and not state[..., 6].any()  # nothing was forecast for now, nothing missed
    after, _, _ = env.step(np.full((2, 2), -1.0))
    assert np.exp(after[..., 4]) == pytest.approx(np.full((2, 2), 0.5))  # half of what was forecast came
    assert np.exp(after[..., 5]) == pytest.approx(env.blocks / env.need.blocks)
    assert after[..., 6] == pytest.approx(0.1 * (env.need.blocks > env.blocks))


@given(scale=positive, values=st.tuples(*[positive] * 7), misses=st.floats(0.0, 1.0))
def test_slices_of_any_size_look_alike(scale, values, misses):
    state = correction_state(*values, misses)
    assert correction_state(*(scale * one for one in values), misses) == pytest.approx(state, abs=1e-9)
    assert np.abs(state).max() <= 3.0


@given(base=positive, action=st.floats(-5.0, 5.0), most=st.floats(0.01, 9.0))
def test_corrections_stay_within_their_bounds(base, action, most):
    asked = corrected(base, action, most)
    assert base / (1.0 + most) * (1 - 1e-9) <= asked <= base * (1.0 + most) * (1 + 1e-9)
    assert corrected(base, 0.0, most) == pytest.approx(base)


def test_agents_learn_to_correct_a_margin_that_is_too_large():
    """The forecasts are right, so 1.2 times the most of present and forecast is too much."""
    env = world(steps=120)
    agent = DDPG(DDPGConfig(hidden=(16,), first_weight=0.0, warm_up=64, epsilon_steps=200), 2, 0, 7)
    before = evaluate(env, asking(agent)).reward.mean()
    train(env, agent, PolicyTrainingConfig(steps=500), 0)
    assert evaluate(env, asking(agent)).reward.mean() > before + 0.03


def test_foresight_with_one_certain_outlook_is_the_bound_for_it():
    env = world()
    certain = SlicingEnvironment(env.config, env.traffic, env.seed, env.forecast)
    next_need = certain.need_at(certain.step_index + 1)
    assert rules.foresight(certain) == pytest.approx(rules.clairvoyant(certain, next_need))
    assert rules.foresight(env) != pytest.approx(rules.foresight(certain))  # unsure, it takes room to spare


def test_bad_quantiles_are_refused():
    env = world()
    with pytest.raises(ValueError, match="quantiles have the shape"):
        SlicingEnvironment(env.config, env.traffic, 0, env.forecast, env.forecast)
