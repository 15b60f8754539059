# SPDX-License-Identifier: Apache-2.0
"""Parameters come from the model and are changed whole or not at all; a process ends with the right status."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field
from rclpy.duration import Duration
from rclpy.parameter import Parameter

from ir_common.config import EXIT_CONFIG, Config, ConfigError, live
from ir_common.ros_node import ANNOUNCEMENTS, NODE_STATUS_TOPIC, announce, defer_middleware, drain
from ir_common.ros_params import declare
from ir_common.ros_time import to_nanoseconds, to_seconds, to_stamp
from ir_common.testing import RosHarness
from ir_interfaces.msg import DropCount, NodeStatus


class Settings(Config):
    robots: tuple[str, ...] = ("cart",)
    rate: float = Field(10.0, gt=0, le=100, description="Hz")
    mode: Literal["off", "shadow"] = live("off")
    threshold: float = live(0.0, ge=-5, description="dimensionless")


def test_parameters_are_declared_with_ranges_and_description(ros: RosHarness) -> None:
    node = ros.node(parameter_overrides=[Parameter("rate", value=20), Parameter("robots", value=["a", "b"])])
    parameters = declare(node, Settings)
    assert parameters.config == Settings(robots=("a", "b"), rate=20.0)
    descriptor = node.describe_parameter("rate")
    assert descriptor.description == "Hz"
    assert descriptor.floating_point_range[0].to_value == 100
    assert node.describe_parameter("mode").additional_constraints == "one of: off, shadow"


@pytest.mark.parametrize("override", [("rate", -1.0), ("rate", "fast"), ("mode", "on"), ("threshold", float("nan"))])
def test_wrong_start_values_are_refused(ros: RosHarness, override: tuple[str, object]) -> None:
    node = ros.node(parameter_overrides=[Parameter(override[0], value=override[1])])
    with pytest.raises(ConfigError, match=override[0]):
        declare(node, Settings)


def test_live_changes_are_applied_whole_or_refused_with_the_reason(ros: RosHarness) -> None:
    node, seen = ros.node(), []
    parameters = declare(node, Settings, seen.append)
    assert node.set_parameters([Parameter("threshold", value=-1.5)])[0].successful
    assert seen == [Settings(threshold=-1.5)] and parameters.config.threshold == -1.5
    refused = node.set_parameters_atomically([Parameter("threshold", value=1.0), Parameter("mode", value="on")])
    assert not refused.successful and "mode" in refused.reason
    fixed = node.set_parameters([Parameter("rate", value=1.0)])[0]
    assert not fixed.successful and "fixed at the start" in fixed.reason
    assert parameters.config.threshold == -1.5 and len(seen) == 1


def test_a_late_listener_hears_every_announcement(ros: RosHarness) -> None:
    keep = [announce(ros.node("one")), announce(ros.node("two"))]
    heard: dict[str, int] = {}
    ros.node("late").create_subscription(
        NodeStatus, NODE_STATUS_TOPIC, lambda m: heard.update({m.name: m.process_id}), ANNOUNCEMENTS
    )
    ros.until(lambda: len(heard) == 2, what="both announcements")
    assert heard == {"/one": os.getpid(), "/two": os.getpid()}
    del keep


def test_drain_takes_all_that_waits_in_order(ros: RosHarness) -> None:
    node, got = ros.node(), []

    def first(message: DropCount) -> None:
        got.append(message.messages)
        drain(subscription, lambda m: got.append(m.messages))

    subscription = node.create_subscription(DropCount, "x", first, 100)
    publisher = node.create_publisher(DropCount, "x", 100)
    ros.until(lambda: publisher.get_subscription_count() == 1, what="the match")
    for i in range(50):
        publisher.publish(DropCount(messages=i))
    ros.until(lambda: len(got) == 50)
    assert got == list(range(50))


def test_drain_comes_to_an_end_beside_a_publisher_that_does_not(ros: RosHarness) -> None:
    node, got = ros.node(), []
    subscription = node.create_subscription(DropCount, "x", lambda m: None, 5)
    publisher = ros.node("other").create_publisher(DropCount, "x", 5)
    ros.until(lambda: publisher.get_subscription_count() == 1, what="the match")

    def another(message: DropCount) -> None:
        assert len(got) < 20, "it goes on"
        got.append(message.messages)
        publisher.publish(DropCount(messages=len(got)))
        assert publisher.wait_for_all_acked(Duration(seconds=5))

    publisher.publish(DropCount())
    assert publisher.wait_for_all_acked(Duration(seconds=5))
    assert drain(subscription, another) == len(got) == 5


PROGRAM = """
import atexit, gc, sys, rclpy
from ir_common.config import ConfigError
from ir_common.ros_node import Finished, run
def factory():
    if sys.argv[1] == "config":
        raise ConfigError("slices.yaml:3: rate: must be positive")
    node = rclpy.create_node("program")
    if sys.argv[1] == "finish":
        def end(): raise Finished(5)
        node.create_timer(0.01, end)
    if sys.argv[1] == "crash":
        def crash(): raise RuntimeError("boom")
        node.create_timer(0.01, crash)
    node.close = lambda: print("closed", flush=True)
    atexit.register(lambda: gc.get_freeze_count() > 1000 or print("goes through all objects", flush=True))
    print("made", flush=True)
    return node
