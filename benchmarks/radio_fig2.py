# SPDX-License-Identifier: Apache-2.0
"""IoR Fig. 2b and 2c: three WiFi slices, their isolation; NR beside LTE over distance and for a transfer of 30 MB.

Everything is measured twice: through the engine in batch, and through real ROS topics and a relay in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from _radio_live import ROBOT, Live, Sent, own_domain, scheduled, slice_spec
from harness import Axis, Goal, Options, Result, main
from numpy.typing import NDArray

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.profiles import load_profile

RATES = {"video": 45e6, "spider": 35e6, "cart": 15e6}
LATENCIES = {"video": 0.135, "spider": 0.052, "cart": 0.010}
BURSTS = {"video": 754_000, "spider": 223_000, "cart": 16_800}
"""Fitted: bytes that a service sends at once."""
LOAD, OVERLOAD = 0.98, 1.6
PIECE = 50_000
"""Greatest message of a burst, B."""
FILE, WINDOW, ACK = 30_000_000, 65_536, 64
DISTANCES = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0]
SPECS = [slice_spec(name, "embb", [name], bound) for name, bound in LATENCIES.items()]
BULK = slice_spec("bulk", "embb", ["file"], directions="both")
FITTED = {
    "bursts of Fig. 2b (B)": BURSTS,
    "max_spectral_efficiency of nr (bit/s/Hz)": load_profile("nr").max_spectral_efficiency,
    "scheduling_latency of nr and lte (s)": [load_profile(n).scheduling_latency for n in ("nr", "lte")],
}
Ints = NDArray[np.int64]


def blocks_of(carrier: Carrier) -> dict[str, float]:
    """The air time that gives each WiFi slice its rate, 1 m from the access point."""
    rate = float(channel.block_rate(carrier, channel.snr(carrier, 1.0)))
    return {name: value / rate for name, value in RATES.items()}


def bursts(
    loads: Mapping[str, float], seconds: float, sizes: Mapping[str, int] = BURSTS
) -> tuple[Ints, Ints, Ints, Ints]:
    """Messages of the three services at some multiples of their rates: (stream, size, due ns, burst), sorted."""
    rows = []
    for stream, (name, rate) in enumerate(RATES.items()):
        period = 8e9 * sizes[name] / (loads[name] * rate)
        pieces = -(-sizes[name] // PIECE)
        cut = np.full(pieces, sizes[name] // pieces)
        for burst in range(int(seconds * 1e9 / period)):
            due = int((burst + 0.1 * stream) * period)
            rows += [(due, stream, int(size), 1000 * burst + stream) for size in cut]
    order = np.array(sorted(rows))
    return order[:, 1], order[:, 2], order[:, 0], order[:, 3]


def figures(sent: Sent, burst: Ints, seconds: float) -> dict[str, dict[str, float]]:
    """For each service: delivered bit/s in the second half of the run, and the mean delay of whole bursts, s."""
    out = {}
    for stream, name in enumerate(RATES):
        own = (sent.stream == stream) & (sent.came >= 0)
        start = sent.sent[0]
        half = own & (sent.came >= start + seconds * 5e8) & (sent.came < start + seconds * 1e9)
        last = {b: (c, s) for b, c, s in zip(burst[own], sent.came[own], sent.sent[own], strict=True)}
        first = dict(reversed(list(zip(burst[own], sent.sent[own], strict=True))))
        delay = float(np.mean([c - first[b] for b, (c, _) in last.items()]) * 1e-9) if last else float("nan")
        out[name] = {"rate": float(sent.size[half].sum() * 8 / (seconds * 0.5)), "delay": delay}
    return out


Carry = Callable[[Ints, Ints, Ints], Sent]


def fig2b(carry: Carry, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """The paper's traffic; all slices overloaded; each slice as it was while the two others are overloaded."""
    cases = {"paper's traffic": dict.fromkeys(RATES, LOAD), "all overloaded": dict.fromkeys(RATES, OVERLOAD)}
    cases |= {f"others than {k} overloaded": {n: LOAD if n == k else OVERLOAD for n in RATES} for k in RATES}
    found = {}
    for case, loads in cases.items():
        stream, size, due, burst = bursts(loads, seconds)
        found[case] = figures(carry(stream, size, due), burst, seconds)
    return found


def by_engine(carrier: Carrier) -> Carry:
    """Carries messages through the engine."""

    def carry(stream: Ints, size: Ints, due: Ints) -> Sent:
        sent = Sent(stream, size, due, np.full(len(due), -1))
        times, fates = scheduled(carrier, SPECS, blocks_of(carrier), 1.0, list(RATES), sent)
        return sent._replace(came=np.where(fates == Fate.DELIVERED, times, -1))

    return carry


def by_topics(live: Live) -> Carry:
    """Carries messages through the relay."""
    topics = [f"/{ROBOT}/{name}" for name in RATES]
    return lambda stream, size, due: live.send(topics, False, stream, size, due)


