# SPDX-License-Identifier: Apache-2.0
"""Agents and manager over real topics: requests, fallback, federated rounds, and what leaves a slice."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message

from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import (
    Allocation,
    CellReport,
    FederationStatus,
    FlowReport,
    GlobalModel,
    LinkReport,
    SliceEvent,
    SliceReport,
    SliceRequest,
    SliceUpdate,
)  # fmt: skip
from ir_slicing.learning.agent_weights import TRAINED, load
from ir_slicing.learning.federation.compression import decode, encode_plain
from ir_slicing.learning.federation.messages import Update
from ir_slicing.ros.manager_node import AUDIT, ManagerNode
from ir_slicing.ros.slice_agents_node import SliceAgentsNode, main

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SLICES = ("video", "spider", "cart", "control")
PERIOD = 0.2


def override(values):
    return [Parameter(name, value=value) for name, value in values.items()]


class Stack:
    """Manager, agents, and a node that plays the radio and listens to everything."""

    def __init__(self, ros, manager=None, agents=None):
        self.ros = ros
        settings = {"slices_file": str(CONFIG), "allocation_period": 0.05, "policy": "learned", "request_timeout": 1.5}
        federation = {"federation_period": 0.3, "federation_timeout": 0.3}
        self.manager = ros.add(ManagerNode(parameter_overrides=override(settings | federation | (manager or {}))))
        self.agents = None
        self.settings = {"warm_up": 8, "twin": False} | (agents or {})
        self.peer = ros.node("peer")
        self.seen = {Allocation: [], SliceEvent: [], FederationStatus: [], SliceRequest: [], SliceUpdate: []}
        topics = {
            Allocation: ("allocation", LATCHED), SliceEvent: ("events", AUDIT),
            FederationStatus: ("federation", LATCHED),
            SliceRequest: ("requests", RELIABLE), SliceUpdate: ("updates", RELIABLE),
        }  # fmt: skip
        for kind, (topic, qos) in topics.items():
            self.peer.create_subscription(kind, f"/slicing/{topic}", self.seen[kind].append, qos)
        self.reports = self.peer.create_publisher(CellReport, "/radio/report", RELIABLE)
        self.count, self.blocks = 0, 40.0
        self.peer.create_timer(0.1, self.report)

    def start_agents(self):
        self.agents = self.ros.add(SliceAgentsNode(parameter_overrides=override(self.settings)))

    def stop_agents(self):
        self.ros.executor.remove_node(self.agents)
        self.agents.destroy_node()

    def report(self):
        self.count += 1
        message = CellReport(period=PERIOD, resource_blocks=216)
        message.header.stamp = to_stamp(self.peer.get_clock().now().nanoseconds)
        for index, name in enumerate(SLICES):
            row = SliceReport(slice=name, offered_rate=4e6, delivered_rate=4e6, resource_blocks=self.blocks)
            flow = FlowReport(slice=name, robot="cart", topic=f"topic_{index}")
            for books in (row.books, flow.books):
                books.offered_messages = books.delivered_messages = 10 * self.count
                books.offered_bytes = books.delivered_bytes = 100_000 * self.count
            row.recent_delay.mean, row.recent_delay.p99, row.recent_delay.count = 0.002, 0.004, 10
            message.slices.append(row)
            message.flows.append(flow)
        message.links = [LinkReport(robot="cart", rate=1e6)]
        self.reports.publish(message)

    def last(self, kind):
        return self.seen[kind][-1] if self.seen[kind] else None

    def policies(self):
        return set(self.last(Allocation).policies) if self.last(Allocation) else set()

    def refused(self):
        status = self.last(FederationStatus)
        return dict(zip(status.refused_reasons, status.refused, strict=True)) if status else {}


def test_requests_decide_until_the_agents_are_gone(ros):
    stack = Stack(ros)
    ros.until(lambda: stack.policies() == {"proportional"}, what="without agents: the proportional policy")
    silent = lambda status: status.silent == sorted(SLICES) and not status.collecting and status.round == 0  # noqa: E731
    ros.until(lambda: any(map(silent, stack.seen[FederationStatus])), what="a round without anybody changes nothing")
    stack.start_agents()
    ros.until(lambda: stack.policies() == {"learned"}, what="allocation by the agents")
    assert sum(stack.last(Allocation).resource_blocks) == 216
    assert {r.slice for r in stack.seen[SliceRequest]} == set(SLICES)
    stack.stop_agents()
    ros.until(lambda: stack.policies() == {"proportional"}, what="fallback when the agents fell silent")
    told = [(e.action, e.slice) for e in stack.seen[SliceEvent] if e.action in ("resume", "fallback")]
    assert set(told) == {(action, name) for action in ("resume", "fallback") for name in SLICES}
    assert "has not asked for 1.5 s" in stack.seen[SliceEvent][-1].reason


def test_bad_requests_change_nothing(ros):
    stack = Stack(ros)
    stack.start_agents()
    ros.until(lambda: stack.policies() == {"learned"}, what="allocation by the agents")
    forge = stack.peer.create_publisher(SliceRequest, "/slicing/requests", RELIABLE)
    ros.until(lambda: forge.get_subscription_count() > 1, what="manager")
    for name, blocks in (("cart", 217.0), ("cart", float("nan")), ("nobody", 1.0)):
        forge.publish(SliceRequest(slice=name, resource_blocks=blocks))
    refused = stack.manager._engine.manager.requests.refused
    ros.until(lambda: sum(refused.values()) >= 3, what="refusals")
    assert refused == {"carrier": 1, "number": 1, "unknown": 1}
    ros.until(lambda: sum(not e.accepted for e in stack.seen[SliceEvent]) == 3, what="events")
    assert stack.policies() == {"learned"}


def test_a_bad_model_is_counted_told_and_changes_nothing(ros, capfd):
    stack = Stack(ros, manager={"federation_period": 60.0})
    stack.start_agents()
    ros.until(lambda: stack.policies() == {"learned"}, what="allocation by the agents")
    forge = stack.peer.create_publisher(GlobalModel, "/slicing/model", RELIABLE)
    ros.until(lambda: forge.get_subscription_count() > 0, what="agents")
    forge.publish(GlobalModel(data=b"nonsense"))
    agents = stack.agents._engine.agents.values()
    ros.until(lambda: all(agent.refused["model"] == 1 for agent in agents), what="refusals")
    count = stack.count
    ros.until(lambda: stack.count > count + 2, what="reports after it")
    told = capfd.readouterr().err
    assert "refused: slice 'video': global weights of another architecture or round" in told
    assert all(agent.round == 0 for agent in agents) and stack.policies() == {"learned"}


def test_rounds_are_federated_and_bad_updates_counted(ros):
    """Two rounds with all slices in them; forged updates are refused, by reason, and change nothing."""
    stack = Stack(ros)
    stack.start_agents()
    ros.until(lambda: stack.last(FederationStatus) and stack.last(FederationStatus).round >= 2, 20.0, "two rounds")
    closed = [s for s in stack.seen[FederationStatus] if s.participants]
    assert closed[-1].participants == sorted(SLICES) and closed[-1].bytes_up > 0 and closed[-1].bytes_down > 0
    assert all(agent.round >= 1 for agent in stack.agents._engine.agents.values())
    forge = stack.peer.create_publisher(SliceUpdate, "/slicing/updates", RELIABLE)
    ros.until(lambda: forge.get_subscription_count() > 1, what="manager")
    size, architecture = len(load(TRAINED).values), load(TRAINED).architecture
    zeros, rotten = encode_plain(np.zeros(size)), encode_plain(np.full(size, np.nan))
    number = 10**6
    for data in (
        b"nonsense",
        Update(0, "cart", 5, "00000000", zeros).to_bytes(),
        Update(number, "cart", 5, architecture, zeros).to_bytes(),
        Update(0, "nobody", 5, architecture, zeros).to_bytes(),
        Update(0, "cart", 5, architecture, rotten[:-8]).to_bytes(),
    ):
        forge.publish(SliceUpdate(data=data))
    expected = {"malformed": 2, "architecture": 1, "stale": 1, "unknown": 1}
    ros.until(lambda: expected.items() <= stack.refused().items(), what=f"refusals {expected}")
    before = stack.last(FederationStatus).round
    ros.until(lambda: stack.last(FederationStatus).round > before, what="rounds go on")
    assert np.isfinite(stack.manager._engine.federation.server.weights).all()


def test_round_and_weights_return_and_late_agents_catch_up(ros, tmp_path):
    state = {"state_file": str(tmp_path / "state.json"), "aggregation": "trimmed_mean", "norm_bound": 0.0}
    stack = Stack(ros, manager=state)
    stack.start_agents()
    ros.until(lambda: stack.last(FederationStatus) and stack.last(FederationStatus).round >= 2, 20.0, "two rounds")
    stack.stop_agents()
    ros.executor.remove_node(stack.manager)
    stack.manager.close()
    weights, number = stack.manager._engine.federation.server.weights, stack.manager._engine.federation.server.round
    stack.manager.destroy_node()
    again = Stack(ros, manager=state)
    server = again.manager._engine.federation.server
    assert server.round == number and np.array_equal(server.weights, weights)
    assert (server.config.aggregation, server.config.norm_bound) == ("trimmed_mean", 0.0)
    again.start_agents()
    ros.until(lambda: server.round > number, 20.0, "agents that are new take part at once")
    ros.until(lambda: all(a.round == server.round for a in again.agents._engine.agents.values()), what="whole weights")


def test_nothing_but_requests_and_weights_leaves_a_slice(ros):
    """Everything that the agents' node publishes is sniffed as raw bytes: two kinds of messages, of known content.

    Of weights in personal layers nothing leaves, either.
    """
    stack = Stack(ros, agents={"slices": ["cart"], "personal_layers": 1})
    stack.start_agents()
    named = stack.agents.get_publisher_names_and_types_by_node("agents", "/slicing")
    own = {"/parameter_events", "/rosout"}
    assert {topic for topic, _ in named} - own == {"/slicing/requests", "/slicing/updates"}
    raw = {"/slicing/requests": [], "/slicing/updates": []}
    for topic, kind in (("/slicing/requests", SliceRequest), ("/slicing/updates", SliceUpdate)):
        stack.peer.create_subscription(kind, topic, raw[topic].append, RELIABLE, raw=True)
    size = len(load(TRAINED).values)

    def changes():
        return [decode(Update.from_bytes(bytes(m.data)).payload, size) for m in stack.seen[SliceUpdate]]

    ros.until(lambda: any(c.any() for c in changes()) and len(raw["/slicing/updates"]) >= 2, 20.0, "learnt updates")
    personal = ~stack.agents._engine.agents["cart"]._shared
    assert 0 < personal.sum() < size and not any(change[personal].any() for change in changes())
    request = SliceRequest(slice="cart")
    assert {len(data) for data in raw["/slicing/requests"]} == {len(serialize_message(request))}, "stamp, name, number"
    assert set(request.get_fields_and_field_types()) == {"header", "slice", "resource_blocks"}
    assert set(SliceUpdate.get_fields_and_field_types()) == {"data"}
    for message in stack.seen[SliceUpdate]:
        data = bytes(message.data)
        update = Update.from_bytes(data)
        assert (update.slice, update.architecture) == ("cart", load(TRAINED).architecture)
        assert update.to_bytes() == data, "header and weights are all of it"
        assert len(data) < 4 * size / 8, "too short for experience beside the weights: a tenth of them in a byte each"


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [("weights_file:={other}", "do not fit networks"), ("personal_layers:=4", "the networks have 3; give fewer")],
)
def test_what_does_not_fit_ends_with_78_and_one_line(ended, tmp_path, parameter, reason):
    other = tmp_path / "other.npz"
    whole = load(TRAINED)
    np.savez(other, hidden=np.array(whole.hidden), architecture=np.array("00000000"), weights=whole.values)
    status, told = ended(main, "-p", parameter.format(other=other))
    assert status == 78 and reason in told and len(told.splitlines()) == 1


def test_process_takes_part_from_outside_and_ends_with_0(ros):
    """As on another host: a process of its own, nothing shared but the topics."""
    stack = Stack(ros)
    code = "from ir_slicing.ros.slice_agents_node import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "--ros-args", "-p", "slices:=[cart, video]"])
    try:
        ros.until(lambda: "learned" in stack.policies(), 60.0, what="requests of the process")
        allocation = stack.last(Allocation)
        ros.until(lambda: {r.slice for r in stack.seen[SliceRequest]} == {"cart", "video"}, what="both slices")
        assert {"proportional", "learned"} == set(allocation.policies) or allocation.policies.count("learned") == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.wait()
