# SPDX-License-Identifier: Apache-2.0
"""Block errors and delivered rate over SNR, against the link-level tables, with and without an outer loop.

One robot, FDD, blocks of one transmission that RLC does not repeat: a message of one block is lost as often as the
block. A second run is saturated, for the rate: its repetitions are decoded nearly always, so that a block takes one
transmission, and with the block error rate one more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from scipy import stats

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_adaptation import CQI, CURVES, block_error_rate
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.slice_specs import SliceSpec

TARGET, BLOCKS = 0.1, 50
SNRS = [-1.5, 0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 10.5, 12.0, 13.5, 15.0, 16.5, 18.0, 19.5, 21.0, 23.0, 25.0]
LOOPS = {"outer loop": True, "reported CQI": False}
MESSAGE, FULL = 40, 1500
"""Bytes of a message that fits into a block at every SNR, with its headers, and of those of the saturated run."""


def carrier(snr: float, outer_loop: bool, transmissions: int) -> Carrier:
    """A carrier whose robot at 1 m has this SNR, dB."""
    access = RadioAccess(
        tdd="", outer_loop=outer_loop, transmissions=transmissions, bler_target=TARGET, configured_grant=True,
        rlc="unacknowledged", ue_processing=0.0, gnb_processing=0.0, combining_spread=0.1,
    )  # fmt: skip
    made = Carrier(bandwidth=20e6, resource_blocks=BLOCKS, min_snr=-30.0, access=access)
    return made.model_copy(update={"tx_power": made.tx_power + snr - float(channel.snr(made, 1.0))})


def cell_of(one: Carrier, seed: int) -> tuple[Cell, int]:
    """A cell with one slice that has all blocks, and its flow."""
    cell = Cell(one, seed=seed)
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=10.0, reliability=0.9, queue_limit=10**12))
    cell.set_allocation({"a": float(BLOCKS)})
    cell.set_pose("robot", (1.0, 0.0, 3.0))
    return cell, cell.flow(FlowKey("a", "robot", "x", "uplink"))


def error_rate(snr: float, outer_loop: bool, count: int, seed: int) -> float:
    """Share of messages of one block that are lost."""
    one = carrier(snr, outer_loop, 1)
    cell, flow = cell_of(one, seed)
    times = np.arange(count) * 2 * one.slot_time
    _, fates = cell.run([flow] * count, [MESSAGE] * count, times, int(times[-1]) + 10**9)
    return float(np.mean(fates != 0))


def rate(snr: float, outer_loop: bool, seconds: float, seed: int) -> float:
    """Delivered bit/s of a queue that never empties."""
    cell, flow = cell_of(carrier(snr, outer_loop, 4), seed)
    for _ in range(int(100e6 * seconds / 8 / FULL)):
        cell.offer(flow, FULL, 0)
    cell.advance(int(seconds * 1e9))
    return 8.0 * cell.counters().delivered_bytes / seconds


def expected(snr: float, outer_loop: bool) -> tuple[float, float]:
    """(Block error rate, spectral efficiency) by the tables, without the code of the engine.

    The scheduler takes the fastest MCS that meets the target at this SNR, or the fastest one up to the CQI that it
    reports; where even the slowest fails more often, or the fastest less, that is what counts.
    """
    curves = CURVES["64qam"]
    usable = np.flatnonzero(block_errors(snr) <= TARGET + 1e-12)
    if not outer_loop:
        thresholds = np.interp(CQI["64qam"], np.maximum.accumulate(curves.efficiency), curves.threshold)
        reported = CQI["64qam"][thresholds <= snr]
        usable = np.flatnonzero(curves.efficiency <= (reported[-1] if len(reported) else 0.0) + 1e-9)
    best = int(usable[np.argmax(curves.efficiency[usable])]) if len(usable) else 0
    error = float(block_errors(snr)[best])
    if outer_loop and 0 < best < len(curves.efficiency) - 1:
        error = TARGET  # the loop takes up what is left
    return error, float(curves.efficiency[best])


def block_errors(snr: float) -> np.ndarray:
    """Block error rate of each MCS at an SNR, dB."""
    return np.array([float(block_error_rate("64qam", mcs, snr)) for mcs in range(len(CURVES["64qam"].efficiency))])


def run(options: Options) -> Result:
    """Both kinds of link adaptation."""
    count, seconds = (4000, 0.5) if options.quick else (40_000, 2.0)
    series, goals, tables = {}, [], {}
    for name, outer in LOOPS.items():
        wanted = np.array([expected(snr, outer) for snr in SNRS])
        errors = np.array([[error_rate(s, outer, count, 7 * k + 1) for s in SNRS] for k in options.seed_list])
        series[f"{name}: block error rate"] = interval(errors)
        many = count * len(errors)
        half = (
            stats.norm.ppf(1 - 0.025 / (2 * len(SNRS))) * np.sqrt(wanted[:, 0] * (1 - wanted[:, 0]) / many) + 3 / many
        )
        off = np.abs(errors.mean(axis=0) - wanted[:, 0])
        goals.append(Goal(f"{name}: block error rate within the simultaneous 95 % interval of the tables",
                          "at every SNR", f"greatest difference {off.max():.4f}, {100 * (off / half).max():.0f} % of "
                          "the half width", bool((off <= half).all())))  # fmt: skip
        rates = np.array([rate(snr, outer, seconds, options.seed_list[0]) for snr in SNRS])
        one = carrier(0.0, outer, 4)
        assert one.access
        most = BLOCKS * one.block_bandwidth * wanted[:, 1]
        headers = (
            (1.0 - 8.0 * one.access.segment_header / (most * one.slot)) * FULL / (FULL + one.access.message_header)
        )
        carried = headers * most / (1.0 + wanted[:, 0])  # repetitions take blocks of those to come
        steady = wanted[:, 0] < 0.5
        apart = np.abs(rates / np.maximum(carried, 1.0) - 1.0)[steady]
        what = f"{name}: delivered rate against efficiency / (1 + block error rate), less headers"
        goals.append(Goal(what, "within 2 %",
                          f"greatest difference {100 * apart.max():.1f} %", bool(apart.max() <= 0.02)))  # fmt: skip
        tables[f"{name}: delivered, Mb/s"] = np.round(rates / 1e6, 2).tolist()
        tables[f"{name}: by the tables, Mb/s"] = np.round(carried / 1e6, 2).tolist()
        tables[f"{name}: block error rate by the tables"] = np.round(wanted[:, 0], 4).tolist()

    def draw(axes: Any) -> None:
        for outer in LOOPS.values():
            axes.plot(SNRS, [expected(snr, outer)[0] for snr in SNRS], color="black", linewidth=0.6, linestyle="--")
        axes.plot([], [], color="black", linewidth=0.6, linestyle="--", label="tables")

    return Result(
        Axis("SNR", "dB", SNRS), "block error rate", series,
        {"messages of a run": count, "target": TARGET, "MCS table": "64qam (TS 38.214, 5.1.3.1-1)",
         "tables": "Lagen et al., ICC 2020, as in ir_radio.model.link_adaptation", "fitted": []},
        goals=goals, tables=tables, draw=draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-bler", run, seeds=3, quick_seeds=1)