def flood(carrier_rate: float, seconds: float) -> tuple[Ints, Ints, Ints]:
    """More messages than all blocks carry."""
    period = 8e9 * PIECE / (1.15 * carrier_rate)
    due = (np.arange(int(seconds * 1e9 / period)) * period).astype(np.int64)
    return np.zeros(len(due), np.int64), np.full(len(due), PIECE), due


def top_rate(carrier: Carrier, distance: float) -> float:
    """Bit/s of all blocks."""
    return float(carrier.resource_blocks * channel.block_rate(carrier, channel.snr(carrier, distance)))


def delivered_rate(sent: Sent) -> float:
    """Bit/s between the first and the last delivery."""
    came = np.sort(sent.came[sent.came >= 0])
    return float((len(came) - 1) * 8 * PIECE / ((came[-1] - came[0]) * 1e-9))


def rates_by_engine(carrier: Carrier, distances: list[float]) -> list[float]:
    """Delivered bit/s of a flooded slice with all blocks."""
    found = []
    for distance in distances:
        stream, size, due = flood(top_rate(carrier, distance), 1.0)
        sent = Sent(stream, size, due, due)
        whole = {"bulk": float(carrier.resource_blocks)}
        times, fates = scheduled(carrier, [BULK], whole, distance, ["bulk"], sent)
        found.append(delivered_rate(sent._replace(came=np.where(fates == Fate.DELIVERED, times, -1))))
    return found


def transfer_by_engine(carrier: Carrier, window: int = WINDOW, size: int = FILE) -> float:
    """Seconds until a file has come over, one window after the other, each acknowledged; 1 m away."""
    cell = Cell(carrier)
    cell.set_slice(BULK)
    cell.set_allocation({"bulk": float(carrier.resource_blocks)})
    cell.set_pose(ROBOT, (1.0, 0.0, 3.0))
    up = cell.flow(FlowKey("bulk", ROBOT, "file", "uplink"))
    down = cell.flow(FlowKey("bulk", ROBOT, "file_ack", "downlink"))
    now = 0
    for left in range(size, 0, -window):
        for flow, bytes_ in ((up, min(window, left)), (down, ACK)):
            number, fate = cell.offer(flow, bytes_, now)
            if fate != Fate.ACCEPTED:
                raise RuntimeError(f"a piece of the transfer was dropped: {fate.name}")
            events: list[Any] = []
            while not events:
                events = cell.advance(cell.next_event())
            if events[0].id != number:
                raise RuntimeError("an answer overtook its question")
            now = events[0].time
    return now * 1e-9


