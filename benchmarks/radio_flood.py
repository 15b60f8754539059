# SPDX-License-Identifier: Apache-2.0
"""Goodput of every slice while one of them is flooded with 1 to 20 times its load, under each scheduler.

Three slices with all blocks between them: two of eMBB and one of URLLC with a bound of 10 ms, four robots each near
the base station, messages of 500 bytes that come at random. First an eMBB slice is flooded, then the URLLC slice.
Goodput is what is delivered within the bound (eMBB: delivered at all) over what the slice is promised; a slice that is
not flooded offers 0.9 of that, the URLLC slice half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

SIZE, ROBOTS, BOUND = 500, 4, 0.01
BLOCKS = {"video": 140.0, "cart": 60.0, "control": 16.0}
LOAD = {"video": 0.9, "cart": 0.9, "control": 0.5}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "reserved": {"air": {"scheduler": "reserved"}},
    "puncturing": {"air": {"scheduler": "puncturing", "outage_after": 0, "packets_per_minislot": 64}},
    "puncturing, policed": {
        "air": {"scheduler": "puncturing", "outage_after": 0, "packets_per_minislot": 64, "police": True}
    },
    "putd": {"air": {"scheduler": "putd", "packets_per_minislot": 64}},
    "euad": {"air": {"scheduler": "euad", "packets_per_minislot": 64}},
    "fifo": {"air": {"scheduler": "fifo"}},
    "access": {"access": {"tdd": "", "configured_grant": True, "gnb_processing": 0.2e-3, "ue_processing": 0.2e-3}},
}


def promised(carrier: Carrier) -> dict[str, float]:
    """Rate of each slice, bit/s: what its blocks carry, less a tenth for headers, repetitions and whole blocks."""
    rate = 0.9 * float(channel.block_rate(carrier, channel.snr(carrier, 2.0)))
    return {name: blocks * rate for name, blocks in BLOCKS.items()}


def goodputs(keys: dict[str, Any], flooded: str, times: float, seconds: float, seed: int) -> dict[str, float]:
    """Goodput of each slice over its promised rate, one run."""
    carrier = Carrier.model_validate(keys)
    cell, rates, rng = Cell(carrier, seed=seed), promised(carrier), np.random.default_rng(seed)
    for name, rate in rates.items():
        kind = "urllc" if name == "control" else "embb"
        cell.set_slice(
            SliceSpec(name=name, type=kind, rate=rate, max_latency=BOUND, reliability=0.9)  # type: ignore[arg-type]
        )
    cell.set_allocation(BLOCKS)
    for k in range(ROBOTS):
        cell.set_pose(f"robot{k}", (2.0, 0.1 * k, 3.0))
    flows, arrivals, end = {}, [], int(seconds * 1e9)
    for name, rate in rates.items():
        flows[name] = [cell.flow(FlowKey(name, f"robot{k}", "x", "uplink")) for k in range(ROBOTS)]
        load = LOAD[name] * rate * (times if name == flooded else 1.0)
        count = rng.poisson(load * seconds / (8 * SIZE))
        arrivals.append((rng.integers(0, end, count), rng.choice(flows[name], count)))
    when, flow = (np.concatenate(part) for part in zip(*arrivals, strict=True))
    order = np.argsort(when, kind="stable")
    when, flow = when[order], flow[order]
    left, fates = cell.run(flow, np.full(len(flow), SIZE), when, end)
    out = {}
    for name, rate in rates.items():
        good = np.isin(flow, flows[name]) & (fates == 0)
        if name == "control":
            good &= left - when <= BOUND * 1e9
        out[name] = float(good.sum()) * 8 * SIZE / seconds / rate
    return out


def run(options: Options) -> Result:
    """Both floods, all schedulers."""
    loads, seconds = ([1.0, 5.0], 0.5) if options.quick else ([1.0, 2.0, 5.0, 10.0, 20.0], 2.0)
    series, lowest, urllc = {}, {}, {}
    for scheduler, keys in SCHEDULERS.items():
        for flooded in ("video", "control"):
            runs = np.array(
                [
                    [list(goodputs(keys, flooded, times, seconds, seed).values()) for times in loads]
                    for seed in options.seed_list
                ]
            )  # [seed, load, slice]
            for k, name in enumerate(BLOCKS):
                series[f"{scheduler}, {flooded} flooded: {name}"] = interval(runs[:, :, k])
            others = [k for k, name in enumerate(BLOCKS) if name != flooded]
            kept = runs.mean(axis=0)[:, others] / runs.mean(axis=0)[0, others]
            lowest[f"{scheduler}, {flooded} flooded"] = round(float(kept.min()), 3)
            if flooded == "control":
                urllc[scheduler] = round(float(runs.mean(axis=0)[:, 2].min() / LOAD["control"]), 3)
    goals = [
        Goal(f"{name}: least goodput of the slices that are not flooded, of that without a flood", ">= 0.95", got,
             got >= 0.95)
        for name, got in lowest.items()
        if name.split(",")[0] in ("reserved", "access") or "policed" in name
    ]  # fmt: skip
    goals += [
        Goal(f"{name}: goodput of a flooded URLLC slice, of what it offers without a flood", ">= 0.95", urllc[name],
             urllc[name] >= 0.95)
        for name in ("reserved", "puncturing, policed")
    ]  # fmt: skip

    def draw(axes: Any) -> None:
        for line in axes.get_lines()[:]:
            if "control flooded: video" not in str(line.get_label()):
                line.remove()
        for band in axes.collections[:]:
            band.remove()
        axes.set_xscale("log")

    return Result(
        Axis("load of the flooded slice", "times its own", loads), "goodput over promised rate", series,
        {"blocks": BLOCKS, "load": LOAD, "robots of each slice": ROBOTS, "message, B": SIZE, "bound, s": BOUND,
         "seconds": seconds, "schedulers": SCHEDULERS, "fitted": []},
        goals=goals,
        tables={"least goodput of the slices that are not flooded, of that without a flood": lowest,
                "goodput of a flooded URLLC slice, of what it offers without a flood": urllc},
        draw=draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-flood", run)
