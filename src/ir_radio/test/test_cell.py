# SPDX-License-Identifier: Apache-2.0
"""The cell: delays solved by hand, shares, isolation, drops and their reasons, live changes."""

import math

import numpy as np
import pytest

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MS = 1_000_000
NEAR = (0.0, 0.0, 2.0)  # 1 m from the base station
BLOCK = 180e3 * 8.0
"""bit/s of one resource block of the carrier below, near the base station."""


def make(**slices):
    """A cell with slices name=(type, blocks) and the robot cart near the base station."""
    cell = Cell(Carrier(max_spectral_efficiency=8.0))
    for name, (kind, _) in slices.items():
        cell.set_slice(spec(name, kind))
    cell.set_allocation({name: blocks for name, (_, blocks) in slices.items()})
    cell.set_pose("cart", NEAR)
    return cell


def spec(name, kind="embb", **changes):
    values = {"rate": 1e6, "max_latency": 0.01, "reliability": 0.99, "queue_limit": 100_000} | changes
    return SliceSpec(name=name, type=kind, **values)


def flow(cell, name, robot="cart", topic="x", direction="uplink"):
    return cell.flow(FlowKey(name, robot, topic, direction))


def departures(events):
    return [(event.id, event.time) for event in events if event.fate == Fate.DELIVERED]


def test_embb_message_waits_for_its_slot_then_takes_its_bits_over_the_rate():
    cell = make(a=("embb", 10.0))  # 14.4 Mb/s
    number, fate = cell.offer(flow(cell, "a"), 1000, 300_000)
    assert fate == Fate.ACCEPTED
    expected = 1 * MS + math.ceil(8000 / (10 * BLOCK) * 1e9)
    assert cell.advance(expected - 1) == []
    assert departures(cell.advance(expected)) == [(number, expected)]


def test_urllc_message_waits_for_its_mini_slot_only():
    cell = make(u=("urllc", 10.0))
    number, _ = cell.offer(flow(cell, "u"), 100, 300_000)
    assert departures(cell.advance(MS)) == [(number, 500_000 + math.ceil(800 / (10 * BLOCK) * 1e9))]


def test_message_at_the_start_of_a_slot_is_served_in_it():
    cell = make(a=("embb", 10.0))
    cell.advance(5 * MS)
    cell.offer(flow(cell, "a"), 100, 5 * MS)
    assert departures(cell.advance(6 * MS))[0][1] == 5 * MS + math.ceil(800 / (10 * BLOCK) * 1e9)


