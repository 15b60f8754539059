# SPDX-License-Identifier: Apache-2.0
"""What the relay says of itself: diagnostics, QoS that does not fit, profiles and traces."""

import math

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from relay_bench import BEST_EFFORT, CONTROL, VIDEO
from sensor_msgs.msg import CompressedImage

from ir_common.config import ConfigError
from ir_common.ros_node import RELIABLE
from ir_interfaces.msg import TaskState
from ir_radio.ros import relay_node


def statuses(bench):
    """The last diagnostics of each name."""
    found = {}
    bench.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: found.update({s.name: s for s in m.status}), RELIABLE
    )
    return found


def value(found, name, key):
    status = found.get(f"radio: {name}", DiagnosticStatus())
    return next((item.value for item in status.values if item.key == key), "")


def test_expired_and_late_messages_and_missed_deadlines_are_on_diagnostics(bench):
    """Over 0.001 blocks a state takes 0.3 s; its bound is 0.05 s, its deadline twice that."""
    b = bench(qos_grace=2.0)
    b.ready(CONTROL, blocks={"control": 10.0})
    publisher, received = b.pipe(TaskState, "/cart/state", "/edge/cart/state", RELIABLE)
    found = statuses(b)
    publisher.publish(TaskState())
    b.ros.until(lambda: received and "radio: cart/state" in found)
    status = found["radio: cart/state"]
    assert status.level == status.OK and status.hardware_id == "cart" and value(found, "cart/state", "type") == "urllc"
    b.set(CONTROL, blocks={"control": 0.001})
    b.ros.until(lambda: b.report().slices[0].resource_blocks == 0.001)
    for _ in range(3):
        publisher.publish(TaskState())
    b.ros.until(lambda: value(found, "cart/state", "expired") == "3")
    assert "3 messages expired" in found["radio: cart/state"].message
    assert found["radio: cart/state"].level == DiagnosticStatus.WARN
    b.ros.until(lambda: int(value(found, "cart/state", "deadline missed") or 0) >= 2)
    b.ros.until(lambda: found["radio: cart/state"].level == DiagnosticStatus.OK)  # nothing new
    assert value(found, "relay", "messages") == "1"


def test_late_embb_messages_are_counted_and_delivered(bench):
    b = bench()
    b.ready(VIDEO, blocks={"video": 0.1})
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    found = statuses(b)
    publisher.publish(CompressedImage(data=bytes(5000)))  # 0.3 s, bound 0.1 s
    b.ros.until(lambda: received and value(found, "cart/camera", "late") == "1")
    assert value(found, "cart/camera", "expired") == "0"


@pytest.mark.parametrize(
    ("slice_", "kind", "topic", "publishes", "qos", "words"),
    [
        (CONTROL, TaskState, "/cart/state", True, BEST_EFFORT,
         ("publishes best effort", "make that publisher reliable")),
        (VIDEO, CompressedImage, "/edge/cart/camera", False, RELIABLE,
         ("subscribes reliable", "make that subscription best effort")),
        (VIDEO, CompressedImage, "/edge/cart/camera", False,
         QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL),
         ("subscribes transient local", "volatile")),
        (CONTROL, TaskState, "/edge/cart/state", False,
         QoSProfile(depth=1, deadline=Duration(nanoseconds=1_000_000)), ("subscribes with deadline 0.001 s", "0.5 s")),
    ],
)  # fmt: skip
def test_qos_mismatch_is_told_in_plain_words_until_it_is_gone(bench, slice_, kind, topic, publishes, qos, words):
    b = bench()
    b.ready(slice_)
    found = statuses(b)
    if publishes:
        endpoint = b.node.create_publisher(kind, topic, qos)
    else:
        endpoint = b.node.create_subscription(kind, topic, lambda _: None, qos)
    b.ros.until(lambda: any(all(word in text for word in ("/test", *words)) for text in b.warnings), what=str(words))
    b.ros.until(lambda: any(s.level == s.ERROR and words[0] in s.message for s in found.values()))
    assert len([text for text in b.warnings if words[0] in text]) == 1
    (b.node.destroy_publisher if publishes else b.node.destroy_subscription)(endpoint)
    b.ros.until(lambda: all(s.level != s.ERROR for s in found.values()))


def test_profile_in_place_of_the_carrier(bench):
    b = bench(profile="nr")
    b.ready(VIDEO)
    assert b.report().resource_blocks == 106 and b.report().bandwidth == 40e6
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(10)))
    b.ros.until(lambda: received and b.flow("camera").delay.count == 1)
    assert 0.0005 < b.flow("camera").delay.mean < 0.0011  # scheduling latency of 0.5 ms and the wait for a slot


def test_bound_that_a_profile_cannot_keep_is_told(bench):
    b = bench(profile="lte")
    b.ready(CONTROL.model_copy(update={"max_latency": 0.01}))
    assert any(
        "slice control: its latency bound is 10 ms, scheduling on this carrier takes 11 ms" in w for w in b.warnings
    )


def test_a_robot_crosses_from_its_first_pose_on_and_nothing_before_counts_as_dropped(bench, monkeypatch):
    monkeypatch.setattr(relay_node, "_POSE_PATIENCE", 1)
    b = bench()
    b.set(CONTROL)
    publisher = b.node.create_publisher(Twist, "/edge/cart/cmd_vel", RELIABLE)
    missing = "cart: no pose on /cart/odom so far; nothing of it crosses the radio before one comes"
    b.ros.until(lambda: b.reports and b.report().slices and missing in b.warnings)
    publisher.publish(Twist())
    assert publisher.get_subscription_count() == 0 and not b.report().flows
    b.ready(CONTROL)
    b.pipe(Twist, "/edge/cart/cmd_vel", "/cart/cmd_vel", RELIABLE)[0].publish(Twist())
    b.ros.until(lambda: (row := b.flow("cmd_vel")) and row.books.delivered_messages == 1)
    assert b.flow("cmd_vel").books.offered_messages == 1


TRACE = "Timestamp,Speed,RSRP,RSRQ,SNR,CQI,DL_bitrate,UL_bitrate\n" + "".join(
    f"2019.12.16_13.40.{s:02d},0,-90,-9,{snr},9,1,1\n" for s, snr in enumerate((20, 3))
)


def test_link_follows_a_trace_and_needs_no_pose(bench, tmp_path):
    (tmp_path / "t.csv").write_text(TRACE)
    b = bench(sim_time=True, slices="traces:\n  - {robot: cart, trace: t.csv}\n")
    b.start_clock(5_000_000_000)
    b.run_clock(0.05)
    b.ros.until(lambda: b.reports and b.report().header.stamp.sec >= 8)
    seen = {report.header.stamp.sec: round(report.links[0].snr) for report in b.reports if report.header.stamp.sec >= 5}
    assert seen.items() >= {5: 20, 6: 3, 7: 20}.items()  # the last report of each second
    assert math.isnan(b.report().links[0].distance)


def test_wrong_traces_and_profiles_end_the_start(bench, tmp_path):
    trace = tmp_path / "t.csv"
    for content, told in [
        (TRACE.replace("SNR,", ""), r"t\.csv:1: column SNR is missing"),
        (TRACE.replace(",20,", ",x,"), r"t\.csv:2: SNR: 'x' is no number"),
    ]:  # fmt: skip
        trace.write_text(content)
        with pytest.raises(ConfigError, match=told):
            bench(slices="traces:\n  - {robot: cart, trace: t.csv}\n")
    with pytest.raises(ConfigError, match="unknown access profile '5g'"):
        bench(profile="5g")
