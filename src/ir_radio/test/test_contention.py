# SPDX-License-Identifier: Apache-2.0
"""Contention as in WiFi: against Bianchi's formula, hand-solved frames, shares of air time (properties: test_air)."""

import itertools

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import brentq

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.access_scheme import Air
from ir_radio.model.carrier import Carrier
from ir_radio.model.profiles import load_profile
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.model.wifi_contention import Contention

SECOND = 1_000_000_000
PROFILE = load_profile("wifi6")


def cell_of(slices, seed=3, **changes):
    """A cell of the profile with slices, (type, part of the carrier) by name, and changed keys of its contention."""
    contention = PROFILE.contention.model_copy(update=changes)
    cell = Cell(PROFILE.model_copy(update={"contention": contention}), seed=seed)
    for name, (kind, _) in slices.items():
        cell.set_slice(SliceSpec(name=name, type=kind, rate=1e6, max_latency=10.0, reliability=0.9, queue_limit=10**12))
    cell.set_allocation({name: 81 * part for name, (_, part) in slices.items()})
    return cell


def flow_of(cell, name, robot, way="uplink"):
    cell.set_pose(robot, (1.0, 0.0, 3.0))
    return cell.flow(FlowKey(name, robot, "x", way))


def saturate(cell, flows, seconds=1.0, size=1500):
    """Delivered bit/s of each flow while all of them always have something to send."""
    for flow in flows:
        for _ in range(round(40e6 * seconds / size)):
            cell.offer(flow, size, cell.now)
    cell.advance(round(seconds * SECOND))
    return [8.0 * cell.counters(flow).delivered_bytes / seconds for flow in flows]


def bianchi(stations, rate):
    """Throughput of saturated stations without aggregation, bit/s (Bianchi, IEEE JSAC 18(3), 2000, eq. 7, 9 and 13)."""
    window, stages, n = 16, 6, stations

    def attempts(p):
        below = 2 * (1 - 2 * p)
        return below / ((1 - 2 * p) * (window + 1) + p * window * (1 - (2 * p) ** stages))

    p = brentq(lambda p: p - 1 + (1 - attempts(p)) ** (n - 1), 0.0, 0.499) if n > 1 else 0.0
    tau = attempts(p)
    some, one = 1 - (1 - tau) ** n, n * tau * (1 - tau) ** (n - 1)
    frame = 44e-6 + 8 * 1542 / rate + 16e-6 + 32e-6 + 16e-6 + 3 * 9e-6
    return one * 12_000 / ((1 - some) * 9e-6 + some * frame)


@pytest.mark.parametrize("stations", [1, 2, 5, 20])
def test_throughput_is_that_of_bianchi(stations):
    cell = cell_of({"e": ("embb", 1.0)}, packet_error=0.0, aggregated=1, retries=255)
    got = sum(saturate(cell, [flow_of(cell, "e", f"r{k}") for k in range(stations)]))
    assert got == pytest.approx(bianchi(stations, 81 * cell.report().links[0].rate), rel=0.05)


def test_delay_grows_with_the_number_of_stations():
    """Frames of 64 packets: with 30 saturated stations a message waits for tens of milliseconds."""
    p50 = []
    for stations in (1, 10, 30):
        cell = cell_of({"e": ("embb", 1.0)})
        probe = flow_of(cell, "e", "probe")
        others = [flow_of(cell, "e", f"r{k}") for k in range(stations)]
        for flow in others:
            for _ in range(600):
                cell.offer(flow, 60_000, 0)
        for ms in range(0, 1000, 25):
            cell.offer(probe, 100, ms * 1_000_000)
        cell.advance(SECOND)
        row = next(row for row in cell.report().flows if row.robot == "probe")
        p50.append(row.delay.p50)
    assert p50[0] < 5e-3 and p50[0] < p50[1] < p50[2] and 10e-3 < p50[2] < 0.2


