# SPDX-License-Identifier: Apache-2.0
"""The whole stack, headless: data flows through all of it, a dead node comes back, and nothing stays behind."""

import importlib
import json
import re
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory
from nav_msgs.msg import Odometry
from stack import Stack
from tf2_msgs.msg import TFMessage

from ir_common.config import load_yaml
from ir_common.ros_node import ANNOUNCEMENTS, LATCHED, NODE_STATUS_TOPIC, RELIABLE, STREAM
from ir_common.testing import RosHarness
from ir_interfaces.msg import Allocation, CellReport, NodeStatus, Verdict
from ir_radio.model.slice_specs import SlicesFile
from ir_sim.robot_state_node import TF_QOS

ROBOTS = ("cart", "spider", "hopper")


class Observer:
    """Everything that the tests look at, heard from outside the stack."""

    def __init__(self, harness: RosHarness) -> None:
        node = harness.node("observer")
        self.harness = harness
        self.first: dict[str, tuple[float, float]] = {}
        self.moved: dict[str, float] = dict.fromkeys(ROBOTS, 0.0)
        self.heard: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.allocations: list[Allocation] = []
        self.reports: list[CellReport] = []
        self.processes: dict[str, set[int]] = {}
        for robot in ROBOTS:
            node.create_subscription(Odometry, f"/{robot}/odom", lambda m, r=robot: self._odometry(r, m), STREAM)
            node.create_subscription(
                Verdict, f"/edge/{robot}/verdict", lambda m, r=robot: self.verdicts.update([r]), RELIABLE
            )
        node.create_subscription(Allocation, "/slicing/allocation", self.allocations.append, LATCHED)
        node.create_subscription(CellReport, "/radio/report", self.reports.append, RELIABLE)
        node.create_subscription(NodeStatus, NODE_STATUS_TOPIC, self._status, ANNOUNCEMENTS)
        self.edge_frames: set[str] = set()
        node.create_subscription(TFMessage, "/edge/tf", self._frames, TF_QOS)
        self.flows = flows()
        for (robot, topic, _), kind in self.flows.items():
            for side in (f"/{robot}/{topic}", f"/edge/{robot}/{topic}"):
                node.create_subscription(kind, side, lambda m, s=side: self.heard.update([s]), STREAM, raw=True)

    def _odometry(self, robot: str, message: Odometry) -> None:
        position = message.pose.pose.position
        x, y = self.first.setdefault(robot, (position.x, position.y))
        self.moved[robot] = max(self.moved[robot], ((position.x - x) ** 2 + (position.y - y) ** 2) ** 0.5)

    def _frames(self, message: TFMessage) -> None:
        self.edge_frames.update(transform.child_frame_id for transform in message.transforms)

    def _status(self, status: NodeStatus) -> None:
        self.processes.setdefault(status.name, set()).add(status.process_id)


def flows() -> dict[tuple[str, str, str], type]:
    """(robot, topic, direction) -> message class of everything that the shipped slices carry for these robots."""
    file = load_yaml(Path(get_package_share_directory("ir_twin")) / "config" / "slices.yaml", SlicesFile)
    found = {}
    for template in file.templates:
        for flow in template.flows:
            for robot in ROBOTS:
                if flow.carries(robot):
                    found[robot, flow.topic, flow.direction] = get_class(flow.message_type)
    return found


def get_class(name: str) -> type:
    """The class of a message type such as sensor_msgs/msg/Imu."""
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


@pytest.fixture(scope="module")
def run(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Observer, Path]]:
    folder = tmp_path_factory.mktemp("run")
    report = folder / "run.json"
    harness = RosHarness()
    stack = Stack(["headless:=true", "seed:=3", "twin:=shadow", f"report:={report}"], folder)
    try:
        yield stack, Observer(harness), report
    finally:
        harness.close()
        stack.close()


def test_every_robot_moves(run: tuple[Stack, Observer, Path]) -> None:
    _, observer, _ = run
    observer.harness.until(lambda: min(observer.moved.values()) > 0.05, 40, f"motion: {observer.moved}")


def test_each_kind_of_message_crosses_the_radio(run: tuple[Stack, Observer, Path]) -> None:
    """Every flow that has a source is heard on both sides; commands go down, sensors and states go up."""
    _, observer, _ = run
    always = {key for key in observer.flows if not key[1].startswith("contacts")}
    commands = {("cart", "cmd_vel"), ("spider", "joint_commands"), ("hopper", "joint_commands")}
    expected = {
        (robot, topic) for robot, topic, direction in always if direction == "uplink" and has_source(robot, topic)
    } | commands

    def missing() -> set[str]:
        sides = {f"{side}/{robot}/{topic}" for robot, topic in expected for side in ("", "/edge")}
        return sides - observer.heard.keys()

    assert len(expected) > 10 and {direction for _, _, direction in always} == {"uplink", "downlink"}
    observer.harness.until(lambda: not missing(), 30, f"messages on {sorted(missing())}")


