# SPDX-License-Identifier: Apache-2.0
"""A ROS 2 system that knows nothing of the stack, behind the radio: topics, tf, services, actions, two domains."""

import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("rclpy")

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.action import ActionClient, ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage

from ir_common.config import EXIT_CONFIG, validate
from ir_common.ros_node import LATCHED
from ir_interfaces.action import Countdown
from ir_interfaces.msg import CellReport
from ir_radio.engine.radio_file import RadioFile
from ir_radio.ros.bridge_node import BridgeNode

SLOW = {"rate": 1e6, "delay": 0.05}


@pytest.fixture
def radio(ros, tmp_path):
    """Starts a radio; gives the last report."""

    class Radio:
        def __init__(self) -> None:
            self.node = ros.node("outside")
            self.reports: list[CellReport] = []
            self.node.create_subscription(CellReport, "/radio/report", self.reports.append, 10)

        def start(self, **values) -> BridgeNode:
            self.bridge = ros.add(BridgeNode(validate(RadioFile, {"link": SLOW, **values}, "test"), tmp_path))
            return self.bridge

        def pipe(self, kind, source, target, qos=10):
            """(publisher, what is received, each with when it came)."""
            received = []
            self.node.create_subscription(kind, target, lambda m: received.append((m, time.monotonic())), qos)
            publisher = self.node.create_publisher(kind, source, qos)
            ros.until(publisher.get_subscription_count, what=f"a reader of {source}")
            ros.until(lambda: self.node.count_publishers(target), what=f"a publisher of {target}")
            return publisher, received

        def books(self, topic):
            def row():
                rows = [row for row in self.reports[-1].flows if row.topic == topic] if self.reports else []
                return rows[0].books if rows else None

            return row

    return Radio()


def test_topics_cross_both_ways_after_their_delay_and_are_counted(ros, radio):
    radio.start(uplink=["/chat*"], downlink=[{"topic": "/cmd", "type": "std_msgs/msg/String"}])
    up, heard = radio.pipe(String, "/chatter", "/edge/chatter")
    down, done = radio.pipe(String, "/edge/cmd", "/cmd")
    for publisher, received in ((up, heard), (down, done)):
        start = time.monotonic()
        publisher.publish(String(data="x" * 1000))
        ros.until(lambda received=received: received)
        assert received[0][0].data == "x" * 1000
        assert 0.05 < received[0][1] - start < 0.5
    books = radio.books("chatter")
    ros.until(lambda: books() and books().delivered_messages == 1)
    assert books().delivered_bytes == books().offered_bytes > 1000


def test_what_the_radio_loses_nobody_hears(ros, radio):
    radio.start(link={"loss": 1.0}, uplink=["/chatter"])
    publisher, received = radio.pipe(String, "/chatter", "/edge/chatter")
    for _ in range(5):
        publisher.publish(String(data="gone"))
    books = radio.books("chatter")
    ros.until(lambda: books() and sum(d.messages for d in books().dropped) == 5)
    assert not received and books().dropped[0].reason == "lost"


def test_quality_of_service_is_the_publishers(ros, radio):
    """A latched message reaches a late reader; best effort stays so, and a reader that asks for more is told."""
    late = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    radio.node.create_publisher(String, "/map", LATCHED).publish(String(data="map"))
    best = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    radio.node.create_publisher(String, "/scan", best)
    bridge = radio.start(uplink=["/map", "/scan"])
    books = radio.books("map")
    ros.until(lambda: books() and books().delivered_messages == 1)
    received = []
    radio.node.create_subscription(String, "/edge/map", received.append, late)
    ros.until(lambda: received)
    radio.node.create_subscription(String, "/edge/scan", received.append, 10)
    ros.until(lambda: any("make that subscription best effort" in text for text in bridge._engine._said))


def test_a_pattern_means_no_topic_of_the_other_side_and_none_of_the_systems_own(ros, radio):
    bridge = radio.start(uplink=["/*"], downlink=["/cmd"])
    up, heard = radio.pipe(String, "/chatter", "/edge/chatter")
    down, done = radio.pipe(String, "/edge/cmd", "/cmd")
    down.publish(String(data="go"))
    ros.until(lambda: done)
    up.publish(String(data="here"))
    ros.until(lambda: heard)
    assert {key.topic for key in bridge._routes} == {"chatter", "cmd"}


