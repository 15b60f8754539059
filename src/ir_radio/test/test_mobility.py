# SPDX-License-Identifier: Apache-2.0
"""More than one base station: whose signal is stronger for long enough serves, and nothing is lost on the way."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.access_scheme import Air, Handover
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MS = 1_000_000


def make(hysteresis=3.0, time_to_trigger=0.16, scheduler="puncturing", failure_after=0.0, **keys):
    carrier = Carrier(
        position=(0.0, 0.0, 3.0), neighbours=((100.0, 0.0, 3.0),), air=Air(scheduler=scheduler),
        handover=Handover(hysteresis=hysteresis, time_to_trigger=time_to_trigger, failure_after=failure_after), **keys,
    )  # fmt: skip
    cell = Cell(carrier)
    for name, kind in (("e", "embb"), ("u", "urllc")):
        cell.set_slice(SliceSpec(name=name, type=kind, rate=1e6, max_latency=1.0, reliability=0.9, queue_limit=10**8))
    cell.set_allocation({"e": 50.0, "u": 5.0})
    return cell


def walk(cell, path, step=20 * MS):
    """Positions along x, one each 20 ms; returns the stations that served."""
    stations = []
    for x in path:
        cell.advance(cell.now + step)
        cell.set_pose("cart", (float(x), 0.0, 3.0))
        stations.append(cell.report().links[0].station)
    return stations


def test_handover_where_the_other_is_stronger_by_the_hysteresis_for_the_time_to_trigger():
    """In free space 3 dB are a ratio of distances of 10^(3/20): 58.5 m from the one and 41.5 m from the other."""
    cell = make()
    path = np.arange(0.0, 100.0, 0.5)
    stations = walk(cell, path)
    border = 100.0 * 10 ** (3 / 20) / (1 + 10 ** (3 / 20))
    first = int(np.argmax(path > border))
    assert stations == [0] * (first + 8) + [1] * (len(path) - first - 8)  # 8 steps of 20 ms are 160 ms
    row = cell.report().links[0]
    assert row.handovers == 1 and row.distance == pytest.approx(100.0 - path[-1])
    assert row.snr == pytest.approx(float(channel.snr(cell.carrier, 1.0)))


@pytest.mark.parametrize("fading", ["none", "rayleigh"])
@pytest.mark.parametrize("scheduler", ["reserved", "puncturing"])
def test_nothing_crosses_while_a_handover_interrupts(scheduler, fading):
    """50 ms without service; what was queued goes on after that, and the books balance."""
    carrier = Carrier(
        neighbours=((100.0, 0.0, 3.0),), air=Air(scheduler=scheduler), fading=fading, min_snr=-300.0,
        handover=Handover(hysteresis=0.0, time_to_trigger=0.0, interruption=0.05),
    )  # fmt: skip
    cell = Cell(carrier)
    cell.set_slice(SliceSpec(name="e", type="embb", rate=1e6, max_latency=1.0, reliability=0.9, queue_limit=10**8))
    cell.set_allocation({"e": 100.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flow, times = cell.flow(FlowKey("e", "cart", "x", "uplink")), []
    for ms in range(200):
        cell.offer(flow, 200, ms * MS)
        if ms == 80:
            cell.set_pose("cart", (99.0, 0.0, 3.0))
        if ms == 100:
            cell.set_pose("cart", (98.9, 0.0, 3.0))  # a pose ends no interruption
        times += [event.time for event in cell.advance(min(cell.next_event(), (ms + 1) * MS))]
    times += [event.time for event in cell.advance(300 * MS)]
    assert cell.report().links[0].handovers == 1 and len(times) == 200 and cell.counters().balance() == (0, 0)
    gap = max(np.diff(times))
    assert 50 * MS <= gap <= 53 * MS and max(t for t in times if t <= 80 * MS + MS) >= 78 * MS


def test_a_link_that_fails_is_re_established():
    """Out of reach for longer than 100 ms; back in reach, 200 ms pass until something crosses."""
    handover = Handover(time_to_trigger=10.0, failure_after=0.1, reestablishment=0.2)
    carrier = Carrier(neighbours=((300.0, 0.0, 3.0),), handover=handover, min_snr=20.0)
    cell = Cell(carrier)
    cell.set_slice(SliceSpec(name="e", type="embb", rate=1e6, max_latency=1.0, reliability=0.9))
    cell.set_allocation({"e": 100.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flow, fates = cell.flow(FlowKey("e", "cart", "x", "uplink")), []
    for ms in range(0, 600, 10):
        x = 1.0 if ms < 50 else 150.0 if ms < 200 else 299.0
        cell.set_pose("cart", (x, 0.0, 3.0))
        _, fate = cell.offer(flow, 200, ms * MS)
        fates.append((ms, fate))
        cell.advance((ms + 10) * MS)
    assert [ms for ms, fate in fates if fate == Fate.OUT_OF_COVERAGE] == list(range(50, 200, 10))
    row = cell.report().links[0]
    assert (row.station, row.handovers) == (1, 1) and cell._links.places["cart"].failures == 1
    assert cell.counters().queued == 0 and cell.report().slices[0].delay.max == pytest.approx(0.2, abs=2e-3)


def test_a_short_fade_is_no_failure():
    cell = make(failure_after=0.1)
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    for ms, x in enumerate([1e5, 1e5, 1.0, 1e5, 1.0], 1):
        cell.advance(ms * 50 * MS)
        cell.set_pose("cart", (x, 0.0, 3.0))
    assert cell._links.places["cart"].failures == 0


def test_hysteresis_keeps_a_robot_at_the_border_from_going_to_and_fro():
    border = np.tile([45.0, 55.0], 100)  # 1.7 dB either way
    assert set(walk(make(), border)) == {0}
    cell = make(hysteresis=0.0, time_to_trigger=0.0)
    assert walk(cell, border) == [0, 1] * 100 and cell.report().links[0].handovers == 199


def test_a_look_across_the_border_shorter_than_the_time_to_trigger_changes_nothing():
    assert set(walk(make(), ([20.0] * 5 + [90.0] * 8) * 10)) == {0}
    assert set(walk(make(time_to_trigger=0.13), ([20.0] * 5 + [90.0] * 8) * 10)) == {0, 1}


def test_the_first_pose_is_served_by_the_strongest_and_is_no_handover():
    cell = make()
    cell.set_pose("cart", (95.0, 0.0, 0.0))
    assert (cell.report().links[0].station, cell.report().links[0].handovers) == (1, 0)


@pytest.mark.parametrize("scheduler", ["reserved", "puncturing", "fifo"])
def test_messages_in_the_queue_go_on_at_the_new_station(scheduler):
    cell = make(time_to_trigger=0.0, scheduler=scheduler)
    cell.set_pose("cart", (0.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey(name, "cart", "x", way)) for name in "eu" for way in ("uplink", "downlink")]
    for flow in flows[:2]:
        for _ in range(40):
            cell.offer(flow, 30_000, cell.now)
    cell.advance(20 * MS + 1)
    assert 0 < cell.counters().delivered < 80
    cell.set_pose("cart", (100.0, 0.0, 3.0))
    assert cell.report().links[0].station == 1
    for flow in flows:
        cell.offer(flow, 100, cell.now)
    cell.advance(10_000 * MS)
    assert cell.counters().delivered == 84 and cell.counters().balance() == (0, 0)
    assert cell.report().slices[0].resource_blocks == 50.0


def test_stations_do_not_share_their_blocks():
    cell = make()
    for robot, x in (("cart", 0.0), ("spider", 100.0)):
        cell.set_pose(robot, (x, 0.0, 3.0))
    flows = [cell.flow(FlowKey("e", robot, "x", "uplink")) for robot in ("cart", "spider")]
    for flow in flows:
        cell.offer(flow, 5_000_000, 0)
    cell.advance(100 * MS)
    row = cell.report().slices[0]
    assert row.utilisation == pytest.approx(1.0) and cell.counters().delivered == 0
    times = [event.time for event in cell.advance(2000 * MS)]
    rate = 50 * float(channel.block_rate(cell.carrier, channel.snr(cell.carrier, 0.0)))
    assert times == [math.ceil(5_000_000 * 8 / rate / 1e-3) * MS] * 2


def test_out_of_coverage_of_all_is_an_outage_of_the_link_that_ends_with_it():
    cell = make()
    cell.set_pose("cart", (0.0, 0.0, 3.0))
    flow = cell.flow(FlowKey("e", "cart", "x", "uplink"))
    cell.set_pose("cart", (0.0, 1e5, 3.0))
    assert cell.offer(flow, 100, cell.now)[1] == Fate.OUT_OF_COVERAGE
    cell.set_pose("cart", (0.0, 1.0, 3.0))
    assert cell.offer(flow, 100, cell.now)[1] == Fate.ACCEPTED


def test_a_pose_that_is_not_finite_is_counted_and_the_cell_goes_on():
    cell = make()
    cell.set_pose("cart", (0.0, 0.0, 3.0))
    for wrong in ((math.nan, 0.0, 0.0), (0.0, math.inf, 0.0), (1.0, 2.0)):
        with pytest.raises(
            ValueError, match=r"pose of cart: .* is not three finite numbers of at most 1e\+09 m; the last one holds"
        ):
            cell.set_pose("cart", wrong)
    assert cell.report().links[0].bad_poses == 3
    assert cell.offer(cell.flow(FlowKey("u", "cart", "x", "uplink")), 100, 0)[1] == Fate.ACCEPTED
    assert [event.fate for event in cell.advance(MS)] == [Fate.DELIVERED]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(0, 20)), min_size=1, max_size=60),
    st.sampled_from(["reserved", "puncturing", "fifo"]),
)
def test_nothing_is_lost_on_any_way(path, scheduler):
    cell = make(hysteresis=0.0, time_to_trigger=0.0, scheduler=scheduler, shadowing=8.0, fading="rayleigh")
    flows = [cell.flow(FlowKey(name, "cart", "x", way)) for name in "eu" for way in ("uplink", "downlink")]
    for x, pause in path:
        cell.set_pose("cart", (x, 0.0, 3.0))
        for flow in flows:
            cell.offer(flow, 20_000 if flow < 2 else 50, cell.now)
        cell.advance(cell.now + pause * 300_000)
        assert cell.counters().balance() == (0, 0)
    cell.advance(cell.now + 60_000 * MS)
    counters = cell.counters()
    assert counters.queued == 0 and set(counters.dropped) <= {"outage", "not_decoded", "expired"}
    assert all(cell.counters(flow).dropped == {} for flow in flows[:2])
