# SPDX-License-Identifier: Apache-2.0
"""A load step on one slice of the live stack: time to recover its latency bound, and what the other slices lost.

Runs that are done are kept, so that one which was stopped goes on where it was.

Relay, slice manager and, for the learned policy, the slice agents run as processes, as in the bringup; traffic comes
from publishers of random arrivals through the real topics. Everything is read from the radio's reports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _slicing_runs import kept
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agent_weights import TRAINED, digest, load

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
SOURCES = ("agents", "federation", "forecaster", "../allocation", "../live", "../manager", "../ros")
LATER = "others' delay after"
HELD = 5
"""Reports in a row within the bound that count as recovered."""
MODULES = {
    "manager": "ir_slicing.ros.manager_node",
    "relay": "ir_radio.ros.relay_node",
    "agents": "ir_slicing.ros.slice_agents_node",
}


@dataclass
class Record:
    """Reports of one run; lists have one entry for each report.

    Attributes:
        time: s of the wall clock.
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


def processes(policy: str, seed: int, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Relay, manager and agents of one run."""
    file = slices_file(folder)
    parameters: dict[str, dict[str, Any]] = {
        "relay": {"slices_file": file, "robots": f"[{', '.join(ROBOTS)}]"},
        "manager": {"slices_file": file, "policy": policy, "federation_period": 5.0},
    }
    if policy == "learned":
        parameters["agents"] = {"seed": seed}
    started = []
    for name, given in parameters.items():
        words = [word for key, value in given.items() for word in ("-p", f"{key}:={value}")]
        code = f"from {MODULES[name]} import main; main()"
        log = (folder / f"{name}.log").open("wb")
        started.append(subprocess.Popen([sys.executable, "-c", code, "--ros-args", *words], stdout=log, stderr=log))
    return started


class Load:
    """Publishes messages of random arrivals (exponential, seeded) on the robots' side.

    Args:
        node: owner of the publishers.
        seed: of the arrivals.
    """

    def __init__(self, node: Any, seed: int) -> None:
        from nav_msgs.msg import Odometry
        from rclpy.serialization import serialize_message
        from std_msgs.msg import UInt8MultiArray

        self._rng = np.random.default_rng(seed)
        self._poses = []
        for robot, distance in ROBOTS.items():
            pose = Odometry()
            pose.pose.pose.position.x = distance
            self._poses.append((node.create_publisher(Odometry, f"/{robot}/odom", 5), pose))
        self._flows = {
            (robot, name): (
                node.create_publisher(UInt8MultiArray, f"/{robot}/{name}", 100),
                serialize_message(UInt8MultiArray(data=bytes(int(one["size"])))),
            )
            for robot in ROBOTS
            for name, one in SLICES.items()
        }
        now = time.monotonic()
        self._due = dict.fromkeys(self._flows, now)
        self._pose_due = now
        self.offered = {name: one["offered"] for name, one in SLICES.items()}

    def publish(self) -> None:
        """Everything that is due by now."""
        now = time.monotonic()
        if now >= self._pose_due:
            self._pose_due = now + 0.1
            for publisher, pose in self._poses:
                publisher.publish(pose)
        for (robot, name), (publisher, data) in self._flows.items():
            while self._due[robot, name] <= now:
                publisher.publish(data)
                mean = 8.0 * SLICES[name]["size"] * len(ROBOTS) / self.offered[name]
                self._due[robot, name] += self._rng.exponential(mean)


def measure(policy: str, seed: int, before: float, after: float) -> tuple[Record, float]:
    """One run: the reports, and the time of the step."""
    import rclpy

    from ir_common.ros_executor import LeanExecutor
    from ir_common.ros_node import LATCHED, RELIABLE
    from ir_interfaces.msg import Allocation, CellReport
    from ir_slicing.allocation.slice_loads import LoadReader
    from ir_slicing.ros.ros_cell_reports import report_from_message

    record, reader, decided = Record(), LoadReader(), set()
    bounds = {name: one["max_latency"] for name, one in SLICES.items()}

    def on_report(report: CellReport) -> None:
        loads = reader.read(report_from_message(report), bounds)
        if loads.keys() >= SLICES.keys():
            record.time.append(time.monotonic())
            for row in report.slices:
                record.delay[row.slice].append(row.recent_delay.p99)
                record.met[row.slice].append(not loads[row.slice].missed)
                record.blocks[row.slice].append(row.resource_blocks)

    with tempfile.TemporaryDirectory() as folder:
        children = processes(policy, seed, Path(folder))
        rclpy.init()
        node, executor = rclpy.create_node("load"), LeanExecutor()
        executor.add_node(node)
        try:
            node.create_subscription(CellReport, "/radio/report", on_report, RELIABLE)
            node.create_subscription(Allocation, "/slicing/allocation", lambda m: decided.update(m.policies), LATCHED)
            load = Load(node, seed)

            def go_on(until: float) -> None:
                while time.monotonic() < until:
                    load.publish()
                    executor.spin_once(0.002)

            patience = time.monotonic() + 120.0
            while not (record.time and policy in decided):
                go_on(time.monotonic() + 0.1)
                if time.monotonic() > patience or any(child.poll() is not None for child in children):
                    logs = "\n".join(path.read_text()[-500:] for path in Path(folder).glob("*.log"))
                    raise RuntimeError(f"the stack did not come up with policy {policy}:\n{logs}")
            go_on(time.monotonic() + before)
            step = time.monotonic()
            load.offered[STEPPED] = STEP[1]
            go_on(step + after)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown()
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
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)  # not that of a stack which runs beside it
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
    main("slicing-live", run, quick_seeds=1)