def test_message_over_many_slots_and_the_one_behind_it():
    cell = make(a=("embb", 10.0))
    a = flow(cell, "a")
    first, _ = cell.offer(a, 18_000, 0)  # 144,000 bits: 10 ms
    second, _ = cell.offer(a, 900, 10)  # 0.5 ms more, but of the slot after its arrival
    assert departures(cell.advance(20 * MS)) == [(first, 10 * MS), (second, 10 * MS + MS // 2)]


def test_fraction_of_a_block_is_a_fraction_of_its_rate():
    cell = make(a=("embb", 0.25))
    cell.offer(flow(cell, "a"), 450, 0)  # 3,600 bits at 360 kb/s
    assert departures(cell.advance(11 * MS)) == [(1, 10 * MS)]


def test_two_robots_share_a_slice_evenly_and_what_one_leaves_the_other_takes():
    cell = make(a=("embb", 10.0))
    cell.set_pose("spider", NEAR)
    cell.offer(flow(cell, "a", "cart"), 1800, 0)  # 1 ms alone, 2 ms by half
    cell.offer(flow(cell, "a", "spider"), 3600, 0)
    # both at half rate for 2 ms, then the second alone with 1,800 B for 1 ms
    assert departures(cell.advance(5 * MS)) == [(1, 2 * MS), (2, 3 * MS)]


def test_directions_have_queues_of_their_own():
    cell = make(a=("embb", 10.0))
    cell.offer(flow(cell, "a", direction="uplink"), 18_000, 0)
    cell.offer(flow(cell, "a", direction="downlink"), 90, 0)
    assert departures(cell.advance(2 * MS))[0][0] == 2  # not behind the large one


def test_far_robot_is_slower():
    cell = make(a=("embb", 10.0))
    cell.set_pose("cart", (100.0, 0.0, 0.0))
    rate = next(link.rate for link in cell.report().links)
    assert 0 < rate < BLOCK / 2
    cell.offer(flow(cell, "a"), 1000, 0)
    slots, rest = divmod(8000, rate * 10 * 1e-3)
    expected = slots * MS + rest / (rate * 10) * 1e9
    assert departures(cell.advance(20 * MS))[0][1] == pytest.approx(expected, abs=1)


def test_slice_gets_its_rate_and_not_more():
    """45, 35 and 15 Mb/s, each offered twice its rate: each delivers its own within 0.1 %."""
    rates = {"video": 45e6, "spider": 35e6, "cart": 15e6}
    cell = make(**{name: ("embb", rate / BLOCK) for name, rate in rates.items()})
    seconds, size = 2.0, 1250
    flows = {name: flow(cell, name) for name in rates}
    count = int(2 * 95e6 * seconds / (8 * size))
    rng = np.random.default_rng(1)
    chosen = rng.choice(list(flows.values()), count, p=[rates[name] / 95e6 for name in flows])
    cell.run(chosen, np.full(count, size), np.sort(rng.integers(0, int(seconds * 1e9), count)), int(seconds * 1e9))
    for row in cell.report().slices:
        assert row.delivered_rate == pytest.approx(rates[row.slice], rel=1e-3)
        assert row.offered_rate == pytest.approx(2 * rates[row.slice], rel=0.02)
        assert row.utilisation == pytest.approx(1.0, abs=1e-3)
        assert row.capacity == pytest.approx(rates[row.slice])
        assert row.counters.balance() == (0, 0) and row.counters.dropped["queue_full"][0] > 0


def test_overload_of_one_slice_does_not_touch_another():
    def delays(overload):
        cell = make(a=("embb", 10.0), b=("embb", 10.0))
        times = np.arange(0, 1000) * MS
        flows = np.full(1000, flow(cell, "a"))
        if overload:
            times, flows = np.repeat(times, 2), np.stack([flows, np.full(1000, flow(cell, "b"))], 1).ravel()
        sizes = np.where(flows == flow(cell, "a"), 500, 50_000)
        out, _ = cell.run(flows, sizes, times, 2000 * MS)
        return out[flows == flow(cell, "a")]

    np.testing.assert_array_equal(delays(False), delays(True))


def test_drops_are_told_and_counted():
    cell = make(a=("embb", 1.0), u=("urllc", 0.1))
    cell.set_slice(spec("a", queue_limit=1000))
    a, u = flow(cell, "a"), flow(cell, "u")
    assert cell.offer(a, 1001, 0)[1] == Fate.TOO_LARGE
    assert cell.offer(a, 600, 0)[1] == Fate.ACCEPTED
    assert cell.offer(a, 401, 0)[1] == Fate.QUEUE_FULL
    assert cell.offer(flow(cell, "a", "ghost"), 10, 0)[1] == Fate.NO_POSE
    cell.set_pose("far", (1e5, 0.0, 0.0))
    assert cell.offer(flow(cell, "a", "far"), 10, 0)[1] == Fate.OUT_OF_COVERAGE
    cell.offer(u, 1000, 0)  # 8,000 bits at 144 kb/s: 56 ms, its bound is 10 ms: it is not even begun
    cell.close_flow(a)
    assert cell.offer(a, 10, 0)[1] == Fate.NO_SLICE
    events = cell.advance(100 * MS)
    assert [(event.flow, event.fate) for event in events] == [(u, Fate.EXPIRED), (a, Fate.DELIVERED)]
    assert events[0].time == 0
    counters = cell.counters()
    assert counters.dropped == {
        "expired": (1, 1000), "no_pose": (1, 10), "no_slice": (1, 10), "out_of_coverage": (1, 10),
        "queue_full": (1, 401), "too_large": (1, 1001),
    }  # fmt: skip
    assert counters.balance() == (0, 0) and (counters.delivered, counters.queued) == (1, 0)


def test_queue_frees_its_room_when_the_last_bit_left():
    cell = make(a=("embb", 10.0))
    cell.set_slice(spec("a", queue_limit=1800))
    a = flow(cell, "a")
    cell.offer(a, 1800, 0)
    assert cell.offer(a, 1, MS - 1)[1] == Fate.QUEUE_FULL
    assert cell.offer(a, 1800, MS)[1] == Fate.ACCEPTED


def test_removed_slice_drops_what_it_holds_and_its_name_can_come_back():
    cell = make(a=("embb", 1.0), b=("embb", 1.0))
    a, b = flow(cell, "a"), flow(cell, "b")
    for number in (a, a, b):
        cell.offer(number, 180, 0)  # 1 ms
    cell.advance(500_000)
    events = cell.remove_slice("a")
    assert [(event.fate, event.time) for event in events] == [(Fate.SLICE_DELETED, 500_000)] * 2
    assert cell.offer(a, 10, 600_000)[1] == Fate.NO_SLICE
    assert departures(cell.advance(5 * MS)) == [(3, MS)]
    with pytest.raises(ValueError, match="unknown slice 'a'"):
        cell.set_allocation({"a": 1.0})
    cell.set_slice(spec("a"))
    cell.set_allocation({"a": 1.0})
    assert flow(cell, "a") == a
    assert cell.offer(a, 180, 5 * MS)[1] == Fate.ACCEPTED
    assert departures(cell.advance(10 * MS)) == [(5, 6 * MS)]
    assert cell.counters(a).offered == 4 and cell.counters().balance() == (0, 0)


def test_allocation_is_refused_whole():
    cell = make(a=("embb", 1.0))
    for wrong, words in (({"a": -1.0}, "-1"), ({"a": math.nan}, "nan"), ({"a": 217.0}, "216"), ({"z": 1.0}, "'z'")):
        with pytest.raises(ValueError, match=words):
            cell.set_allocation(wrong)
    assert cell.report().slices[0].resource_blocks == 1.0


def test_changed_allocation_holds_from_the_next_slot():
    cell = make(a=("embb", 1.0))
    cell.offer(flow(cell, "a"), 360, 0)  # 2 ms at one block
    cell.advance(MS // 2)
    cell.set_allocation({"a": 2.0})
    assert departures(cell.advance(3 * MS)) == [(1, MS + MS // 2)]


@pytest.mark.parametrize("position", [(math.nan, 0, 0), (0, math.inf, 0), (1, 2)])
def test_bad_pose_is_refused_and_the_last_good_one_holds(position):
    cell = make(a=("embb", 1.0))
    before = cell.report().links
    with pytest.raises(ValueError, match="cart"):
        cell.set_pose("cart", position)
    (after,) = cell.report().links
    assert after == before[0]._replace(bad_poses=1)
    cell.offer(flow(cell, "a"), 180, 0)
    assert departures(cell.advance(2 * MS)) == [(1, MS)]


def test_robot_that_leaves_coverage_is_served_again_when_it_returns():
    cell = make(a=("embb", 1.0))
    cell.offer(flow(cell, "a"), 180, 0)
    cell.set_pose("cart", (1e5, 0.0, 0.0))
    assert cell.advance(50 * MS) == []
    cell.set_pose("cart", NEAR)
    assert departures(cell.advance(60 * MS)) == [(1, 51 * MS)]


def test_time_never_runs_back_but_by_reset():
    cell = make(a=("embb", 1.0))
    a = flow(cell, "a")
    cell.offer(a, 1000, 7 * MS)
    with pytest.raises(ValueError, match="reset_time"):
        cell.advance(6 * MS)
    events = cell.reset_time(MS // 2)
    assert [event.fate for event in events] == [Fate.TIME_JUMP] and cell.now == MS // 2
    cell.offer(a, 180, MS // 2)
    assert departures(cell.advance(3 * MS)) == [(2, 2 * MS)]
    assert cell.counters().balance() == (0, 0)


def test_next_event_leads_to_every_departure_with_few_calls():
    cell = make(a=("embb", 10.0), u=("urllc", 5.0))
    assert cell.next_event() == NEVER
    rng = np.random.default_rng(3)
    a, u = flow(cell, "a"), flow(cell, "u")
    cell.offer(a, 60_000, 123)  # 33 slots
    for time in np.sort(rng.integers(124, 900_000, 5)):
        cell.offer(u, 80, int(time))
    calls, seen = 0, cell.advance(cell.now)
    while (time := cell.next_event()) != NEVER:
        assert time > cell.now
        events = cell.advance(time)
        assert all(event.time == time for event in events)  # never late
        seen += events
        calls += 1
        assert calls < 100
    assert len(seen) == 6 and calls < 25


def test_report_of_a_period():
    cell = make(a=("embb", 10.0))
    a = flow(cell, "a")
    cell.offer(a, 1800, 0)
    cell.advance(10 * MS)
    (row,) = cell.report().slices
    assert row.utilisation == pytest.approx(0.1) and row.delivered_rate == pytest.approx(1.44e6)
    assert row.recent_delay.p99 == pytest.approx(1e-3, rel=0.02) and row.delay.mean == pytest.approx(1e-3)
    cell.advance(20 * MS)
    (row,) = cell.report().slices
    assert (row.offered_rate, row.utilisation, row.recent_delay.count, row.delay.count) == (0.0, 0.0, 0, 1)
    assert math.isnan(row.recent_delay.mean)


def test_batch_refuses_what_makes_no_sense():
    cell = make(a=("embb", 1.0))
    a = flow(cell, "a")
    for flows, sizes, times in (
        ([a, a], [1, 1], [2, 1]),
        ([a], [0], [0]),
        ([a + 1], [1], [0]),
        ([a], [1], [11]),
        ([a], [1], [-1]),
    ):
        with pytest.raises(ValueError):
            cell.run(flows, sizes, times, 10)
    with pytest.raises(ValueError, match="positive"):
        cell.offer(a, 0, 0)
    with pytest.raises(ValueError, match="mini-slots"):
        Cell(Carrier(), mini_slots=3)


def test_memory_stays_bounded_while_slices_come_and_go():
    cell = make(a=("embb", 10.0))
    a = flow(cell, "a")
    for number in range(200):
        name = f"s{number}"
        cell.set_slice(spec(name))
        cell.set_allocation({"a": 1.0, name: 1.0})
        new = flow(cell, name)
        cell.offer(a, 180, cell.now)
        cell.offer(new, 180, cell.now)
        cell.advance(cell.now + 2 * MS)
        cell.offer(new, 180, cell.now)
        cell.remove_slice(name)
        assert cell.offer(new, 1, cell.now)[1] == Fate.NO_SLICE
    report = cell.report()
    assert len(report.slices) == len(report.flows) == 33
    for row in report.flows[1:]:
        assert (row.counters.delivered, row.counters.dropped) == (1, {"no_slice": (1, 1), "slice_deleted": (1, 180)})
    assert cell.counters(a).delivered == 200 and cell.counters().balance() == (0, 0)