run(factory)
"""


@pytest.mark.parametrize(("how", "status"), [("config", EXIT_CONFIG), ("finish", 5), ("crash", 1)])
def test_exit_status_of_a_process(ros_domain: int, how: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done.stderr
    if how == "config":
        assert done.stderr == "error: slices.yaml:3: rate: must be positive\n"
    else:
        assert "closed" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_process_in_good_order(ros_domain: int, number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "spin"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "made\n"
    process.send_signal(number)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 0 and rest == "closed\n"


BUSY = """
import atexit, threading, rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation as library
from ir_common.ros_node import Finished, run
def work(context):
    guard, wait_set = library.GuardCondition(context.handle), library.WaitSet(0, 1, 0, 0, 0, 0, context.handle)
    while True:
        wait_set.clear_entities()
        wait_set.add_guard_condition(guard)
        wait_set.wait(1000)
def factory():
    context = rclpy.Context()
    rclpy.init(context=context)
    for _ in range(4):
        threading.Thread(target=work, args=(context,), daemon=True).start()
    node = rclpy.create_node("busy")
    def end(): raise Finished(5)
    node.create_timer(0.1, end)
    atexit.register(lambda: print("left"))
    return node
run(factory)
"""


def test_threads_that_are_busy_in_a_library_do_not_abort_a_process_that_ends(ros_domain: int) -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (5, "left\n"), done.stderr


FIRST_LINE = """
import os, rclpy
from ir_common.ros_node import Finished, run
def factory():
    node = rclpy.create_node("speaker")
    def speak():
        paths, real = [], os.path.realpath
        os.path.realpath = lambda path, **kwargs: (paths.append(path), real(path, **kwargs))[1]
        node.get_logger().warning("first line")
        print(len(paths))
        raise Finished
    node.create_timer(0.01, speak)
    return node
run(factory)
"""


def test_the_first_line_that_is_logged_does_not_go_through_all_modules(ros_domain: int, tmp_path: Path) -> None:
    (tmp_path / "speaker.py").write_text(FIRST_LINE)
    done = subprocess.run([sys.executable, tmp_path / "speaker.py"], capture_output=True, text=True, timeout=30)
    assert "first line" in done.stderr
    assert 0 < int(done.stdout) < 20, "two for each module otherwise, several hundred"


EARLY = """
import os, signal, rclpy
from ir_common.ros_node import run
init = rclpy.init
def told_first(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    init(*args, **kwargs)
rclpy.init = told_first
run(lambda: rclpy.create_node("program"))
"""


def test_a_signal_before_the_middleware_listens_ends_a_process(ros_domain: int) -> None:
    assert subprocess.run([sys.executable, "-c", EARLY], timeout=30).returncode == 0


def test_threads_of_the_middleware_interrupt_nobody(ros: RosHarness) -> None:
    def threads() -> dict[str, set[int]]:
        policies: dict[str, set[int]] = {"dds": set(), "own": set()}
        for task in Path("/proc/self/task").glob("*"):
            kind = "dds" if (task / "comm").read_text().startswith("dds.") else "own"
            policies[kind].add(os.sched_getscheduler(int(task.name)))
        return policies

    if not threads()["dds"]:
        pytest.skip("the middleware is not Fast DDS")
    assert threads() == {"dds": {os.SCHED_OTHER}, "own": {os.SCHED_OTHER}}
    defer_middleware()
    assert threads() == {"dds": {os.SCHED_BATCH}, "own": {os.SCHED_OTHER}}


def test_stamps_survive_the_round_trip() -> None:
    for nanoseconds in (0, 1, 999_999_999, 1_000_000_000, 123_456_789_012):
        assert to_nanoseconds(to_stamp(nanoseconds)) == nanoseconds
    assert to_seconds(to_stamp(1_500_000_000)) == 1.5


OVERRIDDEN = """
from std_msgs.msg import Empty
from ir_common.ros_node import RELIABLE, Finished, StackNode, run

class Overridden(StackNode):
    def __init__(self):
        super().__init__("overridden")
        self.keep = self.create_publisher(Empty, "/out", RELIABLE), self.create_subscription(Empty, "/in", print, 1)
        self.other = self.create_publisher(Empty, "/other", RELIABLE)
        for topic in ("/out", "/other"):
            (found,) = self.get_publishers_info_by_topic(topic)
            print(topic, found.qos_profile.reliability.name)
        self.create_timer(0.01, self.finish)

    def finish(self):
        raise Finished

run(Overridden)
"""


@pytest.mark.parametrize(
    ("parameter", "status", "words"),
    [
        ("qos_overrides./out.publisher.reliability:=best_effort", 0, "/out BEST_EFFORT\n/other RELIABLE"),
        ("qos_overrides./in.subscription.depth:=7", 0, "/out RELIABLE"),
        ("qos_overrides./nowhere.publisher.depth:=7", EXIT_CONFIG, "/nowhere.publisher.depth: no such topic"),
        ("qos_overrides./out.publisher.deadline:=7", EXIT_CONFIG, "one of history, depth, reliability, durability"),
        ("qos_overrides./out.publisher.reliability:=maybe", EXIT_CONFIG, "maybe"),
    ],
)
def test_qos_of_a_topic_can_be_overridden(ros_domain: int, parameter: str, status: int, words: str) -> None:
    command = [sys.executable, "-c", OVERRIDDEN, "--ros-args", "-p", parameter]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.returncode, words in run.stdout + run.stderr) == (status, True), run.stdout + run.stderr
    assert "Traceback" not in run.stderr
