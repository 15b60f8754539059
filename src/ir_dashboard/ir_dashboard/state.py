# SPDX-License-Identifier: Apache-2.0
"""One picture of the stack for all viewers, put together from its messages and encoded once.

Functions read messages by their fields alone, as `ir_common.run_totals`, which keeps the totals, does.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ir_common.diagnosis import AGENT
from ir_common.run_totals import RunTotals
from ir_common.slice_kinds import KEYS, LABELS
from ir_common.verdict_kinds import KINDS, kind_of

BIN = 0.5
"""Charts show means and counts over so many seconds."""
OUTAGE_WINDOW = 10.0
"""The recent outage of a slice is over so many seconds."""
MAP_CELLS = 128
"""Most cells of the radio's map along a side, as the page is told it."""
_EPOCH = 1e9
"""A stamp beyond it is wall time, s: the stamp of a node that does not live in simulated time, as the simulator."""
_SLICE_COLUMNS = ("resource_blocks", "offered_rate", "delivered_rate", "p50", "p99")
_ROBOT_COLUMNS = ("predicted", "reward", *KINDS, "falls", "collisions")
CONSTANTS: dict[str, Any] = {
    "columns": {"slices": _SLICE_COLUMNS, "robots": _ROBOT_COLUMNS},
    "verdict_kinds": KINDS,
    "slice_labels": LABELS,
}
"""What a page is told first: names of the numbers in the charts' rows, kinds of verdicts, labels of slice types."""


@dataclass
class _Bin:
    """Sums of one robot over one bin."""

    predicted: float = 0.0
    predictions: int = 0
    reward: float = 0.0
    steps: int = 0
    verdicts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def row(self) -> list[Any]:
        """[mean predicted reward, mean reward of the steps, verdicts of each of `KINDS`]."""
        means = [_mean(self.predicted, self.predictions), _mean(self.reward, self.steps)]
        return [*means, *self.verdicts.values()]


