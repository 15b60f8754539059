# SPDX-License-Identifier: Apache-2.0
"""A load step on one slice of the stack: time to recover its latency bound, and what the other slices lost.

Radio, slice manager and, for the learned policy, the slice agents are those of a run in the model's time, so a run
repeats to the last digit; agents learn one update a report, as there.
Traffic has random arrivals; everything is read from the radio's reports.
Runs that are done are kept, so that one which was stopped goes on where it was.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from _kept_pieces import kept
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from std_msgs.msg import UInt8MultiArray

from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.radio_side import RadioPart
from ir_lab.model_time.ros_samples import CellReportSample
from ir_lab.model_time.ros_slicing_side import AgentsPart, ManagerPart
from ir_radio.engine.relay_config import RelayConfig, load_radio
from ir_radio.engine.relay_engine import RelayEngine
from ir_slicing.allocation.slice_loads import LoadReader
from ir_slicing.learning.agent_weights import TRAINED, digest, load
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerEngine

POLICIES = ("learned", "proportional", "static")
ROBOTS = {"near": 8.0, "middle": 12.0, "far": 16.0}
"""Distance of the robots, m."""
STEPPED, STEP = "mapping", (2e6, 12e6)
"""Slice whose offered rate jumps, and from what to what, bit/s over its robots."""
SLICES = {
    "camera": {"rate": 8e6, "max_latency": 0.1, "offered": 6e6, "size": 6000},
    "sensors": {"rate": 4e6, "max_latency": 0.05, "offered": 3e6, "size": 2000},
    STEPPED: {"rate": 4e6, "max_latency": 0.05, "offered": STEP[0], "size": 4000},
    "control": {"rate": 1e6, "max_latency": 0.02, "offered": 0.3e6, "size": 500},
}
"""Guaranteed rate bit/s, bound s, offered bit/s, message B."""
CARRIER = {"bandwidth": 5e6, "resource_blocks": 25, "tx_power": 0.0}
REPORT_PERIOD = 0.2
SOURCES = (
    "agents", "federation", "forecaster", "../allocation", "../live", "../manager", "../orchestration",
    "../../../ir_radio/ir_radio", "../../../ir_lab/ir_lab/model_time",
)  # fmt: skip
LATER = "others' delay after"
HELD = 5
"""Reports in a row within the bound that count as recovered."""


@dataclass
class Record:
    """Reports of one run; lists have one entry for each report.

    Attributes:
        time: s of simulated time.
        delay: slice -> p99 of the report period, s; NaN where nothing was delivered.
        met: slice -> the bound was met and nothing was dropped.
        blocks: slice -> RB.
    """

    time: list[float] = field(default_factory=list)
    delay: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SLICES})
    met: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in SLICES})
    blocks: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SLICES})


def slices_file(folder: Path) -> Path:
    """The slices of this benchmark, one topic of every robot each."""
    made = []
    for name, one in SLICES.items():
        flow = {"robots": ["*"], "topic": name, "message_type": "std_msgs/msg/UInt8MultiArray", "direction": "uplink"}
        kind = "urllc" if name == "control" else "embb"
        given = {"rate": one["rate"], "max_latency": one["max_latency"], "reliability": 0.99, "queue_limit": 2_000_000}
        made.append({"name": name, "type": kind, "priority": int(kind == "embb"), "flows": [flow], **given})
    path = folder / "slices.yaml"
    path.write_text(yaml.safe_dump({"carrier": CARRIER, "slices": made}), encoding="utf-8")
    return path


class Payload(NamedTuple):
    """A message of which only the size counts."""

    bytes_: int

    def message(self) -> Any:
        """The ROS message of that size: nobody asks for it."""
        raise NotImplementedError

    def size(self) -> int:
        """B on the wire."""
        return self.bytes_


class Load:
    """Publishes messages of random arrivals (exponential, seeded) on the robots' side.

    Args:
        agenda, bus: of the run.
        seed: of the arrivals.

    Attributes:
        offered: bit/s of each slice over its robots; a change holds from the next arrival on.
    """

    def __init__(self, agenda: Agenda, bus: Bus, seed: int) -> None:
        self._agenda, self._bus = agenda, bus
        self._rng = np.random.default_rng(seed)
        self.offered = {name: one["offered"] for name, one in SLICES.items()}
        for robot in ROBOTS:
            for name, one in SLICES.items():
                message = UInt8MultiArray(data=bytes(int(one["size"])))
                self._next(robot, name, Payload(len(serialize_message(message))))

    def _next(self, robot: str, name: str, payload: Payload) -> None:
        mean = 8.0 * SLICES[name]["size"] * len(ROBOTS) / self.offered[name]
        wait = max(round(self._rng.exponential(mean) * NANOSECONDS), 1)
        self._agenda.at(self._agenda.now + wait, self._arrive, robot, name, payload)

    def _arrive(self, robot: str, name: str, payload: Payload) -> None:
        self._bus.publish(f"/{robot}/{name}", payload)
        self._next(robot, name, payload)


class Stack:
    """Radio, slice manager and, for the learned policy, the slices' agents, as a run in the model's time has them.

    Args:
        policy: of the manager.
        seed: of the arrivals, the agents and the radio.
        slices: file of the slices.
    """

    def __init__(self, policy: str, seed: int, slices: Path) -> None:
        self.agenda = Agenda()
        self.bus = Bus(self.agenda)
        config = RelayConfig(slices_file=str(slices), robots=tuple(ROBOTS), seed=seed)
        carrier, links = load_radio(config)
        relay = RelayEngine(carrier, config.robots, links, seed=seed, edge_namespace=config.edge_namespace)
        starts = {robot: (distance, 0.0, 0.0) for robot, distance in ROBOTS.items()}
        radio = RadioPart(
            self.agenda, self.bus, relay, config.pose_topic, config.pose_rate, 1.0 / REPORT_PERIOD, starts
        )
        managed = ManagerConfig(slices_file=slices, policy=policy, federation_period=5.0)  # type: ignore[arg-type]
        manager = ManagerPart(self.agenda, self.bus, ManagerEngine(managed, 0), radio, say)
        if policy == "learned":
            agents = AgentsEngine(SliceAgentsConfig(seed=seed))
            AgentsPart(self.bus, agents, manager, carrier.resource_blocks, say)
        self.load = Load(self.agenda, self.bus, seed)

    def run_to(self, seconds: float) -> None:
        """Simulated time goes on to an instant."""
        while self.agenda.next <= seconds * NANOSECONDS:
            self.agenda.run_next()


def say(line: str) -> None:
    """Tells what the parts warn of."""
    print(line, file=sys.stderr, flush=True)


def measure(policy: str, seed: int, before: float, after: float) -> tuple[Record, float]:
    """One run: the reports, and the time of the step."""
    torch.set_num_threads(1)  # more would make sums whose order depends on the host
    record, reader = Record(), LoadReader()
    bounds = {name: one["max_latency"] for name, one in SLICES.items()}

    def on_report(sample: CellReportSample) -> None:
        loads = reader.read(sample.report, bounds)
        if loads.keys() >= SLICES.keys():
            record.time.append(sample.report.time / NANOSECONDS)
            for row in sample.report.slices:
                record.delay[row.slice].append(row.recent_delay.p99)
                record.met[row.slice].append(not loads[row.slice].missed)
                record.blocks[row.slice].append(row.resource_blocks)

    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(policy, seed, slices_file(Path(folder)))
        stack.bus.listen("/radio/report", on_report)
        step = before + REPORT_PERIOD / 2  # the radio does not report at the very instant
        stack.run_to(step)
        stack.load.offered[STEPPED] = STEP[1]
        stack.run_to(step + after)
    return record, step


def recovery(record: Record, step: float, horizon: float) -> tuple[float, bool]:
    """s from the step until the stepped slice meets its bound for `HELD` reports in a row; the horizon if never.

    A slice that never missed it recovered at once.
    """
    late = np.array(record.time) > step + REPORT_PERIOD  # the first report after the step is half from before it
    times, met = np.array(record.time)[late], np.array(record.met[STEPPED])[late]
    for i in range(len(met) - HELD + 1):
        if met[i : i + HELD].all():
            return (0.0 if i == 0 else float(times[i] - step)), True
    return horizon, False


def share_missed(record: Record, names: list[str], begin: float, end: float) -> float:
    """Share of the reports, and of the slices, in which the bound was missed."""
    inside = (np.array(record.time) > begin) & (np.array(record.time) <= end)
    return float(1.0 - np.mean([np.array(record.met[name])[inside] for name in names]))


def delay_share(record: Record, names: list[str], begin: float, end: float) -> float:
    """Mean over reports and slices of the delay (p99 of a report period), as a share of the slice's bound."""
    inside = (np.array(record.time) > begin) & (np.array(record.time) <= end)
    shares = [np.array(record.delay[name])[inside] / SLICES[name]["max_latency"] for name in names]
    return float(np.nanmean(shares))


