# SPDX-License-Identifier: Apache-2.0
"""A cell that is told the journal of another reports the same, to the last count."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.engine.cell_journal import CellReplay, JournaledCell, journal_of
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


def do(cell: Cell, told: JournaledCell, step: tuple) -> None:
    what, *how = step
    if what == "offer" and how[0] in cell.specs:
        told.apply("offer", told.apply("flow", FlowKey(how[0], how[1], "x", "uplink")), how[2], cell.now)
    elif what == "slice":
        told.apply("set_slice", spec(*how))
    elif what == "remove" and how[0] in cell.specs:
        told.apply("remove_slice", how[0])
    elif what == "allocate":
        blocks = {name: blocks for name, blocks in zip(SLICES, how, strict=True) if name in cell.specs}
        told.apply("set_allocation", blocks)
    elif what == "pose":
        told.apply("set_pose", how[0], (how[1], 1.0, 0.0))
    elif what == "jump":
        told.apply("reset_time", how[0])


@settings(deadline=None, max_examples=50)
@given(steps, st.lists(st.integers(0, 3_000_000), min_size=80, max_size=80), st.integers(0, 10**12), st.integers(0, 9))
def test_a_repeated_cell_reports_the_same(calls, waits, start, seed):
    carrier = Carrier(fading="rayleigh", shadowing=8.0)
    cell = Cell(carrier, mini_slots=2, start=start, seed=seed)
    journal = journal_of(cell, 2, start, seed)
    told = JournaledCell(cell, journal)
    reports = []
    for step, wait in zip([*calls, ("report",)], [*waits, 0], strict=False):
        cell.advance(cell.now + wait)
        if step[0] == "report":
            reports.append((cell.now, told.apply("report")))
        do(cell, told, step)
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


LINES = """["add_link",7,"cart"]
["set_slice",7,{"name":"control","template_name":"","type":"urllc","differentiator":0,"rate":1000000.0,\
"max_latency":0.005,"reliability":0.9,"priority":1,"lifetime":0.0,"queue_limit":2000,"share":null,"flows":[],\
"dedicated_share":0.0,"max_share":1.0,"uplink_rate":0.0,"downlink_rate":0.0}]
["set_allocation",7,{"control":2.5}]
["set_pose",7,"cart",[1.0,2.0,0.5]]
["flow",7,["control","cart","x","uplink"]]
["offer",[[0,10,1000],[0,20,2000]]]
["report",5000]
["offer",[[0,30,6000]]]
["set_pose",6000,"cart",[NaN,0.0,0.0]]
["set_measured",6000,"cart",10.0,1000000.0]
["close_flow",6000,0]
["remove_slice",6000,"control"]
["reset_time",6000,9]
["report",9]""".replace("\\\n", "")
"""As bags hold them."""


def test_lines_are_byte_for_byte_those_of_bags_and_a_refused_call_is_refused_again():
    cell = Cell(Carrier(), start=7)
    journal = journal_of(cell, None, 7, 3)
    tell = JournaledCell(cell, journal).apply
    tell("add_link", "cart")
    tell("set_slice", spec("control", 2000))
    tell("set_allocation", {"control": 2.5})
    tell("set_pose", "cart", (1.0, 2.0, 0.5))
    flow = tell("flow", FlowKey("control", "cart", "x", "uplink"))
    tell("offer", flow, 10, 1000)
    tell("offer", flow, 20, 2000)
    cell.advance(5000)
    tell("report")
    tell("offer", flow, 30, 6000)
    with pytest.raises(ValueError, match="not three finite numbers"):
        tell("set_pose", "cart", (math.nan, 0.0, 0.0))
    tell("set_measured", "cart", 10.0, 1e6)
    tell("close_flow", flow)
    tell("remove_slice", "control")
    tell("reset_time", 9)
    tell("report")
    begin, *lines = journal.take()[1].split("\n")
    assert "\n".join(lines) == LINES
    replay = CellReplay(**json.loads(begin)[1])
    for line in lines:
        list(replay.apply(*json.loads(line)))
    assert replay.cell.now == 9 and replay.cell.report().links[0].bad_poses == 1
    assert replay.totals()["slices"]["control"]["dropped"] == {"slice_deleted": {"messages": 3, "bytes": 60}}


def test_a_journal_without_the_newer_keys_of_a_slice_is_repeated():
    begin = {"carrier": Carrier().model_dump(mode="json", exclude={"contention", "propagation"}), "mini_slots": None}
    replay = CellReplay(**begin, start=7)
    older = LINES.replace(',"dedicated_share":0.0,"max_share":1.0,"uplink_rate":0.0,"downlink_rate":0.0', "")
    assert older != LINES
    for line in older.split("\n"):
        list(replay.apply(*json.loads(line)))
    assert replay.cell.now == 9


def test_a_call_that_a_cell_does_not_have_is_refused():
    with pytest.raises(ValueError, match="a cell has no call _start"):
        Cell(Carrier()).apply("_start", 0)
