# SPDX-License-Identifier: Apache-2.0
"""The relay with real topics: both directions, any type, the engine's delay, live changes and bad input."""

import math
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import Twist
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from relay_bench import BEST_EFFORT, CONTROL, VIDEO
from sensor_msgs.msg import CompressedImage

from ir_common import ros_node
from ir_common.config import ConfigError
from ir_common.ros_node import LATCHED, RELIABLE
from ir_interfaces.msg import Allocation, SliceList, SliceStatus, TaskState
from ir_radio.model.slice_specs import FlowSpec
from ir_radio.ros import ros_pump
from ir_radio.ros.ros_pump import RosTime
from ir_radio.ros.ros_slice_messages import spec_from_message, spec_to_message

BLOCK = 180e3 * 7.4063
"""bit/s of one resource block of the default carrier near the base station."""


def messages():
    image = CompressedImage(format="jpeg", data=bytes(range(256)) * 100)
    state = TaskState(task="cart_navigation", observation=[0.1 * i for i in range(16)], reward=-1.5)
    twist = Twist()
    twist.linear.x = 0.25
    return image, state, twist


def test_messages_of_several_types_cross_both_ways_unchanged(bench):
    b = bench()
    b.ready(VIDEO, CONTROL)
    image, state, twist = messages()
    ways = [
        (image, "/cart/camera", "/edge/cart/camera", BEST_EFFORT),
        (state, "/cart/state", "/edge/cart/state", RELIABLE),
        (twist, "/edge/cart/cmd_vel", "/cart/cmd_vel", RELIABLE),  # its type is found out from the publisher
    ]
    pipes = [(message, *b.pipe(type(message), source, target, qos)) for message, source, target, qos in ways]
    for message, publisher, received in pipes:
        sent = []  # the very bytes that a subscriber without a radio gets: padding in them is arbitrary
        b.node.create_subscription(type(message), publisher.topic_name, sent.append, publisher.qos_profile, raw=True)
        b.ros.until(lambda publisher=publisher: publisher.get_subscription_count() == 2)
        for _ in range(3):
            publisher.publish(message)
        b.ros.until(lambda received=received, sent=sent: len(received) == len(sent) == 3)
        assert received == sent
        assert deserialize_message(received[0], type(message)) == message
    b.ros.until(lambda: all((row := b.flow(topic)) and row.books.delivered_messages == 3
                            for topic in ("camera", "state", "cmd_vel")))  # fmt: skip
    report = b.report()
    assert report.resource_blocks == 216 and report.allocation_sequence == 1
    assert [row.direction for row in report.flows if row.topic == "cmd_vel"] == [1]
    for row in report.flows:
        books = row.books
        assert books.offered_bytes == books.delivered_bytes > 0 and books.queued_messages == 0


def test_topics_and_flows_take_qos_overrides(bench):
    """Those of the start, and those that are opened later; one for a topic that never comes is left alone."""
    overrides = {"/radio/report.publisher.depth": 7, "/edge/cart/state.publisher.depth": 3, "/x.publisher.depth": 2}
    b = bench(**{f"qos_overrides.{name}": value for name, value in overrides.items()})
    ros_node._refuse_idle_overrides(b.relay)
    b.ready(CONTROL)
    b.pipe(TaskState, "/cart/state", "/edge/cart/state", RELIABLE)
    depths = {publisher.topic_name: publisher.qos_profile.depth for publisher in b.relay.publishers}
    assert depths["/radio/report"] == 7 and depths["/edge/cart/state"] == 3
    assert depths["/diagnostics"] == RELIABLE.depth, "of the same profile, but not overridden"


def test_an_override_that_no_topic_can_take_is_refused(bench):
    b = bench(**{"qos_overrides./cart/state.publisher.deadline": 7})
    with pytest.raises(ConfigError, match="no such topic here"):
        ros_node._refuse_idle_overrides(b.relay)


def test_relayed_delay_is_the_engines(bench):
    """51 kB at 1.33 Mb/s: 0.3 s by the model; seen from outside within a few ms of what the report says."""
    b = bench()
    b.ready(VIDEO, blocks={"video": 1.0})
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    image = CompressedImage(format="jpeg", data=bytes(51_200))
    size = len(serialize_message(image))
    start = time.monotonic()
    publisher.publish(image)
    b.ros.until(lambda: received)
    seen = time.monotonic() - start
    b.ros.until(lambda: b.flow("camera").delay.count == 1)
    engine = b.flow("camera").delay.mean
    assert 0.0 <= engine - 8 * size / BLOCK <= 0.001001  # it waits for its slot
    assert engine - 0.001 <= seen < engine + 0.05


def test_a_late_pump_does_not_make_messages_late_to_the_radio(bench):
    b = bench()
    b.ready(VIDEO, blocks={"video": 100.0})
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    for _ in range(5):
        free = threading.Event()
        held = b.relay._pump.post(free.wait)
        publisher.publish(CompressedImage(format="jpeg", data=bytes(1000)))
        time.sleep(0.012)
        free.set()
        held.result()
    b.ros.until(lambda: len(received) == 5 and b.flow("camera").books.delivered_messages == 5)
    assert b.flow("camera").delay.max < 8e-3, "counted from when it was sent, not from when the pump took it"
    assert max(b.relay._pump.lags) > 8e6, "delivered when the pump was free again"


