# SPDX-License-Identifier: Apache-2.0
"""Links with a delay of their own: by hand, against a slow reference, and every byte accounted for."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ir_radio.books.flow_counters import FlowKey
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, Cell
from ir_radio.engine.cell_journal import CellReplay, JournaledCell, LineReplay, journal_of
from ir_radio.engine.delayed_cell import DelayedCell
from ir_radio.engine.line_cell import LineCell, LineLink, LineRate, LineWay
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace
from ir_radio.model.slice_specs import SliceSpec

MS, S = 1_000_000, 1_000_000_000


def spec(name: str = "a", **more: object) -> SliceSpec:
    values = {"type": "embb", "rate": 1e6, "max_latency": 0.05, "reliability": 0.9, **more}
    return SliceSpec.model_validate({"name": name, **values})


def line(start: int = 0, seed: int = 1, **way: object) -> tuple[LineCell, int]:
    both = LineWay(**way)  # type: ignore[arg-type]
    cell = LineCell({"r": LineLink(both, both)}, start=start, seed=seed)
    cell.set_slice(spec())
    return cell, cell.flow(FlowKey("a", "r", "x", "uplink"))


def test_a_message_is_sent_at_the_rate_and_arrives_its_delay_later() -> None:
    """1,250 B at 10 Mb/s go in 1 ms; the second waits for the first."""
    cell, flow = line(rate=10e6, delay=0.02)
    assert cell.next_event() == NEVER
    assert cell.offer(flow, 1250, 5 * MS)[1] == cell.offer(flow, 1250, 5 * MS)[1] == Fate.ACCEPTED
    assert cell.next_event() == 26 * MS and not cell.advance(26 * MS - 1)
    assert [(e.time, e.fate) for e in cell.advance(30 * MS)] == [(26 * MS, Fate.DELIVERED), (27 * MS, Fate.DELIVERED)]
    row = cell.report().flows[0]
    assert row.delay.mean == pytest.approx(0.0215) and row.delay.max == pytest.approx(0.022) and not row.deadline_missed


def test_without_a_rate_only_the_delay_counts_and_the_other_way_is_free() -> None:
    cell = LineCell({"r": LineLink(LineWay(rate=8e3), LineWay(delay=0.003))})
    cell.set_slice(spec())
    up, down = (cell.flow(FlowKey("a", "r", "x", way)) for way in ("uplink", "downlink"))
    cell.offer(up, 1000, 0)
    cell.offer(down, 10**5, 0)
    assert [(e.flow, e.time) for e in cell.advance(2 * S)] == [(down, 3 * MS), (up, S)]


def test_what_does_not_fit_into_the_queue_is_dropped_and_reported() -> None:
    cell, flow = line(rate=8e6, queue_limit=2000)
    fates = [cell.offer(flow, 1000, 0)[1] for _ in range(3)] + [cell.offer(flow, 2001, 0)[1]]
    assert fates == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.QUEUE_FULL, Fate.TOO_LARGE]
    cell.advance(MS)
    assert cell.offer(flow, 1000, MS)[1] == Fate.ACCEPTED  # the first is sent
    assert cell.counters().dropped == {"queue_full": (1, 1000), "too_large": (1, 2001)}


def test_loss_and_jitter_are_what_they_say_and_belong_to_the_seed() -> None:
    def run(seed: int) -> list[tuple[int, int]]:
        cell, flow = line(seed=seed, delay=0.05, jitter=0.01, loss=0.1)
        for number in range(4000):
            cell.offer(flow, 100, number * S)
        return [(e.fate, e.time % S) for e in cell.advance(4000 * S)]

    ends = run(3)
    delays = np.array([time for fate, time in ends if fate == Fate.DELIVERED]) / S
    lost = sum(fate == Fate.LOST for fate, _ in ends)
    assert lost == pytest.approx(400, abs=4 * math.sqrt(4000 * 0.1 * 0.9))
    assert delays.mean() == pytest.approx(0.05, abs=0.001) and delays.std() == pytest.approx(0.01, rel=0.06)
    assert run(3) == ends != run(4)


def test_jitter_does_not_change_the_order() -> None:
    cell, flow = line(delay=0.05, jitter=0.02)
    ids = [cell.offer(flow, 100, number * MS)[0] for number in range(500)]
    events = cell.advance(S)
    assert [e.id for e in events] == ids and sorted(e.time for e in events) == [e.time for e in events]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1e3, 2e6, 5e5]), min_size=1, max_size=5), st.booleans(),
    st.floats(0, 12), st.integers(1, 400_000),
)  # fmt: skip
def test_rates_of_a_trace_against_steps_of_a_second(values, loop, start, size) -> None:
    """The reference walks second by second."""
    rate, left, time = LineRate(np.array(values), loop), 8.0 * size, start
    while left > 0 and time < 60:
        index = int(time) % len(values) if loop else min(int(time), len(values) - 1)
        span = int(time) + 1 - time
        if values[index] * span >= left:
            time += left / values[index]
            left = 0
        else:
            left -= values[index] * span
            time = int(time) + 1.0
    found = rate.finish(start, 8.0 * size)
    if left > 1e-6 * size:
        assert found > 60 - 1e-6
    else:
        assert found == pytest.approx(time, abs=1e-5)


def test_a_trace_without_a_bit_never_sends_and_a_jump_of_time_drops() -> None:
    cell, flow = line(rates=LineRate(np.array([0.0, 0.0])), queue_limit=150)
    cell.offer(flow, 100, 0)
    assert cell.next_event() >= NEVER and not cell.advance(10**6 * S)
    assert cell.offer(flow, 100, 10**6 * S)[1] == Fate.QUEUE_FULL
    assert cell.counters().queued == 1
    (event,) = cell.reset_time(5)
    assert event.fate == Fate.TIME_JUMP and cell.now == 5 and cell.counters().queued == 0


def test_measured_delays_are_those_of_when_a_message_comes() -> None:
    trace = DelayTrace(np.array([0.0, 1.0, 2.0]), np.array([0.01, 0.5, 0.02]))
    cell, flow = line(start=7 * S, delays=trace)
    for second in range(4):
        cell.offer(flow, 10, (7 + second) * S)
    assert [(e.time - 7 * S) / S for e in cell.advance(20 * S)] == pytest.approx([0.01, 1.5, 2.02, 3.01])


def test_packets_sent_as_in_the_file_take_what_stands_in_the_file() -> None:
    rng = np.random.default_rng(3)
    sent = np.cumsum(rng.uniform(0.01, 0.0104, 2000))
    trace = DelayTrace(sent - sent[0], rng.uniform(0.004, 0.012, 2000))
    cell, flow = line(delays=trace)
    times = np.round(trace.time * 1e9).astype(int)
    for time in times.tolist():
        cell.offer(flow, 128, time)
    ends = np.array([event.time for event in cell.advance(100 * S)])
    in_order = np.maximum.accumulate(trace.time + trace.delay)
    np.testing.assert_allclose(ends / S, in_order, atol=2e-9)


def delayed(delays: dict[str, DelayTrace], seed: int = 0) -> DelayedCell:
    cell = DelayedCell(Carrier(), delays, seed=seed)
    cell.set_slice(spec())
    cell.set_allocation({"a": 1.0})
    cell.set_pose("r", (1.0, 0.0, 0.0))
    cell.set_pose("s", (1.0, 0.0, 0.0))
    return cell


def test_in_a_cell_the_later_of_carrier_and_measurement_counts() -> None:
    """1,000 B go in a slot; 100 kB take 600 ms, longer than what was measured. Another robot is as ever."""
    trace = DelayTrace(np.array([0.0]), np.array([0.05]))
    cell, plain = delayed({"r": trace}), delayed({})
    ends = {}
    for name, one in (("delayed", cell), ("plain", plain)):
        flows = [one.flow(FlowKey("a", robot, "x", "uplink")) for robot in ("r", "s")]
        for flow in flows:
            one.offer(flow, 1000, 0)
        one.offer(flows[0], 100_000, S)
        ends[name] = {e.id: (e.time, e.fate) for e in one.advance(5 * S)}
    assert ends["delayed"][1] == (50 * MS, Fate.DELIVERED) and ends["plain"][1][0] < 20 * MS
    assert ends["delayed"][2] == ends["plain"][2] and ends["delayed"][3] == ends["plain"][3]
    row = cell.report().flows[0]
    assert row.counters.delivered == 2 and row.delay.max == pytest.approx((ends["plain"][3][0] - S) / S)


def test_in_flight_messages_of_a_removed_slice_are_dropped() -> None:
    cell = delayed({"r": DelayTrace(np.array([0.0]), np.array([0.05]))})
    flow = cell.flow(FlowKey("a", "r", "x", "uplink"))
    cell.offer(flow, 100, 0)
    assert not cell.advance(20 * MS) and cell.counters(flow).queued == 1
    assert [e.fate for e in cell.remove_slice("a")] == [Fate.SLICE_DELETED]
    assert cell.counters(flow).dropped == {"slice_deleted": (1, 100)}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("ab"), st.sampled_from("rs"), st.integers(1, 50_000)),
        st.tuples(st.just("slice"), st.sampled_from("ab"), st.floats(0.001, 0.1)),
        st.tuples(st.just("remove"), st.sampled_from("ab")),
        st.tuples(st.just("report")),
        st.tuples(st.just("jump"), st.integers(0, 10**9)),
    ),
    max_size=60,
)
ways = st.builds(
    LineWay, rate=st.sampled_from([0.0, 1e6]), delay=st.floats(0, 0.05), jitter=st.floats(0, 0.02),
    loss=st.sampled_from([0.0, 0.3]), queue_limit=st.sampled_from([10**4, 10**6]),
    delays=st.sampled_from([None, DelayTrace(np.array([0.0, 0.01]), np.array([0.02, 0.001]))]),
    rates=st.sampled_from([None, LineRate(np.array([1e6, 0.0, 3e5]))]),
)  # fmt: skip
URLLC = {"type": "urllc"}


def walk(cell: Cell | LineCell, calls: list, waits: list[int]) -> tuple[list, list[str]]:
    """Makes the calls, and checks after each that all is accounted for and that no message ends twice."""
    journal = journal_of(cell, None, 0, 5)
    tell, alive, reports = JournaledCell(cell, journal).apply, set(), []
    for (what, *how), wait in zip([*calls, ("report",)], waits, strict=False):
        due = cell.next_event()
        events = cell.advance(cell.now + wait)
        assert all(e.time >= due for e in events if e.fate == Fate.DELIVERED)
        if what == "offer" and how[0] in cell.specs:
            flow = tell("flow", FlowKey(how[0], how[1], "x", "uplink"))
            id_, fate = tell("offer", flow, how[2], cell.now)
            alive |= {id_} if fate == Fate.ACCEPTED else set()
        elif what == "slice":
            tell("set_slice", spec(how[0], max_latency=how[1], **(URLLC if how[0] == "b" else {})))
            tell("set_allocation", dict.fromkeys(cell.specs, 2.0))
        elif what == "remove" and how[0] in cell.specs:
            events += tell("remove_slice", how[0])
        elif what == "jump":
            events += tell("reset_time", how[0])
        elif what == "report":
            reports.append(tell("report"))
        for event in events:
            alive.remove(event.id)
        total = cell.counters()
        assert total.balance() == (0, 0) and total.queued == len(alive)
    return reports, journal.take()[1].splitlines()


def same(replay: CellReplay, lines: list[str], reports: list) -> None:
    said = [one for text in lines[1:] for one in replay.apply(*json.loads(text))]
    for (_, now, content), report in zip(said, reports, strict=True):
        assert now == report.time
        for row in report.slices:
            assert content["slices"][row.slice]["delivered"]["messages"] == row.counters.delivered
            assert content["slices"][row.slice]["delay_max"] == pytest.approx(row.delay.max, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(ways, steps, st.lists(st.integers(0, 60 * MS), min_size=61, max_size=61))
def test_lines_account_for_every_byte_and_repeat_from_their_journal(way, calls, waits) -> None:
    lines = {"r": LineLink(way, way), "s": LineLink(way, way)}
    reports, text = walk(LineCell(lines, seed=5), calls, waits)
    same(LineReplay(**json.loads(text[0])[1]), text, reports)


_OVERTAKEN = [
    ("slice", "b", 0.0078125), ("offer", "b", "s", 2521), ("offer", "b", "s", 1), ("slice", "a", 0.0625),
    *[("offer", "a", "r", 1)] * 4,
]  # fmt: skip
"""The first message expires at once, as it cannot make its bound, and the small one behind it leaves at once."""


@settings(max_examples=40, deadline=None)
@example(_OVERTAKEN, [0, 1, *[0] * 6, 253_000])
@given(steps, st.lists(st.integers(0, 60 * MS), min_size=61, max_size=61))
def test_delayed_cells_account_for_every_byte_and_repeat_from_their_journal(calls, waits) -> None:
    trace = DelayTrace(np.array([0.0, 0.01, 0.02]), np.array([0.02, 0.001, 0.04]))
    cell = DelayedCell(Carrier(), {"r": trace}, seed=5)
    for robot in "rs":
        cell.set_pose(robot, (5.0, 0.0, 0.0))
    reports, text = walk(cell, calls, waits)
    replay = CellReplay(**json.loads(text[0])[1])
    for robot in "rs":
        replay.cell.set_pose(robot, (5.0, 0.0, 0.0))
    same(replay, text, reports)
