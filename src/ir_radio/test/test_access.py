# SPDX-License-Identifier: Apache-2.0
"""Carriers with `access`: hand-solved requests and grants, a slow reference, rates, errors, sharing, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel, link_adaptation
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_adaptation import CQI, CURVES, block_error_rate, ladder
from ir_radio.model.slice_specs import SliceSpec

SLOT = 500_000
NR = {
    "resource_blocks": 106, "subcarrier_spacing": 30e3, "slot": 0.5e-3, "mini_slots": 1, "overhead": 0.197,
}  # fmt: skip


def make(access=None, robots=("cart",), distance=1.0, kind="embb", bound=10.0, seed=0, **keys):
    """A cell of one slice with all blocks, and its flows: robot -> (uplink, downlink)."""
    cell = Cell(Carrier.model_validate(NR | {"access": access or {}} | keys), seed=seed)
    cell.set_slice(
        SliceSpec(name="a", type=kind, rate=1e6, max_latency=bound, reliability=0.9, queue_limit=100_000_000)
    )
    cell.set_allocation({"a": 106.0})
    for robot in robots:
        cell.set_pose(robot, (distance, 0.0, 3.0))
    flows = {r: [cell.flow(FlowKey("a", r, "x", way)) for way in ("uplink", "downlink")] for r in robots}
    return cell, flows


def test_an_uplink_message_waits_for_request_grant_and_slot():
    """DDDSU: request in the U slot at 2 ms, known at 2.93, granted in the D slot at 3.0, sent at 4.5 (k2: 2 slots)."""
    cell, flows = make({"sr_period": 0.5e-3})
    cell.offer(flows["cart"][0], 20, 100_000)
    (event,) = cell.advance(50_000_000)
    assert event.time == 5_000_000 + 430_000 and event.fate == Fate.DELIVERED


def test_a_downlink_message_waits_for_scheduling_and_slot():
    """Known at 1.53 ms, in the U slot at 2 ms nothing goes, sent in the D slot at 2.5 ms."""
    cell, flows = make({"special_downlink": 0})
    cell.offer(flows["cart"][1], 20, 1_100_000)
    (event,) = cell.advance(50_000_000)
    assert event.time == 3_000_000 + 430_000


def test_a_configured_grant_needs_no_request():
    cell, flows = make({"configured_grant": True})
    cell.offer(flows["cart"][0], 20, 1_500_000)
    (event,) = cell.advance(50_000_000)
    assert event.time == 2_500_000 + 430_000


def test_a_message_over_the_first_grant_goes_on_with_the_buffer_report():
    """First 64 bytes at 4.5 ms; the report is read at 5.43, granted in the D slot at 5.5, sent in the U slot at 7."""
    cell, flows = make({"sr_period": 0.5e-3})
    cell.offer(flows["cart"][0], 200, 100_000)
    (event,) = cell.advance(50_000_000)
    assert event.time == 7_500_000 + 430_000


def reference(access, arrival, size, way):
    """Delivery of one message on a link without errors, by stepping through slots one by one, ns."""
    pattern, ns = access["tdd"] or "F", lambda key: round(access[key] * 1e9)

    def serves(slot, direction):
        kind = pattern[slot % len(pattern)]
        return kind == "F" or kind == direction or (kind == "S" and direction == "D")

    def first(time, direction):
        slot = -(-time // SLOT)
        while not serves(slot, direction):
            slot += 1
        return slot * SLOT

    ue, gnb = ns("ue_processing"), ns("gnb_processing")
    if way == "downlink":
        return first(arrival + gnb, "D") + SLOT + ue + ns("core_delay")
    if access["configured_grant"]:
        return first(arrival + ue, "U") + SLOT + gnb + ns("core_delay")
    period, time = ns("sr_period"), -(-(arrival + ue) // ns("sr_period")) * ns("sr_period")
    assert period == SLOT  # so that occasions are in every slot
    request = first(time, "U")
    known, left = request + SLOT + gnb, 8 * (size + access["message_header"])
    header, first_part = 8 * access["segment_header"], True
    while True:
        sent = first(first(known, "D") + access["k2"] * SLOT, "U")
        left -= 8 * access["first_grant"] - header if first_part else left
        first_part, known = False, sent + SLOT + gnb
        if left <= 0:
            return sent + SLOT + gnb + ns("core_delay")


@settings(deadline=None, max_examples=200)
@given(
    st.fixed_dictionaries(
        {
            "tdd": st.sampled_from(["DDDSU", "SU", "DDSUU", "DSUUUDDD", ""]),
            "configured_grant": st.booleans(),
            "k2": st.integers(0, 7),
            "ue_processing": st.integers(0, 3_000).map(lambda us: us * 1e-6),
            "gnb_processing": st.integers(0, 3_000).map(lambda us: us * 1e-6),
            "first_grant": st.integers(20, 300),
            "message_header": st.integers(0, 40),
            "segment_header": st.integers(0, 9),
            "core_delay": st.sampled_from([0.0, 2.5e-3]),
            "sr_period": st.just(0.5e-3),
        }
    ),
    st.integers(0, 10_000_000),
    st.integers(1, 250),
    st.sampled_from(["uplink", "downlink"]),
)
def test_one_message_takes_what_the_slow_reference_says(access, arrival, size, way):
    cell, flows = make(access)
    cell.offer(flows["cart"][way == "downlink"], size, arrival)
    (event,) = cell.advance(200_000_000)
    assert event.time == reference(access, arrival, size, way)


def delivered_rate(way, **access):
    cell, flows = make(access)
    flow = flows["cart"][way == "downlink"]
    cell.run([flow] * 40_000, [1500] * 40_000, [0] * 40_000, 1_000_000_000)
    return cell.report().slices[0].delivered_rate


def test_uplink_has_the_uplinks_share():
    """7:2 and DDDSU: a third to a quarter of the downlink's rate; FDD: both alike."""
    best = 106 * 360e3 * (1 - 0.197) * 5.5547
    for pattern, symbols, up, down in (("DDDSU", 10, 0.2, 0.6 + 2 / 14), ("DDDDDDDSUU", 6, 0.2, 0.7 + 6 / 140)):
        rates = [delivered_rate(way, tdd=pattern, special_downlink=symbols) for way in ("uplink", "downlink")]
        assert rates[0] == pytest.approx(up * best, rel=0.05) and rates[1] == pytest.approx(down * best, rel=0.05)
        assert 1 / 4 < rates[0] / rates[1] < 1 / 3
    assert delivered_rate("uplink", tdd="") == pytest.approx(best, rel=0.05)


