# SPDX-License-Identifier: Apache-2.0
"""What a relay decides, without ROS: flows, slices, allocation, poses, traces, and the journal of all that."""

import json
import math

import numpy as np
import pytest

from ir_radio.books.flow_counters import FlowKey
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER
from ir_radio.engine.cell_journal import CellReplay
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace, LinkTrace
from ir_radio.model.slice_specs import FlowSpec, SliceSpec

S = 1_000_000_000


def spec(name, *flows, kind="embb", bound=0.05):
    return SliceSpec(name=name, type=kind, rate=1e6, max_latency=bound, reliability=0.9, flows=flows)


CAMERA = FlowSpec(topic="camera", direction="uplink")
COMMAND = FlowSpec(robots=("cart",), topic="cmd_vel", direction="downlink")


def named(*specs):
    return {one.name: one for one in specs}


@pytest.fixture
def said():
    return []


@pytest.fixture
def engine(said):
    return RelayEngine(Carrier(), ["cart", "spider"], {}, say=said.append)


def test_a_flow_opens_when_its_slice_and_the_pose_of_its_robot_are_known(engine):
    assert engine.set_slices(named(spec("video", CAMERA, COMMAND))) == ([], [])
    keys = [("cart", "camera"), ("spider", "camera"), ("cart", "cmd_vel")]
    assert [(key.robot, key.topic) for key in engine.flows()] == keys
    assert engine.openable() == {} and engine.linked == set()
    assert engine.set_poses({"cart": (1.0, 0.0, 0.0)}) == []
    first, second = engine.openable()
    assert (first.topic, second.topic) == ("camera", "cmd_vel") and engine.linked == {"cart"}
    assert engine.topics(first) == ("cart/camera", "/edge/cart/camera")
    assert engine.topics(second) == ("/edge/cart/cmd_vel", "cart/cmd_vel")
    flow = engine.open_flow(first)
    assert list(engine.openable()) == [second]
    engine.close_flow(flow)
    assert list(engine.openable()) == [first, second]


def test_messages_cross_as_they_are_allowed(engine):
    engine.set_slices(named(spec("video", CAMERA)))
    assert engine.set_allocation(["video", "later"], [10.0, 300.0], 4) == ""  # a slice that is not known takes nothing
    engine.set_poses({"cart": (1.0, 0.0, 0.0)})
    flow = engine.open_flow(next(iter(engine.openable())))
    number, fate = engine.offer(flow, 1500, 10)
    assert fate == Fate.ACCEPTED and 10 < engine.next_event() < NEVER
    (event,) = engine.advance(S)
    assert (event.id, event.fate) == (number, Fate.DELIVERED)
    report = engine.report()
    assert report.slices[0].resource_blocks == 10.0 and report.flows[0].counters.delivered == 1
    assert engine.sequence == 4


def test_slices_that_change_shut_flows_and_drop_what_was_queued(engine):
    other = FlowSpec(topic="scan", direction="uplink")
    before = spec("video", CAMERA), spec("control", other, kind="urllc")
    engine.set_slices(named(*before))
    engine.set_poses({"cart": (1.0, 0.0, 0.0)})
    camera, scan = map(engine.open_flow, engine.openable())
    assert [engine.offer(flow, 10, 5)[1] for flow in (camera, scan)] == [Fate.ACCEPTED] * 2
    assert engine.set_slices(named(*before)) == ([], [])
    events, shut = engine.set_slices(named(spec("video", CAMERA, bound=0.1)))
    assert [(event.flow, event.fate) for event in events] == [(scan, Fate.SLICE_DELETED)]
    assert shut == [camera, scan]  # the QoS of the first rests on the bound
    assert [key.topic for key in engine.openable()] == ["camera"]
    assert engine.offer(camera, 10, 6)[1] == Fate.NO_SLICE


def test_the_last_allocation_holds_for_slices_that_come_after_it(engine):
    assert engine.set_allocation(["video"], [7.5], 1) == ""
    engine.set_slices(named(spec("video", CAMERA)))
    assert engine.report().slices[0].resource_blocks == 7.5


def test_refused_allocations_and_doubled_topics_are_told_once(engine, said):
    engine.set_slices(named(spec("video", CAMERA), spec("more", CAMERA)))
    engine.set_slices(named(spec("video", CAMERA), spec("more", CAMERA)))
    assert said == [
        "cart/camera (uplink) is in slices video and more; video carries it",
        "spider/camera (uplink) is in slices video and more; video carries it",
    ]
    assert {key.slice for key in engine.flows()} == {"video"}
    del said[:]
    assert engine.set_allocation(["video"], [3.0], 1) == ""
    assert "the carrier has 216" in engine.set_allocation(["video"], [300.0], 2)
    assert engine.set_allocation(["video"], [], 3) == "names and numbers differ in length"
    assert [text.split(":")[0] for text in said] == ["allocation 2", "allocation 3"]
    assert engine.report().slices[0].resource_blocks == 3.0


def test_a_bound_under_the_scheduling_latency_is_told(said):
    engine = RelayEngine(Carrier(scheduling_latency=0.02), ["cart"], {}, say=said.append)
    engine.set_slices(named(spec("video", CAMERA, bound=0.02)))
    assert "its latency bound is 20 ms, scheduling on this carrier takes 20 ms" in said[0]


