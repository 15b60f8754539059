# SPDX-License-Identifier: Apache-2.0
"""A cell that is told the journal of another reports the same, to the last count."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.engine.cell_journal import CellReplay, keep
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

SLICES = ("video", "control")
ROBOTS = ("cart", "spider")


def spec(name: str, limit: int) -> SliceSpec:
    kind, latency = ("urllc", 0.005) if name == "control" else ("embb", 0.05)
    return SliceSpec(name=name, type=kind, rate=1e6, max_latency=latency, reliability=0.9, queue_limit=limit)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from(SLICES), st.sampled_from(ROBOTS), st.integers(1, 5000)),
        st.tuples(st.just("slice"), st.sampled_from(SLICES), st.integers(2000, 50_000)),
        st.tuples(st.just("remove"), st.sampled_from(SLICES)),
        st.tuples(st.just("allocate"), st.floats(0, 50), st.floats(0, 50)),
        st.tuples(st.just("pose"), st.sampled_from(ROBOTS), st.floats(-200, 200)),
        st.tuples(st.just("report")),
        st.tuples(st.just("jump"), st.integers(0, 10**9)),
    ),
    max_size=80,
)


def do(cell: Cell, step: tuple) -> None:
    what, *how = step
    if what == "offer" and how[0] in cell.specs:
        cell.offer(cell.flow(FlowKey(how[0], how[1], "x", "uplink")), how[2], cell.now)
    elif what == "slice":
        cell.set_slice(spec(*how))
    elif what == "remove" and how[0] in cell.specs:
        cell.remove_slice(how[0])
    elif what == "allocate":
        cell.set_allocation({name: blocks for name, blocks in zip(SLICES, how, strict=True) if name in cell.specs})
    elif what == "pose":
        cell.set_pose(how[0], (how[1], 1.0, 0.0))
    elif what == "jump":
        cell.reset_time(how[0])


@settings(deadline=None, max_examples=50)
@given(steps, st.lists(st.integers(0, 3_000_000), min_size=80, max_size=80), st.integers(0, 10**12), st.integers(0, 9))
def test_a_repeated_cell_reports_the_same(calls, waits, start, seed):
    carrier = Carrier(fading="rayleigh", shadowing=8.0)
    cell = Cell(carrier, mini_slots=2, start=start, seed=seed)
    journal = keep(cell, 2, start, seed)
    reports = []
    for step, wait in zip([*calls, ("report",)], [*waits, 0], strict=False):
        cell.advance(cell.now + wait)
        if step[0] == "report":
            reports.append((cell.now, cell.report()))
        do(cell, step)
    first, text = journal.take()
    (_, begin), *entries = map(json.loads, text.splitlines())
    replay = CellReplay(**begin)
    said = [one for call, *arguments in entries for one in replay.apply(call, *arguments)]
    assert first == 0 and [key for _, key, _ in said] == [now for now, _ in reports]
    for (_, _, content), (_, report) in zip(said, reports, strict=True):
        expected = {row.slice: row.counters for row in report.slices}
        assert set(content["slices"]) == set(expected)
        for name, counters in expected.items():
            found = content["slices"][name]
            assert found["offered"] == {"messages": counters.offered, "bytes": counters.offered_bytes}
            assert found["delivered"] == {"messages": counters.delivered, "bytes": counters.delivered_bytes}
            assert found["queued"] == {"messages": counters.queued, "bytes": counters.queued_bytes}
            assert {r: (d["messages"], d["bytes"]) for r, d in found["dropped"].items()} == counters.dropped
    assert replay.totals()["slices"] == said[-1][2]["slices"]
