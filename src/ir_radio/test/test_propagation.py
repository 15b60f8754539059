# SPDX-License-Identifier: Apache-2.0
"""Scenarios of TR 38.901: hand-computed losses, probabilities that fields keep, interference, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ir_radio.engine.cell import Cell
from ir_radio.model import channel, tr38901
from ir_radio.model.carrier import Carrier
from ir_radio.model.coverage import Coverage
from ir_radio.model.propagation import Propagation
from ir_radio.model.random_fields import FieldStack, RandomField

SCENARIOS = ("inf_sl", "inf_dl", "inf_sh", "inf_dh", "inh_mixed", "inh_open", "umi")
HEIGHTS = {"inf_sl": 1.5, "inf_dl": 1.5, "inf_sh": 8.0, "inf_dh": 8.0, "inh_mixed": 3.0, "inh_open": 3.0, "umi": 10.0}


def carrier(scenario, **changes):
    values = {"position": (0.0, 0.0, HEIGHTS[scenario]), "tx_power": 24.0} | changes
    return Carrier(propagation=Propagation(scenario=scenario), **values)


@pytest.mark.parametrize(
    ("scenario", "flat", "base", "los", "nlos"),
    [
        # worked out by hand from table 7.4.1-1 at 3.5 GHz (20 log10 fc = 10.8814) and terminals at 1.5 m
        ("inf_sl", 100.0, 1.5, 31.84 + 43.0 + 10.3373, 33.0 + 51.0 + 10.8814),
        ("inf_dl", 100.0, 1.5, 31.84 + 43.0 + 10.3373, 18.6 + 71.4 + 10.8814),
        ("inf_dl", 10.0, 1.5, 31.84 + 21.5 + 10.3373, 33.0 + 25.5 + 10.8814),  # that of SL is greater
        ("inf_sh", 100.0, 1.5, 31.84 + 43.0 + 10.3373, 32.4 + 46.0 + 10.8814),
        ("inf_dh", 100.0, 1.5, 31.84 + 43.0 + 10.3373, 33.63 + 43.8 + 10.8814),
        ("inh_mixed", 100.0, 1.5, 32.4 + 34.6 + 10.8814, 17.3 + 76.6 + 13.5473),
        ("inh_open", 1.0, 1.5, 32.4 + 10.8814, 32.4 + 10.8814),  # never less than with line of sight
        ("umi", 100.0, 10.0, 32.4 + 21.0 * 2.0015628 + 10.8814, 22.4 + 35.3 * 2.0015628 + 11.5887),
        # the breakpoint is 4 x 9 x 0.5 x 3.5e9 / 3e8 = 210 m
        ("umi", 1000.0, 10.0, 32.4 + 120.0 + 10.8814 - 9.5 * np.log10(210.0**2 + 8.5**2), None),
    ],
)
def test_losses_worked_out_by_hand(scenario, flat, base, los, nlos):
    p = Propagation(scenario=scenario)
    got = tr38901.path_losses(p, 3.5e9, flat, base, 1.5)
    assert got[0] == pytest.approx(los, abs=2e-3)
    if nlos is not None:
        assert got[1] == pytest.approx(nlos, abs=2e-3)


@pytest.mark.parametrize(
    ("scenario", "flat", "probability"),
    [
        ("umi", 18.0, 1.0), ("umi", 36.0, 0.5 + 0.5 * np.exp(-1.0)),
        ("inh_mixed", 1.2, 1.0), ("inh_mixed", 5.9, np.exp(-1.0)), ("inh_mixed", 39.1, 0.32 * np.exp(-1.0)),
        ("inh_open", 5.0, 1.0), ("inh_open", 40.4, np.exp(-0.5)), ("inh_open", 260.7, 0.54 * np.exp(-1.0)),
        ("inf_sl", -10.0 / np.log(0.8), np.exp(-1.0)), ("inf_dl", -2.0 / np.log(0.4), np.exp(-1.0)),
        # over the clutter of 2 m and 6 m from 8 m: k is 6.5 / 0.5 and 6.5 / 4.5 times as long
        ("inf_sh", -10.0 / np.log(0.8) * 13.0, np.exp(-1.0)), ("inf_dh", -2.0 / np.log(0.4) * 6.5 / 4.5, np.exp(-1.0)),
    ],
)  # fmt: skip
def test_probabilities_worked_out_by_hand(scenario, flat, probability):
    got = tr38901.sight_probability(Propagation(scenario=scenario), flat, HEIGHTS[scenario], 1.5)
    assert got == pytest.approx(probability, abs=1e-9)


def test_who_is_over_the_clutter_sees_the_station():
    assert tr38901.sight_probability(Propagation(scenario="inf_sh"), 500.0, 8.0, 2.5) == 1.0


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCENARIOS), st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.floats(0.5e9, 100e9))
def test_losses_rise_and_are_greater_without_sight(scenario, one, other, frequency):
    p, near, far = Propagation(scenario=scenario), min(one, other), max(one, other)
    los, nlos = tr38901.path_losses(p, frequency, np.array([near, far]), HEIGHTS[scenario], 1.5)
    assert (nlos >= los).all() and los[0] <= los[1] + 0.2 and nlos[0] <= nlos[1] + 0.2  # umi: a step at the breakpoint
    chance = tr38901.sight_probability(p, np.array([near, far]), HEIGHTS[scenario], 1.5)
    assert 0.0 <= chance[1] <= chance[0] <= 1.0


@pytest.mark.parametrize("scenario", ["inf_sl", "inf_dh", "inh_mixed", "umi"])
def test_sight_is_as_frequent_as_its_probability_and_consistent_over_space(scenario):
    """Over 1,500 stations' fields; a step of a tenth of the correlation distance seldom changes the state."""
    p = Propagation(scenario=scenario, shadowing=False)
    where, states = (12.0, 16.0, 1.5), []
    step = tr38901.sight_correlation(p) / 10
    ways = np.array([where, (where[0] + step, *where[1:])])
    one = Carrier(propagation=p, position=(0.0, 0.0, HEIGHTS[scenario]))
    los, nlos = (channel.ratio(one, loss) for loss in tr38901.path_losses(p, 3.5e9, 20.0, HEIGHTS[scenario], 1.5))
    for seed in range(1500):
        coverage = Coverage(one, seed)
        states.append(coverage.sight(ways)[0])
        assert coverage.at(where)[0] == pytest.approx(float(los if states[-1][0] else nlos), abs=1e-6)
    got = np.array(states)
    assert got[:, 0].mean() == pytest.approx(
        float(tr38901.sight_probability(p, 20.0, HEIGHTS[scenario], 1.5)), abs=0.045
    )
    assert (got[:, 0] != got[:, 1]).mean() < 0.25