def test_tf_reaches_the_edge_by_the_radio_alone(ros, radio):
    static = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    many = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for child in ("lidar", "camera"):  # latched by two nodes
        frame = TransformStamped(child_frame_id=child)
        ros.node(child).create_publisher(TFMessage, "/tf_static", static).publish(TFMessage(transforms=[frame]))
    radio.start(tf=True)
    publisher, received = radio.pipe(TFMessage, "/tf", "/edge/tf", 100)
    start = time.monotonic()
    publisher.publish(TFMessage(transforms=[TransformStamped(child_frame_id="base_link")]))
    ros.until(lambda: received)
    assert received[0][1] - start > 0.05
    frames = []
    radio.node.create_subscription(TFMessage, "/edge/tf_static", frames.append, many)
    ros.until(lambda: {one.transforms[0].child_frame_id for one in frames} == {"lidar", "camera"})


@pytest.mark.parametrize("server", ["robot", "edge"])
def test_a_service_is_asked_and_answers_across(ros, radio, server):
    names = {"robot": "/switch", "edge": "/edge/switch"}
    other = "edge" if server == "robot" else "robot"
    asked = []

    def serve(request, response):
        asked.append(request.data)
        response.success, response.message = request.data, "done"
        return response

    ros.node("server").create_service(SetBool, names[server], serve)
    radio.start(services=[{"name": "/switch", "server": server}])
    client = radio.node.create_client(SetBool, names[other])
    ros.until(client.service_is_ready)
    start = time.monotonic()
    futures = [client.call_async(SetBool.Request(data=value)) for value in (True, False, True)]
    ros.until(lambda: all(future.done() for future in futures))
    assert [future.result().success for future in futures] == [True, False, True] == asked
    assert time.monotonic() - start > 0.1, "there and back"
    request, answer = radio.books("switch/request"), radio.books("switch/answer")
    ros.until(lambda: answer() and answer().delivered_messages == 3 == request().delivered_messages)


def test_a_lost_request_is_a_time_out_and_the_next_is_answered(ros, radio):
    """Uplink of the answers loses all: the server is asked, nobody hears the answer."""
    asked = []
    ros.node("server").create_service(SetBool, "/switch", lambda q, a: asked.append(q) or a)
    radio.start(link={"uplink": {"loss": 1.0}}, services=["/switch"])
    client = radio.node.create_client(SetBool, "/edge/switch")
    ros.until(client.service_is_ready)
    future = client.call_async(SetBool.Request())
    books = radio.books("switch/answer")
    ros.until(lambda: books() and books().dropped)
    assert len(asked) == 1 and not future.done()


