# SPDX-License-Identifier: Apache-2.0
"""Level and day of traffic, the regression that all devices share, quantiles, and the city's file."""

import gzip

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_slicing.learning.city_traffic import load_city
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.linear import proven
from ir_slicing.learning.forecaster.quantiles import Spread, pinball
from ir_slicing.learning.forecaster.seasonal_adjustment import SeasonalAdjustment, trailing_sum
from ir_slicing.learning.forecaster.shared_head import SharedHead, shared_weights
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.learning.forecaster.traffic_windows import CHANNELS, Scale, Windows


def test_trailing_sum_by_hand():
    assert trailing_sum(np.array([[1.0], [2.0], [4.0], [8.0]]), 2)[:, 0].tolist() == [1, 3, 6, 12]


def test_level_and_day_of_a_pure_product_leave_nothing():
    """Traffic that is a level times a profile: expected is what comes, also after the level has doubled for a day."""
    profile = np.array([0.5, 1.0, 2.0, 0.5])
    days = np.repeat([3.0, 3.0, 3.0, 3.0, 6.0, 6.0], 4)
    traffic = (days * np.tile(profile, 6))[:, None]
    made = SeasonalAdjustment.of("level and day", traffic[:16], 4)
    assert made.profile[:, 0] == pytest.approx(profile)
    windows = Windows(
        traffic.astype(np.float32), Scale.adjusted(traffic[:16].astype(np.float32), made), 4, (1, 2), 4, made
    )
    for last, level in ((8, 3.0), (19, 6.0)):
        zero = windows.traffic(windows.targets(np.array([last])) * 0.0, np.array([last]))[0, :, 0].numpy()
        assert zero == pytest.approx(level * profile[[(last + 1) % 4, (last + 2) % 4]], rel=1e-5)
    assert made.levels(traffic[2:], 2)[-1, 0] == pytest.approx(6.0)  # the traffic begins in the middle of a day


def test_a_profile_is_as_much_a_devices_own_as_held_out_days_say():
    """Heavy-tailed noise of six days has no profile; devices whose days differ keep theirs."""
    rng, day = np.random.default_rng(5), np.arange(24)
    noise = rng.lognormal(0.0, 1.0, (6 * 24, 8))
    assert SeasonalAdjustment.of("level and day", noise, 24).profile == pytest.approx(np.ones((24, 8)), abs=0.3)
    own = 1.0 + 0.8 * np.sin(2.0 * np.pi * (day[:, None] + [0, 12]) / 24)  # in antiphase: the slice's is flat
    made = SeasonalAdjustment.of("level and day", np.tile(own, (6, 1)) * rng.normal(1.0, 0.05, (144, 2)), 24)
    assert made.profile == pytest.approx(own, abs=0.25)


def test_targets_come_back_as_traffic():
    rng = np.random.default_rng(0)
    traffic = rng.uniform(1.0, 9.0, (60, 3)).astype(np.float32)
    for form in ("none", "day", "level", "level and day"):
        made = SeasonalAdjustment.of(form, traffic[:40], 10)
        windows = Windows(traffic, Scale.adjusted(traffic[:40], made), 5, (1, 3), 10, made)
        last = np.arange(20, 50)
        back = windows.traffic(windows.targets(last), last).numpy()
        assert back == pytest.approx(traffic[last[:, None] + [1, 3]], rel=1e-4)
        changed = traffic.copy()
        changed[31:] = 99.0
        again = Windows(changed, Scale.adjusted(traffic[:40], made), 5, (1, 3), 10, made)
        assert (again.inputs(np.array([30])) == windows.inputs(np.array([30]))).all()  # nothing of the future


def test_the_day_before_is_where_it_should_be():
    traffic = np.arange(60, dtype=np.float32)[:, None] + 1.0
    one = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    shown = Windows(traffic, one, 4, (1, 3), 10, day_before=True).inputs(np.array([25]))[0, CHANNELS, :, 0]
    assert shown.tolist() == [16, 17, 18, 19]  # steps 15 to 18: a day before 22 + 3 to 25 + 3