def test_one_frame_by_hand():
    """An idle medium: AIFS is over; backoff, then 44 us and 300 bytes of payload and header at the rate of the link."""
    cell = cell_of({"e": ("embb", 1.0)}, packet_error=0.0, burst=1.0)
    flow = flow_of(cell, "e", "a")
    cell.offer(flow, 258, 100_000)
    (event,) = cell.advance(SECOND)
    frame = 44_000 + 8 * 300 / (81 * cell.report().links[0].rate) * 1e9
    backoff = (event.time - 100_000 - frame) / 9_000
    assert 0 <= backoff < 15.01 and backoff == pytest.approx(round(backoff), abs=1e-3)


def test_aggregation_carries_more():
    rates = []
    for aggregated in (1, 8, 64):
        cell = cell_of({"e": ("embb", 1.0)}, aggregated=aggregated, packet_error=0.0)
        rates.append(sum(saturate(cell, [flow_of(cell, "e", "a"), flow_of(cell, "e", "b")], seconds=0.5, size=20_000)))
    assert rates[0] < 0.5 * rates[1] < rates[1] < rates[2] < 81 * cell.report().links[0].rate


def test_air_time_is_shared_as_allocated():
    """Two saturated slices with 3/4 and 1/4 of the carrier, 4 stations each: so goes the air time."""
    cell = cell_of({"a": ("embb", 0.75), "b": ("embb", 0.25)})
    flows = [flow_of(cell, name, f"{name}{k}") for name in "ab" for k in range(4)]
    rates = saturate(cell, flows, seconds=2.0, size=10_000)
    assert sum(rates[:4]) / sum(rates[4:]) == pytest.approx(3.0, rel=0.1)
    assert all(row.utilisation <= 1.0 for row in cell.report().slices)


def test_voice_goes_before_best_effort():
    cell = cell_of({"e": ("embb", 0.5), "u": ("urllc", 0.5)})
    flows = [flow_of(cell, "e", f"r{k}") for k in range(5)]
    for flow in flows:
        for _ in range(400):
            cell.offer(flow, 50_000, 0)
    calm, urgent = flow_of(cell, "e", "x"), flow_of(cell, "u", "y")
    for ms in range(0, 500, 10):
        cell.offer(calm, 100, ms * 1_000_000)
        cell.offer(urgent, 100, ms * 1_000_000)
    cell.advance(SECOND)
    delay = {row.robot: row.delay.p50 for row in cell.report().flows}
    assert delay["y"] < 0.5 * delay["x"]


def test_a_frame_that_fails_too_often_is_dropped():
    cell = cell_of({"e": ("embb", 1.0)}, packet_error=0.95, retries=1)
    flow = flow_of(cell, "e", "a")
    for ms in range(200):
        cell.offer(flow, 100, ms * 1_000_000)
    cell.advance(SECOND)
    counters = cell.counters()
    assert counters.balance() == (0, 0) and counters.queued == 0
    assert counters.dropped["harq_failed"][0] == pytest.approx(200 * 0.95**2, rel=0.1)


def test_the_pump_that_follows_next_event_misses_nothing():
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, SECOND // 5, 300))

    def play(step):
        cell = cell_of({"e": ("embb", 0.6), "u": ("urllc", 0.4)})
        flows = [flow_of(cell, name, f"r{k}", way) for name in "eu" for k in range(3) for way in ("uplink", "downlink")]
        events = []
        for k, time in enumerate(times.tolist()):
            while step and (due := cell.next_event()) < time:
                events += cell.advance(due)
            cell.offer(flows[k % len(flows)], 900, time)
        return events + cell.advance(SECOND)

    by_pump, at_once = play(True), play(False)
    assert sorted(by_pump) == sorted(at_once)
    assert all(a.time <= b.time for a, b in itertools.pairwise(by_pump))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Carrier(contention=Contention(), access=RadioAccess()), "goes with air.scheduler reserved"),
        (lambda: Carrier(contention=Contention(), air=Air(scheduler="puncturing")), "goes with air.scheduler reserved"),
        (lambda: Contention.model_validate({"embb": {"aifsn": 2, "cw_min": 15, "cw_max": 7}}), "is under cw_min"),
    ],
)
def test_what_does_not_go_together_is_refused(make, words):
    with pytest.raises(ValidationError, match=words):
        make()
