# SPDX-License-Identifier: Apache-2.0
"""The slice forecaster: the graph's forms, attention by hand, learning a case of known answer, and the baselines."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ir_slicing.learning.device_traffic import Source, TrafficConfig
from ir_slicing.learning.forecaster import linear
from ir_slicing.learning.forecaster.baselines import (
    LSTM,
    STID,
    auto_arima,
    fit_lstm,
    lightgbm_lags,
    seasonal_naive,
    statistical,
)
from ir_slicing.learning.forecaster.fitting import FitConfig, slice_loss
from ir_slicing.learning.forecaster.forecaster_network import (
    ForecasterConfig,
    GraphAttention,
    GraphLearner,
    SliceForecaster,
)
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS, Scale, Windows

SMALL = {"window": 6, "horizons": (1, 2), "features": 8, "embedding": 4, "heads": 2}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_equation_9_as_printed_joins_nobody():
    """M1 = M2 makes M1 M2^T - M2 M1^T zero, whatever the weights and the window."""
    features = torch.randn(3, 5, 8)
    assert (GraphLearner(ForecasterConfig(**SMALL, graph="printed"), 5)(features) == 0.0).all()


def test_two_embeddings_give_a_directed_dynamic_graph():
    learner = GraphLearner(ForecasterConfig(**SMALL), 5)
    a = learner(torch.randn(3, 5, 8)).detach()
    assert (a >= 0).all() and (a < 1).all() and (a > 0).any()
    assert (torch.minimum(a, a.transpose(1, 2)) == 0).all()  # an edge has one direction
    assert (a[0] != a[1]).any()  # it depends on the window
    assert (torch.diagonal(a, dim1=1, dim2=2) == 0).all()


def test_equation_9_by_hand():
    learner = GraphLearner(ForecasterConfig(**{**SMALL, "embedding": 1}, beta=2.0), 2)
    with torch.no_grad():
        learner.embedding.copy_(torch.tensor([[[0.3], [0.1]], [[0.2], [0.5]]]))
        for theta in learner.dynamic:
            theta.weight.zero_()
    m1, m2 = np.tanh([0.6, 0.2]), np.tanh([0.4, 1.0])
    expected = np.tanh(2.0 * (m1[0] * m2[1] - m2[0] * m1[1]))
    assert learner(torch.zeros(1, 2, 8))[0].detach().numpy() == pytest.approx(np.array([[0, expected], [0, 0]]))


def test_attention_agrees_with_loops():
    """Eqs. (10) and (11), device by device."""
    layer, x = GraphAttention(6, 2), torch.randn(1, 4, 6)
    adjacency = torch.relu(torch.randn(1, 4, 4))
    adjacency[0].fill_diagonal_(0.0)
    alpha = layer.attention(x, adjacency)[0][0].detach().numpy()
    got = layer(x, adjacency)[0].detach().numpy()
    w = layer.project.weight.detach().numpy()
    for head in range(2):
        wx = (x[0].numpy() @ w.T)[:, 3 * head : 3 * head + 3]
        q = np.concatenate([layer.q_source[head].detach().numpy(), layer.q_target[head].detach().numpy()])
        for v in range(4):
            weights = np.zeros(4)
            for z in range(4):
                score = float(q @ np.concatenate([wx[z], wx[v]]))
                edge = 1.0 if z == v else float(adjacency[0, v, z])
                weights[z] = edge * np.exp(score if score > 0 else 0.2 * score)
            weights /= weights.sum()
            assert alpha[head, v] == pytest.approx(weights, abs=1e-5)
            mixed = weights @ wx
            expected = np.where(mixed > 0, mixed, np.expm1(mixed))
            assert got[v, 3 * head : 3 * head + 3] == pytest.approx(expected, abs=1e-5)


def test_a_device_without_edges_sees_only_itself():
    layer, x = GraphAttention(6, 2), torch.randn(2, 4, 6)
    alpha, _ = layer.attention(x, torch.zeros(2, 4, 4))
    assert alpha.detach().numpy() == pytest.approx(np.broadcast_to(np.eye(4), (2, 2, 4, 4)), abs=1e-6)


@pytest.mark.parametrize("graph", ["two_embeddings", "printed", "none"])
def test_shapes_and_a_fresh_forecaster_is_a_model_of_single_devices(graph):
    forecaster, window = (
        SliceForecaster(ForecasterConfig(**SMALL, graph=graph), 5, CHANNELS).eval(),
        torch.randn(3, CHANNELS, 6, 5),
    )
    out = forecaster(window)
    assert out.shape == (3, 2, 5)
    window[..., 0] += 1.0
    assert torch.allclose(out[..., 1:], forecaster(window)[..., 1:], atol=1e-6)
    with pytest.raises(ValueError, match="looks back 6"):
        forecaster(torch.randn(3, CHANNELS, 7, 5))


def test_the_printed_softmax_only_divides_what_was_seen_last():
    forecaster = SliceForecaster(ForecasterConfig(**SMALL, head="softmax"), 5, CHANNELS).eval()
    window = torch.rand(3, CHANNELS, 6, 5)
    assert forecaster(window).sum(-1).detach().numpy() == pytest.approx(
        window[:, 0, -1].sum(-1)[:, None].expand(3, 2).numpy()
    )


def test_bad_configurations_are_refused():
    for change in ({"heads": 3}, {"horizons": (3, 1)}, {"horizons": (0, 1)}, {"order": 6}):
        with pytest.raises(ValidationError):
            ForecasterConfig(**{**SMALL, **change})
    with pytest.raises(ValidationError, match="nothing to test on"):
        FitConfig(train=0.9, validate=0.1)


def test_windows_and_targets_are_where_they_should_be():
    traffic = np.arange(40, dtype=np.float32).reshape(20, 2)
    scale = Scale(np.zeros(2, np.float32), np.ones(2, np.float32))
    windows = Windows(traffic, scale, 4, (1, 3), day=10)
    inputs, targets = windows.inputs(np.array([5, 9])), windows.targets(np.array([5, 9]))
    assert inputs.shape == (2, CHANNELS, 4, 2)
    assert inputs[0, 0, :, 0].tolist() == [4, 6, 8, 10] and targets[0, :, 0].tolist() == [12, 16]
    assert inputs[1, 2, -1, 0] == pytest.approx(np.sin(2 * np.pi * 9 / 10), abs=1e-6)


def test_loss_13_by_hand():
    predicted, actual = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[0.0, 4.0]]])
    got = slice_loss(predicted, actual, torch.tensor([3.0, 4.0]), device_weight=0.5)
    assert float(got) == pytest.approx(abs(3 * 1 - 4 * 2) / 5 + 0.5 * 1.5)


def follow(steps=500, seed=0):
    """[step, 6]: white noise at device 0; the others repeat it one step later. Alone, each is noise."""
    rng = np.random.default_rng(seed)
    lead = rng.uniform(1.0, 3.0, steps + 1)
    return np.stack([lead[1:]] + [lead[:-1] * (1 + 0.01 * rng.standard_normal(steps)) for _ in range(5)], 1).astype(
        np.float32
    )


def test_the_forecaster_learns_who_leads_and_a_model_of_single_devices_cannot():
    """The followers are known a step ahead from device 0; without a graph the error is the noise itself, 0.577. The
    attention finds it by gradients, the lag graph, which leaves nothing to the attention, to within the noise of 1 %.

    The linear parts look at the slice's sum, too, and the sum less five times a follower is the leader: before them a
    further device of noise hides it there.
    """
    plain, config = follow(), FitConfig(day=50, epochs=15, rate=1e-2, seed=1)
    noise = 3.0 * np.random.default_rng(8).uniform(1.0, 3.0, (500, 1)).astype(np.float32)
    last = np.arange(config.split(500)[1], 499)
    actual, errors = plain[last + 1][:, 1:], {}
    for graph, parts in (("two_embeddings", False), ("none", False), ("two_embeddings", True), ("none", True)):
        traffic = np.hstack([plain, noise]) if parts else plain
        form = {**SMALL, "horizons": (1,), "features": 16, "graph": graph, "linear": parts, "order": 2, "trees": 0}
        forecaster = fit_forecaster(
            traffic, ForecasterConfig(**form), config.model_copy(update={"epochs": 3 if parts else 15})
        )
        got = forecaster.predict(traffic, last)[:, 0, 1:6]
        errors[graph, parts] = float(np.sqrt(np.mean((got - actual) ** 2)))
        assert min(forecaster.history) < forecaster.history[0]
    assert errors["none", False] > 0.5 and errors["none", True] > 0.5
    assert errors["two_embeddings", False] < 0.25
    assert errors["two_embeddings", True] < 0.05


def test_without_anything_in_common_the_graph_is_not_used():
    """Independent noise about a level: no edges, no attention, and the error of the level itself."""
    traffic = np.random.default_rng(3).uniform(1.0, 3.0, (400, 5)).astype(np.float32)
    config = FitConfig(day=50, epochs=3, seed=1)
    forecaster = fit_forecaster(traffic, ForecasterConfig(**SMALL, order=2), config)
    last = np.arange(config.split(400)[1], 398)
    error = forecaster.predict(traffic, last).sum(-1) - traffic[last[:, None] + [1, 2]].sum(-1)
    level = traffic[:320].mean(0).sum() - traffic[last[:, None] + [1, 2]].sum(-1)
    assert (forecaster.network.lags.weight == 0.0).all() and (forecaster.network.gate == 0.0).all()
    assert np.sqrt(np.mean(error**2)) < 1.05 * np.sqrt(np.mean(level**2))


def test_forecast_is_the_sum_of_its_parts():
    """blend own + (1 - blend) seasonal + lags + gate attention."""
    forecaster, window = (
        SliceForecaster(ForecasterConfig(**SMALL, order=2), 3, CHANNELS).eval(),
        torch.randn(4, CHANNELS, 6, 3),
    )
    with torch.no_grad():
        for buffer in (forecaster.seasonal.weight, forecaster.lags.weight, forecaster.lags.alone, forecaster.lags.bias):
            buffer.normal_()
        forecaster.head[-1].weight.normal_()
        forecaster.blend.copy_(torch.tensor([0.25, 0.5]))
        forecaster.gate.copy_(torch.tensor([0.5, 0.0]))
        features = forecaster.features(window)
        own, attention = forecaster.alone(window, features), forecaster.attention(window, features)
        expected = (
            forecaster.blend * own
            + (1 - forecaster.blend) * forecaster.seasonal(window)
            + forecaster.lags(window)
            + forecaster.gate * attention
        )
        assert torch.allclose(forecaster(window), expected.transpose(1, 2), atol=1e-5)


def test_regressors_and_innovations_by_hand():
    """Order 2, a window of 4: an innovation for each of the last two steps."""
    window = torch.zeros(1, CHANNELS, 4, 1)
    window[0, 0, :, 0] = torch.tensor([1.0, 2.0, 4.0, 8.0])
    window[0, 2, :, 0], window[0, 3, :, 0] = 0.6, 0.8
    got = linear.design(window, 3, 2)[0, 0].numpy()
    assert got == pytest.approx([1, 0.6, 0.8, 2 * 0.6 * 0.8, 0.8**2 - 0.6**2, 8, 4])
    lags = linear.LagGraph(1, 1, order=2, window=4)
    lags.alone[0, :, 0] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.5])
    assert lags.innovations(window)[0].tolist() == [8 - (4 + 0.5 * 2), 4 - (2 + 0.5 * 1)]


def test_seasonal_weights_are_least_squares():
    rng = np.random.default_rng(0)
    a, true = rng.standard_normal((500, 3, 4)), rng.standard_normal((3, 4, 2))
    got = linear.seasonal_weights(a, np.einsum("nvk,vkh->nvh", a, true))
    assert got == pytest.approx(true, abs=1e-3)


def test_lag_weights_find_the_one_source_and_none_where_there_is_none():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 30))
    residual = np.stack([x[:, [7, 3]] * [2.0, -1.0], rng.standard_normal((600, 2))], axis=1)
    residual += 0.5 * rng.standard_normal(residual.shape)
    found = linear.lag_weights(x, residual, np.ones(2), gap=5)
    assert found.strengths[1] == np.inf and (found.weight[1] == 0).all() and (found.held_out[:, 1] == 0).all()
    expected = np.zeros((30, 2))
    expected[7, 0], expected[3, 1] = 2.0, -1.0
    assert found.weight[0] == pytest.approx(expected, abs=0.08)
    assert found.left == pytest.approx([np.sqrt(0.5 / 5.5), 1.0], abs=0.03)
    assert np.std(residual[:, 0] - found.held_out[:, 0]) == pytest.approx(0.5, rel=0.05)


def test_lag_weights_of_held_out_rows_do_not_know_them():
    """Changed targets in the first block change what is said of the others, and not what is said of that block."""
    rng = np.random.default_rng(0)
    x, residual = rng.standard_normal((200, 8)), rng.standard_normal((200, 1, 2))
    residual[:, 0] += x[:, :2]
    before = linear.lag_weights(x, residual - residual.mean(0), np.ones(2), gap=3)
    changed = residual.copy()
    changed[:20] = changed[:20][::-1]
    after = linear.lag_weights(x, changed - changed.mean(0), np.ones(2), gap=3)
    assert before.strengths == after.strengths
    assert before.held_out[:40] == pytest.approx(after.held_out[:40], abs=1e-6)
    assert before.held_out[60:] != pytest.approx(after.held_out[60:], abs=1e-3)


def test_same_seed_same_weights_and_forecasts_do_not_see_the_future():
    traffic, config = follow(200), FitConfig(day=20, epochs=2)
    forecasters = [fit_forecaster(traffic, ForecasterConfig(**SMALL), config) for _ in range(2)]
    last = np.array([50, 100])
    first = forecasters[0].predict(traffic, last)
    assert (first == forecasters[1].predict(traffic, last)).all()
    changed = traffic.copy()
    changed[101:] = 9.0
    assert (forecasters[0].predict(changed, last) == first).all() and (first >= 0).all()


def test_forecasts_of_the_wrong_width_are_refused():
    forecaster = fit_forecaster(follow(200), ForecasterConfig(**SMALL), FitConfig(day=20, epochs=1))
    with pytest.raises(ValueError, match=r"\[step, 6\] is needed"):
        forecaster.predict(follow(200)[:, :5], np.array([50]))
    with pytest.raises(ValueError, match="need 6 steps"):
        forecaster.predict(follow(200), np.array([4]))
    with pytest.raises(ValueError, match="too few"):
        fit_forecaster(follow(20), ForecasterConfig(**SMALL), FitConfig())


def test_seasonal_naive_by_hand():
    traffic = np.arange(60, dtype=np.float32)[:, None]
    assert seasonal_naive(traffic, np.array([30]), (1, 3, 10), 10)[0, :, 0].tolist() == [21, 23, 30]
    assert seasonal_naive(traffic, np.array([30]), (12,), 10)[0, 0, 0] == 22
    with pytest.raises(ValueError, match="no day"):
        seasonal_naive(traffic, np.array([5]), (1,), 10)


def test_lstm_forms():
    window = torch.randn(3, CHANNELS, 6, 5)
    alone, joint = LSTM("device", 5, 2), LSTM("joint", 5, 2)
    before = alone(window), joint(window)
    window[:, :2, :, 0] += 1.0
    assert before[0].shape == before[1].shape == (3, 2, 5)
    assert torch.allclose(before[0][..., 1:], alone(window)[..., 1:])
    assert not torch.allclose(before[1][..., 1:], joint(window)[..., 1:])


def test_lstm_learns_a_wave():
    t = np.arange(500)
    wave = (2 + np.sin(2 * np.pi * t / 9)[:, None] * np.ones(3)).astype(np.float32)
    config = FitConfig(day=50, epochs=20, rate=1e-2)
    last = np.arange(config.split(500)[1], 498)
    got = fit_lstm(wave, "device", 10, (1, 2), config).predict(wave, last)
    assert np.sqrt(np.mean((got - wave[last[:, None] + [1, 2]]) ** 2)) < 0.1


def days_of_hours(seed=0):
    """[step, 3]: twelve days of 24, a profile and noise of 5 %."""
    rng = np.random.default_rng(seed)
    profile = 2.0 + np.sin(2 * np.pi * np.arange(288) / 24)
    return (profile[:, None] * rng.normal(1.0, 0.05, (288, 3))).astype(np.float32)


def test_stid_sees_one_device_its_place_and_the_hour():
    network, window = STID(5, 6, 2, 24).eval(), torch.randn(3, CHANNELS, 6, 5)
    window[:, 2], window[:, 3] = np.sin(2 * np.pi * 7 / 24), np.cos(2 * np.pi * 7 / 24)
    before = network(window)
    assert before.shape == (3, 2, 5)
    window[:, :2, :, 0] += 1.0
    assert torch.allclose(before[..., 1:], network(window)[..., 1:])
    network.hour.data[7] += 1.0
    assert not torch.allclose(before[..., 1:], network(window)[..., 1:])


@pytest.mark.parametrize("name", ["AutoETS", "MSTL"])
def test_statistical_baselines_know_a_day(name):
    """The mean is off by a third; who knows the day is off by the noise of the three devices, 3 %."""
    pytest.importorskip("statsforecast", reason="statsforecast is not installed (requirements/dev.txt)")
    whole, last = days_of_hours().sum(axis=1), np.arange(270, 285)
    got = statistical(name, whole, last, (1, 3), 24, refits=2)
    assert np.mean(np.abs(got / whole[last[:, None] + [1, 3]] - 1.0)) < 0.06


def test_lightgbm_knows_a_day():
    pytest.importorskip("lightgbm", reason="lightgbm is not installed (requirements/forecasting.txt)")
    traffic, last = days_of_hours(), np.arange(250, 285)
    got = lightgbm_lags(traffic, 6, last, (1, 3), 24, 240, seed=1)
    assert np.mean(np.abs(got / traffic[last[:, None] + [1, 3]].sum(-1) - 1.0)) < 0.06


def test_auto_arima_knows_an_ar_process():
    """AR(1) of 0.9: the error one step ahead is near that of the noise, 1; the mean's is 2.3."""
    pytest.importorskip("statsforecast", reason="statsforecast is optional: pip install statsforecast")
    rng, x = np.random.default_rng(0), np.zeros(400)
    for t in range(1, 400):
        x[t] = 0.9 * x[t - 1] + rng.standard_normal()
    last = np.arange(300, 396)
    got = auto_arima(x + 10.0, last, (1, 3), 50, 300)
    error = np.sqrt(np.mean((got - (x + 10.0)[last[:, None] + [1, 3]]) ** 2, axis=0))
    assert error[0] < 1.2 and error[0] < error[1] < 2.3


