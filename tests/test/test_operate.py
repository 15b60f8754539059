# SPDX-License-Identifier: Apache-2.0
"""A person at the running stack: the live page in a browser, slices by every way, teleoperation, diagnostics."""

from __future__ import annotations

import math
import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from stack import Stack

from ir_common.ros_node import LATCHED, RELIABLE, STREAM
from ir_common.testing import RosHarness
from ir_common.testing_browser import BrowserPage, chromium, crowd, label
from ir_interfaces.msg import SliceList

pytestmark = pytest.mark.timeout(240)
STOP_SECONDS = 1.0
"""Dead-man of the page (0.3 s), the way through twin and radio, a control step, and braking; on an idle machine."""
REMAP = "cmd_vel:=/edge/cart/cmd_vel_proposed"


class Person:
    """What a person at the stack sees and can do."""

    def __init__(self, harness: RosHarness, stack: Stack) -> None:
        self.harness, self.stack = harness, stack
        self.node = node = harness.node("person")
        self.speed: dict[str, float] = {}
        self.ahead: dict[str, float] = {}
        self.path: dict[str, float] = {}
        self._last: dict[str, Any] = {}
        self.slices: list[str] = []
        self.health: dict[str, DiagnosticStatus] = {}
        for robot in ("cart", "spider"):
            node.create_subscription(Odometry, f"/{robot}/odom", lambda m, r=robot: self._odometry(r, m), STREAM)
        node.create_subscription(SliceList, "/slicing/slices", self._slices, LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnostics, RELIABLE)
        self._set = node.create_client(SetParameters, "/edge/cart/controller/set_parameters")

    def _odometry(self, robot: str, message: Odometry) -> None:
        twist, position = message.twist.twist, message.pose.pose.position
        self.ahead[robot] = twist.linear.x
        self.speed[robot] = math.hypot(twist.linear.x, 0.3 * twist.angular.z)
        last = self._last.get(robot, position)
        self.path[robot] = self.path.get(robot, 0.0) + math.hypot(position.x - last.x, position.y - last.y)
        self._last[robot] = position

    def _slices(self, message: SliceList) -> None:
        self.slices = [one.spec.name for one in message.slices]

    def _diagnostics(self, message: DiagnosticArray) -> None:
        self.health |= {one.name: one for one in message.status}

    def until(self, condition: Callable[[], object], timeout: float = 20.0, what: str = "") -> None:
        self.harness.until(condition, timeout, what)

    def hold(self, held: bool) -> None:
        """`ros2 param set /edge/cart/controller enabled …`."""
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=not held)
        self.until(self._set.service_is_ready, what="the cart's controller")
        done = self._set.call_async(SetParameters.Request(parameters=[Parameter(name="enabled", value=value)]))
        self.until(done.done, what="the parameter's answer")
        assert done.result().results[0].successful

    def stops(self, since: float) -> None:
        """The cart stands still within the limit after `since` (monotonic)."""
        limit = STOP_SECONDS * crowd()
        self.until(lambda: self.speed["cart"] < 0.02, limit + 5.0, "standstill")
        assert time.monotonic() - since < limit


