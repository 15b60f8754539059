# SPDX-License-Identifier: Apache-2.0
"""Whole stacks with `sim:=gz`, on stand-ins of Gazebo and its bridge that behave as a real gz-sim 8 was seen to."""

from __future__ import annotations

import json
import os
import runpy
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import Stack

from ir_sim.sdf import compose

StandIn = runpy.run_path(str(Path(__file__).parents[1] / "gazebo" / "gz_stand_in.py"))["StandIn"]
pytestmark = pytest.mark.timeout(400)
GZ = ["sim:=gz", "headless:=true", "dashboard:=off", "twin:=off", "rendering:=false"]


@pytest.fixture
def gazebo(tmp_path: Path) -> Any:
    return StandIn(tmp_path)


@contextmanager
def started(folder: Path, gazebo: Any, *arguments: str, **variables: str) -> Iterator[Stack]:
    stack = Stack([*GZ, *arguments], folder, variables={**gazebo.variables, **variables})
    try:
        yield stack
    finally:
        stack.close()


def until(condition: Callable[[], object], seconds: float, stack: Stack) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and stack.process.poll() is None, stack.text()
        threading.Event().wait(0.05)


def report_of(folder: Path, gazebo: Any, *arguments: str, **variables: str) -> tuple[dict[str, Any], str]:
    """The report of a run to its end, and what it said."""
    file = folder / "run.json"
    with started(folder, gazebo, *arguments, f"report:={file}", **variables) as stack:
        assert stack.process.wait(200) == 0, stack.text()
        assert stack.processes() == []
        return json.loads(file.read_text()), stack.text()


@pytest.mark.parametrize("namespace", ["", "/lab1"])
def test_gazebo_gets_its_world_and_the_bridge_its_topics_and_services(
    ros_domain: int, tmp_path: Path, gazebo: Any, namespace: str
) -> None:
    with started(tmp_path, gazebo, "robots:=cart", f"namespace:={namespace}") as stack:
        until(lambda: gazebo.gazebos and gazebo.bridge, 60, stack)
        (words,) = gazebo.gazebos.values()
        assert words[:2] == ["sim", "-s"] and "-r" not in words, "it stands until all are there"
        assert list(compose(words[-1]).robots) == ["cart"]
        words = gazebo.bridge or []
        services = dict(word.split("@") for word in words if "@" in word)
        assert services == {
            "/world/robot_field/control": "ros_gz_interfaces/srv/ControlWorld",
            "/world/robot_field/create": "ros_gz_interfaces/srv/SpawnEntity",
            "/world/robot_field/remove": "ros_gz_interfaces/srv/DeleteEntity",
        }
        parameters = yaml.safe_load(Path(words[words.index("--params-file") + 1]).read_text())
        rules = dict(word.split(":=") for word in words if ":=" in word)
        for name in ("/cart/odom", "/world/robot_field/control"):
            assert rules.get(name, "") == (namespace and f"{namespace}{name}")
        topics = yaml.safe_load(Path(parameters[f"{namespace}/bridge"]["ros__parameters"]["config_file"]).read_text())
        assert {"/clock", "/cart/odom", "/cart/cmd_vel"} <= {row["ros_topic_name"] for row in topics}
        assert stack.interrupt(20)[0] == 0 and stack.processes() == []
        assert "starting it again" not in stack.text()


def test_fallen_robots_are_put_back_again_and_again_and_what_does_not_act_is_told(
    ros_domain: int, tmp_path: Path, gazebo: Any
) -> None:
    """A hopper whose actions are mostly noise falls within a second; a cart without a scan stands."""
    report, said = report_of(tmp_path, gazebo, "robots:=cart,hopper", "exploration:=2", "duration:=10")
    hopper = report["robots"]["hopper"]
    assert hopper["falls"] >= 3 and hopper["episodes"] >= hopper["falls"] >= hopper["episodes"] - 1
    assert hopper["steps"] > 5 * hopper["falls"], "it stands up each time: one that lies ends its episode at every step"
    taken_out = gazebo_log(tmp_path, "gz_sim").count("hopper is taken out")
    assert taken_out >= hopper["falls"] - 1, "each time; the last may be on its way, and further ones follow the report"
    assert "all are there" in said or "all are there" in gazebo_log(tmp_path)
    assert "cannot be put back" not in said and "does not come back" not in said
    assert "outlives it" not in gazebo_log(tmp_path, "gz_sim"), "its IMU would go on sending beside the new one"
    idle = "cart does not act: its task waits for /cart/scan; lidar:=raycast"
    assert any(line.startswith(idle) for line in report["host"]["lacks"]) and report["robots"]["cart"]["steps"] == 0
    head, _, table = said.partition("simulated ")
    assert idle in head and idle in table, "at the start, and on the table"
    assert report["host"]["pace"] > 0.0