def cellular_by_topics(profile: str, distances: list[float], size: int) -> tuple[list[float], float]:
    """Delivered rates over distance, and seconds of the transfer of some bytes, through the relay."""
    carrier = load_profile(profile)
    with Live(profile=profile) as live:
        whole = {"bulk": float(carrier.resource_blocks)}
        rates = []
        for distance in distances:
            live.set([BULK], whole, distance)
            stream, bytes_, due = flood(top_rate(carrier, distance), 1.0)
            rates.append(delivered_rate(live.send([f"/{ROBOT}/file"], False, stream, bytes_, due)))
        live.set([BULK], whole, 1.0)
        live.answer("file")
        seconds = live.converse(f"/{ROBOT}/file", f"/{ROBOT}/file_ack", WINDOW, -(-size // WINDOW))
    return rates, seconds * FILE / size


def sensitivity() -> dict[str, dict[str, Any]]:
    """What the figures become with one fitted or chosen value changed; by the engine."""

    def latency(name: str, factor: float) -> float:
        sizes = BURSTS | {name: int(BURSTS[name] * factor)}
        stream, size, due, burst = bursts(dict.fromkeys(RATES, LOAD), 4.0, sizes)
        return figures(by_engine(load_profile("wifi"))(stream, size, due), burst, 4.0)[name]["delay"]

    def changed(profile: str, **values: Any) -> Carrier:
        return load_profile(profile).model_copy(update=values)

    return {
        "latency (ms) with bursts x 0.8, 1, 1.2": {
            n: [round(1e3 * latency(n, f), 1) for f in (0.8, 1.0, 1.2)] for n in RATES
        },
        "NR at 1 m (Mb/s) for max_spectral_efficiency": {
            str(e): round(rates_by_engine(changed("nr", max_spectral_efficiency=e), [1.0])[0] * 1e-6, 1)
            for e in (4.0, 4.757, 5.5547, 7.4063)
        },
        "30 MB (s) for scheduling_latency (ms)": {
            f"{p}, {latency:g}": round(transfer_by_engine(changed(p, scheduling_latency=latency * 1e-3)), 2)
            for p, values in {"nr": (0.25, 0.5, 1.0, 2.0), "lte": (5.0, 8.0, 11.0, 14.0)}.items()
            for latency in values
        },
        "30 MB (s) for the window (kB)": {
            f"{p}, {w // 1024}": round(transfer_by_engine(load_profile(p), w), 2)
            for p in ("nr", "lte")
            for w in (WINDOW // 2, WINDOW, 4 * WINDOW, 100 * WINDOW)
        },
        "NR / LTE over distance with the power of nr (dBm)": {
            str(power): [
                round(a / b, 2)
                for a, b in zip(
                    rates_by_engine(changed("nr", tx_power=power), DISTANCES),
                    rates_by_engine(load_profile("lte"), DISTANCES), strict=True,
                )
            ]
            for power in (-10.0, -7.0, -4.0, -1.0)
        },
    }  # fmt: skip


def near(what: str, paper: float, got: float, unit: str, within: float = 0.1, word: str = "near") -> Goal:
    """A goal met where `got` is near a number of the paper."""
    return Goal(what, f"{word} {paper:.4g} {unit}".strip(), f"{got:.2f} {unit}", abs(got / paper - 1.0) <= within)


def goals(
    mode: str, wifi: dict[str, Any], rates: dict[str, list[float]], at: list[float], seconds: dict[str, float]
) -> list[Goal]:
    """What of the paper this mode meets."""
    plain, over = wifi["paper's traffic"], wifi["all overloaded"]
    found = []
    for name in RATES:
        alone, disturbed = plain[name]["delay"], wifi[f"others than {name} overloaded"][name]["delay"]
        got = over[name]["rate"] / 1e6
        found += [
            near(f"{mode}: {name}, overloaded, gets its rate and no more", RATES[name] / 1e6, got, "Mb/s", 0.02, ""),
            near(f"{mode}: latency of {name} (burst fitted)", 1e3 * LATENCIES[name], 1e3 * alone, "ms"),
            near(f"{mode}: latency of {name}, others overloaded", 1e3 * alone, 1e3 * disturbed, "ms", 0.1, "still"),
        ]
    ratio = np.array(rates["nr"]) / np.array(rates["lte"])
    found += [
        near(f"{mode}: NR at 1 m (fitted)", 116.0, rates["nr"][0] / 1e6, "Mb/s", 0.05),
        Goal(
            f"{mode}: NR / LTE over {at[0]:g} to {at[-1]:g} m", "about 2", f"{ratio.min():.2f} to {ratio.max():.2f}",
            bool(ratio.min() > 1.75 and ratio.max() < 2.25),
        ),
        near(f"{mode}: 30 MB on NR (fitted)", 2.9, seconds["nr"], "s"),
        near(f"{mode}: 30 MB on LTE after NR (fitted)", 12.1, seconds["lte"] - seconds["nr"], "s"),
    ]  # fmt: skip
    return found


def run(options: Options) -> Result:
    """The engine, then the topics."""
    own_domain()
    wifi = load_profile("wifi")
    engine = fig2b(by_engine(wifi), 1.0 if options.quick else 10.0)
    rates = {p: rates_by_engine(load_profile(p), DISTANCES) for p in ("nr", "lte")}
    seconds = {p: transfer_by_engine(load_profile(p)) for p in ("nr", "lte")}
    with Live(profile="wifi") as live:
        live.set(SPECS, blocks_of(wifi), 1.0)
        topics = fig2b(by_topics(live), 0.6 if options.quick else 2.5)
    places = [1.0, 20.0] if options.quick else [1.0, 10.0, 30.0]
    cellular = {p: cellular_by_topics(p, places, FILE // 15 if options.quick else FILE) for p in ("nr", "lte")}
    live_rates = {p: cellular[p][0] for p in cellular}
    live_seconds = {p: cellular[p][1] for p in cellular}

    def series(values: list[float]) -> dict[str, list[float]]:
        return {"mean": [v * 1e-6 for v in values], "ci95": [0.0] * len(values)}

    def draw(axes: Any) -> None:
        for profile, values in live_rates.items():
            axes.plot(places, [v * 1e-6 for v in values], "s", label=f"{profile} through topics")
        axes.plot([1.0], [116.0], "kx", markersize=9, label="paper: 116 Mb/s at 1 m")

    return Result(
        Axis("distance", "m", DISTANCES), "delivered, Mb/s", {p: series(v) for p, v in rates.items()},
        {"profiles": {p: load_profile(p).model_dump() for p in ("nr", "lte", "wifi")}, "load": LOAD,
         "overload": OVERLOAD, "window of the transfer (B)": WINDOW, "chosen": "window, powers", "fitted": FITTED},
        {"Fig. 2b": {n: f"{RATES[n] / 1e6:g} Mb/s, {1e3 * LATENCIES[n]:g} ms" for n in RATES},
         "Fig. 2c": "NR about 116 Mb/s at 1 m, twice LTE; 30 MB in about 2.9 s, LTE 12.1 s longer"},
        [
            *goals("engine", engine, rates, DISTANCES, seconds),
            *goals("topics", topics, live_rates, places, live_seconds),
        ],
        {"Fig. 2b, engine": engine, "Fig. 2b, topics": topics, "Fig. 2c, topics (bit/s)": live_rates,
         "distances of topics (m)": places, "30 MB, engine (s)": seconds, "30 MB, topics (s)": live_seconds,
         "sensitivity": {} if options.quick else sensitivity()},
        draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-fig2", run, seeds=1, quick_seeds=1)