def test_a_refused_pose_is_told_and_the_last_one_holds(engine):
    engine.set_poses({"cart": (3.0, 4.0, 3.0)})
    (text,) = engine.set_poses({"cart": (math.nan, 0.0, 0.0), "spider": (0.0, 0.0, 2.0)})
    assert "pose of cart" in text
    cart, spider = engine.report().links
    assert (cart.distance, cart.bad_poses, spider.distance) == (5.0, 1, 1.0)


def test_time_begins_anew_and_links_follow_their_traces():
    trace = LinkTrace(np.array([20.0, 3.0]), np.array([1e6, 2e5]), True)
    engine = RelayEngine(Carrier(), ["cart", "spider"], {"cart": trace}, start=5 * S)
    assert engine.linked == {"cart"} and engine.trace_change == 0
    assert engine.play() == engine.trace_change == 6 * S
    engine.set_slices(named(spec("video", CAMERA)))
    flow = engine.open_flow(next(iter(engine.openable())))
    engine.advance(6 * S)
    assert engine.play() == 7 * S and round(engine.report().links[0].snr) == 3
    engine.offer(flow, 10, 6 * S)
    (event,) = engine.begin(2 * S)
    assert event.fate == Fate.TIME_JUMP and engine.cell.now == 2 * S
    assert engine.trace_change == 3 * S and round(engine.report().links[0].snr) == 20
    assert RelayEngine(Carrier(), ["cart"], {}).play() == NEVER


def test_the_journal_repeats_the_run(engine):
    engine.begin(3 * S)
    engine.set_slices(named(spec("video", CAMERA)))
    engine.set_allocation(["video"], [10.0], 1)
    engine.set_poses({"cart": (1.0, 0.0, 0.0)})
    flow = engine.open_flow(next(iter(engine.openable())))
    for i in range(20):
        engine.offer(flow, 1000, 3 * S + i * 100_000)
    engine.advance(4 * S)
    counters = engine.report().slices[0].counters
    begin, *lines = map(json.loads, engine.journal.take()[1].split("\n"))
    replay = CellReplay(**begin[1])
    for call, *arguments in lines:
        list(replay.apply(call, *arguments))
    assert replay.cell.counters() == counters and counters.delivered == 20


def test_without_a_journal_the_run_is_the_same(engine):
    other = RelayEngine(Carrier(), ["cart", "spider"], {}, journal=False)
    assert other.journal is None
    for one in (engine, other):
        one.set_slices(named(spec("video", CAMERA)))
        one.set_allocation(["video"], [10.0], 1)
        one.set_poses({"cart": (1.0, 0.0, 0.0)})
        one.offer(one.open_flow(FlowKey("video", "cart", "camera", "uplink")), 1000, 10)
    assert engine.advance(S) == other.advance(S) and repr(engine.report()) == repr(other.report())


def test_measured_delays_hold_in_the_relay_and_begin_with_its_time():
    delays = {"cart": DelayTrace(np.array([0.0, 1.0]), np.array([0.3, 0.02]))}
    engine = RelayEngine(Carrier(), ["cart"], {}, delays=delays, start=5 * S)
    engine.set_slices(named(spec("state", FlowSpec(topic="camera", direction="uplink"))))
    engine.set_allocation(["state"], [10.0], 1)
    engine.set_poses({"cart": (1.0, 0.0, 0.0)})
    (flow,) = [engine.open_flow(key) for key in engine.openable()]
    engine.offer(flow, 100, 5 * S)
    assert [event.time for event in engine.advance(6 * S)] == [5 * S + 300_000_000]
    engine.begin(100 * S)
    engine.offer(flow, 100, 101 * S)
    assert [event.time for event in engine.advance(102 * S)] == [101 * S + 20_000_000]


def test_a_cut_link_lets_nothing_in_until_a_pose_after_it_is_given_back(engine):
    engine.set_slices(named(spec("video", CAMERA)))
    engine.set_allocation(["video"], [10.0], 1)
    pose = {"cart": (1.0, 0.0, 0.0)}
    engine.set_poses(pose)
    flow = engine.open_flow(next(iter(engine.openable())))
    engine.cut_links(["cart"])
    assert engine.offer(flow, 1500, 10)[1] == Fate.OUT_OF_COVERAGE
    engine.set_poses(pose)
    assert engine.offer(flow, 1500, 20)[1] == Fate.OUT_OF_COVERAGE, "a pose does not bring it back while it is cut"
    engine.cut_links([])
    assert engine.offer(flow, 1500, 30)[1] == Fate.OUT_OF_COVERAGE
    engine.set_poses(pose)
    assert engine.offer(flow, 1500, 40)[1] == Fate.ACCEPTED


def test_a_traced_link_can_be_cut_and_comes_back_with_its_trace():
    trace = LinkTrace(np.array([20.0, 20.0]), np.array([1e6, 1e6]), True)
    engine = RelayEngine(Carrier(), ["cart"], {"cart": trace})
    engine.set_slices(named(spec("video", CAMERA)))
    engine.set_allocation(["video"], [10.0], 1)
    engine.begin(0)
    flow = engine.open_flow(next(iter(engine.openable())))
    engine.cut_links(["cart"])
    engine.play()
    assert engine.offer(flow, 1500, 10)[1] == Fate.OUT_OF_COVERAGE
    engine.cut_links([])
    engine.play()
    assert engine.offer(flow, 1500, 20)[1] == Fate.ACCEPTED
