# SPDX-License-Identifier: Apache-2.0
"""A live run that waits for its commands, beside the same run in the model's time: same traffic, delays and falls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stack import Stack

from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

SECONDS = 10.0
WORDS = ("rendering:=false", "twin:=off", "slicing:=static", "seed:=3", f"duration:={SECONDS:g}")


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    return ModelRun(parse(list(WORDS))).to_end()


def live(folder: Path) -> dict[str, Any]:
    report = folder / "run.json"
    stack = Stack([*WORDS, "headless:=true", "dashboard:=off", f"report:={report}"], folder)
    try:
        assert stack.process.wait(200) == 0, stack.text()
    finally:
        stack.close()
    return json.loads(report.read_text())


@pytest.mark.timeout(300)
def test_a_live_run_agrees_with_the_model(ros_domain: int, tmp_path: Path, model: dict[str, Any]) -> None:
    """Live, counters are read twice a second of wall time, and the run ends at the first of those after its duration.

    So counts may differ by half a second of ten, and by what is on its way at the end.
    """
    found = live(tmp_path)
    assert found["host"]["models_numbers"] is True, found["host"]["line"]
    assert found["slices"].keys() == model["slices"].keys() and found["robots"].keys() == model["robots"].keys()
    for name, expected in model["slices"].items():
        one = found["slices"][name]
        assert one["balanced"] and one["dropped"] == expected["dropped"] == {}
        for unit in ("messages", "bytes"):
            assert one["offered"][unit] == pytest.approx(expected["offered"][unit], rel=0.1, abs=10), (name, unit)
            assert one["delivered"][unit] == pytest.approx(expected["delivered"][unit], rel=0.1, abs=10), (name, unit)
    control, modelled = (run["slices"]["control"]["delay_seconds"] for run in (found, model))
    for figure in ("mean", "p50", "p99"):
        assert control[figure] == pytest.approx(modelled[figure], abs=1e-4), "commands take what the cell says"
    for name, expected in model["robots"].items():
        one = found["robots"][name]
        assert one["falls"] == expected["falls"] == 0 and one["collisions"] == expected["collisions"]
        assert one["steps"] == pytest.approx(expected["steps"], rel=0.1)
        assert one["distance_metres"] == pytest.approx(expected["distance_metres"], rel=0.1)


def test_the_model_is_not_of_a_run_in_which_nothing_happens(model: dict[str, Any]) -> None:
    assert all(robot["steps"] > 9.0 * SECONDS and robot["distance_metres"] > 5.0 for robot in model["robots"].values())
    assert model["slices"]["control"]["delivered"]["messages"] > 200 * SECONDS