@pytest.fixture(scope="module")
def person(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    harness = RosHarness()
    stack = Stack(["robots:=cart,spider", "headless:=true", "twin:=shadow", "seed:=5"], tmp_path_factory.mktemp("run"))
    try:
        person = Person(harness, stack)
        person.until(lambda: min(person.path.get(r, 0.0) for r in ("cart", "spider")) > 0.02, 150, "moving robots")
        yield person
    finally:
        harness.close()
        stack.close()


def test_diagnostics_tell_of_every_node_and_the_clock(person: Person) -> None:
    wanted = {"ir: clock", "ir: /radio", "ir: /simulator", "ir: /robots", "ir: /edge/twin", "ir: /slicing/manager"}
    person.until(lambda: wanted <= person.health.keys(), 20, f"diagnoses of {wanted}")
    person.until(
        lambda: all(person.health[name].level == DiagnosticStatus.OK for name in wanted), 20, "all of them well"
    )
    assert {pair.key for pair in person.health["ir: /radio"].values} == {"process id", "restarts"}


def stand_in(person: Person) -> None:
    """What teleop_twist_keyboard and teleop_twist_joy do: Twist on cmd_vel, reliable, depth 10; remapped."""
    node = rclpy.create_node("teleop", cli_args=["--ros-args", "-r", REMAP])
    person.harness.add(node)
    publisher = node.create_publisher(Twist, "cmd_vel", 10)
    twist = Twist()
    twist.linear.x = 0.4
    timer = node.create_timer(0.05, lambda: publisher.publish(twist))
    person.until(lambda: person.speed["cart"] > 0.3, 15, "the cart to drive")
    timer.cancel()
    ended = time.monotonic()
    person.stops(ended)
    person.harness.executor.remove_node(node)
    node.destroy_node()


def keyboard(person: Person) -> None:
    """The real teleop_twist_keyboard on a terminal of its own, with the key for ahead held down."""
    program = Path(get_package_prefix("teleop_twist_keyboard")) / "lib/teleop_twist_keyboard/teleop_twist_keyboard"
    master, terminal = pty.openpty()
    process = subprocess.Popen([program, "--ros-args", "-r", REMAP], stdin=terminal, stdout=subprocess.DEVNULL)
    try:
        key = person.node.create_timer(0.05, lambda: os.write(master, b"i"))
        person.until(lambda: person.speed["cart"] > 0.3, 20, "the cart to drive")
        key.cancel()
        person.stops(time.monotonic())
        os.write(master, b"\x03")
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(terminal)


def has(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize(
    "teleop",
    [
        stand_in,
        pytest.param(
            keyboard,
            marks=pytest.mark.skipif(not has("teleop_twist_keyboard"), reason="teleop_twist_keyboard is not installed"),
        ),
    ],
)
def test_teleop_by_remap_drives_and_the_watchdog_stops(person: Person, teleop: Callable[[Person], None]) -> None:
    person.hold(True)
    try:
        person.until(lambda: person.speed["cart"] < 0.02, 10, "the held cart to stand")
        teleop(person)
    finally:
        person.hold(False)


@pytest.fixture
def page(person: Person) -> Iterator[BrowserPage]:
    pytest.importorskip("selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    found = re.search(r"live page: (\S+)", person.stack.text())
    assert found, person.stack.text()
    person.until(lambda: "ir: /dashboard" in person.health, 30, "the dashboard")
    driver = chromium(640, 560)
    try:
        page = BrowserPage(driver, person.until)
        page.open(found[1])
        yield page
    finally:
        driver.quit()


def sliced(*words: str) -> None:
    """`./ir slice …`"""
    program = Path(get_package_prefix("ros2slice")) / "lib" / "ros2slice" / "slice"
    done = subprocess.run([program, *words, "--timeout", "20"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_page_shows_drives_slices_and_stops_when_it_is_closed(page: BrowserPage, person: Person) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import Select

    for robot in ("cart", "spider"):
        before = page.until(label(robot), f"label of the {robot}")
        page.until(f"{label(robot)} !== '{before}'", f"movement of the {robot}")

    sliced("delete", "video")  # by hand, seen on the page
    page.until("!document.querySelector('[data-slice=video]')", "card of the deleted slice gone")
    page.click("#new-slice")  # made on the page, seen in ROS
    page.until("document.querySelector('#slice-form[open]')", "form")
    Select(page.find("[name=template]")).select_by_value("video")
    page.find("[name=name]").send_keys("video_2")
    page.click("#slice-form button.primary")
    person.until(lambda: "video_2" in person.slices and "video" not in person.slices, 10, "the page's slice in ROS")
    words = "--name by_hand --type embb --rate 1e6 --max-latency 0.1 --reliability 0.9"
    sliced("create", *words.split())
    page.until("document.querySelector('[data-slice=by_hand]')", "card of the slice that was made by hand")

    page.run("document.getElementById('driven').value = 'cart'")  # the stick drives the cart
    ActionChains(page.driver).click_and_hold(page.find("#stick")).move_by_offset(0, -45).perform()
    page.until("document.getElementById('seat').textContent === 'you drive'", "seat")
    page.until(
        "document.getElementById('proposed').textContent === '1.00 / 0.00'",
        "full ahead, though the stick is half out of the window",
    )
    person.until(lambda: person.ahead["cart"] > 0.3, 20, "the cart to drive ahead")
    assert page.errors() == []
    closed = time.monotonic()
    page.driver.close()
    person.stops(closed)