def shared_by_loops(head, window):
    """[horizon, N, k] of one window."""
    x, day = window[0].numpy(), window[CHANNELS].numpy()
    share = head.share.numpy()
    out = np.zeros((len(head.horizons), x.shape[1], head.weight.shape[1]))
    for i, h in enumerate(head.horizons):
        before = day[-1 - (head.horizons[-1] - h)], day[-1 - head.horizons[-1]]
        for v in range(x.shape[1]):
            own = [x[-1 - p, v] for p in range(head.order)]
            whole = [sum(x[-1 - p] * share) for p in range(head.order)]
            out[i, v] = [1.0, *own, *whole, before[0][v], before[1][v], sum(before[0] * share), sum(before[1] * share)]
    return out


def test_shared_regressors_agree_with_loops():
    head, window = SharedHead(3, (1, 4), 2, True), torch.randn(1, CHANNELS + 1, 6, 3)
    head.share.copy_(torch.tensor([0.2, 0.3, 0.5]))
    assert head.design(window)[0].numpy() == pytest.approx(shared_by_loops(head, window[0]), abs=1e-6)


def test_shared_weights_find_the_numbers_and_drop_what_says_nothing():
    rng = np.random.default_rng(1)
    head = SharedHead(4, (1,), 2, True)
    x = rng.standard_normal((400, 1, 4, head.weight.shape[1]))
    x[..., 0] = 1.0
    true = np.array([0.5, 0.8, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0])
    found = shared_weights(x, x @ true + 0.1 * rng.standard_normal((400, 1, 4)), np.ones((400, 1, 4)), head.groups(), 5)
    assert found.weight[0] == pytest.approx(true, abs=0.03)
    noise = shared_weights(x, rng.standard_normal((400, 1, 4)), np.ones((400, 1, 4)), head.groups(), 5)
    assert np.abs(noise.weight[0, 1:]).max() < 0.1 and noise.error[0] == pytest.approx(2.0, rel=0.15)


def test_proof_needs_more_than_chance():
    rng = np.random.default_rng(2)
    before = rng.standard_normal(300)
    assert proven(before, 0.5 * before, 6)
    assert sum(proven(rng.standard_normal(300), rng.standard_normal(300), 6) for _ in range(100)) < 10
    assert not proven(before[:10], 0.0 * before[:10], 6)  # too few to tell


def test_pinball_by_hand():
    assert pinball([2.0, 2.0], [3.0, 0.0], 0.9) == pytest.approx((0.9 * 1.0 + 0.1 * 2.0) / 2)


@given(st.lists(st.floats(0.02, 0.98), min_size=2, max_size=5), st.integers(0, 50))
def test_quantiles_rise_and_are_not_negative(levels, seed):
    rng = np.random.default_rng(seed)
    f = rng.uniform(0.0, 5.0, (30, 2))
    got = Spread.of(f, f * rng.lognormal(0.0, 0.5, f.shape)).at(f, sorted(levels))
    assert got.shape == (30, 2, len(levels)) and (got >= 0.0).all() and (np.diff(got, axis=2) >= 0.0).all()


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_quantiles_cover_what_they_say_and_know_how_errors_grow(power):
    """New forecasts of the same law: each level is exceeded as often as it says, for small and for large forecasts."""
    rng = np.random.default_rng(3)

    def law(n):
        f = rng.uniform(1.0, 10.0, (n, 1))
        return f, f + f**power * rng.normal(0.0, 0.1, f.shape)

    spread = Spread.of(*law(4000))
    f, y = law(8000)
    assert spread.power[0] == power
    for part in (f < 4.0, f > 7.0):
        covered = [(y[part] < q[part]).mean() for q in np.moveaxis(spread.at(f, (0.1, 0.5, 0.9)), 2, 0)]
        assert covered == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
    with pytest.raises(ValueError, match="between 0 and 1"):
        spread.at(f, (0.5, 1.0))


