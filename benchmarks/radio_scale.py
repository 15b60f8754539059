# SPDX-License-Identifier: Apache-2.0
"""Cost of a slot of the cell against its robots and flows, and its memory over a simulated hour.

Each robot has one stream up and one down, in an eMBB and a URLLC slice, Poisson, the same load on the carrier however
many robots share it; so what grows is what robots and flows cost. Processor time, batch.

A fleet on top: 3,000 robots at 15 m/s among 64 base stations, a pose of each every 0.1 s and 450,000 messages a second,
with shadowing and handover; and what a pose, a handover and a report cost for themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.arrivals import poisson
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import Direction, SliceSpec

MESSAGES, SIZE = 4000.0, 1000
"""Messages per second of the whole cell, and their bytes."""
S = 1_000_000_000
SLICES = {
    "video": SliceSpec(name="video", type="embb", rate=1e6, max_latency=0.1, reliability=0.9),
    "control": SliceSpec(name="control", type="urllc", rate=1e6, max_latency=0.1, reliability=0.9),
}

STREAMS: tuple[tuple[str, Direction], ...] = (("video", "uplink"), ("control", "downlink"))
"""Of each robot."""


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


def offer(cell: Cell, flows: NDArray[np.int64], seconds: int, rng: np.random.Generator, rate: float = MESSAGES) -> None:
    """Runs on with traffic on flows drawn evenly; rate: messages/s."""
    start = cell.now
    times = poisson(rate, start, start + seconds * S, rng)
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
    """Milliseconds of processor time for a report, which the relay makes five times a second: median of nine."""
    (cell, flows), rng, costs = build(robots, 1), np.random.default_rng(0), []
    for _ in range(9):
        offer(cell, flows, 1, rng)
        began = time.process_time()
        cell.report()
        costs.append(1e3 * (time.process_time() - began))
    return float(np.median(costs))


def stations(side: float) -> Carrier:
    """A carrier of 64 base stations, 8 x 8 over a square of `side` m, with shadowing; handover at once."""
    grid = np.linspace(-side / 2, side / 2, 8)
    first, *others = [(x, y, 6.0) for x in grid for y in grid]
    return Carrier.model_validate(
        {
            "position": first,
            "neighbours": others,
            "shadowing": 4.0,
            "tx_power": 20.0,
            "handover": {"time_to_trigger": 0},
        }
    )


def fleet(robots: int, rate: int, seconds: int, seed: int) -> dict[str, float]:
    """Processor time for a second of a fleet that moves, and its handovers a second."""
    side, period, rng = 400.0, 0.1, np.random.default_rng(seed)
    cell = Cell(stations(side), seed=seed)
    for spec in SLICES.values():
        cell.set_slice(spec)
    cell.set_allocation(dict.fromkeys(SLICES, 100.0))
    names, places = [f"r{k}" for k in range(robots)], rng.uniform(-side / 2, side / 2, (robots, 2))
    heading = rng.uniform(0.0, 2.0 * np.pi, robots)
    step = 15.0 * period * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    keys = [FlowKey(s, name, "x", way) for name in names for s, way in STREAMS]
    for name, (x, y) in zip(names, places.tolist(), strict=True):
        cell.set_pose(name, (x, y, 1.0))
    flows, size, spent, posed = np.array([cell.flow(key) for key in keys]), 100, 0.0, 0.0
    for k in range(round(seconds / period)):
        until, count = round((k + 1) * period * S), round(rate * period)
        times, chosen = np.sort(rng.integers(cell.now, until, count)), rng.choice(flows, count)
        places += step
        step = np.where(np.abs(places) > side / 2, -np.sign(places) * np.abs(step), step)
        began = time.process_time()
        for name, (x, y) in zip(names, places.tolist(), strict=True):
            cell.set_pose(name, (x, y, 1.0))
        posed += time.process_time() - began
        cell.run(chosen, np.full(count, size), times, until)
        spent += time.process_time() - began
    counters = cell.counters()
    return {
        "processor time of a second": spent / seconds,
        "of that, poses": posed / seconds,
        "handovers a second": sum(link.handovers for link in cell.report().links) / seconds,
        "delivered, of offered": counters.delivered / counters.offered,
    }


def pose_costs(seed: int) -> dict[str, float]:
    """Microseconds for a pose among 64 stations with shadowing, and for one with a handover, at 1000 robots."""
    cell, calls = Cell(stations(400.0), seed=seed), 2000
    for spec in SLICES.values():
        cell.set_slice(spec)
    for robot in range(1000):
        cell.set_pose(f"r{robot}", (0.0, 0.0, 1.0))
        for name, way in STREAMS:
            cell.offer(cell.flow(FlowKey(name, f"r{robot}", "x", way)), SIZE, 0)
    out = {}
    for what, ends in (("a pose", (0.0, 0.0)), ("a pose that hands over", (-150.0, 150.0))):
        for robot in range(1000):
            cell.set_pose(f"r{robot}", (ends[0], 0.0, 1.0))
        before = sum(link.handovers for link in cell.report().links)
        began = time.process_time()
        for k in range(calls):
            cell.set_pose(f"r{k % 1000}", (ends[1 - k // 1000 % 2], 0.0, 1.0))
        out[what] = (time.process_time() - began) / calls * 1e6
        if sum(link.handovers for link in cell.report().links) - before != (calls if ends[0] else 0):
            raise RuntimeError(f"{what}: not every pose handed over, or one did")
    return out


def _memory() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def hour(minutes: int) -> list[float]:
    """Resident MiB after each simulated minute of 20 robots at 1000 messages/s, with a report a second."""
    cell, flows = build(20, 1)
    rng, found = np.random.default_rng(1), []
    for _ in range(minutes):
        for _ in range(60):
            offer(cell, flows, 1, rng, 1000.0)
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
    big = {"robots": 300, "rate": 45_000} if options.quick else {"robots": 3000, "rate": 450_000}
    fleets = [fleet(**big, seconds=2 if options.quick else 5, seed=seed) for seed in options.seed_list]
    fleet_cost = float(np.median([one["processor time of a second"] for one in fleets]))
    poses = [pose_costs(seed) for seed in options.seed_list]
    pose, handover = (float(np.median([one[what] for one in poses])) for what in poses[0])
    with multiprocessing.get_context("spawn").Pool(1) as own:  # as a relay, which holds no remains of other fleets
        reports = {str(n): round(own.apply(report_cost, (n,)), 2) for n in robots}
    last = reports[str(robots[-1])]
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
            Goal(
                f"{big['robots']} robots, 64 stations, {big['rate']} messages/s, moving and handed over: a second",
                "under 1 s", f"{fleet_cost:.2f} s", fleet_cost < 1.0,
            ),
            Goal("a pose, 64 stations, shadowing", "under 30 µs", f"{pose:.1f} µs", pose < 30.0),
            Goal("a pose that hands over, 1000 robots", "under 30 µs", f"{handover:.1f} µs", handover < 30.0),
            Goal(f"a report of {robots[-1]} robots", "under 5 ms", f"{last} ms", last < 5.0),
            Goal(f"memory over {minutes} simulated minutes", "flat (within 5 MiB)", f"{growth:+.1f} MiB", growth < 5.0),
        ],
        tables={
            "median µs per slot": dict(zip(map(str, robots), cost.round(3).tolist(), strict=True)),
            "10 robots: [flows, µs per slot]": by_flows,
            "the same, every queue busy": dict(zip(map(str, robots), np.median(busy, axis=0).round(3), strict=True)),
            "ms for a report, median of 9": reports,
            "the fleet": {key: [round(one[key], 4) for one in fleets] for key in fleets[0]},
            "load of the machine at the end, processes": round(os.getloadavg()[0], 1),
            "resident MiB after each simulated minute": np.round(memory, 1).tolist(),
            "wall seconds of these minutes": round(time.perf_counter() - began, 1),
        },
        draw=lambda axes: axes.set(xscale="log", yscale="log"),
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-scale", run, seeds=5)