def test_shadowing_has_the_deviations_of_the_table():
    for scenario in ("inf_dl", "inh_open", "umi"):
        for sight, state in (("always", 0), ("never", 1)):
            p = Propagation(scenario=scenario, line_of_sight=sight)
            one = Carrier(propagation=p, position=(0.0, 0.0, HEIGHTS[scenario]))
            got = [float(Coverage(one, seed).at((30.0, 5.0, 1.5))[0]) for seed in range(1200)]
            assert np.std(got) == pytest.approx(tr38901.DEVIATIONS[scenario][state], rel=0.1)


def test_the_same_place_gives_the_same_and_one_way_of_asking_gives_the_other():
    one = carrier("inf_dh", neighbours=((40.0, 10.0, 8.0),))
    coverage = Coverage(one, 5)
    places = np.random.default_rng(0).uniform(-60, 60, (50, 3)) * (1, 1, 0.02)
    near = np.array([coverage.near(place)[0] for place in places]).T
    np.testing.assert_allclose(coverage.at(places), near, atol=1e-6)
    np.testing.assert_array_equal(coverage.at(places), Coverage(one, 5).at(places))
    assert not np.allclose(coverage.at(places), Coverage(one, 6).at(places))


def test_a_stack_of_fields_is_its_fields():
    fields = [RandomField(10.0, np.random.default_rng(k)) for k in range(5)]
    place = np.array([12.0, -70.0, 1.0])
    np.testing.assert_allclose(FieldStack(fields).near(place), [field.at(place) for field in fields], atol=1e-9)


def test_interference_lowers_the_ratio_as_the_formula_says():
    """Between two stations of equal strength the ratio is S / (N + a S): 0 dB at full load, however strong they are."""
    there = {"neighbours": ((40.0, 0.0, 3.0),), "tx_power": 60.0}
    for load, db in ((1.0, 0.0), (0.1, 10.0)):
        coverage = Coverage(Carrier(interference=load, **there), 0)
        level, _ = coverage.near(np.array([20.0, 0.0, 3.0]))
        np.testing.assert_allclose(coverage.with_interference(level), db, atol=1e-3)
    cell = Cell(Carrier(interference=1.0, **there))
    cell.set_pose("cart", (10.0, 0.0, 3.0))
    assert cell.report().links[0].snr == pytest.approx(20.0 * np.log10(3.0), abs=1e-3)
    alone = Cell(Carrier(interference=1.0, tx_power=60.0))
    alone.set_pose("cart", (10.0, 0.0, 3.0))
    assert alone.report().links[0].snr > 60.0, "there is nobody else"


def test_powers_of_real_devices_give_sensible_cells():
    """24 dBm in a dense factory: full rate near by, and the edge of coverage within 600 m."""
    one = carrier("inf_dh", bandwidth=40e6, resource_blocks=106, subcarrier_spacing=30e3)
    snr = channel.snr(one, [5.0, 50.0, 200.0, 600.0])
    assert snr[0] > 40.0 and 20.0 < snr[1] < 40.0 and (np.diff(snr) < 0.0).all()
    dense = carrier("inf_dl", bandwidth=40e6, resource_blocks=106, subcarrier_spacing=30e3)
    assert channel.snr(dense, 200.0) < 10.0 and channel.block_rate(dense, channel.snr(dense, 600.0)) == 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"position": (0.0, 0.0, 1.0)}, "has its base stations over the clutter of 6 m, one is at 1 m"),
        ({"neighbours": ((9.0, 0.0, 3.0),)}, "one is at 3 m"),
        ({"shadowing": 3.0}, "has its own"),
        ({"frequency": 200e6}, "is for 0.5 to 100 GHz"),
        ({"propagation": {"scenario": "inf_xx"}}, "Input should be"),
        ({"propagation": {"scenario": "inf_dh", "clutter_density": 1.0}}, "less than 1"),
        ({"propagation": {"scenario": "inf_sl"}}, "take a scenario with a high one"),
        ({"propagation": {"scenario": "umi"}, "position": (0.0, 0.0, 0.5)}, "over 1 m"),
        ({"interference": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    values = {"propagation": {"scenario": "inf_dh"}, "position": (0.0, 0.0, 8.0)} | changes
    with pytest.raises(ValidationError, match=words):
        Carrier.model_validate(values)
