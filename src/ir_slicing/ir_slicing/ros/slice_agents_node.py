# SPDX-License-Identifier: Apache-2.0
"""Agents of slices as a node: one process hosts several slices, on any host that the topics reach."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import CellReport, FederationStatus, GlobalModel, SliceList, SliceRequest, SliceUpdate
from ir_interfaces.srv import GetModel
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.background_work import BackgroundFitting, Duty
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.ros.ros_cell_reports import report_from_message

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Agents that could not keep up skip reports; they never act on old ones."""

_ANSWER_TIME = 5.0
"""s of wall time in which the manager answers, or is asked again."""


class SliceAgentsNode(LeanNode):
    """Gives the engine the radio's reports, publishes its requests and updates, and lets it learn by the wall clock.

    What leaves a slice is `SliceRequest` and `SliceUpdate`; reports, traffic, forecasts and experience stay.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("agents", namespace="/slicing", **kwargs)
        torch.set_num_threads(1)
        config = declare(self, SliceAgentsConfig).config
        self._duty, self._fitting = Duty(config.learn_duty), BackgroundFitting(config.duty)
        self._asked: Future | None = None
        self._asked_until = 0.0
        self._requests = self.create_publisher(SliceRequest, "requests", RELIABLE)
        self._updates = self.create_publisher(SliceUpdate, "updates", RELIABLE)
        self._whole = self.create_client(GetModel, "get_model")
        self._engine = AgentsEngine(config)
        self.create_subscription(SliceList, "slices", self._on_slices, LATCHED)
        self.create_subscription(CellReport, "/radio/report", self._on_report, _NEWEST)
        self.create_subscription(FederationStatus, "federation", self._on_status, LATCHED)
        self.create_subscription(GlobalModel, "model", self._on_model, RELIABLE)

    def _on_slices(self, message: SliceList) -> None:
        bounds = {status.spec.name: status.spec.max_latency for status in message.slices}
        for name in self._engine.set_slices(bounds):
            self.get_logger().info(f"agent of slice '{name}': latency bound {bounds[name] * 1e3:g} ms")

    def _on_report(self, message: CellReport) -> None:
        for asked in self._engine.report(report_from_message(message), message.resource_blocks):
            request = SliceRequest(slice=asked.slice, resource_blocks=asked.resource_blocks)
            request.header.stamp = to_stamp(asked.time)
            self._requests.publish(request)
        self._fitting.offer(self._engine.forecasters)
        for refused in self._engine.refusals():
            self.get_logger().warning(f"refused: {refused}", throttle_duration_sec=5.0)
        self._learn()

    def _learn(self) -> None:
        """One gradient step of one agent, in turn, while the duty allows."""
        if self._duty.allows():
            began = time.thread_time()
            self._engine.learn(1)
            self._duty.spent(time.thread_time() - began)

    # --- federation ---

    def _on_status(self, status: FederationStatus) -> None:
        reply = self._engine.federation(
            status.round, status.collecting, status.architecture, status.participants
        )  # fmt: skip
        if reply.refused:
            self.get_logger().error(reply.refused, throttle_duration_sec=60.0)
        if reply.behind:
            self._ask_whole()
        self._send(reply.updates)

    def _send(self, updates: Iterable[bytes]) -> None:
        for data in updates:
            self._updates.publish(SliceUpdate(data=data))

    def _on_model(self, message: GlobalModel) -> None:
        if not self._engine.model(bytes(message.data)):
            self._ask_whole()

    def _ask_whole(self) -> None:
        """Asks the manager for the whole weights, for agents that are new or missed a round."""
        if self._asked is not None and time.monotonic() > self._asked_until:  # the manager died with the question
            self._whole.remove_pending_request(self._asked)
            self._asked = None
        if self._asked is None and self._whole.service_is_ready():
            self._asked_until = time.monotonic() + _ANSWER_TIME
            self._asked = self._whole.call_async(GetModel.Request())
            self._asked.add_done_callback(self._on_whole)

    def _on_whole(self, future: Future) -> None:
        self._asked, answer = None, future.result()
        if answer is not None and answer.success:
            self._send(self._engine.whole(bytes(answer.data)))


def main() -> None:
    """Entry point of the executable ``slice_agents``."""
    run(SliceAgentsNode)
