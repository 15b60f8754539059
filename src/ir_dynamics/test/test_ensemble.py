# SPDX-License-Identifier: Apache-2.0
"""The ensemble: one batched pass is what its members compute, training is seeded and stops, spread means something."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import EnsembleConfig
from ir_dynamics.ensemble import Ensemble, _loss
from ir_dynamics.transitions import Rows, TransitionLayout, heldout_mask

torch.set_num_threads(1)  # of such small pieces a second thread makes more work than it takes

LAYOUT = TransitionLayout(num_state=2, num_action=1)
SMALL = EnsembleConfig(
    members=4, elites=2, hidden=(32, 32), batch=64, learning_rate=3e-3, max_steps=300, check_steps=50
)
NOISE = 0.2


def noisy(count: int, seed: int = 0) -> Rows:
    """Transitions of x' = x + 0.5 v, v' = v + a + noise |x|, r = x v, ended where a > 0.5."""
    rng = np.random.default_rng(seed)
    state, action = rng.uniform(-1, 1, (count, 2)), rng.uniform(-1, 1, (count, 1))
    x, v = state.T
    speed = v + action[:, 0] + NOISE * np.abs(x) * rng.normal(size=count)
    following = np.column_stack([x + 0.5 * v, speed])
    return np.column_stack([state, action, x * v, following, action[:, 0] > 0.5]).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> Ensemble:
    model = Ensemble(SMALL.model_copy(update={"max_steps": 1500}), LAYOUT, seed=1)
    model.fit(noisy(4000))
    return model


def reference(model: Ensemble, member: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One member by itself, written the long way round."""
    *layers, upper, lower = [part[member].detach() for part in model._parts]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        x = functional.silu(x @ weight + bias)
    out = x @ layers[-2] + layers[-1]
    log_variance = upper - functional.softplus(upper - out[:, 4:])
    return out[:, :3], lower + functional.softplus(log_variance - lower), out[:, 3]


