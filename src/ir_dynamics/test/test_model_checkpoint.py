# SPDX-License-Identifier: Apache-2.0
"""Checkpoints come back exactly or are refused clearly."""

import re
import tokenize
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_dynamics import LAYOUT, rows, toy, version

from ir_common.config import ConfigError
from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig, NetworkConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.transitions import TransitionLayout, layout_of

torch.set_num_threads(1)
SMALL = EnsembleConfig(members=4, elites=2, hidden=(32, 32), batch=64)


@pytest.mark.parametrize("preset", ["live", "ensemble"])
def test_a_version_comes_back_exactly(preset: str, tmp_path: Path) -> None:
    model, path = version(preset), model_checkpoint.file_of(tmp_path / "new" / "folder", "toy")
    model_checkpoint.save(path, model, preset)
    again = model_checkpoint.load(path, "toy", layout_of(preset, 2, 1), preset)
    assert (again.version, again.transitions, again.steps) == (model.version, model.transitions, model.steps)
    assert again.error.reward == model.error.reward
    assert again.error.state_dimensions.shape == (2,), "of what is observed"
    batch = layout_of(preset, 2, 1).unpack(rows(20, preset))
    for was, is_ in zip(model.network.predict(*batch[:2]), again.network.predict(*batch[:2]), strict=True):
        np.testing.assert_array_equal(was, is_)
    assert [file.name for file in path.parent.iterdir()] == ["toy.npz"]


@pytest.mark.parametrize("damage", ["truncated", "text", "task", "preset", "widths", "format"])
def test_what_does_not_fit_is_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.npz"
    if damage == "format":
        monkeypatch.setattr("ir_dynamics.network_file.FORMAT", 99)
    model_checkpoint.save(path, version("live"), "live")
    monkeypatch.undo()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if damage == "text":
        path.write_text("weights")
    task = "other" if damage == "task" else "toy"
    layout = TransitionLayout(3, 1) if damage == "widths" else LAYOUT
    with pytest.raises(ConfigError, match=r"toy\.npz: .*; (move it away|give another folder)"):
        model_checkpoint.load(path, task, layout, "paper" if damage == "preset" else "live")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PRESETS["live"].model_copy(update={"hidden": (128, 64)}), r"a network of 128, 64 hidden neurons \(silu, n"),
        (PRESETS["live"].model_copy(update={"activation": "sigmoid"}), r"a network of 128, 128 .* \(sigmoid, n"),
        (PRESETS["live"].model_copy(update={"normalise": False}), r"a network of 128, 128 .* \(silu, not n"),
        (SMALL, r"4 networks of 32, 32 .*ensemble is of 5 networks of 128, 128, 128"),
    ],
)
def test_a_network_of_other_layers_than_those_of_its_preset_is_refused(
    config: NetworkConfig | EnsembleConfig, said: str, tmp_path: Path
) -> None:
    """The preset was another one when the file was written; what is loaded, the learner goes on from."""
    preset = "ensemble" if isinstance(config, EnsembleConfig) else "live"
    path, layout = tmp_path / "toy.npz", layout_of(preset, 2, 1)
    trainer = Ensemble(config, layout, 0) if isinstance(config, EnsembleConfig) else PredictTrainer(config, layout, 0)
    model_checkpoint.save(path, replace(version(preset), network=trainer.export()), preset)
    with pytest.raises(ConfigError, match=rf"toy\.npz: checkpoint of {said}.*; move it away"):
        model_checkpoint.load(path, "toy", layout, preset)


@pytest.mark.parametrize(
    "error",
    [
        tokenize.TokenError("EOF in multi-line statement", (2, 0)), NotImplementedError("compression type 9"),
        RuntimeError("is encrypted"), MemoryError("Unable to allocate 3 TiB"), OverflowError("int too large"),
        ValueError("header is long\nand may not be safe"),
    ],
)  # fmt: skip
def test_whatever_a_damaged_file_raises_is_said_as_damage(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "toy.npz"
    model_checkpoint.save(path, version("live"), "live")
    model_checkpoint.save_rows(path, toy(50), toy(5))

    def load(*given: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(np, "load", load)
    with pytest.raises(ConfigError, match=r"toy\.npz: is no undamaged checkpoint .*; move it away"):  # in one line
        model_checkpoint.load(path, "toy", LAYOUT, "live")
    with pytest.raises(ConfigError, match=r"toy\.rows\.npz: is damaged .*gathers anew"):
        model_checkpoint.load_rows(path, LAYOUT)


def test_a_damaged_zip_entry_is_said_as_damage(tmp_path: Path) -> None:
    """Of an encrypted entry zipfile raises RuntimeError, of an unknown compression NotImplementedError."""
    path = tmp_path / "toy.npz"
    model_checkpoint.save(path, version("live"), "live")
    whole, entry = path.read_bytes(), b"PK\x01\x02"
    for offset, value in ((8, 1), (10, 99)):  # flags and compression, in the central directory
        data = bytearray(whole)
        for start in (found.start() for found in re.finditer(re.escape(entry), whole)):
            data[start + offset] = value
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=r"toy\.npz: is no undamaged checkpoint"):
            model_checkpoint.load(path, "toy", LAYOUT, "live")


def test_numpy_serves_the_ensemble_that_torch_computes(tmp_path: Path) -> None:
    model, batch = Ensemble(SMALL, LAYOUT, seed=1), LAYOUT.unpack(toy(40, seed=1))
    model.fit(toy(600), max_steps=100)
    model.export().save(tmp_path / "e.npz")
    served = EnsembleNetwork.load(tmp_path / "e.npz").outlook(batch.state, batch.action)
    outcome, elites = model.predict(batch.state, batch.action), list(model.elites)
    np.testing.assert_allclose(served.next_state, outcome.mean[elites][..., :-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(served.reward, outcome.mean[elites][..., -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(served.termination, outcome.termination[elites], rtol=1e-4, atol=1e-5)
    other = Ensemble(SMALL, LAYOUT, seed=9)
    other.adopt(model.export())
    adopted = other.predict(batch.state, batch.action)
    torch.testing.assert_close(adopted.mean[: len(elites)], outcome.mean[elites])
    torch.testing.assert_close(adopted.deviation[: len(elites)], outcome.deviation[elites])
    with pytest.raises(ValueError, match="is not one"):
        Ensemble(SMALL, TransitionLayout(3, 1), 1).adopt(model.export())


@pytest.mark.parametrize("damage", ["truncated", "another width", "nan", "text"])
def test_transitions_that_do_not_fit_are_refused(damage: str, tmp_path: Path) -> None:
    path = model_checkpoint.file_of(tmp_path, "toy")
    good = toy(50)
    bad = {"another width": good[:, 1:], "nan": np.full_like(good, np.nan)}.get(damage, good)
    model_checkpoint.save_rows(path, bad, good[:1])
    file = model_checkpoint.rows_of(path)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    if damage == "text":
        file.write_text("no rows")
    with pytest.raises(ConfigError, match=r"toy\.rows\.npz: .*gathers anew"):
        model_checkpoint.load_rows(path, LAYOUT)