def test_the_rate_that_is_promised_is_that_of_the_direction_that_has_less():
    carrier = Carrier.model_validate(NR | {"access": {}})
    assert channel.block_rate(carrier, 60.0) == pytest.approx(0.2 * channel.air_rate(carrier, 60.0))
    cell, _ = make()
    cell.set_measured("cart", 30.0, 50e3)
    assert cell.report().links[0].rate == pytest.approx(50e3)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.3])
def test_first_transmissions_fail_as_often_as_the_target_and_combining_helps(target):
    count = 4000
    cell, flows = make({"bler_target": target}, distance=60.0, tx_power=-10.0)
    flow = flows["cart"][1]
    cell.run([flow] * count, [50] * count, np.arange(count) * 20_000_000, count * 20_000_000)
    again = cell.report().flows[1].retransmissions
    margin = -link_adaptation.ndtri(target)
    second = 0.5 * math.erfc((margin + 10 * math.log10(2) / 2.5) / math.sqrt(2))
    expected = count * target * (1 + second)
    assert abs(again - expected) < 5 * math.sqrt(expected)
    assert second < target / 3


def test_what_harq_gives_up_is_sent_again_or_lost():
    access = {"bler_target": 0.2, "transmissions": 1, "rlc_wait": 0.02}
    for rlc, fates in (("acknowledged", {Fate.DELIVERED}), ("unacknowledged", {Fate.DELIVERED, Fate.HARQ_FAILED})):
        cell, flows = make(access | {"rlc": rlc}, distance=60.0, tx_power=-10.0)
        times, ends = cell.run([flows["cart"][1]] * 200, [50] * 200, np.arange(200) * 400_000_000, 10**11)
        assert set(ends) == {int(fate) for fate in fates}
        assert cell.counters().balance() == (0, 0)
        assert (times - np.arange(200) * 400_000_000 > 20_000_000).any() == (rlc == "acknowledged")


def test_tables_are_those_of_the_standard_and_rise():
    assert (len(CURVES["64qam"].efficiency), len(CURVES["256qam"].efficiency)) == (29, 28)
    assert CURVES["64qam"].efficiency[28] == CQI["64qam"][-1] == 5.5547 and CQI["256qam"][-1] == 7.4063
    for table, curves in CURVES.items():
        assert block_error_rate(table, 9, curves.threshold[9]) == pytest.approx(0.1)
        assert block_error_rate(table, 9, curves.threshold[9], 2) < 1e-6
        for outer_loop in (False, True):
            steps = ladder(table, 0.1, outer_loop)
            assert (np.diff(steps.start[1:]) > 0).all() and (np.diff(steps.efficiency) > 0).all()
            assert (steps.efficiency <= np.log2(1 + 10 ** (np.maximum(steps.start, -0.94) / 10))).all()  # Shannon
    for target in (0.01, 1e-5):
        assert (ladder("64qam", target, True).start[1:] > ladder("64qam", 0.1, True).start[1:]).all()
    cqi = set(ladder("64qam", 0.1, False).efficiency.tolist())
    assert cqi <= {round(float(e), 4) for e in CURVES["64qam"].efficiency} and len(cqi) == 14  # CQI 1 has no MCS


def shares_of(sharing):
    """Delivered rates of a near and a far robot that are always busy, Mb/s."""
    cell, flows = make({"sharing": sharing}, robots=("near", "far"), distance=1.0)
    cell.set_pose("far", (90.0, 0.0, 3.0))
    both = [flows["near"][1], flows["far"][1]]
    cell.run(both * 20_000, [1500] * 40_000, [0] * 40_000, 1_000_000_000)
    return [cell.counters(flow).delivered_bytes * 8e-6 for flow in both]


