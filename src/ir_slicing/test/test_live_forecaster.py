# SPDX-License-Identifier: Apache-2.0
"""The forecaster of a live slice: fitted when there is something new, used while it errs less than the low pass."""

import math

import numpy as np
import pytest

from ir_slicing.live.live_forecaster import HORIZONS, LiveForecaster, Observed, fit_ready, longest_ready
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig

DEVICES = ("a", "b", "c")
CONFIG = LiveForecasterConfig(window=12, history=240, epochs=1)


def wave(t):
    """[device] bit/s: a period of 24 reports, each device three after the one before."""
    return 1e6 * (1.2 + np.sin(2 * np.pi * (t - 3 * np.arange(3)) / 24))


def feed(forecaster, rows, devices=DEVICES, smooth=None):
    """Pushes traffic with its low pass of five reports."""
    smooth = rows[0] if smooth is None else smooth
    for row in rows:
        smooth = smooth + 0.18 * (row - smooth)
        forecaster.push(devices, row, smooth)
    return smooth


@pytest.fixture
def fitted():
    """A forecaster of the waves, fitted to 240 reports of them, and the low pass there."""
    forecaster = LiveForecaster(CONFIG, 0)
    smooth = feed(forecaster, [wave(t) for t in range(240)])
    assert forecaster.forecast() is None
    assert fit_ready([forecaster], 5) == 1
    return forecaster, smooth


def test_it_forecasts_two_periods_ahead_better_than_the_low_pass(fitted):
    forecaster, smooth = fitted
    smooth = feed(forecaster, [wave(240)], smooth=smooth)
    outlook = np.array(forecaster.forecast())
    assert forecaster.gain < 0.5 and outlook.shape == (len(HORIZONS), 3)
    for ahead, expected in zip(HORIZONS, outlook, strict=True):
        actual = wave(240 + ahead)
        assert np.abs(expected - actual).mean() < 0.5 * np.abs(smooth - actual).mean()


def test_a_forecast_that_is_wrong_goes_out_of_use_and_comes_back(fitted):
    """The traffic that it knows becomes six times what it was: the low pass follows, the forecast does not."""
    forecaster, smooth = fitted
    smooth = feed(forecaster, [wave(t) for t in range(240, 250)], smooth=smooth)
    assert forecaster.in_use and forecaster.used == 10
    smooth = feed(forecaster, [np.full(3, 12e6)] * 20, smooth=smooth)
    assert not forecaster.in_use and forecaster.forecast() is None
    feed(forecaster, [wave(t) for t in range(270, 350)], smooth=smooth)
    assert forecaster.in_use


def test_a_forecast_is_used_for_no_other_devices_than_it_was_fitted_to(fitted):
    """Neither for fewer, nor for as many others, nor where they changed while it was fitted."""
    forecaster, _ = fitted
    feed(forecaster, [wave(t) for t in range(240, 260)], ("a", "b", "d"))
    assert forecaster.forecast() is None
    forecaster = LiveForecaster(CONFIG, 0)
    feed(forecaster, [wave(t) for t in range(240)])
    seen = forecaster.observed()
    feed(forecaster, [wave(t) for t in range(30)], ("a", "b", "d"))
    forecaster.fit(seen)
    assert forecaster.gain < 0.5 and forecaster.forecast() is None and forecaster.refused == {"other devices": 1}


def test_it_is_fitted_again_only_to_what_is_new(fitted):
    forecaster, smooth = fitted
    assert not forecaster.ready and fit_ready([forecaster], 1) == 0
    smooth = feed(forecaster, [wave(t) for t in range(240, 279)], smooth=smooth)
    assert not forecaster.ready
    feed(forecaster, [wave(279)], smooth=smooth)
    assert forecaster.ready
    idle = LiveForecaster(CONFIG, 0, train=False)
    feed(idle, [wave(t) for t in range(240)])
    assert not idle.ready


def test_who_waits_longest_is_fitted_first(fitted):
    """Else the first of hundreds of slices are ready again before the last was fitted once."""
    first, smooth = fitted
    others = [LiveForecaster(CONFIG, 0) for _ in range(2)]
    feed(first, [wave(t) for t in range(240, 290)], smooth=smooth)
    for one, reports in zip(others, (100, 120), strict=True):
        feed(one, [wave(t) for t in range(reports)])
    assert longest_ready([first, *others], 2) == others[::-1]


def test_what_cannot_be_forecast_is_not(fitted):
    noise = np.random.default_rng(1).uniform(0, 1e6, (240, 3))
    forecaster = LiveForecaster(CONFIG, 0)
    feed(forecaster, noise)
    forecaster.fit(Observed(DEVICES, noise, np.full_like(noise, 0.5e6)))
    assert forecaster.refused == {"no better": 1} and forecaster.forecast() is None
    forecaster.fit(Observed(DEVICES, noise[:20], noise[:20]))
    assert forecaster.refused["too short"] == 1 and math.isfinite(forecaster.gain)


def test_a_slice_without_devices_is_never_fitted():
    forecaster = LiveForecaster(CONFIG, 0)
    feed(forecaster, [np.zeros(0)] * 240, devices=())
    assert not forecaster.ready and fit_ready([forecaster], 5) == 0 and forecaster.forecast() is None


@pytest.mark.parametrize(
    "traffic",
    [
        np.zeros((240, 3)),
        np.full((240, 3), 2e6),
        np.eye(240, 3) * 1e9,
        np.tile(np.r_[np.zeros(239), 1e9][:, None], 3),
        np.tile(np.arange(240.0)[:, None] * 1e5, 3),
        np.random.default_rng(1).integers(0, 2, (240, 1)) * 1e7,
    ],
    ids=["idle", "constant", "one message", "a first message at the end", "growing", "on and off, one device"],
)
def test_whatever_devices_send_a_fit_ends_and_forecasts_what_is_finite(traffic):
    devices = DEVICES[: traffic.shape[1]]
    forecaster = LiveForecaster(CONFIG, 0)
    smooth = feed(forecaster, traffic, devices=devices)
    assert fit_ready([forecaster], 1) == 1
    feed(forecaster, traffic[:30], devices=devices, smooth=smooth)
    outlook = forecaster.forecast()
    assert outlook is None or (np.isfinite(outlook).all() and (np.array(outlook) >= 0).all())
