# SPDX-License-Identifier: Apache-2.0
"""The GAN is the paper's, learns a known distribution, and its gate tells close from far."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import GAN_PRESETS, GANConfig
from ir_dynamics.gan import GAN, closeness, sliced_wasserstein
from ir_dynamics.transitions import Rows, TransitionLayout

torch.set_num_threads(1)  # of such small pieces a second thread makes more work than it takes

LAYOUT = TransitionLayout(num_state=2, num_action=1)
TINY = GAN_PRESETS["improved"].model_copy(update={"hidden": 32, "latent": 8, "batch": 64, "critic_blocks": 3})


def ring(count: int, seed: int = 0) -> Rows:
    """States on a noisy ring, actions that depend on them: no normal distribution comes close."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, count)
    rows = np.zeros((count, LAYOUT.width), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = 10 + np.cos(angle), np.sin(angle), np.sin(2 * angle)
    rows[:, :3] += 0.1 * rng.normal(size=(count, 3))
    return rows


def test_the_paper_preset_is_the_papers_network() -> None:
    gan = GAN(GAN_PRESETS["paper"], TransitionLayout(11, 3), seed=0)
    assert [type(layer) for layer in gan.generator] == [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU] * 4 + [nn.Linear]
    assert [type(layer) for layer in gan.critic] == [nn.Linear, nn.LeakyReLU, nn.Linear]
    assert {layer.out_features for layer in gan.generator[:-1] if isinstance(layer, nn.Linear)} == {100}
    assert gan.critic[0].out_features == 100
    assert all(isinstance(optimiser, torch.optim.RMSprop) for optimiser in gan._optimisers)
    assert (gan.config.batch, gan.config.learning_rate) == (64, 5e-5)


def test_it_learns_a_ring() -> None:
    """Before training every classifier tells its pairs apart, afterwards hardly."""
    gan, rows = GAN(TINY, LAYOUT, seed=1), ring(4000)
    before = gan.judge(ring(2000, seed=1))
    assert before.accuracy > 0.95
    assert not before.passes
    gan.fit(rows, 400)
    after = gan.judge(ring(2000, seed=1))
    assert after.distance < 0.3 * before.distance
    assert after.accuracy < 0.8
    states, actions = gan.sample(100, torch.Generator().manual_seed(0))
    made = torch.cat([states, actions], dim=1).numpy()
    assert (made >= rows[:, :3].min(0) - 1e-4).all() and (made <= rows[:, :3].max(0) + 1e-4).all()


@pytest.mark.parametrize("preset", GAN_PRESETS)
def test_a_saved_state_goes_on_exactly(preset: str) -> None:
    one, other = (GAN(GAN_PRESETS[preset], LAYOUT, seed) for seed in (1, 2))
    one.fit(ring(300), 5)
    other.load(one.state())
    for gan in (one, other):
        gan.fit(ring(300), 5)
    for ours, theirs in zip(one.generator.state_dict().values(), other.generator.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    samples = [gan.sample(7, torch.Generator().manual_seed(3)) for gan in (one, other)]
    torch.testing.assert_close(samples[0], samples[1], rtol=0, atol=0)
    assert one.steps == other.steps == 10


def test_the_papers_critic_keeps_its_weights_clipped_and_both_nets_move() -> None:
    gan = GAN(GAN_PRESETS["paper"], LAYOUT, seed=1)
    before = [p.detach().clone() for p in gan.generator.parameters()]
    gan.fit(ring(300), 3)
    assert max(float(p.detach().abs().max()) for p in gan.critic.parameters()) <= 0.01 + 1e-6
    moved = [not torch.equal(p, old) for p, old in zip(gan.generator.parameters(), before, strict=True)]
    assert all(moved[-2:]) and sum(moved) > len(moved) / 2  # (a bias before batch norm gets no gradient)


def test_in_one_dimension_the_distance_is_wassersteins() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(400, 1)).astype(np.float32), rng.exponential(size=(400, 1)).astype(np.float32)
    got = sliced_wasserstein(torch.from_numpy(one), torch.from_numpy(other), torch.ones(1, 1))
    assert got == pytest.approx(wasserstein_distance(one[:, 0], other[:, 0]), rel=1e-4)


def test_the_gate_passes_the_same_distribution_and_no_other() -> None:
    rng = torch.Generator().manual_seed(0)
    draw = [torch.from_numpy(ring(2000, seed)[:, :3]) for seed in (1, 2)]
    same = closeness(draw[0], draw[1], GANConfig(), rng)
    assert same.passes
    assert same.accuracy == pytest.approx(0.5, abs=0.06)
    shifted = closeness(draw[0] + torch.tensor([0.5, 0.0, 0.0]), draw[1], GANConfig(), rng)
    assert not shifted.passes
    assert shifted.distance > 3 * shifted.reference
    other_actions = torch.cat([draw[0][:, :2], draw[0][torch.randperm(2000, generator=rng), 2:]], dim=1)
    assert closeness(other_actions, draw[1], GANConfig(), rng).accuracy > 0.7  # each column is as it should be


def test_bad_input_is_refused() -> None:
    gan = GAN(TINY, LAYOUT, 0)
    for bad in (ring(200)[:, 1:], ring(200) * np.nan):
        with pytest.raises(ValueError, match="rows of shape"):
            gan.fit(bad, 1)
    with pytest.raises(ValueError, match="too few"):
        gan.judge(ring(50))
    with pytest.raises(ConfigError, match="widths"):
        GAN(TINY, TransitionLayout(3, 1), 0).load(gan.state())
    with pytest.raises(ConfigError, match="damaged"):
        gan.load({name: value for name, value in gan.state().items() if name != "critic"})