@pytest.mark.parametrize("c", [0.0, 0.8, 1.0])
def test_the_best_forecast_is_calibrated_and_better_than_any_linear_one(c):
    """E[d | all hidden]: unbiased at every level, and least squares on the past of all devices is worse."""
    source = Source(TrafficConfig(devices=6, correlation=c, lines=1, day=50), 9000, np.random.default_rng(3))
    last = np.arange(20, 8990)
    actual, best = source.traffic[last[:, None] + [1, 3]], source.best(last, (1, 3))
    past = np.stack([source.traffic[last - q] for q in range(10)], axis=1).reshape(len(last), -1)
    past = np.concatenate([past, np.ones((len(last), 1))], axis=1)
    for h in range(2):
        slope = np.polyfit(best[:, h].sum(-1), actual[:, h].sum(-1), 1)[0]
        assert slope == pytest.approx(1.0, abs=0.05)
        linear_error = actual[:, h] - past @ np.linalg.lstsq(past, actual[:, h], rcond=None)[0]
        assert np.mean((actual[:, h] - best[:, h]).sum(-1) ** 2) < np.mean(linear_error.sum(-1) ** 2)


def test_the_best_forecast_knows_what_has_passed_the_first_device():
    """Fully correlated, without bursts, three steps down the line: the future is the first device's present."""
    config = TrafficConfig(devices=8, correlation=1.0, lines=1, burst_rate=0.0, max_lag=5)
    source = Source(config, 300, np.random.default_rng(5))
    last, late = np.arange(50, 290), source._lag - source._lag.min() >= 3
    assert late.any() and not late.all()
    error = source.best(last, (3,))[:, 0] - source.traffic[last + 3]
    assert error[:, late] == pytest.approx(0.0, abs=1e-9) and np.abs(error[:, ~late]).mean() > 0.01