class LiveState:
    """What the page shows.

    Args:
        robots: their names.
        history: how far back the charts go, s.
    """

    def __init__(self, robots: Iterable[str], history: float) -> None:
        self.totals = RunTotals(list(robots))
        self.poses: dict[str, list[float]] = {}
        self.joints: dict[str, dict[str, float]] = {}
        self.twins: dict[str, dict[str, Any]] = {}
        self._taught: dict[str, str] = {}  # task of the agent that learns from a robot
        self.carrier: dict[str, Any] = {}
        self.links: dict[str, dict[str, float | None]] = {}
        self.map: dict[str, Any] = {}
        self.policy = ""
        self.caption = ""
        self._clock = 0.0
        self._specs: dict[str, dict[str, Any]] | None = None
        self._rates: dict[str, dict[str, Any]] = {}
        self._outages: dict[str, deque[tuple[float, int, int]]] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._bins = {name: _Bin() for name in self.totals.robots}
        self._bin_ends = -math.inf
        self.rows: deque[dict[str, Any]] = deque(maxlen=max(1, round(history / BIN)))
        self._changed = {"slices", "robots", "nodes", "caption"}

    def take_odometry(self, robot: str, message: Any) -> None:
        """Takes an Odometry of the base link in the map frame."""
        p, q = message.pose.pose.position, message.pose.pose.orientation
        pose = [p.x, p.y, p.z, q.x, q.y, q.z, q.w]
        if all(map(math.isfinite, pose)):
            self.poses[robot] = [round(value, 4) for value in pose]

    def take_joints(self, robot: str, message: Any) -> None:
        """Takes a JointState; what is not finite is left out."""
        pairs = zip(message.name, message.position, strict=False)
        self.joints[robot] = {name: round(value, 4) for name, value in pairs if math.isfinite(value)}

    def take_step(self, robot: str, state: Any) -> None:
        """Takes a TaskState."""
        if state.step > 0 and math.isfinite(state.reward):
            self._bins[robot].reward += state.reward
            self._bins[robot].steps += 1

    def take_verdict(self, robot: str, verdict: Any) -> None:
        """Takes a Verdict."""
        one = self._bins[robot]
        one.verdicts[kind_of(verdict.reason)] += 1
        if math.isfinite(verdict.predicted_reward):
            one.predicted += verdict.predicted_reward
            one.predictions += 1

    def take_task_status(self, robot: str, status: Any) -> None:
        """Takes a TaskStatus."""
        self.totals.robots[robot].update_task(status)
        self._changed.add("robots")

    def take_twin_status(self, robot: str, status: Any) -> None:
        """Takes a TwinStatus."""
        self.totals.robots[robot].update_twin(status)
        self.twins.setdefault(robot, {}).update({
            "transitions": int(status.transitions),
            "reward_error": number(status.reward_error),
            "threshold": number(status.threshold),
        })  # fmt: skip
        self._changed.add("robots")

    def take_diagnostics(self, message: Any) -> None:
        """Takes a DiagnosticArray: whether the twins know their robots again, and how agents learn."""
        if self.totals.update_diagnostics(message):
            self._changed.add("robots")
        for one in message.status:
            if one.name.startswith(AGENT):
                self._taught |= dict.fromkeys(one.hardware_id.split(","), one.name.removeprefix(AGENT))
        for one in message.status:
            if one.name == f"twin: {one.hardware_id}" and one.hardware_id in self.totals.robots:
                level = int.from_bytes(one.level, "little")
                self.twins.setdefault(one.hardware_id, {})["known"] = {"as_known": level == 0, "message": one.message}
                self._changed.add("robots")

    def take_map(self, message: Any) -> None:
        """Takes an OccupancyGrid of the radio: dB, -1 out of coverage; thinned out where it is large."""
        info, data = message.info, list(message.data)
        step = -(-max(info.width, info.height) // MAP_CELLS)
        rows = range(0, info.height, step)
        self.map = {
            "x": info.origin.position.x, "y": info.origin.position.y, "cell": step * info.resolution,
            "columns": -(-info.width // step), "rows": len(rows),
            "levels": [level for row in rows for level in data[row * info.width : (row + 1) * info.width : step]],
        }  # fmt: skip
        self._changed.add("map")

    def take_slices(self, message: Any) -> None:
        """Takes a SliceList."""
        self._specs = {
            status.spec.name: {
                "type": KEYS.get(status.spec.type, str(status.spec.type)),
                "template": status.spec.template_name,
                "rate": number(status.spec.rate, 0),
                "max_latency": number(status.spec.max_latency, 6),
                "reliability": number(status.spec.reliability, 9),
                "priority": int(status.spec.priority),
                "resource_blocks": number(status.resource_blocks, 2),
            }
            for status in message.slices
        }
        self._changed.add("slices")

    def take_report(self, report: Any, now: float) -> None:
        """Takes a CellReport at `now`, s of a monotonic clock."""
        self.totals.update_cell(report)
        self.carrier = {"resource_blocks": int(report.resource_blocks), "bandwidth": number(report.bandwidth, 0)}
        self.links = {
            link.robot: {"distance": number(link.distance, 2), "snr": number(link.snr, 1), "rate": number(link.rate, 0)}
            for link in report.links
        }
        self._rates = {one.slice: self._rate(one, now) for one in report.slices}
        for name in self._outages.keys() - self._rates.keys():
            del self._outages[name]
        self._changed.add("slices")

    def take_allocation(self, allocation: Any) -> None:
        """Takes an Allocation."""
        self.totals.update_allocation(allocation)
        self.policy = allocation.policy

    def take_clock(self, now: float) -> None:
        """Takes the ROS time, s."""
        self._clock = now
        self.totals.update_clock(now)

    def take_host(self, report: Any) -> None:
        """Takes a HostReport."""
        self.totals.update_host(report)
        self._changed.add("host")

    def take_node(self, status: Any) -> None:
        """Takes a NodeStatus."""
        self.totals.update_node(status)
        started = status.stamp.sec + status.stamp.nanosec / 1e9
        self._nodes[status.name] = {"process_id": int(status.process_id), "host": status.host, "started": started}
        self._changed.add("nodes")

    def take_caption(self, text: str) -> None:
        """Takes a line that the page is to show; empty: none."""
        self.caption = text
        self._changed.add("caption")

    def _rate(self, one: Any, now: float) -> dict[str, Any]:
        counts = self.totals.slices[one.slice].counts()
        dropped = sum(pair[0] for name, pair in counts.items() if name.startswith("dropped "))
        done = dropped + counts["delivered"][0]
        window = self._outages.setdefault(one.slice, deque())
        window.append((now, dropped, done))
        while len(window) > 2 and window[1][0] <= now - OUTAGE_WINDOW:
            window.popleft()
        return {
            "resource_blocks": number(one.resource_blocks, 2),
            "offered_rate": number(one.offered_rate, 0),
            "delivered_rate": number(one.delivered_rate, 0),
            "capacity": number(one.capacity, 0),
            "utilisation": number(one.utilisation, 3),
            "p50": number(one.recent_delay.p50, 6),
            "p99": number(one.recent_delay.p99, 6),
            "delivered": counts["delivered"][0],
            "queued": counts["queued"][0],
            "dropped": dropped,
            "dropped_by_reason": {
                name.removeprefix("dropped "): pair[0] for name, pair in counts.items() if name.startswith("dropped ")
            },
            "outage": _mean(dropped, done),
            "recent_outage": _mean(dropped - window[0][1], done - window[0][2]),
        }

    def slices(self) -> dict[str, dict[str, Any]]:
        """Each slice's agreement and what the radio made of it."""
        names = self._rates if self._specs is None else self._specs  # the radio reports on deleted ones too
        return {name: {**(self._specs or {}).get(name, {}), **self._rates.get(name, {})} for name in names}

    def robots(self) -> dict[str, dict[str, Any]]:
        """Totals of each robot and its twin."""
        return {
            name: robot.as_dict()
            | {"twin": self.twins.get(name, {}), "link": self.links.get(name, {})}
            | {"agent": self.totals.agents.get(self._taught.get(name, ""))}
            for name, robot in self.totals.robots.items()
        }

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Each node's restarts and age, s."""
        restarts, wall = self.totals.restarts(), time.time()
        return {
            name: {
                "process_id": node["process_id"],
                "host": node["host"],
                "restarts": restarts[name],
                "age": round(max(0.0, (wall if node["started"] > _EPOCH else self._clock) - node["started"]), 1),
            }
            for name, node in sorted(self._nodes.items())
        }

    def whole(self) -> dict[str, Any]:
        """Everything but the rows of the charts (`rows`)."""
        return {
            **self._moving(),
            "slices": self.slices(),
            "carrier": self.carrier | {"policy": self.policy},
            "robots": self.robots(),
            "nodes": self.nodes(),
            "host": self.totals.host.as_dict(),
            "map": self.map,
            "caption": self.caption,
        }

    def update(self, now: float) -> dict[str, Any]:
        """What is new since the last call, poses and time always; a row of the charts when a bin has ended.

        Args:
            now: s of a monotonic clock.
        """
        picture = self._moving()
        if "slices" in self._changed:
            picture |= {"slices": self.slices(), "carrier": self.carrier | {"policy": self.policy}}
        if "robots" in self._changed:
            picture["robots"] = self.robots()
        if "nodes" in self._changed:
            picture["nodes"] = self.nodes()
        if "host" in self._changed:
            picture["host"] = self.totals.host.as_dict()
        if "map" in self._changed:
            picture["map"] = self.map
        if "caption" in self._changed:
            picture["caption"] = self.caption
        self._changed.clear()
        if now >= self._bin_ends:
            picture["row"] = self._close_bin(now)
        return picture

    def _moving(self) -> dict[str, Any]:
        poses = {name: [pose, self.joints.get(name, {})] for name, pose in self.poses.items()}
        return {"time": round(self.totals.simulated_seconds, 3), "poses": poses}

    def _close_bin(self, now: float) -> dict[str, Any]:
        late = now - self._bin_ends
        self._bin_ends = self._bin_ends + BIN if late < BIN else now + BIN
        row = {
            "at": round(now, 2),
            "slices": {name: [rate[key] for key in _SLICE_COLUMNS] for name, rate in self._rates.items()},
            "robots": {name: one.row() + self._mishaps(name) for name, one in self._bins.items()},
        }
        self._bins = {name: _Bin() for name in self._bins}
        self.rows.append(row)
        self._changed.add("nodes")  # their ages
        return row

    def _mishaps(self, robot: str) -> list[int]:
        """[falls, collisions] so far."""
        counts = self.totals.robots[robot].counts.totals()
        return [int(counts["falls"]), int(counts["collisions"])]


def encode(picture: dict[str, Any]) -> str:
    """JSON of a picture, without spaces."""
    return json.dumps(picture, separators=(",", ":"), allow_nan=False)


def number(value: float, digits: int = 4) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def _mean(total: float, count: int) -> float | None:
    return number(total / count, 6) if count else None