class HandClock:
    """The wall clock of the pump's module, moved by hand, ns."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * 10**9

    def time_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.wall - 1_600_000_000 * 10**9


def test_when_a_message_was_sent_in_ros_time(monkeypatch):
    clock = HandClock()
    monkeypatch.setattr(ros_pump, "time", clock)
    system = RosTime(simulated=False)
    assert system.at(clock.wall - 5_000_000) == clock.wall - 5_000_000
    for impossible in (0, clock.wall - 10**9, clock.wall + 10**9):
        assert system.at(impossible) == system.now()

    simulated = RosTime(simulated=True)
    assert simulated.at(clock.wall - 1_000_000) == 0, "time has not begun"
    for ros in (0, 10_000_000):  # 10 ms in twice as much
        simulated.tick(10**9 + ros)
        clock.wall += 20_000_000
    before, now = simulated.at(clock.wall - 10_000_000), simulated.now()
    assert now - before == 5_000_000, "at half the pace"


def test_simulated_time_between_ticks(bench):
    """A delay of 6 ms of simulated time is that, though /clock ticks every 200 ms only."""
    b = bench(sim_time=True)
    b.start_clock(5_000_000_000)
    timer = b.run_clock(0.2)
    b.ready(CONTROL, blocks={"control": 0.25})
    publisher, received = b.pipe(TaskState, "/cart/state", "/edge/cart/state", RELIABLE)
    state = TaskState(observation=[0.0] * 25)
    expected = 8 * len(serialize_message(state)) / (0.25 * BLOCK)
    assert 0.004 < expected < 0.009
    seen = []
    for number in range(1, 21):
        start = time.monotonic()
        publisher.publish(state)
        b.ros.until(lambda number=number: len(received) == number)
        seen.append(time.monotonic() - start)
    b.node.destroy_timer(timer)
    b.ros.until(lambda: not b.tick(1_000_000) and b.flow("state").delay.count == 20)
    assert expected <= b.flow("state").delay.mean < expected + 0.0003
    assert 0.5 * expected < sorted(seen)[10] < expected + 0.05  # by ticks alone it would be 0.1 s more


def test_clock_that_jumps_back_flushes_and_goes_on(bench):
    b = bench(sim_time=True)
    b.start_clock(5_000_000_000)
    timer = b.run_clock()
    b.ready(VIDEO, blocks={"video": 0.01})
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(50_000)))
    b.ros.until(lambda: (row := b.flow("camera")) and row.books.queued_messages == 1)
    b.node.destroy_timer(timer)
    b.tick(10_000_000 - b.ros_time)
    timer = b.run_clock()
    b.ros.until(lambda: b.report().header.stamp.sec < 5 and b.flow("camera").books.queued_messages == 0)
    (drop,) = b.flow("camera").books.dropped
    assert (drop.reason, drop.messages) == ("time_jump", 1)
    b.set(VIDEO, blocks={"video": 10.0})
    publisher.publish(CompressedImage(data=bytes(100)))
    b.ros.until(lambda: received, what="a message after the jump")
    assert len(received[0]) < 1000


def test_too_large_a_message_is_dropped_counted_and_told(bench):
    b = bench()
    b.ready(VIDEO)
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(600_000)))
    publisher.publish(CompressedImage(data=bytes(10)))
    b.ros.until(lambda: received and b.flow("camera").books.delivered_messages == 1)
    (drop,) = b.flow("camera").books.dropped
    assert (drop.reason, drop.messages) == ("too_large", 1) and drop.bytes > 600_000
    assert any("too_large" in text for text in b.warnings)


def test_deleted_slice_drops_its_messages_and_its_topics_no_longer_cross(bench):
    b = bench()
    b.ready(VIDEO, CONTROL, blocks={"video": 0.01, "control": 1.0})
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(50_000)))
    b.ros.until(lambda: (row := b.flow("camera")) and row.books.queued_messages == 1)
    b.set(CONTROL)
    b.ros.until(lambda: publisher.get_subscription_count() == 0, what="the relay's subscription gone")
    b.ros.until(lambda: b.flow("camera").books.dropped)
    (drop,) = b.flow("camera").books.dropped
    assert (drop.reason, drop.messages) == ("slice_deleted", 1) and not received
    b.set(VIDEO, CONTROL)
    b.ros.until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(CompressedImage(data=bytes(10)))
    b.ros.until(lambda: received)


def test_modified_slice_changes_the_qos_of_its_flows(bench):
    b = bench(qos_grace=4.0)
    b.ready(CONTROL)
    b.ros.until(lambda: b.node.get_publishers_info_by_topic("/edge/cart/state"))
    (info,) = b.node.get_publishers_info_by_topic("/edge/cart/state")
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert info.qos_profile.deadline.nanoseconds == info.qos_profile.lifespan.nanoseconds == 200_000_000
    b.set(CONTROL.model_copy(update={"type": "embb"}))

    def best_effort():
        infos = b.node.get_publishers_info_by_topic("/edge/cart/state")
        return [info.qos_profile.reliability for info in infos] == [ReliabilityPolicy.BEST_EFFORT]

    b.ros.until(best_effort)


def test_bad_input_is_told_in_one_line_and_the_rest_goes_on(bench):
    b = bench()
    unknown = VIDEO.model_copy(update={
        "name": "odd", "flows": (FlowSpec(topic="x", message_type="no_such_msgs/msg/Thing", direction="uplink"),),
    })  # fmt: skip
    twin = VIDEO.model_copy(update={"name": "twin"})
    b.ready(VIDEO, unknown, twin, blocks={"video": 5.0, "odd": 1.0, "twin": 1.0})
    bad = Odometry()
    bad.pose.pose.position.x = math.nan
    broken = spec_to_message(CONTROL)
    broken.rate = -1.0

    def told(*words):
        b.ros.until(lambda: any(all(word in text for word in words) for text in b.warnings), what=str(words))

    told("no_such_msgs/msg/Thing", "not installed")
    told("camera", "video", "twin")
    b.ros.until(lambda: b.odom.publish(bad) or any("nan" in text for text in b.warnings))
    b.slices.publish(SliceList(slices=[SliceStatus(spec=spec_to_message(VIDEO)), SliceStatus(spec=broken)]))
    told("control", "rate")
    b.set(VIDEO, blocks={"video": 500.0})
    told("216", "stays")
    b.allocation.publish(Allocation(sequence=9, slices=["video"]))
    told("9", "differ in length")
    loose = b.node.create_publisher(TaskState, "/cart/state", BEST_EFFORT)
    b.set(VIDEO, CONTROL)
    told("/test publishes best effort")
    assert loose.get_subscription_count() == 0
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(10)))
    b.ros.until(lambda: received)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"edge_namespace": ""}, "namespace"),
        ({"robots": ["cart", "cart"]}, "twice"),
        ({"robots": ["Cart!"]}, "robot name"),
        ({"slices_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"mini_slots": 3}, "mini_slots"),
        ({"report_rate": 0.0}, "report_rate"),
    ],
)
def test_wrong_parameters_end_the_start(bench, parameters, words):
    with pytest.raises(ConfigError, match=words):
        bench(**parameters)


def test_report_rate_can_be_changed_and_nonsense_is_refused(bench):
    b = bench(report_rate=1.0)
    (bad,) = b.relay.set_parameters([Parameter("report_rate", value=-5.0)])
    (fixed,) = b.relay.set_parameters([Parameter("pose_topic", value="x")])
    (good,) = b.relay.set_parameters([Parameter("report_rate", value=50.0)])
    assert (bad.successful, fixed.successful, good.successful) == (False, False, True)
    b.ros.until(lambda: b.reports)
    count, start = len(b.reports), time.monotonic()
    b.ros.until(lambda: len(b.reports) >= count + 10)
    assert time.monotonic() - start < 2.0


def test_the_map_of_the_radio_is_published_for_late_readers(bench):
    b, maps = bench(map_size=40.0, map_cell=4.0, slices="carrier: {min_snr: 25.0, position: [10.0, 0.0, 3.0]}\n"), []
    b.node.create_subscription(OccupancyGrid, "/radio/map", maps.append, LATCHED)
    b.ros.until(lambda: maps, what="a map")
    info = maps[0].info
    assert (info.width, info.height, info.resolution) == (10, 10, 4.0)
    assert (info.origin.position.x, info.origin.position.y, maps[0].header.frame_id) == (-10.0, -20.0, "map")
    cells = np.array(maps[0].data).reshape(10, 10)
    assert cells[4:6, 4:6].min() == cells.max() > 25 and cells[0, 0] == -1


def test_messages_of_a_slice_survive_the_trip_through_ros():
    ratios = {"dedicated_share": 0.1, "max_share": 0.6}
    apart = VIDEO.model_dump(exclude={"rate"}) | {"uplink_rate": 3e6, "downlink_rate": 1e6} | ratios
    for spec in (VIDEO, CONTROL, VIDEO.model_copy(update={"share": 0.25}), type(VIDEO).model_validate(apart)):
        assert spec_from_message(spec_to_message(spec)) == spec
    left_out = spec_to_message(spec)  # the last of them, whose rates are apart
    left_out.rate = 0.0
    assert spec_from_message(left_out) == spec
    message = spec_to_message(VIDEO)
    message.type = 9
    with pytest.raises(ConfigError, match="slice 'video'.*type"):
        spec_from_message(message)


def test_links_are_cut_and_given_back_live_and_a_robot_that_is_none_is_refused(bench):
    b = bench()
    b.ready(CONTROL)
    change = b.relay.set_parameters
    assert not change([Parameter("cut", value=["duck"])])[0].successful
    assert change([Parameter("cut", value=["cart"])])[0].successful
    b.ros.until(lambda: b.report().links[0].rate == 0.0, what="a link without a rate")
    assert change([Parameter("cut", Parameter.Type.STRING_ARRAY, [])])[0].successful
    b.ros.until(lambda: b.place() or b.report().links[0].rate > 0.0, what="the link")
