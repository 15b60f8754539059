# SPDX-License-Identifier: Apache-2.0
"""Agents: the batched update equals separate ones, losses fall, targets lag; rules and the bound by brute force."""

import itertools

import numpy as np
import pytest
import torch

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.batched import BatchedMLP, Replay, architecture
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment


def batch(slices, rows=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(slices, rows, n, generator=g) * 2 - 1 for n in (3, 1, 1, 3)]


def test_a_batched_network_is_m_networks():
    g = torch.Generator().manual_seed(1)
    net = BatchedMLP(4, (3, 8, 2), g, final=0.5)
    net.load_flat(np.random.default_rng(0).standard_normal((4, net.width)).astype(np.float32))
    x = torch.rand(4, 5, 3, generator=g)
    for m in range(4):
        w, b = [p[m] for p in net.weights], [p[m] for p in net.biases]
        assert torch.allclose(net(x)[m], torch.relu(x[m] @ w[0] + b[0]) @ w[1] + b[1], atol=1e-6)
    assert net.width == 3 * 8 + 8 + 8 * 2 + 2
    with pytest.raises(ValueError, match="is needed"):
        net.load_flat(np.zeros((4, 3), np.float32))


def test_flat_weights_come_back_exactly():
    agent = DDPG(DDPGConfig(hidden=(8,)), 3, 0)
    weights = np.random.default_rng(1).standard_normal(agent.weights().shape).astype(np.float32)
    agent.load_weights(weights)
    assert (agent.weights() == weights).all()


def test_one_batched_update_equals_separate_updates():
    """Three slices at once learn exactly what three agents of one slice would."""
    together, data = DDPG(DDPGConfig(hidden=(16, 16), actor_delay=1), 3, 5), batch(3)
    for _ in range(4):
        losses = together.learn(*data)
    for m in range(3):
        alone = DDPG(DDPGConfig(hidden=(16, 16), actor_delay=1), 1, 5)
        for _ in range(4):
            loss = alone.learn(*(part[m : m + 1] for part in data))
        assert alone.weights()[0] == pytest.approx(together.weights()[m], abs=2e-6)
        assert loss[0] == pytest.approx(losses[m], rel=1e-4)


def test_a_slice_learns_nothing_from_anothers_transitions():
    one, other, data = DDPG(DDPGConfig(), 2, 5), DDPG(DDPGConfig(), 2, 5), batch(2)
    one.learn(*data)
    data[2][1] += 3.0  # the other slice's rewards
    other.learn(*data)
    assert (one.weights()[0] == other.weights()[0]).all()
    assert (one.weights()[1] != other.weights()[1]).any()


def test_critic_target_by_hand():
    """With rewards of 1 and a discount of 0.5, Q goes to 2 everywhere; its target lags."""
    agent = DDPG(DDPGConfig(hidden=(16,), rate=5e-3, target_rate=0.05, actor_delay=0), 2, 0)
    state, action, _, after = batch(2, 64)
    first = agent.learn(state, action, torch.ones(2, 64, 1), after)
    q = agent.critic(torch.cat([state, action], -1)).mean()
    assert abs(agent.critic_target(torch.cat([state, action], -1)).mean()) < abs(q)
    for _ in range(600):
        last = agent.learn(state, action, torch.ones(2, 64, 1), after)
    assert (last < 0.05 * first).all()
    assert float(agent.critic(torch.cat([state, action], -1)).detach().mean()) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("kind", ["ddpg", "dqn"])
def test_agents_learn_a_tiny_task(kind):
    """Reward 1 - (a - x)^2 of the first state number x: the best is 1, a blind agent gets 1 - 1/3 at most."""
    common = {"hidden": (32,), "warm_up": 64, "epsilon_steps": 150, "rate": 3e-3}
    agent = DDPG(DDPGConfig(**common), 3, 1) if kind == "ddpg" else DQN(DQNConfig(**common), 3, 1)
    rng = np.random.default_rng(0)
    state = rng.uniform(-1, 1, (8, 3, 3))
    for _ in range(500):
        action = agent.act(state, explore=True)
        after = rng.uniform(-1, 1, state.shape)
        agent.remember(state, action, 1.0 - (action - state[..., 0]) ** 2, after)
        agent.update()
        state = after
    test = rng.uniform(-1, 1, (200, 3, 3))
    assert np.mean(1.0 - (agent.act(test) - test[..., 0]) ** 2) > 0.93


def test_exploration_falls_from_all_random_to_the_policy():
    agent = DDPG(DDPGConfig(epsilon=1.0, epsilon_end=0.0, epsilon_steps=10, noise=0.0), 2, 0)
    state = np.zeros((500, 2, 3))
    assert np.std(agent.act(state, explore=True)) == pytest.approx(1 / np.sqrt(3), rel=0.1)
    for _ in range(9):
        agent.act(state, explore=True)
    assert (agent.act(state, explore=True) == agent.act(state)).all()


