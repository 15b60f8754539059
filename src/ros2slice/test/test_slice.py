# SPDX-License-Identifier: Apache-2.0
"""The verbs against a real slice manager: under ./ir slice, and under ros2 slice where ros2cli is installed."""

import json
import math
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

from ir_common.ros_node import RELIABLE
from ir_common.stack_namespace import VARIABLE
from ir_interfaces.msg import Books, CellReport, DelayStats, DropCount, SliceReport, SliceSpec
from ros2slice import cli

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
PROGRAM = Path(get_package_prefix("ir_slicing")) / "lib" / "ir_slicing" / "manager"
SHIPPED = ["video", "spider", "cart", "control"]


@pytest.fixture(scope="module")
def manager(ros_domain):
    process = subprocess.Popen([PROGRAM, "--ros-args", "-r", "__ns:=/slicing", "-p", f"slices_file:={CONFIG}"])
    with pytest.raises(SystemExit) as end:
        cli.main(["list", "--timeout", "60"])
    assert end.value.code == 0, "the manager is there"
    yield
    process.kill()
    process.wait(10)


@pytest.fixture
def call(manager, capsys):
    """Runs one command line; its exit status, standard output and standard error."""

    def call(*words):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        return end.value.code, *capsys.readouterr()

    return call


def names(call):
    return [one["spec"]["name"] for one in json.loads(call("list", "--json")[1])["slices"]]


def test_list_shows_slices_and_templates_as_table_and_json(call):
    status, table, errors = call("list")
    assert status == 0, errors
    lines = table.splitlines()
    assert [line.split()[0] for line in lines[1:]] == SHIPPED
    assert lines[4].split()[:7] == ["control", "urllc", "control", lines[4].split()[3], "5", "10", "0.9999"]
    assert "↑state, ↓cmd_vel, ↓joint_commands" in lines[4]
    found = json.loads(call("list", "--json")[1])
    assert found["slices"][3]["spec"]["max_latency"] == 0.01 and found["slices"][3]["resource_blocks"] > 0
    assert [template["name"] for template in found["templates"]] == SHIPPED
    assert call("list", "--templates")[1].splitlines()[1].split()[3] == "–"  # a template has no blocks


def test_a_stack_with_a_namespace_is_asked_by_option_or_variable(call, monkeypatch):
    asked = ["list", "--timeout", "0.5"]
    words = ["--ros-args", "-r", "__ns:=/lab1/slicing", "-p", f"slices_file:={CONFIG}"]
    process = subprocess.Popen([PROGRAM, *words], env={**os.environ, VARIABLE: "lab1"})
    try:
        assert call("list", "--timeout", "60", "--namespace", "lab1")[0] == 0
        assert call("delete", "video", "--namespace", "/lab1")[0] == 0
        monkeypatch.setenv(VARIABLE, "lab1")
        assert names(call) == SHIPPED[1:]
        assert call("list", "--timeout", "60", "--namespace", "")[0] == 0
        status, _, said = call(*asked, "--namespace", "lab2")
        assert status == 1 and "(/lab2/slicing/list_slices)" in said
        assert "is no namespace" in call(*asked, "--namespace", "2")[2]
    finally:
        process.kill()
        process.wait(10)
    monkeypatch.setenv(VARIABLE, "")
    assert names(call) == SHIPPED  # the other stack has all of its slices


def test_a_slice_lives_its_life(call, tmp_path):
    flow = "cart*,spider:extra:uplink:sensor_msgs/msg/Imu"
    figures = ["--type", "embb", "--rate", "1e6", "--max-latency", "0.1", "--reliability", "0.9", "--flow", flow]
    status, said, _ = call("create", "--name", "mine", *figures)
    assert status == 0 and "slice 'mine' created" in said and names(call) == [*SHIPPED, "mine"]
    status, said, _ = call("modify", "mine", "--rate", "2e6", "--priority", "7", "--json")
    spec = json.loads(said)["slice"]["spec"]
    assert status == 0 and (spec["rate"], spec["priority"], spec["max_latency"]) == (2e6, 7, 0.1)
    assert (
        spec["flows"][0]["robots"] == ["cart*", "spider"] and spec["flows"][0]["message_type"] == "sensor_msgs/msg/Imu"
    )
    assert call("delete", "mine")[0] == 0 and names(call) == SHIPPED
    file = tmp_path / "slice.yaml"
    file.write_text("{name: filed, type: urllc, rate: 1000.0, max_latency: 0.02, reliability: 0.99}")
    assert call("create", "--file", str(file), "--name", "renamed")[0] == 0 and "renamed" in names(call)
    assert call("delete", "renamed")[0] == 0
    assert call("delete", "video")[0] == 0 and call("create", "video")[0] == 0
    assert sorted(names(call)) == sorted(SHIPPED)


