# SPDX-License-Identifier: Apache-2.0
"""Forecasts of many slices at once: the same numbers as of the networks, one by one."""

from dataclasses import replace

import numpy as np
import pytest

from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.live.joint_forecasts import TAILS, AffineForecast, DueForecast, JointForecasts

WINDOW, NO_DAY = 8, 1_000_000


def traffic(devices, seed, steps=400):
    """[step, device] bit/s: noise that reaches each device a step after the one before."""
    noise = np.random.default_rng(seed).normal(0.0, 0.3, (steps, devices))
    for v in range(1, devices):
        noise[v:, v] = noise[: steps - v, 0]
    return (1e6 * np.maximum(1.2 + noise, 0.0)).astype(np.float32)


def fitted(devices, seed):
    """A forecaster without its CNN, its traffic, and itself as one line."""
    made = fit_forecaster(
        traffic(devices, seed), ForecasterConfig(window=WINDOW, horizons=(1, 2), trees=0),
        FitConfig(day=NO_DAY, epochs=1, graph_epochs=0, seed=seed),
    )  # fmt: skip
    made.network.blend.zero_()
    return made, AffineForecast.of(made)


@pytest.fixture(scope="module")
def several():
    return [fitted(devices, seed) for seed, devices in enumerate((3, 1, 3, 1))]


def test_one_line_of_numbers_says_what_regressions_and_lag_graph_do(several):
    made, affine = several[0]
    other = traffic(3, 7, 60)
    last = np.arange(WINDOW - 1, 58)
    windows = np.stack([other[k + 1 - WINDOW : k + 1] for k in last]).astype(float)
    assert (made.network.lags.weight != 0).any(), "the lag graph has a part in it"
    # the forecaster's clock runs on from window to window, by a millionth of a day a step
    assert affine.predict(windows) == pytest.approx(made.predict(other, last), rel=1e-3, abs=100.0)


def test_together_they_say_what_each_does_alone(several):
    """Report by report, in any company, after reports that were missed."""
    seen = [traffic(one.devices, 9 + i, 60).astype(float) for i, (_, one) in enumerate(several)]
    joint = JointForecasts()
    for now, chosen in ((8, [0, 1, 2, 3]), (9, [0, 1, 2, 3]), (10, [2, 1]), (14, [2, 1]), (15, [2, 1]), (16, [3])):
        told = joint.of([DueForecast(several[i][1], now, seen[i][:now].tolist()) for i in chosen])
        for i, said in zip(chosen, told, strict=True):
            made, affine = several[i]
            assert np.array(said.rates) == pytest.approx(affine.predict(seen[i][None, now - WINDOW : now])[0])
            assert said.total == pytest.approx(sum(said.rates[0]))
            spread = made.slice_spread.at(np.full((1, 2), said.total), TAILS)[0, 0] / said.total
            assert (said.low, said.high) == pytest.approx(tuple(np.maximum(spread, 0.1)), rel=1e-6)


def test_an_idle_slice_has_tails_too(several):
    _, affine = several[1]
    idle = replace(affine, bias=affine.bias - 1e9)
    (said,) = JointForecasts().of([DueForecast(idle, 1, [[0.0]] * WINDOW)])
    assert said.total == 0.0 and 0.1 <= said.low <= said.high < np.inf


def test_a_forecaster_that_divides_out_a_day_is_no_line():
    made = fit_forecaster(
        traffic(2, 3, 400), ForecasterConfig(window=WINDOW, horizons=(1, 2), trees=0),
        FitConfig(day=40, epochs=1, graph_epochs=0),  # of seven days, the level is divided out
    )  # fmt: skip
    assert made.adjustment.form != "none"
    with pytest.raises(ValueError, match="not affine"):
        AffineForecast.of(made)