def test_sharings_give_near_and_far_their_due():
    near, far = shares_of("max_min")
    alone = [106 * float(channel.air_rate(Carrier.model_validate(NR), 60.0)), 0]
    for sharing in ("round_robin", "proportional_fair"):
        rates = shares_of(sharing)
        assert rates[0] == pytest.approx(near, rel=0.1) and rates[1] == pytest.approx(far, rel=0.1)
    assert near > 2 * far > 0 and alone[0] > near


def test_proportional_fairness_prefers_whoever_is_better_now():
    """With fading it delivers more in all than turns do."""
    totals = {}
    for sharing in ("round_robin", "proportional_fair"):
        cell, flows = make({"sharing": sharing}, robots=("a", "b", "c", "d"), distance=60.0, fading="rayleigh")
        down = [flow for _, flow in flows.values()]
        cell.run(down * 10_000, [1500] * 40_000, [0] * 40_000, 500_000_000)
        totals[sharing] = cell.counters().delivered_bytes
    assert totals["proportional_fair"] > 1.1 * totals["round_robin"]


def test_time_may_jump_back_and_a_handover_asks_anew():
    cell, flows = make({"sr_period": 0.5e-3}, neighbours=[(100.0, 0.0, 3.0)], handover={"time_to_trigger": 0.0})
    cell.offer(flows["cart"][0], 20, 10_000_000_000)
    cell.advance(10_100_000_000)
    cell.reset_time(0)
    cell.offer(flows["cart"][0], 20, 100_000)
    (event,) = cell.advance(50_000_000)
    assert event.time == 5_430_000
    cell.offer(flows["cart"][0], 20, 50_100_000)
    cell.advance(52_700_000)
    cell.set_pose("cart", (99.0, 0.0, 3.0))
    (event,) = cell.advance(100_000_000)
    assert cell.report().links[0].station == 1
    assert event.time == 57_930_000  # without it: 55_430_000


def test_what_does_not_go_together_is_refused():
    for keys, words in (
        ({"access": {"tdd": "DDD"}}, "no slot of one direction"),
        ({"access": {"tdd": "DXU"}}, "no pattern of slots"),
        ({"access": {"special_downlink": 10, "special_uplink": 5}}, "14 symbols"),
        ({"access": {}, "air": {"scheduler": "puncturing"}}, "goes with air.scheduler reserved"),
        ({"air": {"block_error": 0.1}}, "has no effect under reserved"),
    ):
        with pytest.raises(ValidationError, match=words):
            Carrier.model_validate(keys)


def flood(keys, times):
    """Goodput of a URLLC slice with 5 Mb/s of a full carrier, offered so many times that, Mb/s; and that of eMBB."""
    carrier = Carrier.model_validate({"scheduling_latency": 0.0} | keys)
    cell, rng = Cell(carrier), np.random.default_rng(5)
    rate = float(channel.block_rate(carrier, channel.snr(carrier, 2.0)))
    blocks = 5e6 / rate
    for name, kind in (("u", "urllc"), ("e", "embb")):
        cell.set_slice(SliceSpec(name=name, type=kind, rate=5e6, max_latency=0.01, reliability=0.9))
    cell.set_allocation({"u": blocks, "e": carrier.resource_blocks - blocks})
    cell.set_pose("cart", (2.0, 0.0, 3.0))
    u, e = (cell.flow(FlowKey(name, "cart", "x", "uplink")) for name in "ue")
    count = int(times * 5e6 * 0.5 / 2000)
    when = np.concatenate([rng.integers(0, 500_000_000, count), np.arange(500) * 1_000_000])
    flow = np.concatenate([np.full(count, u), np.full(500, e)])
    size = np.where(flow == u, 250, int(0.9 * 1e-3 / 8 * rate * (carrier.resource_blocks - blocks)))
    order = np.argsort(when, kind="stable")
    cell.run(flow[order], size[order], when[order], 500_000_000)
    return [cell.counters(one).delivered_bytes * 8e-6 / 0.5 for one in (u, e)]


def test_an_overloaded_urllc_slice_still_delivers_its_rate():
    """Blocks go to messages that can make it: five times the load, and nearly all of the 5 Mb/s arrives."""
    idle, _ = flood({"air": {"scheduler": "reserved"}}, 0.5)
    full, _ = flood({"air": {"scheduler": "reserved"}}, 5.0)
    assert idle == pytest.approx(2.5, rel=0.02) and 4.5 < full < 5.05


def test_a_flood_into_a_policed_urllc_slice_leaves_embb_its_blocks():
    air = {"scheduler": "puncturing", "outage_after": 0, "packets_per_minislot": 100}
    before = flood({"air": air | {"police": True}}, 0.5)
    policed, free = flood({"air": air | {"police": True}}, 20.0), flood({"air": air}, 20.0)
    assert policed[1] > 0.95 * before[1] > 1.2 * free[1]
    assert 4.5 < policed[0] < 5.5 and free[0] > 20.0