REFUSED = [
    (["create", "vidoe"], "vidoe"),
    (["create", "cart", "--name", "second"], "one slice only"),  # its topics are carried already
    (["create", "cart", "--rate", "1e6"], "a template says everything itself"),
    (["create"], "--templates"),
    (
        ["create", "--name", "Bad", "--type", "embb", "--rate", "1", "--max-latency", "1", "--reliability", "0.5"],
        "name",
    ),
    (["create", "--name", "few", "--rate", "1e6"], "key 'type' is missing"),
    (["create", "--file", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    (["modify", "cart"], "--rate"),
    (["modify", "dog", "--rate", "1"], "there is no slice 'dog'; slices: "),
    (["modify", "cart", "--rate", "-1"], "rate"),
    (["modify", "cart", "--rate", "1e12"], "cart"),
    (["modify", "cart", "--flow", "scan"], "ROBOTS:TOPIC:uplink"),
    (["modify", "cart", "--flow", "cart:scan:sideways"], "sideways"),
    (["delete", "dog"], "dog"),
    (["watch", "--timeout", "0.3"], "no report on /radio/report within 0.3 s"),
]


def test_a_refusal_is_one_line_and_changes_nothing(call):
    before = call("list", "--json")[1]
    for words, message in REFUSED:
        status, said, error = call(*words)
        assert status == 1 and not said.strip(), words
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    after = call("list", "--json")[1]
    assert [one["spec"] for one in json.loads(after)["slices"]] == [one["spec"] for one in json.loads(before)["slices"]]


def test_without_a_manager_it_says_where_it_looked(ros_domain, capsys, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 if ros_domain == 100 else ros_domain + 100))
    with pytest.raises(SystemExit) as end:
        cli.main(["list", "--timeout", "0.3"])
    error = capsys.readouterr().err
    assert end.value.code == 1 and "no slice manager in ROS_DOMAIN_ID=" in error and error.count("\n") == 1


def test_watch_shows_each_report_against_what_was_agreed(ros, call):
    node = ros.node("radio")
    publisher = node.create_publisher(CellReport, "/radio/report", RELIABLE)
    delay = DelayStats(count=9, mean=0.002, p50=0.002, p99=0.02, max=0.03)
    books = Books(queued_messages=3, dropped=[DropCount(reason="expired", messages=2), DropCount(messages=5)])
    control = SliceReport(
        slice="control", type=SliceSpec.TYPE_URLLC, resource_blocks=12.5, utilisation=0.5, offered_rate=2e5,
        delivered_rate=1e5, books=books, recent_delay=delay,
    )  # fmt: skip
    idle = SliceReport(slice="video", type=SliceSpec.TYPE_EMBB, utilisation=math.nan)
    node.create_timer(0.05, lambda: publisher.publish(CellReport(slices=[control, idle])))
    spun = threading.Thread(target=ros.executor.spin, daemon=True)
    spun.start()
    try:
        status, said, _ = call("watch", "--count", "2", "--json")
        assert status == 0
        first, second = map(json.loads, said.splitlines())
        assert second["slices"] == first["slices"]
        row, other = first["slices"]
        assert (row["rate"], row["max_latency"], row["delay_p99"], row["queued"], row["dropped"]) == (
            5e6,
            0.01,
            0.02,
            3,
            7,
        )
        assert other["utilisation"] is None and other["delay_p50"] is None
        status, said, _ = call("watch", "--count", "1")
        assert status == 0 and said.splitlines()[-2].split() == (
            ["control", "urllc", "12.5", "50", "0.200", "0.100", "5.00", "2.00", "20.00", "10.0", "3", "7"]
        )
    finally:
        ros.executor.shutdown(timeout_sec=1.0)
        spun.join(5)


def test_ros2_slice_is_the_same(manager):
    pytest.importorskip("ros2cli", reason="ros2cli is not installed (it comes with a ROS installation)")
    ros2 = shutil.which("ros2")
    if ros2 is None:
        pytest.skip("the command ros2 is not installed (it comes with a ROS installation)")
    ours = Path(get_package_prefix("ros2slice")) / "lib" / "ros2slice" / "slice"

    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    assert run(ros2, "slice", "list") == run(ours, "list")
    assert run(ros2, "slice", "delete", "dog") == run(ours, "delete", "dog")
    status, said, _ = run(ros2, "slice", "--help")
    assert status == 0 and all(verb in said for verb in ("list", "create", "modify", "delete", "watch"))
    status, said, _ = run(ros2, "slice", "modify", "video", "--priority", "4", "--json")
    assert status == 0 and json.loads(said)["slice"]["spec"]["priority"] == 4