def test_from_one_domain_to_another_under_the_same_names(ros, other_domain, radio):
    context = Context()
    context.init(domain_id=other_domain)
    node = Node("far", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    received = []
    node.create_subscription(String, "/chatter", received.append, 10)
    node.create_service(SetBool, "/switch", lambda request, answer: SetBool.Response(success=request.data))
    down = node.create_publisher(String, "/cmd", 10)

    def both(condition):
        executor.spin_once(timeout_sec=0)
        return condition()

    try:
        radio.start(
            edge={"domain": other_domain}, uplink=["/chatter"], downlink=["/cmd"],
            services=[{"name": "/switch", "server": "edge"}],
        )  # fmt: skip
        up = radio.node.create_publisher(String, "/chatter", 10)
        done = []
        radio.node.create_subscription(String, "/cmd", done.append, 10)
        ros.until(lambda: both(up.get_subscription_count) and both(down.get_subscription_count))
        ros.until(lambda: radio.node.count_publishers("/cmd"))
        ros.until(lambda: both(lambda: node.count_publishers("/chatter")))
        up.publish(String(data="across"))
        down.publish(String(data="back"))
        ros.until(lambda: both(lambda: received and done))
        assert (received[0].data, done[0].data) == ("across", "back")
        client = radio.node.create_client(SetBool, "/switch")
        ros.until(lambda: both(client.service_is_ready))
        future = client.call_async(SetBool.Request(data=True))
        ros.until(lambda: both(future.done))
        assert future.result().success
    finally:
        executor.shutdown()
        node.destroy_node()
        context.shutdown()


def test_a_profile_seen_from_a_pose(ros, radio):
    bridge = radio.start(link={"profile": "nr", "pose": "/where"}, uplink=["/chatter"])
    radio.node.create_publisher(String, "/chatter", 10)
    poses = radio.node.create_publisher(PoseStamped, "/where", 10)
    ros.until(poses.get_subscription_count)
    assert not bridge._routes, "nothing crosses before the link is known"
    pose = PoseStamped()
    pose.pose.position.x = 7.0
    timer = radio.node.create_timer(0.05, lambda: poses.publish(pose))
    ros.until(lambda: radio.node.count_publishers("/edge/chatter"))
    radio.node.destroy_timer(timer)
    ros.until(lambda: radio.reports and radio.reports[-1].links and radio.reports[-1].links[0].distance > 7.0)
    assert radio.reports[-1].resource_blocks == 106 and radio.reports[-1].slices[0].resource_blocks == 106


@pytest.fixture
def counter(ros):
    """A server of the action that counts down, in a thread of its own."""
    node = Node("counter")
    executor = MultiThreadedExecutor(num_threads=3)
    executor.add_node(node)

    def execute(goal):
        left = goal.request.start
        while left and not goal.is_cancel_requested:
            time.sleep(goal.request.period)
            left -= 1
            goal.publish_feedback(Countdown.Feedback(left=left))
        (goal.canceled if left else goal.succeed)()
        return Countdown.Result(left=left)

    server = ActionServer(
        node, Countdown, "/count", execute, callback_group=ReentrantCallbackGroup(),
        cancel_callback=lambda _: CancelResponse.ACCEPT,
    )  # fmt: skip
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield
    executor.shutdown()
    thread.join(5.0)
    server.destroy()
    node.destroy_node()


def test_an_action_crosses_in_all_its_parts(ros, radio, counter):
    radio.start(link={"delay": 0.02}, actions=["/count"])
    client = ActionClient(radio.node, Countdown, "/edge/count")
    ros.until(client.server_is_ready, what="the action on the edge's side")
    ros.until(lambda: radio.node.count_publishers("/edge/count/_action/feedback"))
    told = []
    future = client.send_goal_async(Countdown.Goal(start=3, period=0.1), lambda m: told.append(m.feedback.left))
    ros.until(future.done, what="the answer to the goal")
    assert future.result().accepted
    result = future.result().get_result_async()
    ros.until(result.done, what="the result")
    assert result.result().status == GoalStatus.STATUS_SUCCEEDED and result.result().result.left == 0
    ros.until(lambda: told == [2, 1, 0])

    future = client.send_goal_async(Countdown.Goal(start=1000, period=0.05))
    ros.until(future.done)
    cancelled = future.result().cancel_goal_async()
    ros.until(cancelled.done, what="the answer to the cancellation")
    result = future.result().get_result_async()
    ros.until(result.done)
    assert result.result().status == GoalStatus.STATUS_CANCELED and result.result().result.left > 0
    client.destroy()


PROGRAM = [sys.executable, "-c", "from ir_radio.ros.bridge_node import main; main()"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "error: usage: radio FILE"), (["none.yaml"], "error: none.yaml: cannot be read"),
        (["bad.yaml"], "error: bad.yaml:1: unknown key 'lnk'; did you mean 'link'?"),
        (["trace.yaml"], "error: a.csv: there is no such file"),
    ],
)  # fmt: skip
def test_a_wrong_file_ends_the_program_with_one_line(ros_domain, tmp_path, words, told):
    (tmp_path / "bad.yaml").write_text("lnk: {}\nuplink: [/a]\n")
    (tmp_path / "trace.yaml").write_text("link: {trace: {trace: a.csv, rate: x}}\nuplink: [/a]\n")
    done = subprocess.run([*PROGRAM, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_CONFIG and done.stderr.startswith(told) and done.stderr.count("\n") == 1


def test_the_program_carries_until_it_is_told_to_end(ros, radio, tmp_path, other_domain):
    (tmp_path / "r.yaml").write_text(f"link: {{delay: 0.01}}\nuplink: [/chatter]\nedge: {{domain: {other_domain}}}\n")
    process = subprocess.Popen([*PROGRAM, "r.yaml"], cwd=tmp_path)
    try:
        publisher = radio.node.create_publisher(String, "/chatter", 10)
        ros.until(publisher.get_subscription_count, timeout=30.0)
        publisher.publish(String(data="x"))
        books = radio.books("chatter")
        ros.until(lambda: books() and books().delivered_messages == 1)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20.0) == 0
