# SPDX-License-Identifier: Apache-2.0
"""Two stacks in one ROS domain, each below a namespace of its own."""

import json
import re
import signal
from pathlib import Path

import pytest
from rclpy.node import Node
from stack import Stack
from test_bags import bag, ended, replay

from ir_common.config import EXIT_CONFIG
from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.stack_namespace import GLOBAL
from ir_common.testing import RosHarness
from ir_interfaces.msg import CellReport, TaskStatus

SMALL = ["rendering:=false", "dashboard:=off", "twin:=off"]
ROBOTS = {"a": ["cart"], "b": ["cart", "spider"]}
WANTED = {
    *("/a/clock", "/b/clock", "/a/diagnostics", "/b/diagnostics", "/a/tf", "/b/tf", "/a/ir/node_status"),
    *("/a/slicing/list_slices", "/b/slicing/list_slices", "/a/radio", "/b/radio", "/a/radio/journal"),
    *("/a/edge/cart/controller", "/b/edge/cart/controller", "/b/edge/spider/controller"),
}


def names(observer: Node) -> set[str]:
    """Full names of all topics, services and nodes in the graph but those of observer and recorder themselves."""
    named = {name for name, _ in observer.get_topic_names_and_types() + observer.get_service_names_and_types()}
    named |= {f"{space.rstrip('/')}/{name}" for name, space in observer.get_node_names_and_namespaces()}
    return {name for name in named if not f"{name}/".startswith(("/observer/", "/bag_recorder/"))}


@pytest.mark.timeout(400)
def test_two_stacks_live_in_one_domain_and_one_bag(ros: RosHarness, tmp_path: Path) -> None:
    node = ros.node("observer")
    reports: dict[str, list[CellReport]] = {space: [] for space in ROBOTS}
    steps: dict[str, list[TaskStatus]] = {space: [] for space in ROBOTS}
    for space in ROBOTS:
        node.create_subscription(CellReport, f"/{space}/radio/report", reports[space].append, RELIABLE)
        node.create_subscription(TaskStatus, f"/{space}/cart/task_status", steps[space].append, LATCHED)
    files = {space: tmp_path / f"{space}.json" for space in ROBOTS}
    recorder = bag("record", "-a", "-x", ".*/camera/.*", "-o", tmp_path / "bag")
    assert recorder.stdout is not None and "recording into" in recorder.stdout.readline()
    stacks = {
        space: Stack(
            [*SMALL, f"robots:={','.join(robots)}", f"namespace:={space}", f"report:={files[space]}"], tmp_path
        )
        for space, robots in ROBOTS.items()
    }
    third = None
    try:
        ros.until(
            lambda: all(steps[space] and steps[space][-1].distance > 0.2 for space in ROBOTS), 200, "both carts' way"
        )
        ros.until(lambda: names(node) >= WANTED, 60, "all of both")
        found = names(node)
        assert {name for name in found if not name.startswith(("/a/", "/b/"))} <= GLOBAL
        assert not {"/a/edge/spider/controller", "/a/edge/spider/state"} & found
        third = Stack([*SMALL, "robots:=cart", "namespace:=a"], tmp_path)
        assert third.process.wait(60) == EXIT_CONFIG and third.processes() == []
        assert re.search("^error: another stack runs in ROS domain .* below /a on this machine", third.text(), re.M)
        for space, robots in ROBOTS.items():
            assert {row.robot for row in reports[space][-1].flows} == set(robots)
            assert stacks[space].interrupt(20)[0] == 0 and stacks[space].processes() == []
    finally:
        for stack in filter(None, (*stacks.values(), third)):
            stack.close()
        recorder.send_signal(signal.SIGINT)
        ended(recorder, 30)
    status, said = replay(tmp_path / "bag")
    assert status == EXIT_CONFIG and "are of two stacks" in said, said
    for space, robots in ROBOTS.items():
        status, said = replay(tmp_path / "bag", "--namespace", space, "--against", files[space])
        assert status == 0 and "as in the run, to the last count" in said, said
        report = json.loads(files[space].read_text())
        assert list(report["robots"]) == robots and report["arguments"]["namespace"] == f"/{space}"
        assert all(row["steps"] > 0 and row["verdicts"]["proposals"] > 0 for row in report["robots"].values())
        assert report["slices"] and all(row["balanced"] for row in report["slices"].values())
        controllers = {f"/{space}/edge/{robot}/controller" for robot in robots}
        assert controllers == {name for name in report["restarts"] if name.endswith("/controller")}
        assert all(name.startswith(f"/{space}/") for name in report["restarts"])