def gazebo_log(folder: Path, process: str = "simulator") -> str:
    """What the node that stands for Gazebo logged, or another process."""
    return "".join(file.read_text() for file in folder.glob(f"ir-*/{process}.log"))


def test_a_world_that_renders_nothing_is_noticed_while_it_runs(ros_domain: int, tmp_path: Path, gazebo: Any) -> None:
    report, said = report_of(tmp_path, gazebo, "robots:=cart", "rendering:=true", "duration:=7")
    assert "needs rendering" not in said.partition("simulated ")[0], "Gazebo was given all sensors"
    lacks = report["host"]["lacks"]
    assert lacks[:2] == ["no /cart/scan: it needs rendering", "no /cart/camera/image_raw: it needs rendering"]
    assert lacks[2].startswith("cart does not act") and "cart does not act" in said


def test_with_rays_the_cart_drives_and_a_gazebo_that_is_killed_is_counted(
    ros_domain: int, tmp_path: Path, gazebo: Any
) -> None:
    file = tmp_path / "run.json"
    arguments = ("robots:=cart,spider", "lidar:=raycast", "duration:=14", f"report:={file}")
    with started(tmp_path, gazebo, *arguments) as stack:
        until(lambda: gazebo.gazebos, 60, stack)
        until(lambda: "all are there" in gazebo_log(tmp_path), 60, stack)
        threading.Event().wait(4.0)  # so long it drives before
        (first,) = gazebo.gazebos
        os.kill(first, signal.SIGKILL)
        until(lambda: len(gazebo.gazebos) == 2, 60, stack)
        assert stack.process.wait(120) == 0, stack.text()
        assert "Gazebo began anew" in gazebo_log(tmp_path)
        assert stack.text().count("/gz_sim ended") == 1
        assert "restarts /gz_sim ×1" in stack.text()
    report = json.loads(file.read_text())
    assert report["restarts"]["/gz_sim"] == 1
    # a Gazebo that runs freely leaves steps out on a busy host: this says that they act, not how often
    assert report["robots"]["cart"]["distance_metres"] > 0.5 and report["robots"]["cart"]["steps"] > 20
    assert report["robots"]["spider"]["steps"] > 50
    assert all(one["balanced"] for one in report["slices"].values())


@pytest.mark.parametrize(("lose", "radio"), [("0", "on"), ("3", "on"), ("0", "off")])
def test_a_stepped_gazebo_waits_for_the_commands_that_are_on_their_way(
    ros_domain: int, tmp_path: Path, gazebo: Any, lose: str, radio: str
) -> None:
    """Also where some requests to step are accepted and nothing follows.

    Without a radio nobody knows whether the controller has been found when the run begins. One whose first state went
    unheard for that reason is begun anew.
    """
    words = ("robots:=hopper", "sync:=on", f"radio:={radio}", "duration:=4")
    for _ in range(3 if radio == "off" else 1):
        report, _ = report_of(tmp_path, gazebo, *words, IR_TEST_LOSE=lose)
        host = report["host"]
        if not host["waits"]["given_up"]:
            break
    assert host["sync"] and host["commands"] > 0.9 * 125 * 4
    assert host["late_seconds"]["p99"] < 1e-3 and host["models_numbers"] is True, host
    assert host["waits"]["given_up"] == 0 and 0 < host["pace"] <= 1.1
    assert report["robots"]["hopper"]["falls"] == 0, "it hops as in the model's time"


def test_nothing_is_left_of_a_killed_launcher_with_gazebo(ros_domain: int, tmp_path: Path, gazebo: Any) -> None:
    with started(tmp_path, gazebo, "robots:=cart") as stack:
        until(lambda: gazebo.gazebos and gazebo.bridge, 60, stack)
        assert len(stack.processes()) >= 12
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait(10)
        deadline = time.monotonic() + 20
        while stack.processes():
            assert time.monotonic() < deadline, stack.processes()
            threading.Event().wait(0.05)