def test_the_edge_has_the_frames_of_every_robot(run: tuple[Stack, Observer, Path]) -> None:
    """From the odometry and joints that crossed the radio."""
    _, observer, _ = run
    wanted = {f"{robot}/base_link" for robot in ROBOTS} | {"cart/left_wheel"}
    observer.harness.until(lambda: wanted <= observer.edge_frames, 30, f"{wanted} among {observer.edge_frames}")


def has_source(robot: str, topic: str) -> bool:
    """Whether this robot has the sensor."""
    return not (topic.startswith("camera") and robot == "hopper") and not (topic == "scan" and robot != "cart")


def test_every_robot_gets_verdicts_and_the_carrier_is_divided(run: tuple[Stack, Observer, Path]) -> None:
    _, observer, _ = run
    observer.harness.until(lambda: all(observer.verdicts[robot] > 20 for robot in ROBOTS), 30, "20 verdicts each")
    observer.harness.until(lambda: observer.allocations and observer.reports, 20, "allocation and report")
    carrier = observer.reports[-1].resource_blocks
    assert 0 < sum(observer.allocations[-1].resource_blocks) <= carrier + 1e-6


def test_books_of_the_cell_balance(run: tuple[Stack, Observer, Path]) -> None:
    _, observer, _ = run
    observer.harness.until(lambda: observer.reports and observer.reports[-1].slices, 20, "a report with slices")
    for one in [*observer.reports[-1].slices, *observer.reports[-1].flows]:
        books = one.books
        dropped = sum(drop.messages for drop in books.dropped), sum(drop.bytes for drop in books.dropped)
        assert books.offered_messages == books.delivered_messages + books.queued_messages + dropped[0]
        assert books.offered_bytes == books.delivered_bytes + books.queued_bytes + dropped[1]


def test_the_live_page_answers(run: tuple[Stack, Observer, Path]) -> None:
    stack, observer, _ = run
    observer.harness.until(lambda: "/dashboard" in observer.processes, 30, "the dashboard")
    address = re.search(r"live page: (http://127\.0\.0\.1:\d+)/#token=\S+", stack.text())
    assert address, stack.text()
    with urllib.request.urlopen(f"{address[1]}/", timeout=10) as page:
        assert page.status == 200 and "<html" in page.read().decode().lower()
    names = set[str]()

    def answers() -> bool:
        """A manager that is busy for longer than the page waits is told by status 503: the next request asks anew."""
        try:
            with urllib.request.urlopen(f"{address[1]}/api/v1/slices", timeout=10) as answer:
                names.update(one["spec"]["name"] for one in json.load(answer)["slices"])
        except urllib.error.HTTPError as error:
            print(error.code, error.read().decode())
            if error.code != 503:
                raise
        return names >= {"video", "control"}

    observer.harness.until(answers, 20, "both slices")


@pytest.mark.parametrize("name", ["/radio", "/edge/twin", "/simulator"])
def test_a_killed_node_returns_and_data_flows_again(run: tuple[Stack, Observer, Path], name: str) -> None:
    stack, observer, _ = run
    observer.harness.until(lambda: name in observer.processes, 20, f"{name} on {NODE_STATUS_TOPIC}")
    (pid,) = observer.processes[name]
    next(p for p in stack.processes() if p.pid == pid).send_signal(signal.SIGKILL)
    observer.harness.until(lambda: len(observer.processes[name]) == 2, 20, f"a new {name}")
    observer.heard.clear()
    observer.verdicts.clear()
    wanted = ["/edge/cart/odom", "/cart/cmd_vel", "/edge/spider/imu", "/hopper/joint_commands"]
    observer.harness.until(lambda: all(observer.heard[topic] for topic in wanted), 30, f"{wanted} after {name}")
    observer.harness.until(lambda: all(observer.verdicts[robot] for robot in ROBOTS), 30, "verdicts again")


def test_restarts_are_shown_and_interrupt_ends_everything(run: tuple[Stack, Observer, Path]) -> None:
    """Comes last: it ends the stack that the tests above share."""
    stack, observer, path = run
    shown = "restarts /edge/twin ×1, /radio ×1, /simulator ×1"
    observer.harness.until(lambda: shown in stack.text(), 30, f"'{shown}' in the table")
    status, seconds = stack.interrupt(15)
    assert status == 0, stack.text()
    assert seconds < 5
    assert stack.processes() == []
    report = json.loads(path.read_text())
    assert report["restarts"]["/radio"] == report["restarts"]["/edge/twin"] == report["restarts"]["/simulator"] == 1
    assert all(one["balanced"] for one in report["slices"].values())
    assert "starting it again" in stack.text()