def test_the_batched_pass_is_what_each_member_computes(trained: Ensemble) -> None:
    batch = LAYOUT.unpack(noisy(5000, seed=2))  # more rows than one chunk
    outcome = trained.predict(batch.state, batch.action)
    mean, scale = torch.from_numpy(np.concatenate([batch.state, batch.action], 1)), trained._scale
    x = (mean - scale[0]) / scale[1]
    for member in range(SMALL.members):
        mean, log_variance, logit = reference(trained, member, x)
        expected = mean * scale[3] + scale[2]
        expected[:, :2] += torch.from_numpy(batch.state.copy())
        torch.testing.assert_close(outcome.mean[member], expected, rtol=1e-4, atol=1e-5)
        deviation = (log_variance / 2).exp() * scale[3]
        torch.testing.assert_close(outcome.deviation[member], deviation, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(outcome.termination[member], logit.sigmoid(), rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_negative_log_likelihood() -> None:
    rng = torch.Generator().manual_seed(0)
    mean, target, log_variance = (torch.randn(3, 7, 4, generator=rng) for _ in range(3))
    logit, ended = torch.randn(3, 7, generator=rng), torch.rand(3, 7, generator=rng).round()
    gauss = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(target) + 0.5 * math.log(2 * math.pi)
    coin = torch.distributions.Bernoulli(logits=logit).log_prob(ended)
    expected = -gauss.mean(dim=(1, 2)) - coin.mean(dim=1)
    torch.testing.assert_close(_loss(mean, log_variance, logit, target, ended), expected)


def test_it_learns_means_noise_and_terminations(trained: Ensemble) -> None:
    """Chance: persistence errs by 0.3 (x) and 0.6 (v), the reward's deviation is 0.33."""
    batch = LAYOUT.unpack(noisy(2000, seed=3))
    outcome = trained.predict(batch.state, batch.action)
    elites = list(trained.elites)
    mean, deviation = outcome.mean[elites].mean(0).numpy(), outcome.deviation[elites].mean(0).numpy()
    exact = np.column_stack([batch.state[:, 0] + 0.5 * batch.state[:, 1], batch.state[:, 1] + batch.action[:, 0]])
    assert np.abs(mean[:, :2] - exact).mean(axis=0).max() < 0.03
    assert np.abs(mean[:, 2] - batch.reward).mean() < 0.03
    size = np.abs(batch.state[:, 0])
    assert deviation[size > 0.8, 1].mean() == pytest.approx(NOISE * size[size > 0.8].mean(), rel=0.35)
    assert deviation[size > 0.8, 1].mean() > 1.3 * deviation[size < 0.2, 1].mean()
    ended = outcome.termination[elites].mean(0).numpy() > 0.5
    assert np.mean(ended == batch.terminated) > 0.97


def test_far_from_its_data_the_members_disagree(trained: Ensemble) -> None:
    batch = LAYOUT.unpack(noisy(500, seed=4))
    rng = torch.Generator().manual_seed(0)
    near = trained.sample(batch.state, batch.action, rng).disagreement
    far = trained.sample(batch.state * 8, batch.action, rng).disagreement
    assert far.median() > 5 * near.median()
    assert trained.sample(batch.state, batch.action, rng, disagreement=False).disagreement.isnan().all()


@pytest.mark.parametrize("disagreement", [True, False])
def test_samples_are_drawn_from_the_elites(trained: Ensemble, disagreement: bool) -> None:
    state, action, count = np.array([[0.8, -0.2]]), np.array([[0.49]]), 20_001
    outcome = trained.predict(state, action)
    elites = list(trained.elites)
    mean, deviation = outcome.mean[elites, 0], outcome.deviation[elites, 0]
    sample = trained.sample(
        state.repeat(count, 0), action.repeat(count, 0), torch.Generator().manual_seed(5), disagreement
    )
    drawn = torch.cat([sample.next_state, sample.reward[:, None]], dim=1)
    expected = (deviation.square().mean(0) + mean.var(0, correction=0)).sqrt()
    torch.testing.assert_close(drawn.mean(0), mean.mean(0), rtol=0, atol=float(expected.max()) * 5 / math.sqrt(count))
    torch.testing.assert_close(drawn.std(0), expected, rtol=0.05, atol=1e-4)
    share = float(outcome.termination[elites, 0].mean())
    assert float(sample.terminated.float().mean()) == pytest.approx(share, abs=0.02)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    models = [Ensemble(SMALL, LAYOUT, seed) for seed in (1, 1, 2)]
    reports = [model.fit(noisy(500), max_steps=60) for model in models]
    np.testing.assert_array_equal(reports[0].heldout_loss, reports[1].heldout_loss)
    assert (reports[0].heldout_loss != reports[2].heldout_loss).all()
    assert models[0].steps == 60


def test_a_saved_state_goes_on_exactly() -> None:
    one, other = Ensemble(SMALL, LAYOUT, 1), Ensemble(SMALL, LAYOUT, 99)
    one.fit(noisy(500), max_steps=60)
    other.load(one.state())
    assert (other.elites, other.steps) == (one.elites, one.steps)
    for model in (one, other):
        model.fit(noisy(700), max_steps=60)
    torch.testing.assert_close(one._flat, other._flat, rtol=0, atol=0)


def test_a_state_of_something_else_is_refused() -> None:
    model = Ensemble(SMALL, LAYOUT, 1)
    state = model.state()
    with pytest.raises(ConfigError, match="widths"):
        Ensemble(SMALL, TransitionLayout(3, 1), 1).load(state)
    with pytest.raises(ConfigError, match="configuration"):
        Ensemble(SMALL.model_copy(update={"batch": 7}), LAYOUT, 1).load(state)
    with pytest.raises(ConfigError, match="damaged"):
        model.load({key: value for key, value in state.items() if key != "weights"})


def test_a_fit_never_makes_a_member_worse_and_ends_when_nothing_improves(trained: Ensemble) -> None:
    model = Ensemble(trained.config.model_copy(update={"patience": 2}), LAYOUT, 1)
    before = model.fit(noisy(1000))
    after = model.fit(noisy(1000))
    assert (after.heldout_loss <= before.heldout_loss + 1e-6).all()
    assert after.steps < trained.config.max_steps
    assert after.elites == tuple(np.argsort(after.heldout_loss)[: SMALL.elites])


def test_held_out_rows_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen = noisy(400), []
    model = Ensemble(SMALL, LAYOUT, 1)
    monkeypatch.setattr(model, "_step", lambda inputs, *rest: seen.append(inputs.flatten(0, 1)))
    model.fit(rows, max_steps=100)
    training = model._tensors(rows[~heldout_mask(0, 400)])[0]
    assert len(torch.unique(torch.cat(seen), dim=0)) == len(training)
    assert torch.isin(torch.cat(seen)[:, 0], training[:, 0]).all()


@pytest.mark.parametrize("bad", ["width", "nan", "few"])
def test_bad_rows_are_refused(bad: str) -> None:
    rows = noisy(200)
    given = {"width": rows[:, :-1], "nan": np.where(rows > 0.9, np.nan, rows), "few": rows[:10]}[bad]
    with pytest.raises(ValueError, match="rows of shape"):
        Ensemble(SMALL, LAYOUT, 1).fit(given.astype(np.float32))
