# SPDX-License-Identifier: Apache-2.0
"""Agents of slices as a node: one process hosts several slices, on any host that the topics reach."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, run
from ir_common.ros_params import declare
from ir_interfaces.msg import CellReport, FederationStatus, GlobalModel, SliceList, SliceRequest, SliceUpdate
from ir_interfaces.srv import GetModel
from ir_slicing.learning.agent_weights import TRAINED, load
from ir_slicing.live.background_work import BackgroundFitting, Duty
from ir_slicing.live.live_forecaster import LiveForecaster, LiveForecasterConfig
from ir_slicing.live.slice_agent import SliceAgent
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_view import ViewReader
from ir_slicing.ros.ros_cell_reports import report_from_message

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Agents that could not keep up skip reports; they never act on old ones."""

_ANSWER_TIME = 5.0
"""s of wall time in which the manager answers, or is asked again."""

_REFUSED = {
    "forecast": "forecast of another width, negative or not finite; the low-passed rates stand in",
    "model": "global weights of another architecture or round, or not finite; its own stay",
}


class SliceAgentsConfig(SliceAgentConfig, LiveForecasterConfig):
    """Parameters of the agents."""

    slices: tuple[str, ...] = Field((), description="names of the slices that this process hosts; empty: all there are")
    weights_file: Path = Field(TRAINED, description="what the agents start from: an NPZ file, the manager's")
    learn: bool = Field(True, description="agents train online and take part in the federation")
    learn_duty: float = Field(0.05, gt=0, le=1, description="share of one core that all agents' training may take")
    personal_layers: int = Field(
        0, ge=0, le=100, description="last layers of every agent's networks that the federation does not touch"
    )
    twin: bool = Field(
        True, description="slice forecasters are trained and asked; without, the present is the forecast"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of exploration, samples and forecasters")

    @field_validator("slices", mode="before")
    @classmethod
    def _no_empty_name(cls, value: Any) -> Any:
        return [name for name in value if name]


class SliceAgentsNode(LeanNode):
    """Reads the radio's reports, asks the manager for bandwidth, learns, and sends weights when they are called for.

    What leaves a slice is `SliceRequest` and `SliceUpdate`; reports, traffic, forecasts and experience stay.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("agents", namespace="/slicing", **kwargs)
        torch.set_num_threads(1)
        self._config = declare(self, SliceAgentsConfig).config
        self._weights = load(self._config.weights_file)
        self._agents: dict[str, SliceAgent] = {}
        self._views: dict[str, ViewReader] = {}
        self._told: Counter[str] = Counter()
        self._fitting = BackgroundFitting()
        self._duty = Duty(self._config.learn_duty)
        self._turn = 0
        self._asked: Future | None = None
        self._asked_until = 0.0
        self._requests = self.create_publisher(SliceRequest, "requests", RELIABLE)
        self._updates = self.create_publisher(SliceUpdate, "updates", RELIABLE)
        self._whole = self.create_client(GetModel, "get_model")
        self._status = FederationStatus()
        self._make("", 1.0)  # weights that fit no networks end the process here, not with the first slice
        self.create_subscription(SliceList, "slices", self._on_slices, LATCHED)
        self.create_subscription(CellReport, "/radio/report", self._on_report, _NEWEST)
        self.create_subscription(FederationStatus, "federation", self._on_status, LATCHED)
        self.create_subscription(GlobalModel, "model", self._on_model, RELIABLE)

    def _make(self, name: str, max_latency: float) -> SliceAgent:
        seed = self._config.seed + sum(name.encode())
        forecaster = LiveForecaster(self._config, seed, train=self._config.twin)
        return SliceAgent(
            name, max_latency, self._config, self._weights, forecaster, seed, self._config.personal_layers
        )  # fmt: skip

    def _on_slices(self, message: SliceList) -> None:
        """Agents come and go with their slices."""
        there = {status.spec.name: status.spec.max_latency for status in message.slices}
        hosted = {
            name: bound for name, bound in there.items() if not self._config.slices or name in self._config.slices
        }
        for name in set(self._agents) - set(hosted):
            del self._agents[name], self._views[name]
        for name, bound in hosted.items():
            if name not in self._agents:
                self._agents[name], self._views[name] = self._make(name, bound), ViewReader(name)
                self.get_logger().info(f"agent of slice '{name}': latency bound {bound * 1e3:g} ms")
            self._agents[name].sight.max_latency = bound

    def _on_report(self, received: CellReport) -> None:
        report = report_from_message(received)
        for name, agent in self._agents.items():
            view = self._views[name].read(report, received.resource_blocks)
            if view is not None:
                message = SliceRequest(slice=name, resource_blocks=agent.step(view))
                message.header.stamp = received.header.stamp
                self._requests.publish(message)
            self._fitting.offer(agent.sight.forecaster)
        self._tell_refused()
        if self._config.learn:
            self._learn()

    def _tell_refused(self) -> None:
        for name, agent in self._agents.items():
            for reason, count in agent.refused.items():
                if count != self._told[f"{name} {reason}"]:
                    self._told[f"{name} {reason}"] = count
                    self.get_logger().warning(
                        f"refused: slice '{name}': {_REFUSED[reason]} ({count} so far)", throttle_duration_sec=5.0
                    )

    def _learn(self) -> None:
        """One gradient step of one agent, in turn, while the duty allows."""
        agents = list(self._agents.values())
        if agents and self._duty.allows():
            began = time.thread_time()
            self._turn += 1
            agents[self._turn % len(agents)].learn()
            self._duty.spent(time.thread_time() - began)

    # --- federation ---

    def _on_status(self, status: FederationStatus) -> None:
        self._status = status
        if status.architecture != self._weights.architecture:
            self.get_logger().error(
                f"the manager federates networks of architecture {status.architecture}, these are of "
                f"{self._weights.architecture}; give both the same weights_file",
                throttle_duration_sec=60.0,
            )
            return
        behind = [agent for agent in self._agents.values() if agent.round != status.round]
        if behind and not status.collecting:
            return  # the change of the round that was closed just now is on its way
        if behind:
            self._ask_whole()
        self._send()

    def _send(self) -> None:
        if not self._status.collecting or not self._config.learn:
            return
        for agent in self._agents.values():
            data = agent.update(self._status.round)
            if data is not None:
                self._updates.publish(SliceUpdate(data=data))

    def _on_model(self, message: GlobalModel) -> None:
        data = bytes(message.data)
        applied = [agent.apply(data) for agent in self._agents.values()]
        if not all(applied):
            self._ask_whole()

    def _ask_whole(self) -> None:
        """For agents that are new or missed a round."""
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
            data = bytes(answer.data)
            for agent in self._agents.values():
                if agent.round != self._status.round:
                    agent.apply(data)
            self._send()


def main() -> None:
    """Entry point of the executable ``slice_agents``."""
    run(SliceAgentsNode)
