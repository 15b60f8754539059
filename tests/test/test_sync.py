# SPDX-License-Identifier: Apache-2.0
"""Robots do not run ahead of their commands: a slow controller or a busy host makes a run slower, not different."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from stack import Stack

from ir_common.ros_node import RELIABLE
from ir_common.testing import RosHarness
from ir_interfaces.msg import TaskState
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command
from ir_sim.tasks import make_task

MANY = QoSProfile(depth=10_000)
HEADLESS = ["dashboard:=off", "rendering:=false", "twin:=off", "slicing:=static"]


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Stack]:
    stack = Stack([*HEADLESS, *arguments], folder)
    try:
        yield stack
    finally:
        stack.close()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core; they end with the block, or after two minutes."""
    code = "import time, sys\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def driven(folder: Path, late: float, states: int, *arguments: str) -> list[tuple[Any, ...]]:
    """The hopper's first states when a controller of the test's answers each of them, `late` s of wall time later.

    The stack does not wait until it has found a controller that is not its own: a run whose first state or answer went
    unheard for that reason says nothing about late answers, and is begun anew.
    """
    for _ in range(3):
        rows = _driven(folder, late, states, *arguments)
        if rows and rows[0][2:4] == (1, 0):
            return rows
    pytest.fail("in three runs the controller was found only after the first state")


def _driven(folder: Path, late: float, states: int, *arguments: str) -> list[tuple[Any, ...]]:
    """As `driven`, of one run; nothing where the controller had not been found when the run began."""
    harness = RosHarness()
    node, task = harness.node("slow_controller"), make_task("hopper")
    side = "" if "radio:=off" in arguments else "/edge"
    topic, kind = COMMAND_TYPES[task.command]
    publisher = node.create_publisher(kind, f"{side}/hopper/{topic}_proposed", RELIABLE)
    seen: list[TaskState] = []
    unheard: list[int] = []

    def answer(state: TaskState) -> None:
        seen.append(state)
        if late:
            time.sleep(late)  # that is what it is slow by
        if not publisher.get_subscription_count():
            unheard.append(state.step)
        action = np.sin(0.37 * (state.step + 1) + np.arange(len(task.action_names)) + state.observation[1])
        publisher.publish(action_to_command(task, task.clip(action), state.header.stamp))

    node.create_subscription(TaskState, f"{side}/hopper/state", answer, MANY)
    with started(folder, "robots:=hopper", "external:=hopper", *arguments):
        try:
            harness.until(lambda: len(seen) >= states, 60.0 + 2.0 * states * late, f"{states} states")
        finally:
            harness.close()
    if unheard:
        return []
    return [(s.header.stamp.sec, s.header.stamp.nanosec, s.episode, s.step, *s.observation, *s.action, s.reward)
            for s in seen[:states]]  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("radio", ["on", "off"])
def test_a_late_controller_leads_the_robot_along_the_same_path(ros_domain: int, tmp_path: Path, radio: str) -> None:
    """Falls and the way back to the start are on that path, too."""
    arguments = (f"radio:={radio}", "sync_patience:=5")
    prompt = driven(tmp_path, 0.0, 150, *arguments)
    late = driven(tmp_path, 0.05, 150, *arguments)
    assert max(row[2] for row in prompt) >= 2, "the robot was put back at least once"
    for one, other in zip(prompt, late, strict=True):
        assert one == other


@pytest.mark.timeout(240)
@pytest.mark.parametrize("others", [0, 2])
def test_commands_take_effect_when_the_model_says_whatever_else_the_host_does(
    ros_domain: int, tmp_path: Path, others: int
) -> None:
    report = tmp_path / "run.json"
    with busy(others), started(tmp_path, "duration:=6", f"report:={report}") as stack:
        assert stack.process.wait(200) == 0, stack.text()
    found = json.loads(report.read_text())
    host = found["host"]
    assert host["sync"] and host["models_numbers"] is True and host["line"].startswith("the model's numbers")
    assert host["commands"] > 0.9 * (125 + 25 + 10) * 5.0, "nearly one command a control step"
    assert host["late_seconds"]["p99"] < 1e-3
    assert host["waits"]["given_up"] == 0 and not host["silent"]
    assert host["waits"]["count"] > 0 and 0 < host["pace"] <= 1.1
    control = found["slices"]["control"]
    assert control["balanced"] and not control["dropped"]
    assert control["delay_seconds"]["max"] < 2e-3, "from the first message on"


@pytest.mark.timeout(120)
def test_a_robot_that_nobody_answers_is_told_and_the_others_go_on(ros_domain: int, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    arguments = ("robots:=cart,spider", "external:=cart", "sync_patience:=0.3", "duration:=4", f"report:={report}")
    with started(tmp_path, *arguments) as stack:
        assert stack.process.wait(100) == 0, stack.text()
        assert "cart: nobody answers its states" in stack.text()
    host = json.loads(report.read_text())["host"]
    assert host["silent"] == ["cart"] and host["models_numbers"] is False and "cart" in host["line"]
    assert host["pace"] > 0.1 and math.isfinite(host["late_seconds"]["p99"])
    assert json.loads(report.read_text())["robots"]["spider"]["distance_metres"] > 0.5


@pytest.mark.timeout(120)
def test_without_sync_the_run_goes_by_the_hosts_time_and_its_lateness_is_measured(
    ros_domain: int, tmp_path: Path
) -> None:
    report = tmp_path / "run.json"
    with started(tmp_path, "sync:=off", "duration:=10", f"report:={report}") as stack:
        assert stack.process.wait(100) == 0, stack.text()
    host = json.loads(report.read_text())["host"]
    assert host["sync"] is False and host["waits"]["count"] == 0
    assert host["commands"] > 100 and host["late_seconds"]["max"] > 0.0
