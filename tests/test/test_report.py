# SPDX-License-Identifier: Apache-2.0
"""A run of a given duration ends by itself and leaves a report in which everything is accounted for."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from stack import Stack

ROBOTS = {"cart", "spider", "hopper"}


def finished(ros_domain: int, folder: Path, *arguments: str) -> dict[str, Any]:
    report = folder / "run.json"
    stack = Stack(["headless:=true", "dashboard:=off", f"report:={report}", *arguments], folder)
    try:
        status = stack.process.wait(90)
        assert status == 0, stack.text()
        assert stack.processes() == []
    finally:
        stack.close()
    return json.loads(report.read_text())


def test_report_of_a_whole_run(ros_domain: int, tmp_path: Path) -> None:
    report = finished(ros_domain, tmp_path, "duration:=12", "seed:=5")
    assert 12.0 <= report["simulated_seconds"] < 13.0
    assert report["wall_seconds"] >= report["simulated_seconds"] * 0.9
    assert set(report["robots"]) == ROBOTS
    for name, robot in report["robots"].items():
        assert robot["distance_metres"] > 0.1, name
        assert robot["steps"] > 50 and math.isfinite(robot["reward"]), name
        verdicts = robot["verdicts"]
        assert verdicts["proposals"] > 20, name
        outcomes = sum(verdicts[key] for key in ("accepted", "vetoed", "invalid", "untested"))
        assert verdicts["proposals"] == outcomes, name
        assert 0 < verdicts["latency_seconds"]["p50"] <= verdicts["latency_seconds"]["p99"], name
    assert {"video", "spider", "cart", "control"} <= set(report["slices"])
    for name, one in report["slices"].items():
        assert one["balanced"], name
        assert one["delivered"]["messages"] > 0 and one["delay_seconds"]["mean"] > 0, name
    assert report["allocation_changes"] >= 1
    assert report["arguments"]["seed"] == 5
    assert set(report["restarts"].values()) == {0}


@pytest.mark.parametrize(
    ("arguments", "slices", "verdicts"),
    [(["radio:=off", "twin:=off"], False, False), (["radio:=off", "twin:=shadow"], False, True)],
    ids=["neither", "twin only"],
)
def test_parts_can_be_taken_out(
    ros_domain: int, tmp_path: Path, arguments: list[str], slices: bool, verdicts: bool
) -> None:
    report = finished(ros_domain, tmp_path, "duration:=6", "robots:=cart,spider", *arguments)
    assert set(report["robots"]) == {"cart", "spider"}
    assert bool(report["slices"]) == slices
    for robot in report["robots"].values():
        assert robot["distance_metres"] > 0.02
        counts = robot["verdicts"]
        assert (counts["accepted"] + counts["vetoed"] > 0 or counts["untested"] > 0) == (counts["proposals"] > 0)
        assert (counts["proposals"] > counts["untested"]) <= verdicts
