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


def sliced(carrier, blocks):
    cell = Cell(carrier, seed=2)
    cell.set_slice(SliceSpec(name="e", type="embb", rate=1e6, max_latency=1.0, reliability=0.9, queue_limit=10**9))
    cell.set_allocation({"e": blocks})
    return cell


def cell_of(**keys):
    return sliced(Carrier(**keys), 20.0)


def saturated(cell, way, seconds=0.5, size=5000):
    flow = cell.flow(FlowKey("e", "cart", "x", way))
    for _ in range(10_000_000 // size):
        cell.offer(flow, size, cell.now)
    cell.advance(cell.now + round(seconds * SECOND))
    return 8.0 * cell.counters(flow).delivered_bytes / seconds


def test_power_by_hand():
    """80 dB: -90 + 80 = -10 dBm; 120 dB: 30 are too many, 23 over 10 blocks are 13; with alpha 0.8: -90 + 64.

    At 30 kHz a block is twice as wide, and has twice the power.
    """
    np.testing.assert_allclose(UplinkPower().block_power([80.0, 120.0], 15e3, 10), [-10.0, 13.0])
    assert UplinkPower(alpha=0.8).block_power(80.0, 15e3, 1) == pytest.approx(-26.0)
    assert UplinkPower().block_power(80.0, 30e3, 1) == pytest.approx(-10.0 + 10.0 * np.log10(2.0))


@given(st.floats(40.0, 160.0), st.floats(0.0, 1.0), st.floats(-120.0, -60.0), st.floats(0.0, 20.0))
def test_the_ratio_is_power_less_loss_less_noise(loss, alpha, target, rise):
    power = UplinkPower(alpha=alpha, target=target, noise_rise=rise)
    carrier = Carrier(tx_power=20.0, uplink=power)
    noise = carrier.noise_density + carrier.noise_figure + 10.0 * np.log10(carrier.block_bandwidth)
    got = channel.uplink_snr(carrier, channel.ratio(carrier, loss))
    assert got == pytest.approx(
        float(power.block_power(loss, carrier.subcarrier_spacing, power.blocks)) - loss - noise - rise, abs=1e-6
    )


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


def access_of(power, **access):
    """Two slots of 1 ms in turn, standing grants, blocks that never fail; 50 blocks at 15 kHz."""
    keys = {
        "configured_grant": True, "tdd": "", "bler_target": 1e-9, "transmissions": 1, "rlc": "unacknowledged",
        "segment_header": 0, "message_header": 0,
    }  # fmt: skip
    return Carrier.model_validate({
        "resource_blocks": 50, "bandwidth": 10e6, "tx_power": 40.0, "min_snr": -1.0,
        "uplink": power, "access": keys | access,
    })  # fmt: skip


def best_rate(carrier, blocks, distance):
    """The most that one terminal sends on at most so many blocks, bit/s: any whole number of milli-blocks, any MCS."""
    power, ladder = carrier.uplink, carrier.access.ladder
    loss = float(channel.path_loss(carrier, distance))
    noise = carrier.noise_density + carrier.noise_figure + 10.0 * np.log10(carrier.block_bandwidth) + power.noise_rise
    count = np.arange(1, round(1000 * blocks) + 1) / 1000
    aimed = power.target + power.alpha * loss
    sent = np.minimum(aimed, power.max_power - 10.0 * np.log10(np.maximum(count, 1.0)))
    sent = np.where(count < 1.0, min(aimed, power.max_power), sent)
    snr = sent - loss - noise
    efficiency = np.array([ladder.efficiency[ladder.start <= one][-1] for one in snr])
    rate = count * carrier.block_bandwidth * efficiency
    return float(np.where(snr >= carrier.min_snr, rate, 0.0).max())


@pytest.mark.parametrize("blocks", [4.0, 50.0])
@pytest.mark.parametrize("distance", [20.0, 120.0, 300.0, 500.0])
def test_a_terminal_shares_its_power_among_the_blocks_that_it_is_granted(blocks, distance):
    carrier = access_of(UplinkPower(max_power=0.0, target=-85.0))
    cell = sliced(carrier, blocks)
    cell.set_pose("cart", (distance, 0.0, 3.0))
    got = saturated(cell, "uplink", size=1000)
    assert got == pytest.approx(best_rate(carrier, blocks, distance), rel=0.02)


def test_blocks_that_a_terminal_cannot_power_are_left_to_others():
    """Of 50 blocks one at 500 m makes use of 9.5, so 10 are its; the one nearby has the others, and powers 36.7."""
    carrier = access_of(UplinkPower(max_power=0.0, target=-85.0))
    cell = sliced(carrier, 50.0)
    for name, distance in (("cart", 20.0), ("far", 500.0)):
        cell.set_pose(name, (distance, 0.0, 3.0))
    flow = cell.flow(FlowKey("e", "far", "x", "uplink"))
    for _ in range(4000):
        cell.offer(flow, 1000, 0)
    assert saturated(cell, "uplink", size=1000) == pytest.approx(best_rate(carrier, 40.0, 20.0), rel=0.02)
    far = 8.0 * cell.counters(flow).delivered_bytes / 0.5
    assert far == pytest.approx(best_rate(carrier, 50.0, 500.0), rel=0.02)


@given(st.floats(40.0, 160.0), st.floats(0.0, 1.0))
def test_headroom_is_where_the_greatest_power_is_reached(loss, alpha):
    carrier = access_of(UplinkPower(alpha=alpha))
    level = float(channel.ratio(carrier, loss))
    blocks = channel.uplink_headroom(carrier, level)
    power = carrier.uplink.block_power(loss, 15e3, 1.0)
    assert blocks >= 1.0 - 1e-9 and float(power) + 10.0 * np.log10(blocks) == pytest.approx(23.0)
    single, shared = (float(channel.uplink_snr(carrier, level, n)) for n in (1.0, 2.0 * blocks))
    assert shared == pytest.approx(single - 10.0 * np.log10(2.0), abs=1e-6)


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
    assert link.uplink_snr == link.snr and len(cell._links.table.rows) == 1


def test_what_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        UplinkPower(alpha=1.5)
