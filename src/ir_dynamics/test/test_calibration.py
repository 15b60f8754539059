# SPDX-License-Identifier: Apache-2.0
"""Intervals of predictions: how much they hold, whatever the errors' distribution."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_dynamics import rows, version

from ir_dynamics.calibration import MIN_RESIDUALS, SHARES, half_widths, surprise
from ir_dynamics.dynamics_config import EnsembleConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.transitions import layout_of

LAYOUT = layout_of("ensemble", 2, 1)


def test_the_intervals_of_heavy_tails_hold_what_they_say() -> None:
    """Of other draws of a Student's t with 2 degrees of freedom and of a normal distribution, each its own output."""
    rng = np.random.default_rng(1)
    measured, others = (np.column_stack([rng.standard_t(2, 4000), 3 * rng.normal(size=4000)]) for _ in range(2))
    widths = half_widths(measured)
    assert widths is not None
    for d in (0, 1):
        held = [np.mean(np.abs(others[:, d]) <= width) for width in widths[d]]
        assert np.abs(held - SHARES).max() < 0.03
    u = surprise(others, widths)
    assert np.abs(u.mean(axis=0) - 0.5).max() < 0.02
    assert np.all((u >= 0) & (u <= 1))


def test_surprise_by_hand() -> None:
    widths = np.tile(SHARES * 10, (1, 1))  # |z| even between 0 and 10
    assert surprise(np.array([[0.0], [-2.5], [5.0], [1e9]]), widths)[:, 0] == pytest.approx([0, 0.25, 0.5, 0.995])


def test_few_or_bad_residuals_measure_nothing() -> None:
    assert half_widths(np.zeros((MIN_RESIDUALS - 1, 2))) is None
    assert half_widths(np.full((MIN_RESIDUALS, 2), np.nan)) is None


def test_residuals_are_those_of_the_trained_members() -> None:
    """The served network against the mixture's moments as torch computes them."""
    ensemble, given = Ensemble(EnsembleConfig(members=3, elites=2, hidden=(16,)), LAYOUT, 1), rows(200, "ensemble")
    ensemble.normalise(given)
    for _ in range(30):
        ensemble.step(given[np.random.default_rng(0).integers(200, size=ensemble.rows_per_step)])
    batch = LAYOUT.unpack(given)
    outcome = ensemble.predict(torch.from_numpy(batch.state.copy()), torch.from_numpy(batch.action.copy()))
    mean, deviation = (part[list(ensemble.elites)].numpy() for part in (outcome.mean, outcome.deviation))
    total = np.sqrt((deviation**2).mean(axis=0) + mean.var(axis=0))
    expected = (np.column_stack([batch.next_state, batch.reward]) - mean.mean(axis=0)) / total
    assert ensemble.export().residuals(batch) == pytest.approx(expected, abs=2e-3)


def test_a_version_measures_its_widths_and_keeps_them_in_its_file(tmp_path: Path) -> None:
    network = version("ensemble").network
    assert isinstance(network, EnsembleNetwork)
    assert network.tails is None  # 300 transitions hold out fewer than are needed
    network = replace(network, tails=half_widths(np.random.default_rng(0).normal(size=(200, 4))))
    for half in (False, True):
        network.save(tmp_path / "n.npz", half=half)
        assert np.array_equal(EnsembleNetwork.load(tmp_path / "n.npz").tails, network.tails)
    with pytest.raises(ValueError, match="do not fit"):
        replace(network, tails=np.zeros((3, len(SHARES)), np.float32)).check()


def test_half_precision_is_smaller_and_nearly_the_same(tmp_path: Path) -> None:
    network, given = version("ensemble").network, LAYOUT.unpack(rows(50, "ensemble"))
    for name, half in (("whole", False), ("half", True)):
        network.save(tmp_path / f"{name}.npz", half=half)
    loaded = [EnsembleNetwork.load(tmp_path / f"{name}.npz") for name in ("whole", "half")]
    whole, half = (one.predict(given.state, given.action) for one in loaded)
    assert (tmp_path / "half.npz").stat().st_size < 0.6 * (tmp_path / "whole.npz").stat().st_size
    assert half.next_state == pytest.approx(whole.next_state, abs=5e-3)
