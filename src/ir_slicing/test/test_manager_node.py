# SPDX-License-Identifier: Apache-2.0
"""The slice manager as a node, with real rclpy: services, allocation, late joiners."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rclpy.parameter import Parameter

from ir_common.config import ConfigError
from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import (
    Allocation,
    Books,
    CellReport,
    FlowReport,
    LinkReport,
    SliceEvent,
    SliceList,
    SliceReport,
    SliceSpec,
)
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice, SetSliceActive, SetTemplate
from ir_slicing.ros.manager_node import AUDIT, ManagerNode, main

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
BLOCKS = 216


def parameters(**values):
    values = {"slices_file": str(CONFIG), "allocation_period": 0.05, "demand_time_constant": 0.01} | values
    return [Parameter(name, value=value) for name, value in values.items()]


class Stack:
    """The manager, and a node that plays the radio and the user."""

    def __init__(self, ros, **values):
        self.ros = ros
        self.manager = ros.add(ManagerNode(parameter_overrides=parameters(**values)))
        self.peer = ros.node("peer")
        self.allocations, self.lists = [], []
        self.peer.create_subscription(Allocation, "/slicing/allocation", self.allocations.append, LATCHED)
        self.peer.create_subscription(SliceList, "/slicing/slices", self.lists.append, LATCHED)
        self.reports = self.peer.create_publisher(CellReport, "/radio/report", RELIABLE)
        self.time = self.peer.get_clock().now().nanoseconds

    def call(self, service, called, **fields):
        return self.ros.call(self.peer, service, f"/slicing/{called}", service.Request(**fields))

    def report(self, offered, links):
        self.time += 200_000_000
        message = CellReport(period=0.2, resource_blocks=BLOCKS)
        message.header.stamp = to_stamp(self.time)
        message.slices = [SliceReport(slice=name, offered_rate=rate) for name, rate in offered.items()]
        message.links = [LinkReport(robot=name, rate=rate) for name, rate in links.items()]
        self.reports.publish(message)

    def names(self):
        return [status.spec.name for status in self.lists[-1].slices] if self.lists else []

    def blocks(self):
        return dict(zip(self.allocations[-1].slices, self.allocations[-1].resource_blocks, strict=True))


@pytest.fixture
def stack(ros):
    stack = Stack(ros)
    ros.until(lambda: stack.allocations and stack.lists, what="first allocation")
    return stack


def message(name="extra", rate=1e6, **fields):
    values = {"type": SliceSpec.TYPE_EMBB, "max_latency": 0.1, "reliability": 0.9, "queue_limit": 1000} | fields
    return SliceSpec(name=name, rate=rate, **values)


def test_late_joiner_gets_slices_and_allocation_before_any_report(stack):
    assert stack.names() == ["video", "spider", "cart", "control"]
    allocation = stack.allocations[-1]
    assert (allocation.sequence, allocation.policy) == (1, "proportional")
    assert sum(allocation.resource_blocks) == BLOCKS
    assert all(status.resource_blocks == stack.blocks()[status.spec.name] for status in stack.lists[-1].slices)


def test_create_modify_delete_list(ros, stack):
    answer = stack.call(CreateSlice, "create_slice", spec=message(rate=2e6))
    assert answer.success, answer.message
    assert answer.slice.spec.name == "extra" and answer.slice.resource_blocks > 0
    ros.until(lambda: "extra" in stack.names() and "extra" in stack.blocks(), what="new slice and its allocation")

    answer = stack.call(ModifySlice, "modify_slice", spec=message(rate=3e6))
    assert answer.success and answer.slice.spec.rate == 3e6, answer.message
    ros.until(lambda: stack.lists[-1].slices[-1].spec.rate == 3e6, what="modified slice")

    listed = stack.call(ListSlices, "list_slices")
    assert [s.spec.name for s in listed.slices] == ["video", "spider", "cart", "control", "extra"]
    assert [t.name for t in listed.templates] == ["video", "spider", "cart", "control"]

    assert stack.call(DeleteSlice, "delete_slice", name="extra").success
    ros.until(lambda: "extra" not in stack.names() and "extra" not in stack.blocks(), what="slice gone")


def test_template_made_again_after_deletion(ros, stack):
    assert stack.call(DeleteSlice, "delete_slice", name="cart").success
    answer = stack.call(CreateSlice, "create_slice", template_name="cart", spec=SliceSpec(name="cart_b"))
    assert answer.success, answer.message
    assert answer.slice.spec.template_name == "cart" and answer.slice.spec.rate == 15e6
    assert [flow.topic for flow in answer.slice.spec.flows] == ["odom", "imu", "joint_states", "scan", "contacts"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"spec": message(rate=300e6)}, "can never fit: 300 Mb/s"),
        ({"spec": message(rate=200e6)}, r"does not fit: 200 Mb/s .* of 216 are free \(guaranteed: video"),
        ({"spec": message("video")}, "'video' exists already"),
        ({"spec": message(rate=-1.0)}, "rate"),
        ({"spec": message(rate=float("nan"))}, "rate"),
        ({"spec": message("No Name")}, "name"),
        ({"spec": message(type=7)}, "type"),
        ({"spec": message(reliability=1.0)}, "reliability"),
        ({"template_name": "vidio"}, "unknown slice template 'vidio'; templates are: video, spider, cart, control"),
        ({"template_name": "video", "spec": SliceSpec(name="Video 2")}, "name"),
    ],
)
def test_refusal_says_why_and_changes_nothing(stack, fields, reason):
    answer = stack.call(CreateSlice, "create_slice", **fields)
    assert not answer.success
    assert re.search(reason, answer.message), answer.message
    assert [s.spec.name for s in stack.call(ListSlices, "list_slices").slices] == ["video", "spider", "cart", "control"]
    assert len(stack.allocations) == 1


def test_modification_that_does_not_fit_leaves_the_old_one(stack):
    answer = stack.call(ModifySlice, "modify_slice", spec=message("cart", rate=250e6))
    assert not answer.success and "does not fit" in answer.message
    assert answer.slice.spec.rate == 15e6, "the slice as it is now"
    assert not stack.call(DeleteSlice, "delete_slice", name="nobody").success


def test_allocation_follows_demand(ros, stack):
    links = {"cart": 1e6, "spider": 1e6, "hopper": 1e6}
    for busy in ("video", "spider"):
        stack.report({n: 150e6 if n == busy else 0.0 for n in ("video", "spider", "cart", "control")}, links)
        ros.until(lambda busy=busy: stack.blocks()[busy] > 170, what=f"share of {busy}")
        assert sum(stack.allocations[-1].resource_blocks) == BLOCKS
    assert stack.allocations[-1].sequence == 3
    ros.until(
        lambda: stack.lists[-1].slices[1].resource_blocks == stack.blocks()["spider"], what="allocation in the list"
    )


def test_lifetime_ends(ros, stack):
    assert stack.call(CreateSlice, "create_slice", spec=message(lifetime=0.3)).success
    ros.until(lambda: "extra" in stack.names(), what="slice")
    ros.until(lambda: "extra" not in stack.names() and "extra" not in stack.blocks(), what="end of the slice")


def test_audit_trail_tells_late_joiners_everything(ros, stack):
    """Who did what, when, why, and from which state to which; refusals too, in order."""
    stack.call(CreateSlice, "create_slice", spec=message(differentiator=77), requester="anna")
    stack.call(CreateSlice, "create_slice", spec=message(rate=300e6, name="big"), requester="ben")
    stack.call(SetSliceActive, "set_slice_active", name="extra", active=False, requester="anna")
    ros.until(lambda: "extra" not in stack.names(), what="an inactive slice carries nothing")
    listed = stack.call(ListSlices, "list_slices").slices
    assert (listed[-1].spec.name, listed[-1].state) == ("extra", "INACTIVE")
    events = []
    ros.node("late").create_subscription(SliceEvent, "/slicing/events", events.append, AUDIT)
    ros.until(lambda: len(events) >= 8, what="the whole trail")
    assert [e.sequence for e in events] == list(range(1, 9))
    assert [(e.action, e.slice, e.accepted) for e in events[:4]] == [
        ("create", name, True) for name in ("video", "spider", "cart", "control")
    ]
    told = [(e.action, e.slice, e.requester, e.accepted, e.state_before, e.state_after) for e in events[4:]]
    assert told == [
        ("create", "extra", "anna", True, "PREPARATION", "INACTIVE"),
        ("activate", "extra", "anna", True, "INACTIVE", "ACTIVE"),
        ("create", "big", "ben", False, "PREPARATION", "PREPARATION"),
        ("deactivate", "extra", "anna", True, "ACTIVE", "INACTIVE"),
    ]
    assert (events[4].sst, events[4].sd) == (1, 77)
    assert "can never fit: 300 Mb/s" in events[6].reason


def test_template_is_set_used_and_deleted(stack):
    bad = message("tiny", lifetime=0.01)
    answer = stack.call(SetTemplate, "set_template", spec=bad)
    assert not answer.success and "contradicts itself" in answer.message
    assert stack.call(SetTemplate, "set_template", spec=message("tiny", rate=1e5)).success
    answer = stack.call(CreateSlice, "create_slice", template_name="tiny")
    assert answer.success and answer.slice.spec.template_name == "tiny"
    assert stack.call(DeleteSlice, "delete_template", name="tiny").success
    assert not stack.call(CreateSlice, "create_slice", template_name="tiny", spec=SliceSpec(name="again")).success


def test_live_parameters_are_checked(stack):
    result = stack.manager.set_parameters([Parameter("hysteresis", value=2.0)])[0]
    assert not result.successful
    assert not stack.manager.set_parameters([Parameter("allocation_period", value=1.0)])[0].successful
    assert stack.manager.set_parameters([Parameter("hysteresis", value=0.2)])[0].successful


def test_bad_slices_file_is_a_configuration_error(ros, tmp_path):
    path = tmp_path / "slices.yaml"
    path.write_text("slices:\n  - vidio\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"slices.yaml:\d+: .*vidio"):
        ManagerNode(parameter_overrides=parameters(slices_file=str(path)))


def run_manager(*arguments):
    code = "from ir_slicing.ros.manager_node import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--ros-args", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_ends_with_78_and_one_line(ended):
    status, told = ended(main, "-p", "slices_file:=/nowhere/slices.yaml")
    assert status == 78 and "/nowhere/slices.yaml" in told and len(told.splitlines()) == 1


def test_slices_return_after_kill_9_and_sigterm_ends_with_0(ros, tmp_path):
    """A manager is killed without warning; the next one has the slices and templates of the first."""
    seen, peer = [], ros.node()
    peer.create_subscription(SliceList, "/slicing/slices", seen.append, LATCHED)
    arguments = ("-p", f"slices_file:={CONFIG}", "-p", f"state_file:={tmp_path / 'state.json'}")
    first = run_manager(*arguments)
    try:
        ros.until(lambda: seen, timeout=30, what="first manager")
        fields = {"template_name": "", "spec": message("extra", rate=2e6, lifetime=3600.0)}
        assert ros.call(peer, CreateSlice, "/slicing/create_slice", CreateSlice.Request(**fields)).success
        assert ros.call(peer, DeleteSlice, "/slicing/delete_slice", DeleteSlice.Request(name="cart")).success
    finally:
        first.kill()
        first.wait()
    seen.clear()
    second = run_manager(*arguments)
    try:
        ros.until(lambda: seen, timeout=30, what="second manager")
        created = {s.spec.name: s.created.sec for s in seen[-1].slices}
        assert list(created) == ["video", "spider", "control", "extra"]
        assert created["extra"] <= created["video"] + 60, "its lifetime runs on from its creation"
        events = []
        peer.create_subscription(SliceEvent, "/slicing/events", events.append, AUDIT)
        ros.until(lambda: len(events) >= 4, what="the trail")
        assert {e.action for e in events} == {"restore"}
        second.send_signal(signal.SIGTERM)
        _, error = second.communicate(timeout=5)
    finally:
        second.kill()
        second.wait()
    assert second.returncode == 0, error


def test_truncated_state_is_one_clear_line(ros, tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"sequence": 3, "templ')
    manager = ros.add(ManagerNode(parameter_overrides=parameters(state_file=str(path))))
    events = []
    ros.node().create_subscription(SliceEvent, "/slicing/events", events.append, AUDIT)
    ros.until(lambda: events, what="event")
    assert not events[0].accepted and str(path) in events[0].reason and "going on with" in events[0].reason
    assert list(manager._engine.manager.registry.slices) == ["video", "spider", "cart", "control"]


def test_the_policy_forecast_follows_the_reports(ros):
    """As soon as counters have differences they are decided on, and a load a hundred times as large at once."""
    stack = Stack(ros, policy="forecast", twin=False, allocation_period=30.0)
    ros.until(lambda: stack.allocations and stack.lists, what="first allocation")
    counted = dict.fromkeys(stack.names(), 0)

    def report(**messages):
        stack.time += 200_000_000
        row = CellReport(period=0.2, resource_blocks=BLOCKS, links=[LinkReport(robot="cart", rate=1e6)])
        row.header.stamp = to_stamp(stack.time)
        for name in counted:
            counted[name] += messages.get(name, 10)
            books = Books(offered_messages=counted[name], offered_bytes=4000 * counted[name])
            row.slices.append(SliceReport(slice=name, books=books))
            row.flows.append(FlowReport(slice=name, robot="cart", topic="scan", direction=1, books=books))
        stack.reports.publish(row)

    def policies():
        return set(stack.allocations[-1].policies)

    def decided():
        report()
        return policies() == {"forecast"}

    ros.until(decided, what="needs that decide")
    before = stack.blocks()["video"]
    report(video=1000)
    ros.until(lambda: stack.blocks()["video"] > 1.5 * before, what="a decision on the report of the step")
