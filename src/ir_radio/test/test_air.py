# SPDX-License-Identifier: Apache-2.0
"""URLLC puncturing eMBB in the cell: cases solved by hand, closed forms, and the batch engine beside it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.cell_tables import Fate
from ir_radio.coexistence import batch_air, batch_computing
from ir_radio.coexistence.scenario import scenario
from ir_radio.engine.cell import NEVER, Cell, FlowKey
from ir_radio.model import blocklength
from ir_radio.model.access_scheme import Air, Computing
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MS, MINI = 1_000_000, 250_000
BLOCK = 180e3 * 8.0  # bit/s of a resource block near the base station
SLOT_BITS = BLOCK * 1e-3


def make(embb=100.0, robots=("cart",), urllc_bound=1.0, blocks=216, computing=None, bits=8.0, **keys):
    carrier = Carrier(
        max_spectral_efficiency=bits, resource_blocks=blocks, tx_power=30.0, computing=computing,
        air=Air(**({"scheduler": "puncturing"} | keys)),
    )  # fmt: skip
    cell = Cell(carrier)
    common = {"rate": 1e6, "reliability": 0.9, "queue_limit": 10**8}
    cell.set_slice(SliceSpec(name="e", type="embb", max_latency=0.02, **common))
    cell.set_slice(SliceSpec(name="u", type="urllc", max_latency=urllc_bound, **common))
    cell.set_allocation({"e": min(embb, blocks)})
    for robot in robots:
        cell.set_pose(robot, (0.0, 0.0, 2.0))
    return cell


def flow(cell, name, robot="cart", direction="uplink"):
    return cell.flow(FlowKey(name, robot, "x", direction))


def fates(events):
    return [(event.id, event.time, event.fate) for event in events]


def test_embb_block_arrives_at_the_end_of_its_slot_and_urllc_at_the_end_of_its_mini_slot():
    cell = make()
    cell.offer(flow(cell, "e"), 1000, 300_000)
    cell.offer(flow(cell, "u"), 100, 300_000)
    assert fates(cell.advance(2 * MS)) == [(2, 750_000, Fate.DELIVERED), (1, 2 * MS, Fate.DELIVERED)]


def blocks_of(cell, bits, epsilon=1e-5, best=8.0):
    """Blocks of a packet, from the array form of the normal approximation, by trying."""
    snr = 10.0 ** (cell.report().links[0].snr / 10.0)
    for blocks in range(1, 10_000):
        symbols = 45 * blocks
        if blocklength.rate(snr, symbols, epsilon) * symbols >= bits and bits <= best * symbols:
            return blocks
    raise AssertionError


@pytest.mark.parametrize("size", [20, 100, 256, 1000, 5000])
@pytest.mark.parametrize("epsilon", [1e-9, 1e-5, 0.3, 0.9])
def test_a_packet_takes_as_many_blocks_as_its_bits_need_at_finite_blocklength(size, epsilon):
    for power in (-25.0, -5.0, 30.0):
        cell = make(epsilon=epsilon)
        carrier = cell.carrier.model_copy(update={"tx_power": power})
        other = Cell(carrier)
        other.set_slice(cell.specs["u"])
        other.set_pose("cart", (20.0, 0.0, 0.0))
        need = blocks_of(other, 8 * size, epsilon)
        other.offer(flow(other, "u"), size, 0)
        other.advance(1)
        assert len(other.grid()[1][0]) == min(need, 216)


@pytest.mark.parametrize(("loss", "left"), [("linear", 1.0 - 0.25), ("convex", 1.0 - 0.25**2), ("threshold", 1.0)])
def test_what_puncturing_costs_an_embb_block(loss, left):
    """10 blocks of the only eMBB queue, all of them taken in one of four mini-slots: a quarter of its block."""
    cell = make(embb=10.0, blocks=10, loss=loss)
    capacity = int(10 * SLOT_BITS / 8)
    cell.offer(flow(cell, "e"), capacity, 0)
    cell.offer(flow(cell, "u"), 450, 0)  # 3,600 bits at 8 bit each of 45 symbols of 10 blocks
    events = cell.advance(MS)
    assert len(cell.grid()[1][0]) == 0  # in the last mini-slot
    first = fates(events)[0]
    assert first == (2, MINI, Fate.DELIVERED)
    row = cell.report().slices[0]
    assert row.punctured_blocks == 10
    assert row.lost_bytes == pytest.approx(capacity * (1.0 - left), abs=1)
    assert len(events) == (2 if left == 1.0 else 1)
    assert fates(cell.advance(2 * MS)) == ([] if left == 1.0 else [(1, 2 * MS, Fate.DELIVERED)])


def test_a_block_over_the_threshold_is_sent_again_and_given_up_after_so_many_times():
    cell = make(embb=10.0, blocks=10, loss="threshold", loss_threshold=200, retransmissions=2)
    cell.offer(flow(cell, "e"), 100, 0)
    cell.offer(flow(cell, "e"), 100, 0)
    for slot in range(3):
        cell.offer(flow(cell, "u"), 450, slot * MS)
    events = [event for event in cell.advance(5 * MS) if event.flow == flow(cell, "e")]
    assert fates(events) == [(1, 3 * MS, Fate.HARQ_FAILED), (2, 4 * MS, Fate.DELIVERED)]
    row = cell.report().flows[0]
    assert (row.retransmissions, row.harq_failures) == (2, 1) and cell.counters().balance() == (0, 0)


def test_embb_blocks_that_are_not_decoded_are_sent_again():
    """Blocks fail with probability p: of n messages about n p^(r + 1) are given up, n (p + ... + p^r) sent again."""
    cell = make(block_error=0.3, retransmissions=1)
    count = 4000
    times = np.arange(count) * 5 * MS
    _, ends = cell.run(np.full(count, flow(cell, "e")), np.full(count, 100), times, count * 5 * MS)
    row = cell.report().flows[0]
    assert np.mean(ends == Fate.HARQ_FAILED) == pytest.approx(0.09, abs=0.02) and row.harq_failures > 0
    assert row.retransmissions / count == pytest.approx(0.3, abs=0.03)


def test_excess_over_m_goes_in_the_next_mini_slot_and_is_dropped_after_two():
    cell = make(packets_per_minislot=2)
    u = flow(cell, "u")
    for _ in range(6):
        cell.offer(u, 20, 0)
    got = fates(cell.advance(MS))
    assert got == [
        (1, MINI, Fate.DELIVERED), (2, MINI, Fate.DELIVERED),
        (3, 2 * MINI, Fate.DELIVERED), (4, 2 * MINI, Fate.DELIVERED), (5, MINI, Fate.OUTAGE), (6, MINI, Fate.OUTAGE),
    ] or got == [
        (1, MINI, Fate.DELIVERED), (2, MINI, Fate.DELIVERED), (5, MINI, Fate.OUTAGE), (6, MINI, Fate.OUTAGE),
        (3, 2 * MINI, Fate.DELIVERED), (4, 2 * MINI, Fate.DELIVERED),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "delivered"), [({"scheduler": "putd"}, 2), ({"scheduler": "euad"}, 2), ({"outage_after": 0}, 6)]
)
def test_who_drops_the_excess_at_once_and_who_never(keys, delivered):
    cell = make(packets_per_minislot=2, **keys)
    for _ in range(6):
        cell.offer(flow(cell, "u"), 20, 0)
    ends = [event.fate for event in cell.advance(MS)]
    assert ends.count(Fate.DELIVERED) == delivered and ends.count(Fate.OUTAGE) == 6 - delivered


def test_fifo_serves_whoever_came_first_and_punctures_nothing():
    cell = make(embb=10.0, blocks=10, scheduler="fifo")
    capacity = int(10 * SLOT_BITS / 8)
    cell.offer(flow(cell, "e"), capacity, 0)
    cell.offer(flow(cell, "u"), 20, 0)
    cell.offer(flow(cell, "e"), 20, 0)
    assert sorted(fates(cell.advance(5 * MS))) == [
        (1, MS, Fate.DELIVERED), (2, 2 * MS, Fate.DELIVERED), (3, 2 * MS, Fate.DELIVERED)
    ]  # fmt: skip
    assert cell.report().slices[0].punctured_blocks == 0


def test_idle_blocks_go_first_and_rotation_strikes_all_alike():
    cell = make(embb=108.0, puncture="idle_first")
    cell.offer(flow(cell, "e"), 10**6, 0)
    for slot in range(20):
        cell.offer(flow(cell, "u"), 1000, slot * MS)
    cell.advance(20 * MS)
    assert cell.report().slices[0].punctured_blocks == 0
    cell = make(embb=108.0, puncture="rotate")
    cell.offer(flow(cell, "e"), 10**7, 0)
    taken = 0
    for mini in range(1000):
        cell.offer(flow(cell, "u"), 1000, mini * MINI)
        cell.advance(mini * MINI + 1)
        taken += len(cell.grid()[1][0])
    assert cell.report().slices[0].punctured_blocks == pytest.approx(taken / 2, rel=0.01)


@pytest.mark.parametrize("blocks", [0.25, 3.7, 40.1])
def test_fractional_allocations_carry_their_capacity_and_not_more(blocks):
    cell = make(embb=blocks, robots=("cart", "spider", "hopper"))
    count = 3000
    flows = np.resize([flow(cell, "e", robot) for robot in ("cart", "spider", "hopper")], count)
    size = int(blocks * SLOT_BITS / 8 * 2)
    cell.run(flows, np.full(count, size), np.arange(count) * MS, count * MS)
    cell.report()
    cell.advance((count + 2000) * MS)
    assert cell.report().slices[0].delivered_rate == pytest.approx(blocks * BLOCK, rel=0.01)


def test_error_events_strike_as_often_as_epsilon_says():
    """A packet that fills its block exactly at error probability 0.2 is lost one time in five."""
    cell = Cell(Carrier(tx_power=-25.0, air=Air(scheduler="puncturing", epsilon=0.2)))
    cell.set_slice(SliceSpec(name="u", type="urllc", rate=1e6, max_latency=1.0, reliability=0.9, queue_limit=10**9))
    cell.set_pose("cart", (20.0, 0.0, 0.0))
    count, size = 20_000, 40
    times, ends = cell.run(np.full(count, flow(cell, "u")), np.full(count, size), np.arange(count) * MS, count * MS)
    snr = 10.0 ** (cell.report().links[0].snr / 10.0)
    blocks = blocks_of(cell, 8 * size, 0.2, 7.4063)
    expected = float(blocklength.error(snr, 45 * blocks, 8 * size))
    assert 0.01 < expected <= 0.2
    assert np.mean(ends == Fate.NOT_DECODED) == pytest.approx(expected, abs=4 * math.sqrt(expected / count))
    assert (times == np.arange(count) * MS + MINI).all()


def test_a_message_longer_than_a_mini_slot_goes_in_parts():
    cell = make(blocks=10, outage_after=0)
    cell.offer(flow(cell, "u"), 1000, 0)  # 8,000 bits, 3,600 a mini-slot at most
    assert fates(cell.advance(MS)) == [(1, 3 * MINI, Fate.DELIVERED)]


arrivals_of = st.lists(st.integers(0, 12 * MS) | st.integers(0, 40).map(lambda k: k * MINI), max_size=40).map(sorted)


@settings(deadline=None, max_examples=40)
@given(
    arrivals_of, st.integers(1, 5), st.sampled_from(["puncturing", "putd"]), st.integers(1, 4),
)  # fmt: skip
def test_urllc_goes_as_in_the_batch_engine(arrivals, limit, scheduler, size):
    """One packet a sub-carrier there, a block here; carried packets first, as the cell keeps the order of a flow."""
    scene = scenario(
        scheduler=scheduler, sub_carriers=12, packets_per_minislot=limit, carried_first=True, embb_robots=1
    )
    packets = batch_air.make_packets(np.array(arrivals, np.int64), np.ones(len(arrivals)))
    jobs = batch_air.make_jobs(*np.zeros((3, 0), np.int64))
    batch_air.transmit(scene, packets, jobs, np.zeros((2, 1, 12), np.int64), np.zeros((2, 12)), 20)
    cell = make(blocks=12, packets_per_minislot=limit, scheduler=scheduler, epsilon=1e-9)
    count = len(arrivals)
    times, ends = cell.run(np.full(count, flow(cell, "u")), np.full(count, size), arrivals, 20 * MS)
    assert (ends == np.where(packets.end == batch_computing.DROPPED, Fate.OUTAGE, Fate.DELIVERED)).all()
    sent = ends == Fate.DELIVERED
    assert times[sent].tolist() == packets.end[sent].tolist()


@settings(deadline=None, max_examples=40)
@given(
    arrivals_of, arrivals_of, st.lists(st.integers(1, 3000), min_size=80, max_size=80),
    st.sampled_from([1, 300, 700, 999, 1000]), st.sampled_from(["puncturing", "euad", "fifo"]),
)  # fmt: skip
def test_computing_is_that_of_the_batch_engine(urllc, embb, sizes, shared, scheduler):
    shared = 999 if scheduler == "euad" and shared == 1000 else shared
    spec = Computing(rate=16e6, shared=shared, drop_after=0.002)
    work = [
        (np.array(times, np.int64), np.array(sizes[k : k + len(times)]) * 500) for k, times in ((0, urllc), (40, embb))
    ]
    ready = batch_computing.compute(*work, shared, scheduler, 2 * MS)
    cell = Cell(
        Carrier(
            bandwidth=1e9, resource_blocks=1000, tx_power=60.0, max_spectral_efficiency=12.0, computing=spec,
            air=Air(scheduler=scheduler, packets_per_minislot=10**6, outage_after=0),
        )
    )  # fmt: skip
    for name, kind in (("u", "urllc"), ("e", "embb")):
        cell.set_slice(SliceSpec(name=name, type=kind, rate=1.0, max_latency=10.0, reliability=0.9, queue_limit=10**9))
    cell.set_allocation({"e": 1000.0})
    cell.set_pose("cart", (0.0, 0.0, 2.0))
    line = [(time, 0, i) for i, time in enumerate(urllc)] + [(time, 1, i) for i, time in enumerate(embb)]
    line.sort()
    numbers = [flow(cell, "ue"[kind], direction="downlink") for _, kind, _ in line]
    end = 10**11
    sent = [sizes[40 * kind + i] for _, kind, i in line]
    times, ends = cell.run(numbers, sent, [time for time, *_ in line], end)
    assert cell.counters().balance() == (0, 0) and cell.counters().queued == 0
    for (_, kind, i), time, fate in zip(line, times, ends, strict=True):
        step = MINI if kind == 0 and scheduler != "fifo" else MS
        if ready[kind][i] == batch_computing.DROPPED:
            assert fate == Fate.COMPUTING_FULL
        elif fate != Fate.OUTAGE:
            assert time == -(-ready[kind][i] // step) * step + step


def test_next_event_is_never_late_and_seldom_early():
    for keys in ({}, {"scheduler": "fifo"}, {"computing": Computing(rate=20e6)}):
        cell = make(embb=20.0, **keys)
        rng = np.random.default_rng(5)
        for time in np.sort(rng.integers(0, 20 * MS, 30)):
            cell.advance(int(time))
            cell.offer(flow(cell, "e", direction="downlink"), 20_000, int(time))
            cell.offer(flow(cell, "u", direction="downlink"), 80, int(time))
        calls, seen = 0, len(cell.advance(cell.now))
        while (time := cell.next_event()) != NEVER:
            events = cell.advance(time)
            assert all(event.time == time for event in events)
            seen, calls = seen + len(events), calls + 1
        assert calls < 1500 and cell.counters().queued == 0
