# SPDX-License-Identifier: Apache-2.0
"""The node as a process: its learner comes, goes and comes back; wrong parameters end it with one line."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from twin_bench import Robot

from ir_common.config import EXIT_CONFIG
from ir_common.testing import RosHarness
from ir_dynamics import model_checkpoint
from ir_interfaces.msg import Verdict


@pytest.fixture
def process(ros_domain: int) -> Iterator[subprocess.Popen[str]]:
    values = (
        "robots:=[cart]",
        "learner_duty:=0.5",
        "learner_nice:=0",
        "initial_steps:=30",
        "publish_period:=0.2",
        "mode:=enforce",
    )
    words = [word for value in values for word in ("-p", value)]
    started = subprocess.Popen(
        [sys.executable, "-m", "ir_twin.twin_node", "--ros-args", "-r", "__ns:=/edge", *words],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield started
    started.kill()
    started.communicate()


def test_the_process_learns_outlives_its_learner_and_ends_in_good_order(
    ros: RosHarness, process: subprocess.Popen[str]
) -> None:
    robot = Robot(ros, "cart", "cart")
    robot.ready()

    def learnt(version: int) -> bool:
        robot.observe()
        return bool(robot.statuses) and robot.statuses[-1].model_version > version

    ros.until(lambda: learnt(0) and math.isfinite(robot.statuses[-1].threshold), 90, "a first model and its threshold")
    status = robot.statuses[-1]
    assert status.transitions >= 64
    assert status.reward_error > 0
    assert status.state_error > 0
    verdict = robot.propose([0.2, 0.1])
    assert verdict.model_version > 0
    assert verdict.reason in (Verdict.REASON_ACCEPTED, Verdict.REASON_LOW_REWARD)

    (learner,) = psutil.Process(process.pid).children()
    learner.kill()
    robot.observe()
    assert robot.propose([0.2, 0.1]).model_version > 0  # the verdicts go on
    before = robot.statuses[-1].model_version
    ros.until(lambda: learnt(before), 90, "a version of the second learner")
    (second,) = psutil.Process(process.pid).children()
    assert second.pid != learner.pid

    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - began < 2
    assert process.returncode == 0, errors
    assert "ended with SIGKILL: restart 1 of 5" in errors
    assert not psutil.pid_exists(second.pid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["robots:=[cart, 'x:submarine']"], "submarine"),
        (["mode:=on"], "mode"),
        (["robots:=[cart, 'cart:hopper']"], "each once"),
        (["robots:=[cart]", "world:=/nowhere/world.sdf"], "/nowhere/world.sdf"),
        (["robots:=[cart]", "threshold:=.nan"], "threshold"),
        (["robots:=[cart]", "rule:=risk"], "preset ensemble"),
        (["robots:=[cart]", "checkpoints:=DAMAGED"], "cart_navigation.npz: is no undamaged checkpoint"),
    ],
)
def test_wrong_parameters_end_the_start_with_one_line(
    ros_domain: int, words: list[str], said: str, tmp_path: Path
) -> None:
    model_checkpoint.file_of(tmp_path, "cart_navigation").write_bytes(b"PK")
    words = [word.replace("DAMAGED", str(tmp_path)) for word in words]
    command = [sys.executable, "-m", "ir_twin.twin_node", "--ros-args", *(w for word in words for w in ("-p", word))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ)
    assert done.returncode == EXIT_CONFIG, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
