# SPDX-License-Identifier: Apache-2.0
"""Shadowing and Rayleigh block fading, seen from outside: through delays and reports."""

import numpy as np
import pytest
from scipy import stats

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MS = 1_000_000
UNCAPPED = {"max_spectral_efficiency": 99.0, "min_snr": -300.0}


def cell_of(carrier, robots=("cart",), kind="urllc", seed=0):
    cell = Cell(carrier, seed=seed)
    cell.set_slice(SliceSpec(name="a", type=kind, rate=1e6, max_latency=10.0, reliability=0.9, queue_limit=10**9))
    cell.set_allocation({"a": 100.0})
    for robot in robots:
        cell.set_pose(robot, (20.0, 0.0, 0.0))
    return cell, [cell.flow(FlowKey("a", robot, "x", "uplink")) for robot in robots]


def gains(cell, flow, eras, robot="cart"):
    """Power gain of each era (10 ms), from the delay of one message in it."""
    start = -(-cell.now // (10 * MS)) + 1
    starts = (start + np.arange(eras)) * 10 * MS
    times, fates = cell.run(np.full(eras, flow), np.full(eras, 2000), starts, int(starts[-1]) + 10 * MS)
    assert (fates == Fate.DELIVERED).all()
    rate = 16_000 / ((times - starts) * 1e-9) / 100
    mean = next(link.snr for link in cell.report().links if link.robot == robot)
    return (2.0 ** (rate / 180e3) - 1.0) / 10.0 ** (mean / 10.0)


def test_rayleigh_gains_are_exponential_and_independent():
    cell, flows = cell_of(Carrier(fading="rayleigh", **UNCAPPED), ("cart", "spider"))
    first, second = (gains(cell, flow, 3000, robot) for flow, robot in zip(flows, ("cart", "spider"), strict=True))
    for gain in (first, second):
        assert stats.kstest(gain, "expon").pvalue > 1e-3
        assert abs(np.corrcoef(gain[1:], gain[:-1])[0, 1]) < 0.07
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.07


@pytest.mark.parametrize("subbands", [1, 8])
def test_a_carrier_of_several_subbands_carries_what_all_of_them_do(subbands):
    """As many gains a coherence time as there are sub-bands: the mean of their capacities is what crosses."""
    carrier = Carrier(fading="rayleigh", delay_spread=subbands / (5.0 * 40e6), **UNCAPPED)
    assert carrier.subbands == subbands
    cell, (flow,) = cell_of(carrier)
    gain = gains(cell, flow, 3000)
    ratio = 10.0 ** (cell.report().links[0].snr / 10.0)
    drawn = np.log2(1.0 + ratio * np.random.default_rng(3).exponential(size=(30_000, subbands))).mean(axis=1)
    bits = np.log2(1.0 + ratio * gain)
    assert stats.ks_2samp(bits, drawn).pvalue > 1e-3
    assert np.std(bits) == pytest.approx(np.std(drawn), rel=0.08)
    assert abs(np.corrcoef(bits[1:], bits[:-1])[0, 1]) < 0.07


def test_a_delay_spread_is_bounded():
    assert Carrier().subbands == 1 and Carrier(delay_spread=1e-9).subbands == 1
    assert Carrier(delay_spread=1e-3).subbands == 64
    with pytest.raises(ValueError, match="delay_spread"):
        Carrier(delay_spread=-1e-9)


def test_fading_depends_on_the_seed_and_on_nothing_else():
    carrier = Carrier(fading="rayleigh", **UNCAPPED)
    same, again, other = (gains(c, f[0], 50) for c, f in (cell_of(carrier, seed=s) for s in (1, 1, 2)))
    np.testing.assert_array_equal(same, again)
    assert np.abs(same - other).max() > 0.1
    cell, (flow,) = cell_of(carrier, seed=1)
    live = []
    for era in range(1, 51):
        cell.offer(flow, 2000, era * 10 * MS)
        cell.set_pose("cart", (20.0, 0.0, 0.0))  # a new pose does not change the draw of the era
        live += [event.time - era * 10 * MS for event in cell.advance((era + 1) * 10 * MS - 1)]
    rate = 16_000 / (np.array(live) * 1e-9) / 100
    np.testing.assert_allclose((2.0 ** (rate / 180e3) - 1.0) / 10.0 ** (cell.report().links[0].snr / 10.0), same)


def test_deep_fade_only_delays():
    """Mean SNR just above the least: about 63 % of the eras are below it; messages wait for better ones."""
    carrier = Carrier(fading="rayleigh")
    carrier = carrier.model_copy(update={"min_snr": float(channel.snr(carrier, np.hypot(20.0, 3.0))) - 0.01})
    cell, (flow,) = cell_of(carrier)
    starts = np.arange(1, 2001) * 10 * MS
    times, fates = cell.run(np.full(2000, flow), np.full(2000, 100), starts, 25_000 * MS)
    assert (fates == Fate.DELIVERED).all()
    assert np.mean(times - starts > 9 * MS) == pytest.approx(1.0 - np.exp(-(10.0**-0.001)), abs=0.05)


def test_next_event_is_never_late_in_fading():
    cell, (flow,) = cell_of(Carrier(fading="rayleigh"), kind="embb")
    rng = np.random.default_rng(0)
    for time in np.sort(rng.integers(0, 400 * MS, 40)):
        pending = cell.advance(int(time))
        cell.offer(flow, 20_000, int(time))
    seen = 0
    while (time := cell.next_event()) != NEVER:
        pending = cell.advance(time)
        assert all(event.time == time for event in pending if event.time > 400 * MS)
        seen += len(pending)
    assert cell.counters().delivered == 40


def test_shadowing_has_its_spread_and_its_correlation_in_every_direction():
    carrier = Carrier(shadowing=6.0, shadowing_distance=10.0)
    way = np.array([(0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (3.0, -4.0, 0.0), (0.0, 12.0, -16.0)])
    gain = np.array([channel.Shadowing(carrier, np.random.default_rng(seed)).at(way) for seed in range(4000)])
    assert gain.std(axis=0) == pytest.approx([6.0] * 4, rel=0.05) and abs(gain.mean()) < 0.3
    correlation = np.corrcoef(gain.T)[0]
    assert correlation == pytest.approx([1.0, np.exp(-0.5), np.exp(-0.5), np.exp(-2.0)], abs=0.04)
    assert stats.kstest(gain[:, 0] / 6.0, "norm").pvalue > 1e-3


def test_a_robot_that_comes_back_finds_the_shadow_it_left_and_so_does_another():
    carrier = Carrier(shadowing=8.0, min_snr=-300.0)
    cell, _ = cell_of(carrier, ("cart", "spider"))
    first = cell.report().links[0].snr
    seen = []
    for x in (30.0, 40.0, 20.0):
        cell.set_pose("cart", (x, 0.0, 0.0))
        seen.append(cell.report().links[0].snr)
    assert seen[-1] == first == cell.report().links[1].snr and len(set(seen)) == 3


def test_shadowing_shows_in_the_links_and_is_seeded():
    carrier = Carrier(shadowing=8.0, shadowing_distance=0.5)
    robots = [f"r{i}" for i in range(200)]

    def values(seed):
        cell, _ = cell_of(carrier, robots, seed=seed)
        for robot, angle in zip(robots, np.linspace(0.0, 2.0 * np.pi, 200), strict=True):
            cell.set_pose(robot, (20.0 * np.cos(angle), 20.0 * np.sin(angle), 0.0))
        return np.array([link.snr for link in cell.report().links])

    snr = values(3)
    assert (snr == values(3)).all() and (snr != values(4)).any()
    assert snr.mean() == pytest.approx(float(channel.snr(carrier, np.hypot(20.0, 3.0))), abs=2.0)
    assert snr.std() == pytest.approx(8.0, rel=0.2)