def test_replay_overwrites_the_oldest_and_keeps_slices_apart():
    replay = Replay(4, 2, 3, torch.Generator().manual_seed(0))
    for k in range(3):
        rows = np.full((2, 2, 3), float(k))
        rows[:, 1] += 100.0
        replay.add(rows, rows[..., 0], rows[..., 0], rows)
    state, action, reward, after = replay.sample(200)
    assert replay.stored == 4 and state.shape == (2, 200, 3) and action.shape == (2, 200, 1)
    assert set(state[0].unique().tolist()) == {1.0, 2.0} and set(reward[1].unique().tolist()) == {101.0, 102.0}
    assert (state[..., :1] == action).all() and (after == state).all()


def test_personal_layers_and_architecture():
    agent = DDPG(DDPGConfig(hidden=(4, 4)), 1, 0)
    assert agent.shared(0).all() and not agent.shared(3).any()
    assert (~agent.shared(1)).sum() == 5 + 5 and len(agent.shared(1)) == agent.weights().shape[1]
    with pytest.raises(ValueError, match="personal layers"):
        agent.shared(4)
    assert agent.architecture == DDPG(DDPGConfig(hidden=(4, 4)), 7, 1).architecture
    assert agent.architecture != DDPG(DDPGConfig(hidden=(4, 5)), 1, 0).architecture
    assert architecture((1, 2)) != architecture((1,), (2,))


def test_shares_by_hand():
    share = rules.share_out
    assert share(np.array([[10.0, 10.0]]), np.array([1.0, 1.0]), 50.0) == pytest.approx(np.array([[10.0, 10.0]]))
    assert share(np.array([[40.0, 40.0]]), np.array([3.0, 1.0]), 50.0) == pytest.approx(np.array([[37.5, 12.5]]))
    assert share(np.array([[20.0, 40.0]]), np.array([3.0, 1.0]), 50.0) == pytest.approx(np.array([[20.0, 30.0]]))
    got = share(np.array([[1.0, 30.0, 30.0]]), np.array([1.0, 1.0, 2.0]), 50.0)
    assert got == pytest.approx(np.array([[1.0, 19.0, 30.0]]))


def tiny(scale, slices=3, blocks=6):
    profiles = tuple(SliceProfile(name=f"s{i}", kind=("rate", "delay")[i % 2], max_delay=0.5) for i in range(slices))
    carrier = EnvironmentConfig().carrier.model_copy(update={"resource_blocks": blocks})
    config = EnvironmentConfig(carrier=carrier, slices=profiles, min_blocks=0.5)
    traffic = scale * generate(TrafficConfig(devices=3, rates=(7e5, 4e5, 9e5)[:slices], day=4), 4, 2, 8)
    return SlicingEnvironment(config, traffic, 8)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 3.0])
def test_the_bound_is_the_best_of_all_allocations(scale):
    """Every allocation on the grid is tried, from a light load to three times too much."""
    env = tiny(scale)
    grid = np.arange(0.5, 6.0 + 1e-9, 0.5)
    every = np.array([c for c in itertools.product(grid, repeat=3) if sum(c) <= 6.0 + 1e-9])
    for step in range(3):
        need = env.need_at(step)
        best = env.outcome(need, every[:, None, :]).reward.sum(axis=-1).max(axis=0)
        found = rules.clairvoyant(env, need, resolution=0.5)
        assert (found.sum(axis=-1) <= 6.0 + 1e-9).all() and (found >= 0.5).all()
        assert env.outcome(need, found).reward.sum(axis=-1) == pytest.approx(best)


def test_the_bound_is_above_every_rule_and_fine_enough():
    env = tiny(1.0)
    for step in range(3):
        need = env.need_at(step + 1)
        env.need = env.need_at(step)
        top = env.outcome(need, rules.clairvoyant(env, need, 0.01)).reward.sum(axis=-1)
        coarse = env.outcome(need, rules.clairvoyant(env, need, 0.02)).reward.sum(axis=-1)
        assert (top >= coarse - 1e-9).all() and coarse == pytest.approx(top, rel=5e-3)
        for blocks in (rules.equal(env), rules.proportional(env), rules.nvs(env, np.ones(3))):
            assert (env.outcome(need, env.fit(blocks)).reward.sum(axis=-1) <= top * 1.002).all()


def test_the_rule_forecast_asks_for_the_larger_of_present_and_forecast_with_its_margin():
    env = tiny(1.0)
    assert np.allclose(rules.forecast(env, 1.2), 1.2 * env.need.blocks), "without a forecast"
    need = env.need.blocks
    for ahead in (0.5, 2.0):
        told = SlicingEnvironment(env.config, env.traffic, env.seed, np.full(env.traffic.shape[:3], ahead) * need)
        assert np.allclose(rules.forecast(told, 1.1), 1.1 * np.maximum(ahead, 1.0) * need)
