# SPDX-License-Identifier: Apache-2.0
"""Cost of a slot of the cell against its robots and flows, and its memory over a simulated hour.

Each robot has one stream up and one down, in an eMBB and a URLLC slice, Poisson, the same load on the carrier however
many robots share it; so what grows is what robots and flows cost. Processor time, batch.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.arrivals import poisson
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

MESSAGES, SIZE = 4000.0, 1000
"""Messages per second of the whole cell, and their bytes."""
S = 1_000_000_000
SLICES = {
    "video": SliceSpec(name="video", type="embb", rate=1e6, max_latency=0.1, reliability=0.9),
    "control": SliceSpec(name="control", type="urllc", rate=1e6, max_latency=0.1, reliability=0.9),
}


def build(robots: int, topics: int) -> tuple[Cell, NDArray[np.int64]]:
    """A cell and its flows: so many robots within 25 m, so many topics of each in each direction."""
    cell = Cell(Carrier())
    for spec in SLICES.values():
        cell.set_slice(spec)
    cell.set_allocation(dict.fromkeys(SLICES, 100.0))
    rng = np.random.default_rng(robots)
    flows = []
    for robot in range(robots):
        cell.set_pose(f"r{robot}", (*rng.uniform(-25.0, 25.0, 2), 1.0))
        for topic in range(topics):
            flows.append(cell.flow(FlowKey("video", f"r{robot}", f"t{topic}", "uplink")))
            flows.append(cell.flow(FlowKey("control", f"r{robot}", f"t{topic}", "downlink")))
    return cell, np.array(flows)


def offer(cell: Cell, flows: NDArray[np.int64], seconds: int, rng: np.random.Generator) -> None:
    """Runs on with traffic on flows drawn evenly."""
    start = cell.now
    times = poisson(MESSAGES, start, start + seconds * S, rng)
    cell.run(rng.choice(flows, len(times)), np.full(len(times), SIZE), times, start + seconds * S)


def slot_cost(robots: int, topics: int, seconds: int, seed: int) -> float:
    """Microseconds of processor time for a slot of 1 ms."""
    cell, flows = build(robots, topics)
    rng = np.random.default_rng(seed)
    offer(cell, flows, 1, rng)
    began = time.process_time()
    offer(cell, flows, seconds, rng)
    return (time.process_time() - began) / (1000 * seconds) * 1e6


def busy_cost(robots: int, seconds: int) -> float:
    """The same where both eMBB queues of every robot hold messages all the time: the most that a slot can cost."""
    cell, _ = build(robots, 0)
    keys = [FlowKey("video", f"r{r}", "bulk", way) for r in range(robots) for way in ("uplink", "downlink")]
    flows = np.array([cell.flow(key) for key in keys])
    backlog = np.repeat(flows, 1 + seconds * 40_000_000 // 50_000 // len(flows))
    cell.set_slice(SLICES["video"].model_copy(update={"queue_limit": 10**9}))
    cell.run(backlog, np.full(len(backlog), 50_000), np.zeros(len(backlog), np.int64), 1_000_000)
    began = time.process_time()
    cell.run([], [], [], seconds * S)
    return (time.process_time() - began) / (1000 * seconds - 1) * 1e6


def report_cost(robots: int) -> float:
    """Milliseconds of processor time for a report, which the relay makes five times a second."""
    cell, flows = build(robots, 1)
    offer(cell, flows, 1, np.random.default_rng(0))
    began = time.process_time()
    cell.report()
    return 1e3 * (time.process_time() - began)


def _memory() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def hour(minutes: int) -> list[float]:
    """Resident MiB after each simulated minute of 20 robots, with a report a second."""
    cell, flows = build(20, 1)
    rng, found = np.random.default_rng(1), []
    for _ in range(minutes):
        for _ in range(60):
            offer(cell, flows, 1, rng)
            cell.report()
        found.append(_memory())
    return found


def run(options: Options) -> Result:
    """Robots, flows, the hour."""
    robots = [1, 10, 100, 1000] if options.quick else [1, 3, 10, 30, 100, 300, 1000]
    seconds, minutes = (2, 5) if options.quick else (10, 60)
    slot_cost(1, 1, 1, 0)  # compiles
    by_robots = np.array([[slot_cost(n, 1, seconds, seed) for n in robots] for seed in options.seed_list])
    busy = np.array([[busy_cost(n, seconds) for n in robots] for _ in options.seed_list])
    topics = [1, 10, 50] if options.quick else [1, 3, 10, 30, 100]
    by_flows = [
        [2 * 10 * n, round(float(np.median([slot_cost(10, n, seconds, s) for s in options.seed_list])), 3)]
        for n in topics
    ]
    began = time.perf_counter()
    memory = hour(minutes)
    growth = memory[-1] - memory[len(memory) // 5]
    cost = np.median(by_robots, axis=0)
    most = float(np.median(busy[:, -1]))
    return Result(
        Axis("robots", "", robots), "µs of processor time per slot of 1 ms",
        {f"{MESSAGES:g} messages/s": interval(by_robots), "every queue busy": interval(busy)},
        {"messages per second of the cell": MESSAGES, "bytes": SIZE, "slices": list(SLICES), "seconds": seconds,
         "carrier": Carrier().model_dump(), "fitted": []},
        goals=[
            Goal(
                f"slot of 1 ms, {robots[-1]} robots, every queue busy: faster than it lasts", "under 1000 µs",
                f"{most:.1f} µs", most < 1000.0,
            ),
            Goal(f"memory over {minutes} simulated minutes", "flat (within 5 MiB)", f"{growth:+.1f} MiB", growth < 5.0),
        ],
        tables={
            "median µs per slot": dict(zip(map(str, robots), cost.round(3).tolist(), strict=True)),
            "10 robots: [flows, µs per slot]": by_flows,
            "the same, every queue busy": dict(zip(map(str, robots), np.median(busy, axis=0).round(3), strict=True)),
            "ms for a report": {str(n): round(report_cost(n), 2) for n in robots},
            "resident MiB after each simulated minute": np.round(memory, 1).tolist(),
            "wall seconds of these minutes": round(time.perf_counter() - began, 1),
        },
        draw=lambda axes: axes.set(xscale="log", yscale="log"),
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-scale", run, seeds=5)
