# SPDX-License-Identifier: Apache-2.0
"""The predict network: training moves it the right way, serving in NumPy is what torch computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ir_dynamics.dynamics_config import PRESETS, NetworkConfig
from ir_dynamics.predict_network import MAX_DEVIATION, PredictNetwork, spread
from ir_dynamics.predict_trainer import Adam, PredictTrainer
from ir_dynamics.transitions import Rows, Transition, TransitionLayout

LAYOUT = TransitionLayout(num_state=3, num_action=2)
A = np.array([[0.9, 0.1, 0.0], [0.0, 0.8, 0.1], [-0.1, 0.0, 0.95]])
B = np.array([[0.1, 0.0], [0.0, 0.3], [0.2, -0.1]])
OFFSET, SCALE = np.array([50.0, -3.0, 0.2]), np.array([10.0, 1.0, 0.01])


def linear_system(count: int, seed: int) -> Rows:
    """Transitions [count, width] of x' = A x + B a, r = x0 - x1, with states of very different size and offset."""
    rng = np.random.default_rng(seed)
    x, a = rng.normal(size=(count, 3)), rng.uniform(-1, 1, size=(count, 2))
    following = x @ A.T + a @ B.T
    rows = np.empty((count, LAYOUT.width), np.float32)
    rows[:] = np.column_stack([x * SCALE + OFFSET, a, x[:, 0] - x[:, 1], following * SCALE + OFFSET, np.zeros(count)])
    return rows


@pytest.fixture(params=list(PRESETS))
def trained(request: pytest.FixtureRequest) -> PredictTrainer:
    trainer = PredictTrainer(PRESETS[request.param], LAYOUT, seed=1)
    rows = linear_system(256, seed=0)
    trainer.normalise(rows)
    for _ in range(5):
        trainer.step(rows)
    return trainer


def test_the_paper_preset_is_the_papers_network() -> None:
    net = PredictTrainer(PRESETS["paper"], LAYOUT, seed=0).net
    linear = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [200] * 5 + [4]
    assert sum(isinstance(layer, torch.nn.Sigmoid) for layer in net) == 5
    assert (PRESETS["paper"].batch, PRESETS["paper"].learning_rate) == (256, 3e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_move_and_the_loss_falls_on_a_fixed_batch(preset: str) -> None:
    trainer, rows = PredictTrainer(PRESETS[preset], LAYOUT, seed=1), linear_system(256, seed=0)
    trainer.normalise(rows)
    before = [p.detach().clone() for p in trainer.net.parameters()]
    losses = [trainer.step(rows) for _ in range(40)]
    assert all(not torch.equal(p, old) for p, old in zip(trainer.net.parameters(), before, strict=True))
    assert losses[-1] < 0.9 * losses[0]
    assert trainer.steps == 40


def test_adam_is_torchs_adam() -> None:
    start, target = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.ones(5, 3)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimisers = Adam([ours], 0.01), torch.optim.Adam([theirs], 0.01)
    for _ in range(50):
        theirs.grad = None
        for parameter, optimiser in zip((ours, theirs), optimisers, strict=True):
            ((parameter - target) ** 2).sum().backward()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)


def test_numpy_serves_what_torch_computes(trained: PredictTrainer) -> None:
    batch = LAYOUT.unpack(linear_system(64, seed=3))
    served = trained.export().predict(batch.state, batch.action)
    reference = trained.forward(batch.state, batch.action)
    scale = np.maximum(np.abs(reference).max(axis=0), 1.0)
    assert (np.abs(np.column_stack(served) - reference) / scale).max() < 1e-5


