# SPDX-License-Identifier: Apache-2.0
"""The slicing environment: hand-solved numbers, an independent slow reference, budgets, and what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ir_radio.model import channel
from ir_slicing.learning import satisfaction
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment


def small(steps=6, envs=2, seed=3, **changes):
    profiles = (SliceProfile(name="a", kind="rate"), SliceProfile(name="b", kind="delay", max_delay=0.05, packet=4e3))
    config = EnvironmentConfig(slices=profiles, **changes)
    traffic = generate(TrafficConfig(devices=5, rates=(1e6, 4e5), day=4), steps, envs, seed)
    return SlicingEnvironment(config, traffic, seed)


def test_satisfaction_by_hand():
    assert satisfaction.rate_satisfaction(np.array(2.2), np.array(2.0), 20.0) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert satisfaction.rate_satisfaction(np.array(2.0), np.array(2.0), 20.0) == pytest.approx(0.5)
    assert satisfaction.delay(np.array(15.0), np.array(5.0)) == pytest.approx(0.1)
    assert np.isinf(satisfaction.delay(np.array(5.0), np.array(5.0)))
    assert satisfaction.delay_satisfaction(np.array(0.05), np.array(0.1), 20.0) == pytest.approx(
        1 / (1 + math.exp(-10.0))
    )
    assert satisfaction.delay_satisfaction(np.array(np.inf), np.array(0.1), 20.0) == 0.0


@pytest.mark.parametrize(
    ("form", "expected"),
    [("efficient", [0.5, 1.0, 0.5]), ("clipped", [0.5, 1.0, 1.0]), ("printed", [0.5, 1.0, 2.0])],
)
def test_utilisation_above_one(form, expected):
    assert satisfaction.utilisation(np.array([5.0, 10.0, 20.0]), np.array(10.0), form) == pytest.approx(expected)


def reference(env, step, blocks):
    """Eqs. (1) to (5) and (14) with loops and the textbook formulas, for env 0; also varphi."""
    config, out, needs = env.config, [], []
    on_air, offered = env.block_rate(step)[0], env.traffic[step, 0].astype(float)
    x = math.log(config.target / (1 - config.target)) / config.steepness
    for m, profile in enumerate(config.slices):
        wanted = []
        for u in range(env.devices):
            if profile.kind == "rate":
                wanted.append(offered[m, u] * (1 + x))
            else:  # r - lambda packets/s are spare, so that tau is tau_max (1 - x)
                wanted.append(offered[m, u] + profile.packet / (profile.max_delay * (1 - x)))
        need = sum(w / r for w, r in zip(wanted, on_air[m], strict=True))
        utilities = []
        for u in range(env.devices):
            w_u = blocks[m] * (wanted[u] / on_air[m, u]) / need
            rate = w_u * on_air[m, u]
            if profile.kind == "rate":
                exponent = -config.steepness / offered[m, u] * (rate - offered[m, u])
            else:
                spare = (rate - offered[m, u]) / profile.packet
                tau = 1 / spare if spare > 0 else math.inf
                exponent = min(-config.steepness / profile.max_delay * (profile.max_delay - tau), 700.0)
            utilities.append(1 / (1 + math.exp(exponent)))
        used = min(blocks[m] / need, need / blocks[m])
        out.append(config.utilisation_weight * used + config.utility_weight * sum(utilities) / len(utilities))
        needs.append(need)
    return np.array(out), np.array(needs)


@pytest.mark.parametrize("blocks", [(20.0, 30.0), (3.0, 2.0), (0.5, 40.0)])
def test_reward_agrees_with_a_slow_reference(blocks):
    env = small()
    need = env.need_at(2)
    got = env.outcome(need, np.tile(blocks, (2, 1)))
    reward, needed = reference(env, 2, blocks)
    assert need.blocks[0] == pytest.approx(needed)
    assert got.reward[0] == pytest.approx(reward)


def test_meeting_the_need_gives_the_target_satisfaction():
    env = small()
    outcome = env.outcome(env.need, env.need.blocks)
    assert outcome.satisfaction == pytest.approx(env.config.target)
    assert outcome.utilisation == pytest.approx(1.0)


def test_idle_and_uncovered_devices():
    env = small(fading_samples=0)
    env.traffic[1, :, :, 0] = 0.0
    env.traffic[2] = 0.0
    need = env.need_at(1)
    assert not need.covered[..., 0].any() and (need.active == 4).all() and (need.rate[..., 0] == 0.0).all()
    silent = env.need_at(2)
    assert (silent.blocks == env.config.min_blocks).all()
    assert (env.outcome(silent, silent.blocks).satisfaction == 1.0).all()
    env.distance[:, :, 1] = 1e9
    far = env.need_at(1)
    assert not far.covered[..., 1].any()
    assert env.outcome(far, 100.0 * far.blocks).satisfaction == pytest.approx(0.75, abs=1e-3)  # 3 of 4 active


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.0, 200.0), min_size=4, max_size=4),
    st.floats(0.01, 5.0),
    st.floats(0.2, 1.0),
    st.sampled_from(["fair", "scaled", "utility"]),
)
def test_constraint_7_always_holds(requested, low, share, form):
    env = small(steps=2, min_blocks=low, max_share=share, overload=form)
    granted = env.fit(np.reshape(requested, (2, 2)))
    assert (granted >= low - 1e-9).all() and (granted <= env.config.max_blocks + 1e-9).all()
    assert (granted.sum(axis=-1) <= env.config.blocks + 1e-9).all()


def test_requests_beyond_the_carrier_by_hand():
    """50 RB of which each slice keeps 2: fair fills the small request, scaled divides 46 as 8 : 48."""
    asked = np.array([[10.0, 50.0], [45.0, 45.0]])
    fair, scaled = (small(steps=2, min_blocks=2.0, overload=form).fit(asked) for form in ("fair", "scaled"))
    assert fair == pytest.approx(np.array([[10.0, 40.0], [25.0, 25.0]]))
    assert scaled == pytest.approx(np.array([[2 + 46 * 8 / 56, 2 + 46 * 48 / 56], [25.0, 25.0]]))


def test_sharing_by_utility_is_the_best_of_all_grants_within_the_requests():
    """Every grant on the grid is tried: what the slices declare of it, from the need that they expect, in sum."""
    env = small(overload="utility", max_share=1.0)
    carrier = env.config.carrier.model_copy(update={"resource_blocks": 4})
    env = SlicingEnvironment(env.config.model_copy(update={"carrier": carrier}), 3.0 * env.traffic, 3)
    for requested in (np.array([[3.0, 2.5], [2.0, 4.0]]), np.array([[0.5, 1.0], [9.0, 9.0]])):
        granted = env.fit(requested)
        fits = requested.sum(axis=1) <= 4.0
        assert (granted[fits] == requested[fits]).all(), "what fits is granted as it is"
        assert (granted.sum(axis=1) <= 4.0 + 1e-9).all() and (granted <= requested + 1e-9).all()
        grid = np.arange(0.25, 4.0 + 1e-9, 0.25)
        for e in np.flatnonzero(~fits):
            tried = [
                float(env.outcome(env.need, np.array([[a, b]] * 2)).reward[e].sum())
                for a in grid[grid <= requested[e, 0] + 0.1]
                for b in grid[grid <= requested[e, 1] + 0.1]
                if a + b <= 4.0
            ]
            assert env.outcome(env.need, granted).reward[e].sum() == pytest.approx(max(tried), abs=0.02)


def test_sharing_by_utility_looks_at_the_forecast_and_not_at_the_next_step():
    env = small(overload="utility")
    carrier = env.config.carrier.model_copy(update={"resource_blocks": 4})
    config = env.config.model_copy(update={"carrier": carrier})
    requested = np.full((2, 2), 4.0)
    grants = []
    for ahead in (np.array([1.0, 3.0]), np.array([3.0, 1.0])):
        told = SlicingEnvironment(config, env.traffic, 3, np.broadcast_to(ahead, env.traffic.shape[:3]).copy())
        grants.append(told.fit(requested))
        later = env.traffic.copy()
        later[1:] *= 5.0
        other = SlicingEnvironment(config, later, 3, np.broadcast_to(ahead, env.traffic.shape[:3]).copy())
        assert (other.fit(requested) == grants[-1]).all()
    assert (grants[0][:, 1] > grants[0][:, 0]).all() and (grants[1][:, 1] < grants[1][:, 0]).all()


def test_a_request_that_fits_is_granted_as_it_is_and_actions_are_relative():
    for form, factors in (
        ("printed", [[0.5, 1.0], [0.75, 0.5]]),
        ("geometric", [[1 / 1.5, 1.0], [1.5**-0.5, 1 / 1.5]]),
    ):
        env = small(action=form)
        assert env.blocks == pytest.approx(25.0)
        env.step(np.array([[-1.0, 0.0], [-0.5, -7.0]]))
        assert env.blocks == pytest.approx(25.0 * np.array(factors))


def test_state_shows_demand_forecast_and_share():
    traffic = small().traffic
    forecast = np.full((6, 2, 2), 4.0)
    env = SlicingEnvironment(small().config, traffic, 3, forecast)
    state = env.observe()
    assert np.exp(state[..., 0]) * env.blocks == pytest.approx(env.need.blocks)
    assert np.exp(state[..., 1]) * env.blocks == pytest.approx(4.0)
    assert state[..., 2] == pytest.approx(0.0)


def test_same_seed_same_run_and_other_seed_another():
    def run(seed):
        env, rewards = small(seed=seed), []
        rng = np.random.default_rng(0)
        for _ in range(5):
            rewards.append(env.step(rng.uniform(-1, 1, (2, 2)))[1].reward)
        return np.array(rewards)

    assert (run(3) == run(3)).all()
    assert (run(3) != run(4)).any()


def test_the_traffic_ends():
    env = small(steps=3)
    assert not env.step(np.zeros((2, 2)))[2]
    assert env.step(np.zeros((2, 2)))[2]
    with pytest.raises(ValueError, match="ends after 3 steps"):
        env.step(np.zeros((2, 2)))


def test_bad_input_is_refused():
    config, traffic = small().config, small().traffic
    with pytest.raises(ValueError, match="action"):
        small().step(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="action"):
        small().step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="with 2 slices"):
        SlicingEnvironment(config, traffic[:, :, :1], 0)
    with pytest.raises(ValueError, match="negative"):
        SlicingEnvironment(config, -traffic, 0)
    with pytest.raises(ValueError, match="forecast"):
        SlicingEnvironment(config, traffic, 0, np.zeros((6, 2, 3)))
    with pytest.raises(ValidationError, match="lower it"):
        EnvironmentConfig(min_blocks=10.0)
    with pytest.raises(ValidationError, match="different names"):
        EnvironmentConfig(slices=(SliceProfile(name="a", kind="rate"),) * 2)


def test_fading_has_mean_power_one_and_shadowing_mean_zero_db():
    rng = np.random.default_rng(0)
    gain = 10.0 ** (channel.rayleigh_fading(rng, (40_000,)) / 10.0)
    assert gain.mean() == pytest.approx(1.0, rel=0.03) and np.median(gain) == pytest.approx(math.log(2), rel=0.03)
    dark = channel.shadowing(rng, (40_000,), 6.0)
    assert dark.mean() == pytest.approx(0.0, abs=0.15) and dark.std() == pytest.approx(6.0, rel=0.03)
