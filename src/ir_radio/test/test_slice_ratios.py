# SPDX-License-Identifier: Apache-2.0
"""Dedicated blocks, ceilings and directions of a slice in the cell: hand-solved cases (test_air_properties: any)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.access_scheme import Air
from ir_radio.model.carrier import Carrier
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.slice_specs import SliceSpec

SECOND = 1_000_000_000


def spec(name, kind, **changes):
    values = {"rate": 1e6, "max_latency": 1.0, "reliability": 0.9, "queue_limit": 10**8} | changes
    return SliceSpec(name=name, type=kind, **values)


def carrier(scheduler="puncturing", **changes):
    air = Air(scheduler=scheduler, packets_per_minislot=100, outage_after=0)
    return Carrier(bandwidth=5e6, resource_blocks=20, air=air, **changes)


def delivered(cell, flows, seconds=0.5):
    """Bit/s of each flow while all of them always have something to send."""
    for _ in range(300):
        for flow in flows:
            cell.offer(flow, 12_000, 0)
    cell.advance(round(seconds * SECOND))
    return [8.0 * cell.counters(flow).delivered_bytes / seconds for flow in flows]


def flooded(embb, urllc, scheduler="puncturing"):
    """Rates of an eMBB slice with all blocks allocated and of a URLLC slice, both flooded; of one block, bit/s."""
    cell = Cell(carrier(scheduler))
    cell.set_slice(spec("e", "embb", **embb))
    cell.set_slice(spec("u", "urllc", **urllc))
    cell.set_allocation({"e": 20.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey(name, "cart", "x", "uplink")) for name in "eu"]
    return *delivered(cell, flows), cell.report().links[0].rate


def test_without_ratios_urllc_takes_it_all():
    embb, _, _ = flooded({}, {})
    assert embb < 0.02 * 20 * 1.2e6


def test_dedicated_blocks_are_not_punctured():
    """6 of 20 blocks are dedicated to eMBB: it has just those, URLLC the other 14."""
    embb, urllc, block = flooded({"dedicated_share": 0.3}, {})
    assert embb == pytest.approx(6 * block, rel=0.02)
    assert urllc == pytest.approx(14 * block, rel=0.1)  # short packets carry less


def test_urllc_keeps_to_its_ceiling():
    embb, urllc, block = flooded({}, {"max_share": 0.25})
    assert embb == pytest.approx(15 * block, rel=0.02)
    assert 0.9 * 5 * block < urllc <= 5 * block


def test_dedicated_blocks_of_urllc_are_not_taken_by_another_urllc_slice():
    cell = Cell(carrier())
    cell.set_slice(spec("greedy", "urllc"))
    cell.set_slice(spec("calm", "urllc", dedicated_share=0.4))
    cell.set_allocation({"calm": 8.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey(name, "cart", "x", "uplink")) for name in ("greedy", "calm")]
    greedy, calm = delivered(cell, flows)
    assert greedy / calm == pytest.approx(12 / 8, rel=0.05)


@pytest.mark.parametrize("access", [None, RadioAccess(tdd="")])
def test_an_allocation_over_the_ceiling_is_cut_to_it(access):
    cell = Cell(carrier("reserved", access=access))
    cell.set_slice(spec("e", "embb", max_share=0.2))
    cell.set_allocation({"e": 20.0})
    assert cell.report().slices[0].resource_blocks == 4.0
    cell.set_slice(spec("e", "embb", max_share=0.1))
    assert cell.report().slices[0].resource_blocks == 2.0


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["reserved", "puncturing"]), st.sampled_from([0.2, 0.5, 0.9]), st.integers(1, 4), st.booleans())
def test_each_direction_has_its_part_whatever_the_other_asks_for(scheduler, part, robots, all_ask):
    """Uplink of many robots against downlink of one: max-min alone would give it 1 / (robots + 1)."""
    cell = Cell(carrier(scheduler))
    cell.set_slice(spec("e", "embb", rate=1e6, uplink_rate=part * 1e6, downlink_rate=(1.0 - part) * 1e6))
    cell.set_allocation({"e": 20.0})
    for k in range(robots):
        cell.set_pose(f"r{k}", (1.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey("e", f"r{k}", "x", "uplink")) for k in range(robots)]
    rates = delivered(cell, [*flows, cell.flow(FlowKey("e", "r0", "x", "downlink"))] if all_ask else flows)
    whole = 20 * cell.report().links[0].rate
    assert sum(rates) == pytest.approx(whole, abs=(robots + 1) * 2e5), "nothing is left idle but for a message each"
    if all_ask:
        assert rates[-1] == pytest.approx((1.0 - part) * whole, rel=0.02, abs=2e5), "but for a message"


def test_rates_of_directions_make_the_rate():
    apart = spec("e", "embb", rate=None, uplink_rate=3e6, downlink_rate=1e6)
    assert (apart.rate, apart.uplink_part) == (4e6, 0.75)
    assert spec("e", "embb").uplink_part is None
    assert SliceSpec.model_validate(apart.model_dump()) == apart


def test_both_ways_of_a_carrier():
    """Blocks are divided without access; with it each carries both: 3 slots and 10 of 14 symbols down, 1 up, of 5."""
    assert carrier().both_ways(3e6, 1e6) == 4e6
    tdd = carrier("reserved", access=RadioAccess(tdd="DDDSU"))
    assert tdd.both_ways(1e6, 0.0) == pytest.approx(1e6)
    assert tdd.both_ways(0.0, 1e6) == pytest.approx(1e6 * 0.2 / ((3 + 10 / 14) / 5))
    assert tdd.both_ways(1e6, 3e6) == pytest.approx(1e6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 2e6, "uplink_rate": 3e6}, "leave rate out"),
        ({"dedicated_share": 0.5, "share": 0.4}, "must not fall"),
        ({"dedicated_share": 0.5, "max_share": 0.4}, "must not fall"),
        ({"share": 0.5, "max_share": 0.4}, "must not fall"),
        ({"max_share": 0.0}, "greater than 0"),
        ({"uplink_rate": -1.0}, "greater than or equal"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        spec("e", "embb", **changes)
