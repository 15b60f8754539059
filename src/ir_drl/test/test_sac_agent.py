# SPDX-License-Identifier: Apache-2.0
"""One update of the agent: against a plain implementation, and property by property."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sac_reference import PlainSAC, module_of

from ir_common.config import ConfigError, validate
from ir_drl.sac import SAC, SACConfig, UniformSampler
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import TransitionLayout

torch.set_num_threads(1)  # the networks are too small for more
LAYOUT = TransitionLayout(5, 2)
SMALL = SACConfig(hidden=(32, 32, 32), batch=16)


class Fixed:
    """A sampler that gives the same rows every time."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows.astype(np.float32)

    def fill(self, out: np.ndarray) -> None:
        out[:] = self.rows


def batch_of(layout: TransitionLayout, count: int, seed: int = 1, terminated: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, layout.width))
    rows[:, layout.action] = rng.uniform(-1, 1, (count, layout.num_action))
    rows[:, layout.terminated] = rng.random(count) < terminated
    return rows


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SACConfig(),
        *(SMALL.model_copy(update=u) for u in ({"tune_entropy": False}, {"actor_every": 2}, {"anchor": 20.0})),
    ],
)
def test_updates_equal_those_of_a_plain_implementation(config: SACConfig) -> None:
    agent = SAC(config, LAYOUT, seed=3)
    if agent.anchor is not None:
        agent.anchor.initialise(np.random.default_rng(9), 1)
    plain = PlainSAC(agent)
    for number in range(5):
        rows = batch_of(LAYOUT, config.batch, seed=number)
        agent.update(Fixed(rows))
        plain.update(torch.from_numpy(rows).float(), torch.from_numpy(agent._noise.copy()))
    pairs = [(module_of(agent.actor, 0), plain.actor)]
    pairs += [(module_of(agent.critics, i), plain.critics[i]) for i in (0, 1)]
    pairs += [(module_of(agent.critics, 2 + i), plain.targets[i]) for i in (0, 1)]
    for ours, theirs in pairs:
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0.0, atol=1e-5)
    assert agent.log_alpha.item() == pytest.approx(plain.log_alpha.item(), abs=1e-6)


def test_gradients_equal_those_of_autograd_in_double_precision() -> None:
    """The first update's gradients: relative to the largest of each layer, float32 against float64."""
    agent = SAC(SMALL, LAYOUT, seed=4)
    with torch.no_grad():
        agent.actor.layers[-1].mul_(20.0)  # far into saturation of tanh and beyond the limits of log std
    plain = PlainSAC(agent, precise=True)
    rows = batch_of(LAYOUT, SMALL.batch)
    agent.update(Fixed(rows))
    plain.update(torch.from_numpy(rows).float(), torch.from_numpy(agent._noise.copy()))
    for gradient, stack, nets in (
        (agent.online.grad, agent.critics, plain.critics),
        (agent.actor.flat.grad, agent.actor, [plain.actor]),
    ):
        assert gradient is not None
        for network, net in enumerate(nets):
            linear = [part for part in net if isinstance(part, torch.nn.Linear)]
            for layer, reference in zip(stack.layers_of(gradient), linear, strict=True):
                assert reference.weight.grad is not None and reference.bias.grad is not None
                expected = torch.cat((reference.weight.grad.T, reference.bias.grad[None])).float()
                scale = float(expected.abs().max())
                torch.testing.assert_close(layer[network] / scale, expected / scale, rtol=0.0, atol=2e-4)


def test_an_update_moves_every_network_and_no_padding() -> None:
    agent = SAC(SMALL, LAYOUT, seed=0)
    before = {"actor": agent.actor.flat.clone(), "critics": agent.critics.flat.clone()}
    agent.update(Fixed(batch_of(LAYOUT, SMALL.batch)))
    for name, stack in (("actor", agent.actor), ("critics", agent.critics)):
        moved = stack.flat != before[name]
        assert all(layer.any(dim=(1, 2)).all() for layer in stack.layers_of(moved))
        used = sum(layer[0].numel() for layer in stack.layers) + stack.extra.shape[1]
        assert moved.sum(1).max() <= used


def test_critic_loss_falls_on_a_fixed_batch() -> None:
    agent = SAC(SMALL.model_copy(update={"learning_rate": 1e-3, "discount": 0.0}), LAYOUT, seed=0)
    sampler = Fixed(batch_of(LAYOUT, SMALL.batch))
    agent.update(sampler)
    first = agent.metrics()["critic_loss"]
    for _ in range(300):
        agent.update(sampler)
    agent.metrics()
    agent.update(sampler)
    assert agent.metrics()["critic_loss"] < 0.01 * first


def test_targets_lag_with_the_given_rate() -> None:
    config = SMALL.model_copy(update={"target_rate": 0.25})
    agent = SAC(config, LAYOUT, seed=0)
    assert torch.equal(agent.targets, agent.online)
    before = agent.targets.clone()
    agent.update(Fixed(batch_of(LAYOUT, config.batch)))
    torch.testing.assert_close(agent.targets, before + 0.25 * (agent.online.detach() - before))


