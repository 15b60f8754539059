# SPDX-License-Identifier: Apache-2.0
"""Invariants of the cell under every scheduler, over arbitrary traffic and configurations."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.access_scheme import Air, Computing
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MS, MINI, END = 1_000_000, 250_000, 30_000_000
ROBOTS = {"near": (1.0, 0.0, 3.0), "far": (60.0, 0.0, 0.0), "lost": (1e5, 0.0, 0.0)}
NAMES = ("e", "f", "u", "v")  # two eMBB and two URLLC slices

airs = st.fixed_dictionaries(
    {
        "scheduler": st.sampled_from(["reserved", "puncturing", "putd", "euad", "fifo"]),
        "packets_per_minislot": st.integers(1, 6),
        "outage_after": st.integers(0, 3),
        "puncture": st.sampled_from(["idle_first", "rotate"]),
        "loss": st.sampled_from(["linear", "threshold", "convex"]),
        "loss_threshold": st.integers(0, 1000),
        "retransmissions": st.integers(0, 2),
        "block_error": st.sampled_from([0.0, 0.3]),
        "epsilon": st.sampled_from([1e-9, 1e-3, 0.4]),
    }
)
accesses = st.fixed_dictionaries(
    {
        "tdd": st.sampled_from(["DDDSU", "SU", "DSUUD", ""]),
        "special_uplink": st.sampled_from([0, 3]),
        "configured_grant": st.booleans(),
        "sr_period": st.sampled_from([1e-3, 5e-3, 7.3e-3]),
        "first_grant": st.sampled_from([8, 40, 2000]),
        "keep_granting": st.sampled_from([0.0, 3e-3]),
        "k1": st.integers(0, 4),
        "k2": st.integers(0, 6),
        "ue_processing": st.sampled_from([0.0, 0.43e-3]),
        "gnb_processing": st.sampled_from([0.0, 0.5e-3, 2e-3]),
        "harq_round_trip": st.sampled_from([0.0, 6e-3]),
        "transmissions": st.integers(1, 4),
        "bler_target": st.sampled_from([1e-5, 0.1, 0.5]),
        "outer_loop": st.booleans(),
        "combining_spread": st.sampled_from([2.5, 30.0]),
        "mcs_table": st.sampled_from(["64qam", "256qam"]),
        "rlc": st.sampled_from(["acknowledged", "unacknowledged"]),
        "rlc_wait": st.sampled_from([0.0, 4e-3]),
        "message_header": st.sampled_from([0, 32]),
        "segment_header": st.sampled_from([0, 6]),
        "core_delay": st.sampled_from([0.0, 1e-3]),
        "core_jitter": st.sampled_from([0.0, 1e-3]),
        "sharing": st.sampled_from(["max_min", "round_robin", "proportional_fair"]),
    }
)
contentions = st.fixed_dictionaries(
    {
        "embb": st.sampled_from([{"aifsn": 3, "cw_min": 15, "cw_max": 63}, {"aifsn": 1, "cw_min": 0, "cw_max": 3}]),
        "retries": st.integers(0, 3),
        "packet": st.sampled_from([64, 700, 1500]),
        "aggregated": st.sampled_from([1, 3, 64]),
        "txop": st.sampled_from([2e-4, 2.528e-3]),
        "packet_error": st.sampled_from([0.0, 0.3, 0.9]),
        "burst": st.sampled_from([1e-4, 2e-3, 0.1]),
    }
)
computings = st.none() | st.builds(dict, rate=st.floats(1e5, 1e8), shared=st.integers(1, 999))
carriers = st.fixed_dictionaries(
    {
        "resource_blocks": st.integers(4, 40),
        "fading": st.sampled_from(["none", "rayleigh"]),
        "scheduling_latency": st.sampled_from([0.0, 0.3e-3]),
        "neighbours": st.sampled_from([(), ((50.0, 0.0, 3.0),)]),
        "uplink": st.sampled_from([None, None, {"max_power": -12.0, "noise_rise": 3.0}]),
        "interference": st.sampled_from([0.0, 0.5]),
        "ratios": st.dictionaries(
            st.sampled_from(NAMES),
            st.fixed_dictionaries(
                {
                    "dedicated_share": st.sampled_from([0.0, 0.03, 0.11, 0.2]),
                    "max_share": st.sampled_from([0.3, 0.61, 1]),
                },
                optional={"uplink_rate": st.sampled_from([0.3, 1.0]), "downlink_rate": st.just(0.7)},
            ),
            max_size=3,
        ),
    }
)
schemes = st.one_of(
    st.tuples(carriers, airs.map(lambda air: air | {"block_error": 0.0} if air["scheduler"] == "reserved" else air)),
    st.tuples(
        st.tuples(carriers, accesses).map(lambda both: both[0] | {"access": both[1]}),
        airs.map(lambda air: air | {"scheduler": "reserved", "block_error": 0.0}),
    ),
    st.tuples(
        st.tuples(carriers, contentions).map(lambda both: both[0] | {"contention": both[1]}),
        airs.map(lambda air: air | {"scheduler": "reserved", "block_error": 0.0}),
    ),
)
"""Keys of carrier and air that go together."""
arrival_lists = st.lists(
    st.tuples(
        st.integers(0, 20 * MS) | st.integers(0, 60).map(lambda k: k * MINI),
        st.sampled_from(NAMES),
        st.sampled_from(sorted(ROBOTS)),
        st.sampled_from(["uplink", "downlink"]),
        st.integers(1, 2500),
    ),
    max_size=60,
).map(lambda arrivals: sorted(arrivals, key=lambda arrival: arrival[0]))


def prepare(keys, air, computing, arrivals, seed=0):
    keys, ratios = keys | {}, keys.get("ratios", {})
    keys.pop("ratios", None)
    cell = Cell(Carrier(**keys, air=Air(**air), computing=computing and Computing(**computing)), seed=seed)
    for name in NAMES:
        kind = "urllc" if name in "uv" else "embb"
        latency = {"u": 0.004, "v": 0.0021}.get(name, 0.01)
        values = ratios.get(name, {})
        values = values if {"uplink_rate", "downlink_rate"} & values.keys() else values | {"rate": 1.0}
        cell.set_slice(
            SliceSpec(name=name, type=kind, max_latency=latency, reliability=0.9, queue_limit=9000, **values)
        )
    cell.set_allocation({"e": 0.4 * keys["resource_blocks"], "f": 1.3, "u": 1.0})
    for robot, position in ROBOTS.items():
        cell.set_pose(robot, position)
    return cell, [cell.flow(FlowKey(name, robot, "x", way)) for _, name, robot, way, _ in arrivals]


def outcomes(cell, flows, arrivals, until=END):
    times, fates = cell.run(flows, [a[4] for a in arrivals], [a[0] for a in arrivals], until)
    return list(zip(times.tolist(), fates.tolist(), strict=True))


NARROW = {"resource_blocks": 4, "fading": "none", "scheduling_latency": 0.0, "neighbours": ()}
ONE_AT_ONCE = {
    "scheduler": "puncturing", "packets_per_minislot": 1, "outage_after": 1, "puncture": "idle_first", "loss": "linear",
    "loss_threshold": 0, "retransmissions": 0, "block_error": 0.0, "epsilon": 1e-9,
}  # fmt: skip


def test_a_message_is_given_up_while_the_one_before_it_is_on_the_air():
    arrivals = [(0, "u", "far", "uplink", 1)] * 2
    cell, flows = prepare(NARROW, ONE_AT_ONCE, None, arrivals)
    (first, _), (second, _) = (cell.offer(flow, 1, 0) for flow in flows)
    events = [(event.id, event.time, event.fate) for event in cell.advance(END)]
    assert events == [(second, 0, Fate.OUTAGE), (first, MINI, Fate.DELIVERED)]


@settings(deadline=None, max_examples=100)
@given(schemes, computings, arrival_lists)
def test_books_balance_nothing_is_early_and_flows_keep_their_order(scheme, computing, arrivals):
    keys, air = scheme
    cell, flows = prepare(keys, air, computing, arrivals)
    let_in, seen = {}, []
    for (time, *_, size), flow in zip(arrivals, flows, strict=True):
        number, fate = cell.offer(flow, size, time)
        if fate == Fate.ACCEPTED:
            let_in[number] = (time, size, flow)
        assert cell.counters().balance() == (0, 0)
    for time in range(20 * MS, END, 700_000):
        seen += cell.advance(max(time, cell.now))
        counters = cell.counters()
        assert counters.balance() == (0, 0) and min(counters.queued, counters.queued_bytes) >= 0
    for flow in set(flows):
        assert cell.counters(flow).balance() == (0, 0) and cell.counters(flow).queued >= 0
    last, latency = {}, round(keys["scheduling_latency"] * 1e9)
    for event in seen:
        arrival, _, flow = let_in.pop(event.id)
        assert flow == event.flow and event.time >= arrival
        if event.fate == Fate.DELIVERED:
            kind = cell.key(flow).slice
            step = MINI if kind in "uv" and air["scheduler"] != "fifo" else MS
            if air["scheduler"] != "reserved":
                assert (event.time - latency) % step == 0 and event.time - arrival >= step + latency
            if kind in "uv":
                assert event.time - arrival <= {"u": 4_000_000, "v": 2_100_000}[kind]
            assert event.id > last.get(flow, 0)  # a message may be given up while one before it is on the air
            last[flow] = event.id
    counters = cell.counters()
    assert (counters.queued, counters.queued_bytes) == (len(let_in), sum(size for _, size, _ in let_in.values()))
    cell.reset_time(0)
    assert cell.counters().balance() == (0, 0) and cell.counters().queued == 0


@settings(deadline=None, max_examples=60)
@given(schemes, computings, arrival_lists, st.lists(st.integers(0, END), max_size=30))
def test_live_steps_and_a_second_run_give_what_the_batch_gives(scheme, computing, arrivals, looks):
    keys, air = scheme
    cell, flows = prepare(keys, air, computing, arrivals)
    expected = outcomes(cell, flows, arrivals)
    again, flows = prepare(keys, air, computing, arrivals)
    assert outcomes(again, flows, arrivals) == expected
    live, flows = prepare(keys, air, computing, arrivals)
    results = {}
    for time, index in sorted([(a[0], i) for i, a in enumerate(arrivals)] + [(t, len(arrivals)) for t in looks]):
        if index < len(arrivals):
            number, fate = live.offer(flows[index], arrivals[index][4], time)
            results[number] = (time, fate)
        else:
            results |= {event.id: (event.time, event.fate) for event in live.advance(time)}
    results |= {event.id: (event.time, event.fate) for event in live.advance(END)}
    assert [results[i + 1] for i in range(len(arrivals))] == expected


@settings(deadline=None, max_examples=60)
@given(schemes, computings, arrival_lists, st.integers(0, 20 * MS))
def test_what_happens_until_now_does_not_depend_on_what_comes_later(scheme, computing, arrivals, now):
    keys, air = scheme
    cell, flows = prepare(keys, air, computing, arrivals)
    whole = outcomes(cell, flows, arrivals)
    early = [arrival for arrival in arrivals if arrival[0] <= now]
    cell, flows = prepare(keys, air, computing, early)
    cut = outcomes(cell, flows, early, now)
    for (time, fate), (other, fate_then) in zip(cut, whole, strict=False):
        if fate != Fate.ACCEPTED:
            assert (time, fate) == (other, fate_then)
        else:
            assert fate_then == Fate.ACCEPTED or other > now


@settings(deadline=None, max_examples=30)
@given(carriers, airs.filter(lambda air: air["scheduler"] in ("puncturing", "putd", "euad")), computings, arrival_lists)
def test_urllc_never_waits_behind_embb(keys, air, computing, arrivals):
    """Without any eMBB, every URLLC message goes at the very same time."""
    air = air | {"epsilon": 1e-9}  # which message an error event strikes goes by its number
    cell, flows = prepare(keys, air, computing, arrivals)
    mine = [i for i, arrival in enumerate(arrivals) if arrival[1] in "uv"]
    both = outcomes(cell, flows, arrivals)
    alone = [arrivals[i] for i in mine]
    cell, flows = prepare(keys, air, computing, alone)
    assert outcomes(cell, flows, alone) == [both[i] for i in mine]


def check_ratios(cell, station, owners, taken, keys):
    """Dedicated blocks carry their own slice only; no URLLC slice takes more than its ceiling in a mini-slot."""
    if not cell._cell["apart"][0]:
        return
    rows = [cell._slices.table.rows[cell._slices.rows[name][station]] for name in NAMES]
    slice_of = cell._queues.rows["slice"]
    for row, name in zip(rows, NAMES, strict=True):
        own = set(range(row["own_first"], row["own_last"]))
        used = own & {block for block in own if owners[block] >= 0}
        assert all(slice_of[owners[block]] == cell._slices.rows[name][station] for block in used)
        assert len(own & set(taken.tolist())) <= row["taken"] * row["urllc"]
        most = keys["ratios"].get(name, {}).get("max_share", 1.0) * keys["resource_blocks"]
        assert row["taken"] <= most + 1e-9 and row["blocks"] <= most + 1e-9
    assert sum(row["taken"] for row in rows) == len(taken)


@settings(deadline=None, max_examples=30)
@given(carriers, airs.filter(lambda air: air["scheduler"] != "reserved"), computings, arrival_lists)
def test_no_block_is_given_or_taken_twice(keys, air, computing, arrivals):
    cell, flows = prepare(keys, air, computing, arrivals)
    line, punctured = list(zip(arrivals, flows, strict=True)), 0
    share = math.ceil(0.4 * keys["resource_blocks"]) + math.ceil(1.3)
    for start in range(0, 25 * MS, MINI):
        while line and line[0][0][0] <= start:
            (time, *_, size), flow = line.pop(0)
            cell.offer(flow, size, max(time, cell.now))
        cell.advance(start + 1)
        owners, taken = cell.grid()
        if cell.next_event() > 10**15:
            continue  # nothing waits: the mini-slot was not served
        for station, blocks in enumerate(taken):
            assert len(set(blocks.tolist())) == len(blocks) <= keys["resource_blocks"]
            assert all(0 <= block < keys["resource_blocks"] for block in blocks)
            punctured += int(np.sum(owners[station][blocks] >= 0))
            if air["scheduler"] != "fifo":
                assert np.sum(owners[station] >= 0) <= share
                check_ratios(cell, station, owners[station], blocks, keys)
    report = cell.report()
    assert sum(row.punctured_blocks for row in report.slices) == punctured
    for row in report.slices:
        assert row.lost_bytes >= 0 and 0.0 <= row.utilisation <= 1.0