def test_one_row_is_served_as_in_a_batch(trained: PredictTrainer) -> None:
    network, batch = trained.export(), LAYOUT.unpack(linear_system(8, seed=3))
    whole = network.predict(batch.state, batch.action)
    for i in range(8):
        one = network.predict(batch.state[i : i + 1], batch.action[i : i + 1])
        np.testing.assert_allclose(one.next_state[0], whole.next_state[i], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(one.reward[0], whole.reward[i], rtol=1e-4, atol=1e-4)


def test_what_is_saved_is_loaded_exactly(trained: PredictTrainer, tmp_path: Path) -> None:
    network, batch = trained.export(), LAYOUT.unpack(linear_system(8, seed=3))
    network.save(tmp_path / "model.npz")
    loaded = PredictNetwork.load(tmp_path / "model.npz")
    for was, is_ in zip(network.weights + network.biases, loaded.weights + loaded.biases, strict=True):
        np.testing.assert_array_equal(was, is_)
    for was, is_ in zip(network.predict(*batch[:2]), loaded.predict(*batch[:2]), strict=True):
        np.testing.assert_array_equal(was, is_)


def test_training_goes_on_from_an_exported_network(trained: PredictTrainer) -> None:
    other = PredictTrainer(trained.config, LAYOUT, seed=99)
    other.adopt(trained.export())
    batch = LAYOUT.unpack(linear_system(8, seed=3))
    np.testing.assert_array_equal(
        other.forward(batch.state, batch.action), trained.forward(batch.state, batch.action)
    )  # fmt: skip
    with pytest.raises(ValueError, match="layers"):
        PredictTrainer(trained.config, TransitionLayout(4, 2), seed=0).adopt(trained.export())


def test_exported_weights_stay_as_they_were(trained: PredictTrainer) -> None:
    network = trained.export()
    before = [w.copy() for w in network.weights]
    trained.step(linear_system(256, seed=5))
    for was, is_ in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(was, is_)


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "shape", "nan"])
def test_a_damaged_file_is_refused(damage: str, trained: PredictTrainer, tmp_path: Path) -> None:
    path, network = tmp_path / "model.npz", trained.export()
    if damage == "shape":
        network = replace(network, weights=(network.weights[0][:, :-1], *network.weights[1:]))
    if damage == "nan":
        network = replace(network, biases=(network.biases[0] * np.nan, *network.biases[1:]))
    if damage != "missing":
        network.save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    if damage == "text":
        path.write_text("weights")
    with pytest.raises(ValueError, match=r"model\.npz: is not a predict network"):
        PredictNetwork.load(path)


def test_far_outside_its_data_the_live_network_stays_bounded() -> None:
    trainer, rows = PredictTrainer(PRESETS["live"], LAYOUT, seed=1), linear_system(256, seed=0)
    trainer.normalise(rows)
    batch, network = LAYOUT.unpack(rows[:1]), trainer.export()
    edge = network.predict(OFFSET[None] + MAX_DEVIATION * 1.5 * SCALE, batch.action).reward
    far = network.predict(OFFSET[None] + 1e9 * SCALE, batch.action).reward
    np.testing.assert_allclose(edge, far, rtol=1e-4)
    assert np.isnan(network.predict(batch.state * np.nan, batch.action).reward[0])


def test_constant_columns_have_no_spread_to_divide_by() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.normal(size=500), np.full(500, 8.0), 8 + 1e-5 * rng.normal(size=500)])
    np.testing.assert_allclose(spread(columns), [1.0, 1.0, 1.0], rtol=0.1)
    np.testing.assert_allclose(spread(columns[:, 2:], 1e-9), [1e-5], rtol=0.1)


def test_errors_are_root_mean_squares_in_the_stated_units() -> None:
    network = PredictNetwork(
        weights=(np.zeros((3, 3), np.float32),), biases=(np.zeros(3, np.float32),), activation="silu", difference=True,
        input_mean=np.zeros(3, np.float32), input_scale=np.ones(3, np.float32), output_mean=np.zeros(3, np.float32),
        output_scale=np.ones(3, np.float32), clip=10.0,
    )  # fmt: skip  # predicts s' = s and r = 0
    state = np.zeros((2, 2), np.float32)
    following = np.array([[3.0, 0.0], [4.0, 0.0]], np.float32)
    error = network.errors(Transition(state, np.zeros((2, 1)), np.array([1.0, 7.0]), following, np.zeros(2)), [5.0, 1])
    assert error.reward == pytest.approx(5.0)
    np.testing.assert_allclose(error.state_dimensions, [np.sqrt(12.5) / 5, 0.0])
    assert error.state == pytest.approx(np.sqrt(12.5) / 5 / np.sqrt(2))


def test_a_linear_system_is_learnt() -> None:
    """Chance: predicting the mean reward errs by sqrt(2); the state's persistence by 0.2 to 0.4 of its deviation."""
    trainer, rows = (
        PredictTrainer(NetworkConfig(hidden=(64,), activation="silu", normalise=True, learning_rate=3e-3), LAYOUT, 0),
        None,
    )
    rows, rng = linear_system(2000, seed=0), np.random.default_rng(0)
    trainer.normalise(rows)
    for _ in range(400):
        trainer.step(rows[rng.integers(len(rows), size=128)])
    error = trainer.export().errors(LAYOUT.unpack(linear_system(500, seed=1)), SCALE)
    assert error.reward < 0.05 * np.sqrt(2)
    assert error.state_dimensions.max() < 0.05