def test_truncation_bootstraps_and_termination_does_not() -> None:
    """Hand-solved: all weights 0, both targets' last bias 2, alpha 0+, reward 1, gamma 0.5: y = 1 + 0.5 (1 - d) 2.

    The critics give 0, so the gradient of their last bias is the mean of 0 - y: -2 if the value goes on, else -1.
    """
    config = SMALL.model_copy(update={"discount": 0.5, "initial_alpha": 1e-12})
    for terminated, expected in ((0.0, -2.0), (1.0, -1.0)):
        agent = SAC(config, LAYOUT, seed=0)
        with torch.no_grad():
            agent.critics.flat.zero_()
            agent.critics.layers[-1][2:, -1] = 2.0
        rows = batch_of(LAYOUT, config.batch)
        rows[:, LAYOUT.reward], rows[:, LAYOUT.terminated] = 1.0, terminated
        agent.update(Fixed(rows))
        assert agent.online.grad is not None
        gradients = agent.critics.layers_of(agent.online.grad)[-1][:, -1, 0].tolist()
        assert gradients == pytest.approx([expected, expected], rel=1e-5)


@pytest.mark.parametrize(("target", "sign"), [(100.0, 1.0), (-100.0, -1.0)])
def test_alpha_rises_below_the_target_entropy_and_falls_above_it(target: float, sign: float) -> None:
    agent = SAC(SMALL.model_copy(update={"target_entropy": target}), LAYOUT, seed=0)
    for _ in range(3):
        agent.update(Fixed(batch_of(LAYOUT, SMALL.batch)))
    assert agent.log_alpha.item() == pytest.approx(sign * 3 * SMALL.learning_rate, rel=1e-3)


def test_alpha_stays_where_it_is_not_tuned() -> None:
    agent = SAC(SMALL.model_copy(update={"tune_entropy": False, "initial_alpha": 0.2}), LAYOUT, seed=0)
    agent.update(Fixed(batch_of(LAYOUT, SMALL.batch)))
    assert agent.log_alpha.item() == pytest.approx(math.log(0.2))


def test_actions_are_those_of_the_actor() -> None:
    agent = SAC(SMALL, LAYOUT, seed=0)
    observations = np.random.default_rng(0).normal(size=(7, LAYOUT.num_state))
    with torch.no_grad():
        mean, log_std = module_of(agent.actor, 0)(torch.from_numpy(observations).float()).chunk(2, 1)
    np.testing.assert_allclose(agent.act(observations), torch.tanh(mean).detach(), atol=1e-6)
    np.testing.assert_allclose(agent.act(observations[3]), torch.tanh(mean[3]).detach(), atol=1e-6)
    draws = agent.act(observations[:1].repeat(4000, 0), explore=True)
    raw = np.arctanh(np.clip(draws.astype(float), -1 + 1e-9, 1 - 1e-9))
    np.testing.assert_allclose(raw.mean(0), mean[0].detach(), atol=4 * float(log_std[0].exp().max()) / math.sqrt(4000))
    np.testing.assert_allclose(raw.std(0), log_std[0].exp().detach(), rtol=0.06)


def test_actions_follow_an_update() -> None:
    agent = SAC(SMALL, LAYOUT, seed=0)
    observation = np.ones(LAYOUT.num_state)
    before = agent.act(observation)
    agent.update(Fixed(batch_of(LAYOUT, SMALL.batch)))
    assert not np.array_equal(agent.act(observation), before)


def test_policy_layers_give_the_deterministic_action() -> None:
    agent = SAC(SMALL, LAYOUT, seed=0)
    hidden = observation = np.linspace(-1, 1, LAYOUT.num_state)
    layers = agent.policy_layers()
    for weight, bias in layers[:-1]:
        hidden = np.maximum(weight @ hidden + bias, 0.0)
    np.testing.assert_allclose(np.tanh(layers[-1][0] @ hidden + layers[-1][1]), agent.act(observation), atol=1e-6)


def test_equal_seeds_give_equal_agents_and_others_do_not() -> None:
    first, second, third = (SAC(SMALL, LAYOUT, seed) for seed in (5, 5, 6))
    for agent in (first, second, third):
        buffer = ReplayBuffer(LAYOUT, 100)
        buffer.add(batch_of(LAYOUT, 50))
        for _ in range(3):
            agent.update(UniformSampler(buffer, agent.random["replay"]))
    assert torch.equal(first.actor.flat, second.actor.flat) and torch.equal(first.critics.flat, second.critics.flat)
    assert not torch.equal(first.actor.flat, third.actor.flat)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"batch": 0}, "batch"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"target_rate": 1.5}, "target_rate"),
        ({"discount": -0.1}, "discount"),
        ({"hidden": []}, "hidden"),
        ({"hidden": [256, 0]}, "hidden"),
        ({"learningrate": 1e-3}, "did you mean 'learning_rate'"),
    ],
)
def test_bad_hyper_parameters_are_refused(values: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        validate(SACConfig, values, "test")
