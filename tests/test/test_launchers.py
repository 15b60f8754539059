# SPDX-License-Identifier: Apache-2.0
"""Whole starts by `./ir up`: with stand-ins for Gazebo, beside another stack, with a full disk, killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from stack import Stack

from ir_common.config import EXIT_CONFIG
from ir_sim.sdf import compose
from ir_twin.bringup.arguments import share

SMALL = ["robots:=cart", "rendering:=false", "dashboard:=off", "twin:=off"]


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.05)


DOUBLE = """#!{python}
import json, os, signal, sys
# what it was started with, for the test to read; then it runs until it is told to end
open(os.environ["IR_TEST_DOUBLES"] + "/{name}.part", "w").write(json.dumps(sys.argv[1:]))
os.rename(os.environ["IR_TEST_DOUBLES"] + "/{name}.part", os.environ["IR_TEST_DOUBLES"] + "/{name}.json")
signal.sigwait([signal.SIGINT, signal.SIGTERM])
"""


@pytest.fixture
def gazebo(tmp_path: Path) -> dict[str, str]:
    """Variables with which the bringup finds stand-ins of gz and ros_gz_bridge."""
    prefix, programs, seen = tmp_path / "prefix", tmp_path / "bin", tmp_path / "seen"
    folder = prefix / "lib" / "ros_gz_bridge"
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "ros_gz_bridge"
    for one in (folder, programs, seen, marker.parent):
        one.mkdir(parents=True)
    marker.touch()
    for file, name in ((programs / "gz", "gz"), (folder / "parameter_bridge", "bridge")):
        file.write_text(DOUBLE.format(python=sys.executable, name=name))
        file.chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}",
        "IR_TEST_DOUBLES": str(seen),
    }


@pytest.mark.parametrize("namespace", ["", "/lab1"])
def test_gazebo_gets_its_world_and_the_bridge_its_topics(
    ros_domain: int, tmp_path: Path, gazebo: dict[str, str], namespace: str
) -> None:
    rows = yaml.safe_load((share() / "config" / "bridge.yaml").read_text())
    bridge = tmp_path / "mine.yaml"  # contacts need a message type of ros_gz, which has no stand-in
    bridge.write_text(yaml.safe_dump([row for row in rows if "Contacts" not in row["ros_type_name"]]))
    seen = Path(gazebo["IR_TEST_DOUBLES"])
    stack = Stack(
        [*SMALL, "sim:=gz", "headless:=true", f"bridge:={bridge}", f"namespace:={namespace}"],
        tmp_path,
        variables=gazebo,
    )
    try:
        until(lambda: (seen / "gz.json").exists() and (seen / "bridge.json").exists(), 60, stack.text())
        words = json.loads((seen / "gz.json").read_text())
        assert words[:3] == ["sim", "-r", "-s"] and list(compose(words[-1]).robots) == ["cart"]
        words = json.loads((seen / "bridge.json").read_text())
        assert words[0] == "/world/robot_field/set_pose@ros_gz_interfaces/srv/SetEntityPose"
        parameters = yaml.safe_load(Path(words[words.index("--params-file") + 1]).read_text())
        rules = dict(word.split(":=") for word in words if ":=" in word)
        assert rules.get("/cart/odom", "") == (namespace and f"{namespace}/cart/odom")
        topics = yaml.safe_load(Path(parameters[f"{namespace}/bridge"]["ros__parameters"]["config_file"]).read_text())
        assert {"/clock", "/cart/odom", "/cart/cmd_vel"} <= {row["ros_topic_name"] for row in topics}
        assert stack.process.poll() is None
        assert stack.interrupt(20)[0] == 0 and stack.processes() == []
        assert "starting it again" not in stack.text()
    finally:
        stack.close()


def test_a_second_stack_in_the_domain_is_refused_and_the_first_runs_on(ros_domain: int, tmp_path: Path) -> None:
    first = Stack(SMALL, tmp_path)
    try:
        until(lambda: "logs: " in first.text(), 60, "the first stack")
        second = Stack([*SMALL, "duration:=2"], tmp_path)
        try:
            assert second.process.wait(60) == EXIT_CONFIG
            assert second.processes() == []
            (line,) = second.text().splitlines()
            assert line.startswith(f"error: another stack runs in ROS domain {ros_domain} on this machine; end it, or")
        finally:
            second.close()
        assert first.process.poll() is None
        assert first.interrupt(20)[0] == 0
    finally:
        first.close()


def test_nothing_is_left_of_a_killed_launcher(ros_domain: int, tmp_path: Path) -> None:
    stack = Stack(SMALL, tmp_path)
    try:
        until(lambda: len(stack.processes()) >= 7, 60, "the processes")
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait(10)
        until(lambda: not stack.processes(), 20, "their end")
    finally:
        stack.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 200 kB that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a file system cannot be mounted here (not root, or a container without that right)")
    return place


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def test_a_run_goes_on_when_the_disk_of_its_logs_is_full(ros_domain: int, tmp_path: Path, small_disk: Path) -> None:
    report = tmp_path / "run.json"
    stack = Stack([*SMALL, "duration:=4", f"report:={report}"], tmp_path, variables={"ROS_LOG_DIR": str(small_disk)})
    try:
        until(lambda: "logs: " in stack.text(), 60, stack.text())
        fill(small_disk)
        assert stack.process.wait(90) == 0, stack.text()
        assert "Traceback" not in stack.text()
        assert json.loads(report.read_text())["simulated_seconds"] >= 4
    finally:
        stack.close()
        subprocess.run(["umount", "-l", small_disk])


def test_a_report_whose_disk_fills_during_the_run_is_kept_with_the_logs(
    ros_domain: int, tmp_path: Path, small_disk: Path
) -> None:
    stack = Stack([*SMALL, "duration:=3", f"report:={small_disk}/run.json"], tmp_path)
    try:
        status = stack.process.wait(60)
        assert status == EXIT_CONFIG and "cannot be written there (No space left on device)" in stack.text()
    finally:
        stack.close()
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    stack = Stack([*SMALL, "duration:=3", f"report:={small_disk}/run.json"], tmp_path)
    try:
        until(lambda: "logs: " in stack.text(), 60, stack.text())
        fill(small_disk)
        assert stack.process.wait(90) == 0, stack.text()
        assert f"{small_disk}/run.json cannot be written" in stack.text()
        (spare,) = tmp_path.glob("ir-*/report.json")
        assert json.loads(spare.read_text())["simulated_seconds"] >= 3
    finally:
        stack.close()
        subprocess.run(["umount", "-l", small_disk])