def sampled(record: Record, values: list[float], step: float, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at times from the step on, each the last one before."""
    place = np.searchsorted(np.array(record.time) - step, grid, side="right") - 1
    return np.nan_to_num(np.array(values))[np.maximum(place, 0)]


def piece(policy: str, seed: int, before: float, after: float, grid: NDArray[np.float64]) -> dict[str, Any]:
    """What is kept of one run."""
    others = [name for name in SLICES if name != STEPPED]
    record, step = measure(policy, seed, before, after)
    seconds, recovered = recovery(record, step, after)
    return {
        "recovery": seconds,
        "recovered": recovered,
        "stepped": share_missed(record, [STEPPED], step, step + after),
        "others before": share_missed(record, others, step - 3.0, step),
        "others after": share_missed(record, others, step, step + after),
        "others' delay before": delay_share(record, others, step - 3.0, step),
        "others' delay after": delay_share(record, others, step, step + after),
        "delay": (1e3 * sampled(record, record.delay[STEPPED], step, grid)).tolist(),
        "blocks": sampled(record, record.blocks[STEPPED], step, grid).tolist(),
    }


def run(options: Options) -> Result:
    """All policies on the same arrivals, seed by seed."""
    before, after = (3.0, 5.0) if options.quick else (12.0, 10.0)
    grid = np.arange(-2.0, after - 0.5, REPORT_PERIOD)
    about = {"slices": SLICES, "carrier": CARRIER, "robots": ROBOTS, "step": STEP, "times": [before, after]}
    found: dict[str, dict[str, list[Any]]] = {}
    for seed in options.seed_list:
        for policy in POLICIES:
            weights = digest(load(TRAINED)) if policy == "learned" else ""
            made = kept(
                "slicing-live", about | {"piece": f"{policy} {seed}", "weights": weights}, SOURCES,
                lambda policy=policy, seed=seed: piece(policy, seed, before, after, grid),  # type: ignore[misc]
            )  # fmt: skip
            for key, value in made.items():
                found.setdefault(policy, {}).setdefault(key, []).append(value)
    return summary(found, grid, before, after)


def draw(axes: Any) -> None:
    """The bound; logarithmic, so that those who recover can be told from each other beside the one who does not."""
    axes.axhline(1e3 * SLICES[STEPPED]["max_latency"], color="black", linestyle=":", label="bound")
    axes.set_yscale("log")


def summary(found: dict[str, dict[str, list[Any]]], grid: NDArray[np.float64], before: float, after: float) -> Result:
    """The result's form."""
    columns = (
        "recovery", "stepped", "others before", "others after", "others' delay before", "others' delay after",
    )  # fmt: skip
    table = {
        policy: {name: interval(np.array(rows[name], float)[:, None]) for name in columns}
        | {"runs recovered": f"{sum(rows['recovered'])} of {len(rows['recovered'])}"}
        for policy, rows in found.items()
    }
    means = {policy: {name: float(np.mean(rows[name])) for name in columns} for policy, rows in found.items()}
    mine, theirs = means["learned"], means["proportional"]
    return Result(
        Axis("time since the load step", "s", [round(float(t), 3) for t in grid]),
        f"delay of slice {STEPPED}, p99 of a report period (ms)",
        {policy: interval(np.array(rows["delay"])) for policy, rows in found.items()},
        {
            "slices": SLICES, "carrier": CARRIER, "robots (m)": ROBOTS, "stepped slice": STEPPED, "step (bit/s)": STEP,
            "before (s)": before, "after (s)": after, "report period (s)": REPORT_PERIOD, "held (reports)": HELD,
        },
        {},
        [
            Goal(
                "time to recover the bound, learned", f"at most proportional's {theirs['recovery']:.2f} s",
                f"{mine['recovery']:.2f} s", mine["recovery"] <= theirs["recovery"],
            ),
            Goal(
                "reports in which other slices missed their bound after the step, learned",
                f"at most proportional's {theirs['others after']:.2%}", f"{mine['others after']:.2%}",
                mine["others after"] <= theirs["others after"],
            ),
            Goal(
                "delay of the other slices after the step (p99 of a report period, share of the bound), learned",
                f"less than proportional's {theirs[LATER]:.3f}", f"{mine[LATER]:.3f}",
                mine[LATER] < theirs[LATER],
            ),
        ],
        {"recovery in s, misses as shares of reports, delays (p99) as shares of the bound": table,
         "blocks of the stepped slice": {policy: interval(np.array(rows["blocks"])) for policy, rows in found.items()}},
        draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("slicing-live", run, seeds=10, quick_seeds=1)
