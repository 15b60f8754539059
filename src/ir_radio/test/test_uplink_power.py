# SPDX-License-Identifier: Apache-2.0
"""Power control of the uplink: the formula, directions apart in the cell, and no change without it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.model.uplink_power import UplinkPower

SECOND = 1_000_000_000


def cell_of(**keys):
    cell = Cell(Carrier(**keys), seed=2)
    cell.set_slice(SliceSpec(name="e", type="embb", rate=1e6, max_latency=1.0, reliability=0.9, queue_limit=10**9))
    cell.set_allocation({"e": 20.0})
    return cell


def saturated(cell, way, seconds=0.5):
    flow = cell.flow(FlowKey("e", "cart", "x", way))
    for _ in range(2000):
        cell.offer(flow, 5000, cell.now)
    cell.advance(cell.now + round(seconds * SECOND))
    return 8.0 * cell.counters(flow).delivered_bytes / seconds


def test_power_by_hand():
    """80 dB: -90 + 80 = -10 dBm; 120 dB: 30 are too many, 23 over 10 blocks are 13; with alpha 0.8: -90 + 64."""
    np.testing.assert_allclose(UplinkPower().block_power([80.0, 120.0]), [-10.0, 13.0])
    assert UplinkPower(alpha=0.8).block_power(80.0) == pytest.approx(-26.0)


@given(st.floats(40.0, 160.0), st.floats(0.0, 1.0), st.floats(-120.0, -60.0), st.floats(0.0, 20.0))
def test_the_ratio_is_power_less_loss_less_noise(loss, alpha, target, rise):
    power = UplinkPower(alpha=alpha, target=target, noise_rise=rise)
    carrier = Carrier(tx_power=20.0, uplink=power)
    noise = carrier.noise_density + carrier.noise_figure + 10.0 * np.log10(carrier.block_bandwidth)
    got = channel.uplink_snr(carrier, channel.ratio(carrier, loss))
    assert got == pytest.approx(float(power.block_power(loss)) - loss - noise - rise, abs=1e-6)


def test_uplink_is_slower_where_the_terminal_is_at_its_limit():
    uplink, got = UplinkPower(max_power=0.0, blocks=50), {}
    for way in ("uplink", "downlink"):
        cell = cell_of(tx_power=24.0, uplink=uplink)
        cell.set_pose("cart", (300.0, 0.0, 3.0))
        got[way], link = saturated(cell, way), cell.report().links[0]
        snr = link.uplink_snr if way == "uplink" else link.snr
        assert got[way] == pytest.approx(20 * float(channel.block_rate(cell.carrier, snr)), rel=0.02)
    assert link.uplink_snr < link.snr and link.rate == pytest.approx(got["uplink"] / 20, rel=0.02)
    assert got["uplink"] < 0.8 * got["downlink"]


def test_out_of_reach_in_one_direction_only():
    cell = cell_of(tx_power=40.0, uplink=UplinkPower(max_power=-30.0))
    cell.set_pose("cart", (400.0, 0.0, 3.0))
    fates = [cell.offer(cell.flow(FlowKey("e", "cart", "x", way)), 100, 0)[1] for way in ("uplink", "downlink")]
    assert fates == [Fate.OUT_OF_COVERAGE, Fate.ACCEPTED]


def test_a_measured_link_is_the_same_both_ways():
    for way in ("uplink", "downlink"):
        cell = cell_of(uplink=UplinkPower(max_power=-30.0))
        cell.set_measured("cart", 10.0, 1e6)
        assert saturated(cell, way) == pytest.approx(20e6, rel=0.01)


def test_a_handover_moves_both_directions():
    cell = cell_of(neighbours=((100.0, 0.0, 3.0),), uplink=UplinkPower())
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey("e", "cart", "x", way)) for way in ("uplink", "downlink")]
    for ms in range(0, 600, 20):
        cell.advance(ms * 1_000_000)
        cell.set_pose("cart", (99.0, 0.0, 3.0))
        for flow in flows:
            cell.offer(flow, 500, cell.now)
    cell.advance(SECOND)
    assert cell.report().links[0].station == 1 and cell.counters().delivered == 60
    assert cell.counters().balance() == (0, 0)


def test_without_the_key_both_directions_are_one_link():
    cell = cell_of()
    cell.set_pose("cart", (20.0, 0.0, 3.0))
    link = cell.report().links[0]
    assert link.uplink_snr == link.snr and len(cell._links.rows) == 1


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        UplinkPower(alpha=1.5)
