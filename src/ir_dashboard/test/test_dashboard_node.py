# SPDX-License-Identifier: Apache-2.0
"""The node with real rclpy: what the stack says arrives over HTTP, what is asked arrives at the stack."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from conftest import Live
from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter
from websockets.sync.client import connect

from ir_common.ros_time import to_stamp
from ir_common.stack_namespace import VARIABLE
from ir_common.testing_browser import crowd

BEARER = {"Authorization": "Bearer secret"}


@pytest.fixture
def http(live):
    with httpx.Client(base_url=f"{live.address}/api/v1", headers=BEARER, timeout=10) as client:
        yield client


@contextlib.contextmanager
def viewer(live):
    with connect(live.address.replace("http", "ws") + "/live", max_size=None, close_timeout=0.2) as socket:
        socket.send(json.dumps({"token": "secret"}))
        yield socket


def test_topics_of_the_page_take_qos_overrides(ros_domain):
    live = Live(**{"qos_overrides./cart/odom.subscription.depth": 9})
    try:
        depths = {one.topic_name: one.qos_profile.depth for one in live.dashboard.subscriptions}
        assert depths["/cart/odom"] == 9 and depths["/spider/odom"] == 1
    finally:
        live.close()


def test_the_whole_stack_is_in_the_status(live, http):
    def whole():
        status = http.get("/status").json()
        full = set(status["poses"]) == {"cart", "spider", "hopper"} and status["robots"]["hopper"]["steps"] > 0
        return status if full and len(status["slices"]) == 4 and "outage" in status["slices"]["control"] else None

    status = live.until(whole, what="everything in /status")
    assert status["host"]["pace"] == 0.5 and status["host"]["models_numbers"] is True
    assert status["map"]["columns"] == 24 and {-1, 20, 40} <= set(status["map"]["levels"])
    assert status["time"] > 0 and status["carrier"]["policy"] == "proportional"
    assert status["slices"]["control"]["type"] == "urllc" and status["slices"]["video"]["offered_rate"] > 1e6
    assert {"/radio", "/edge/twin", "/edge/cart/controller"} <= set(status["nodes"])
    assert status["robots"]["cart"]["twin"]["reward_error"] == pytest.approx(0.04)
    robots = http.get("/robots").json()
    assert len(robots["cart"]["pose"]) == 7


def test_viewers_get_twenty_pictures_a_second_cameras_and_rows_with_all_verdicts(live):
    with viewer(live) as socket:
        first = json.loads(socket.recv(timeout=10))
        assert first["scene"]["name"] == "robot_field" and first["drivable"] == ["cart"]
        pictures, rows, cameras, texts = 0, [], set(), 1
        while len(rows) < 5:
            message = socket.recv(timeout=10)
            if isinstance(message, bytes):
                cameras.add(message[0])
                taken = struct.unpack_from("<d", message, 1)[0]
                assert -1.0 < time.monotonic() - taken < 5.0 and message[9:11] == b"\xff\xd8"  # JPEG
                continue
            texts += 1
            if texts % 5 == 0:
                socket.send(json.dumps({"seen": texts}))
            picture = json.loads(message)
            pictures += bool(rows) and "poses" in picture
            rows += [picture["row"]] if "row" in picture else []
        assert cameras == {0, 1, 2}
        assert 30 <= pictures <= 42  # in four bins of half a second
        judged = sum(sum(row["robots"]["hopper"][2:6]) for row in rows[1:])
        assert judged == pytest.approx(4 * 0.5 * 125, rel=0.2)  # not one in six, as at the page's rate


def test_ros_tools_drive_by_the_desk_and_what_is_stamped_too_old_is_refused(live):
    stack = live.stack
    joystick = stack.create_publisher(TwistStamped, "/edge/cart/joystick_stamped", 10)
    message = TwistStamped()
    message.twist.linear.x = 0.5

    def push(age):
        message.header.stamp = to_stamp(int((stack.now() - age) * 1e9))
        joystick.publish(message)

    live.until(lambda: push(0.0) or any(v > 0.49 for _, v, _ in stack.commands), what="a command")
    live.until(lambda: not live.controller.enabled, what="held controller")
    seat = live.dashboard._desk.seats["cart"]
    assert seat.driver == "joystick"
    live.until(lambda: push(2.0) or seat.refused, what="a refusal")
    live.until(lambda: push(2.0) or stack.commands[-1][1:] == (0.0, 0.0), what="the dead-man's stop")


def test_slices_over_rest_are_those_of_ros(live, http):
    live.until(lambda: http.get("/slices").status_code == 200, what="slice manager")
    answer = http.post("/slices", json={"template": "video", "name": "video_2"})
    assert answer.status_code == 201, answer.text
    assert ("create", "video", "video_2") in live.stack.calls
    live.until(lambda: "video_2" in http.get("/status").json()["slices"], what="the new slice on the topic")
    body = http.get("/slices/video_2").json()["spec"]
    assert http.put("/slices/video_2", json=body | {"rate": 2e6}).status_code == 200
    assert ("modify", "video_2", 2e6) in live.stack.calls
    assert http.post("/slices", json={"template": "nothing"}).status_code == 409
    assert http.delete("/slices/video_2").status_code == 200
    live.until(lambda: "video_2" not in http.get("/status").json()["slices"], what="the slice gone")


def test_a_driver_holds_the_controller_drives_and_stops_when_the_socket_dies(live, http):
    stack, controller = live.stack, live.controller
    live.until(lambda: "/edge/cart/controller" in http.get("/status").json()["nodes"], what="controller")
    live.until(lambda: live.dashboard.count_subscribers("/edge/cart/cmd_vel_proposed"), what="robot side")
    with viewer(live) as socket:
        socket.send(json.dumps({"take": "cart"}))
        live.until(lambda: not controller.enabled, what="held controller")
        trips = []

        def driven():
            socket.send(json.dumps({"cmd": ["cart", 0.5, 0.2]}))
            message = socket.recv(timeout=5)
            seats = json.loads(message).get("seats") if isinstance(message, str) else None
            trips.extend([seats["cart"]["trip"]] if seats and seats["cart"]["trip"] else [])
            return trips

        live.until(driven, what="round trip")
        assert 0.03 < trips[0] < 1.0  # the fake robot takes 40 ms, then up to 100 ms to its next state
        assert any(abs(v - 0.5) < 1e-3 and abs(w - 0.3) < 1e-3 for _, v, w in stack.commands)
        controller.announce(os.getpid() + 1)  # started again, it would drive by itself
        controller.set_parameters([type(controller.get_parameter("enabled"))("enabled", value=True)])
        live.until(lambda: not controller.enabled, what="controller held again")
        count = len(stack.commands)
        socket.send(json.dumps({"cmd": ["cart", 1.0, 0.0]}))
        live.until(lambda: any(v > 0.9 for _, v, _ in stack.commands[count:]), what="last command")
        socket.socket.close()  # no farewell
    moved = max(t for t, v, _ in stack.commands if v > 0.9)
    live.until(lambda: stack.commands[-1][1:] == (0.0, 0.0), what="stop")
    stopped = next(t for t, v, w in stack.commands if t > moved and (v, w) == (0.0, 0.0))
    assert stopped - moved < 0.3 + 0.1 * crowd()  # dead_man, and the way of a message
    assert not controller.enabled
    with viewer(live) as socket:
        socket.send(json.dumps({"release": "cart"}))
        live.until(lambda: controller.enabled, what="released controller")


@pytest.fixture
def live_below_lab1(ros_domain, monkeypatch):
    monkeypatch.setenv(VARIABLE, "lab1")
    live = Live()
    yield live
    live.close()


def test_a_stack_with_a_namespace_is_seen_and_driven(live_below_lab1):
    live, name = live_below_lab1, "/lab1/edge/cart/controller"
    with httpx.Client(base_url=f"{live.address}/api/v1", headers=BEARER, timeout=10) as http:
        live.until(lambda: name in http.get("/status").json()["nodes"], what="the controller's full name")
        live.until(lambda: http.get("/status").json()["robots"]["hopper"]["steps"] > 0, what="robots")
        live.until(lambda: http.get("/slices").status_code == 200, what="slice manager")
    with viewer(live) as socket:
        socket.send(json.dumps({"take": "cart"}))
        live.until(lambda: not live.controller.enabled, what="held controller")
        live.controller.set_parameters([Parameter("enabled", value=True)])
        live.controller.announce(os.getpid() + 1)  # started again, it would drive by itself
        live.until(lambda: not live.controller.enabled, what="controller held again")


def test_ten_viewers_at_once(live):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(viewer(live)) for _ in range(10)]
        for socket in sockets:
            assert "you" in json.loads(socket.recv(timeout=10))
            assert any(
                "poses" in json.loads(m) for m in iter(lambda s=socket: s.recv(timeout=5), None) if isinstance(m, str)
            )


def run_dashboard(*arguments):
    code = "from ir_dashboard.dashboard_node import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--ros-args", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("world:=/nowhere/field.sdf", "/nowhere/field.sdf"),
        ("host:=192.0.2.1", "cannot listen"),
        ("robots:=[dragon]", "dragon"),
        ("dead_man:=0.0", "dead_man"),
    ],
)
def test_mistakes_end_with_78_and_one_line(ros_domain, argument, words):
    process = run_dashboard("-p", argument, "-p", "port:=0")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 78
    assert words in error and "Traceback" not in error and len(error.strip().splitlines()) == 1


def test_the_process_prints_its_address_and_ends_with_0_within_2_s_while_it_is_watched(ros_domain):
    process = run_dashboard("-p", "port:=0")
    try:
        line = process.stdout.readline()
        address, token = line.split()[1].split("/#token=")
        assert len(token) >= 16 and address.startswith("http://127.0.0.1:")
        with connect(address.replace("http", "ws") + "/live") as socket:
            socket.send(json.dumps({"token": ""}))
            assert "you" in json.loads(socket.recv(timeout=10))
            assert {c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"} == {
                "127.0.0.1"
            }
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=4)
        assert process.returncode == 0, error
        assert "Traceback" not in error
    finally:
        process.kill()


def test_a_caption_reaches_the_status_and_the_guard_is_switched_live(live, http):
    from std_msgs.msg import String

    from ir_common.ros_node import LATCHED

    publisher = live.stack.create_publisher(String, "/ir/caption", LATCHED)
    publisher.publish(String(data="cut"))
    live.until(lambda: http.get("/status").json()["caption"] == "cut", what="caption")
    with viewer(live) as socket:
        live.until(lambda: http.get("/status").json()["viewers"] == 1, what="viewer")

        def guarded():
            while True:
                told = json.loads(text) if isinstance(text := socket.recv(timeout=10), str) else {}
                if "seats" in told:
                    return told["seats"]["cart"]["guarded"]

        assert guarded()
        assert live.dashboard.set_parameters([Parameter("guard", value=False)])[0].successful
        assert not guarded()
