# SPDX-License-Identifier: Apache-2.0
"""Random traffic: the kernel against the slow exact reference, and what must hold whatever comes."""

from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

ROBOTS = {"near": (1.0, 0.0, 3.0), "mid": (25.0, 3.0, 0.0), "far": (90.0, 0.0, 0.0), "lost": (1e5, 0.0, 0.0)}
DIRECTIONS = ("uplink", "downlink")
END = 40_000_000

slice_specs = st.builds(
    dict,
    kind=st.sampled_from(["embb", "urllc"]),
    blocks=st.floats(0.05, 20.0) | st.just(0.0),
    limit=st.integers(500, 30_000),
    latency=st.integers(700_001, 20_000_001),
)
arrival_lists = st.lists(
    st.tuples(
        st.integers(0, END - 10_000_000) | st.integers(0, 20).map(lambda slot: slot * 1_000_000),
        st.integers(0, 2),
        st.sampled_from(sorted(ROBOTS)),
        st.sampled_from(DIRECTIONS),
        st.integers(1, 3000),
    ),
    max_size=60,
)


def build(specs):
    cell = Cell(Carrier())
    for index, spec in enumerate(specs):
        cell.set_slice(
            SliceSpec(
                name=f"s{index}",
                type=spec["kind"],
                rate=1.0,
                max_latency=spec["latency"] / 1e9,
                reliability=0.9,
                queue_limit=spec["limit"],
            )
        )
    cell.set_allocation({f"s{index}": spec["blocks"] for index, spec in enumerate(specs)})
    for robot, position in ROBOTS.items():
        cell.set_pose(robot, position)
    return cell


def prepare(specs, arrivals):
    arrivals = sorted((a for a in arrivals if a[1] < len(specs)), key=lambda a: a[0])
    cell = build(specs)
    flows = [cell.flow(FlowKey(f"s{s}", robot, "x", direction)) for _, s, robot, direction, _ in arrivals]
    return cell, arrivals, flows


@settings(deadline=None, max_examples=150)
@given(st.lists(slice_specs, min_size=1, max_size=3), arrival_lists)
def test_kernel_does_what_the_reference_does(specs, arrivals):
    cell, arrivals, flows = prepare(specs, arrivals)
    times, fates = cell.run(flows, [a[4] for a in arrivals], [a[0] for a in arrivals], END)
    rates = {link.robot: Fraction(link.rate) for link in cell.report().links}
    slices = {
        f"s{i}": reference.Slice(
            s["kind"] == "urllc", Fraction(s["blocks"]), s["latency"] if s["kind"] == "urllc" else 0, s["limit"]
        )
        for i, s in enumerate(specs)
    }
    queues = {
        (f"s{s}", robot, direction): reference.Queue(f"s{s}", rates[robot])
        for s in range(len(specs))
        for robot in ROBOTS
        for direction in DIRECTIONS
    }
    offered = [(time, (f"s{s}", robot, direction), size) for time, s, robot, direction, size in arrivals]
    expected = reference.simulate(slices, queues, offered, END)
    assert [Fate(fate).name.lower() for fate in fates] == [fate for _, fate in expected]
    np.testing.assert_allclose(times, [time for time, _ in expected], rtol=0, atol=1)


@settings(deadline=None, max_examples=100)
@given(st.lists(slice_specs, min_size=1, max_size=3), arrival_lists, st.integers(0, END))
def test_books_balance_and_nothing_leaves_before_it_came_or_out_of_order(specs, arrivals, stop):
    cell, arrivals, flows = prepare(specs, arrivals)
    let_in, events = {}, []
    for (time, *_, size), flow in zip(arrivals, flows, strict=True):
        if time > stop:
            break
        number, fate = cell.offer(flow, size, time)
        if fate == Fate.ACCEPTED:
            let_in[number] = (time, size, flow)
        assert cell.counters().balance() == (0, 0)
    events = cell.advance(max(stop, cell.now))
    assert [event.time for event in events] == sorted(event.time for event in events)
    last = {}
    for event in events:
        arrival, size, flow = let_in.pop(event.id)
        assert flow == event.flow and event.time >= arrival
        spec = specs[arrivals[event.id - 1][1]]
        if event.fate == Fate.DELIVERED:
            assert spec["kind"] == "embb" or event.time - arrival <= spec["latency"]
            rate = 2e6 * spec["blocks"]  # more than any link gives
            assert event.time - arrival >= 8 * size / rate * 1e9
            assert event.id > last.get(flow, 0)  # FIFO
            last[flow] = event.id
        else:  # one that cannot make it any more may end while those before it are in flight
            assert event.fate != Fate.EXPIRED or spec["kind"] == "urllc"
    for row in range(len(set(flows))):
        counters = cell.counters(row)
        assert counters.balance() == (0, 0) and min(counters.queued, counters.queued_bytes) >= 0
    counters = cell.counters()
    assert (counters.queued, counters.queued_bytes) == (len(let_in), sum(size for _, size, _ in let_in.values()))


@settings(deadline=None, max_examples=60)
@given(st.lists(slice_specs, min_size=1, max_size=3), arrival_lists, st.lists(st.integers(0, END), max_size=30))
def test_live_steps_give_what_the_batch_gives(specs, arrivals, looks):
    cell, arrivals, flows = prepare(specs, arrivals)
    times, fates = cell.run(flows, [a[4] for a in arrivals], [a[0] for a in arrivals], END)
    live, _, _ = prepare(specs, arrivals)
    results = {}
    steps = sorted([(a[0], i) for i, a in enumerate(arrivals)] + [(time, len(arrivals)) for time in looks])
    for time, index in steps:
        if index < len(arrivals):
            number, fate = live.offer(flows[index], arrivals[index][4], time)
            results[number] = (time, fate)
        else:
            results |= {event.id: (event.time, event.fate) for event in live.advance(time)}
    results |= {event.id: (event.time, event.fate) for event in live.advance(END)}
    assert [results[i + 1] for i in range(len(arrivals))] == list(zip(times.tolist(), fates.tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(arrival_lists, st.lists(slice_specs, min_size=3, max_size=3))
def test_a_slice_does_not_notice_the_others(arrivals, specs):
    cell, arrivals, flows = prepare(specs, arrivals)
    times, _ = cell.run(flows, [a[4] for a in arrivals], [a[0] for a in arrivals], END)
    mine = [index for index, arrival in enumerate(arrivals) if arrival[1] == 0]
    alone = build(specs)
    flows = [alone.flow(FlowKey("s0", arrivals[i][2], "x", arrivals[i][3])) for i in mine]
    lonely, _ = alone.run(flows, [arrivals[i][4] for i in mine], [arrivals[i][0] for i in mine], END)
    assert times[mine].tolist() == lonely.tolist()


def test_a_great_batch_outgrows_every_buffer_and_loses_nothing():
    cell = build([{"kind": "embb", "blocks": 100.0, "limit": 10**9, "latency": 10**7}])
    flow = cell.flow(FlowKey("s0", "near", "x", "uplink"))
    count = 200_000
    times, fates = cell.run(np.full(count, flow), np.full(count, 100), np.zeros(count, int), 10**12)
    assert (fates == Fate.DELIVERED).all() and (np.diff(times) > 0).all()
    rate = 100 * cell.report().links[0].rate
    assert times[-1] == pytest.approx(count * 800 / rate * 1e9, rel=1e-9)