def hours(days=9, level=(1.0,) * 9, seed=0, devices=4):
    """[step, device]: days of 24 with a sharp profile, noise of 5 %, and a level for each day."""
    rng = np.random.default_rng(seed)
    profile = np.where(np.arange(24) < 7, 0.2, 1.3)
    whole = np.repeat(level, 24)[:, None] * np.tile(profile, days)[:, None] * rng.uniform(1.0, 3.0, devices)
    return (1e6 * whole * rng.normal(1.0, 0.05, whole.shape)).astype(np.float32)


def test_a_forecaster_of_days_follows_a_level_that_falls():
    """The last two days are half of those before; half a day later the level is found, and the profile was before."""
    traffic = hours(level=(1.0,) * 7 + (0.5,) * 2)
    fit, form = FitConfig(day=24, epochs=1, graph_epochs=0, seed=1), ForecasterConfig(features=8, horizons=(1, 3))
    made = fit_forecaster(traffic, form, fit)
    assert made.adjustment.form == "level and day"
    last = np.arange(8 * 24, 9 * 24 - 3)
    actual = traffic[last[:, None] + [1, 3]].sum(-1)
    error = np.abs(made.predict(traffic, last).sum(-1) / actual - 1.0).mean()
    assert error < 0.12  # a constant level is 100 % too high
    late = made.predict(traffic[30:], last - 30, start=30)  # the same, told where in the day the traffic begins
    assert late == pytest.approx(made.predict(traffic, last), rel=1e-3)
    wrong = np.abs(made.predict(traffic[30:], last - 30).sum(-1) / actual - 1.0).mean()
    assert wrong > 2.0 * error


def test_quantiles_of_a_forecaster_enclose_what_comes():
    traffic = hours(days=16, level=(1.0,) * 16, devices=6)
    fit, form = FitConfig(day=24, epochs=1, graph_epochs=0, seed=1), ForecasterConfig(features=8, horizons=(1, 3))
    made = fit_forecaster(traffic, form, fit)
    last = np.arange(fit.split(len(traffic))[1], len(traffic) - 3)
    actual = traffic[last[:, None] + [1, 3]]
    whole, single = made.quantiles(traffic, last), made.device_quantiles(traffic, last)
    assert whole.shape == (len(last), 2, 3) and single.shape == (len(last), 2, 3, 6)
    assert 0.6 < ((actual.sum(-1) > whole[..., 0]) & (actual.sum(-1) < whole[..., 2])).mean() < 0.95
    assert 0.7 < ((actual > single[:, :, 0]) & (actual < single[:, :, 2])).mean() < 0.9


def city_file(path, rows):
    with gzip.open(path, "wt") as file:
        file.write("bs,hour,users,packets,bytes\n" + "".join(f"{bs},{hour},{n},{10 * n},0\n" for bs, hour, n in rows))
    return path


def test_a_city_file_gives_its_longest_run_of_whole_days(tmp_path):
    rows = [("a", f"2012-08-{day:02} {h:02}", day * 100 + h) for day in (1, 3, 4, 5) for h in range(24)]
    rows += [("b", f"2012-08-{day:02} {h:02}", 7) for day in (1, 3, 4, 5) for h in range(24) if (day, h) != (4, 5)]
    rows += [("c", "2012-08-04 05", 1)]  # of too few hours
    city = load_city(city_file(tmp_path / "city.csv.gz", rows), "users")
    assert city.stations == ("a", "b") and city.traffic.shape == (72, 2)
    assert city.first.day == 3 and city.traffic[[0, 25, 71], 0].tolist() == [300, 401, 523]
    assert city.traffic[29, 1] == 7  # between its neighbours
    assert load_city(tmp_path / "city.csv.gz", "packets").traffic[0, 0] == 3000


@pytest.mark.parametrize("rows", [[], [("a", "2012-08-01 00", 5)], [("a", "yesterday", 5)]])
def test_a_city_file_without_whole_days_is_refused(tmp_path, rows):
    with pytest.raises(ConfigError, match="give a"):
        load_city(city_file(tmp_path / "city.csv.gz", rows), "users")
    with pytest.raises(ConfigError):
        load_city(tmp_path / "none.csv", "users")
    with pytest.raises(ConfigError, match="columns"):
        load_city(city_file(tmp_path / "city.csv.gz", rows), "people")
