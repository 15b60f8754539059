# SPDX-License-Identifier: Apache-2.0
"""The manager's side of the federation over topics: it calls for updates, averages them, and publishes the outcome.

A round: every `federation_period` the status says ``collecting``; agents answer with their update; when all active
slices have answered, or `federation_timeout` later, the round is closed and the change of the weights is published.
"""

from __future__ import annotations

from collections.abc import Callable

from ir_common.ros_node import LATCHED, RELIABLE, LeanNode
from ir_interfaces.msg import FederationStatus, GlobalModel, SliceUpdate
from ir_interfaces.srv import GetModel
from ir_slicing.learning.agent_weights import load
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.messages import Update
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.lifecycle import MANAGER, State
from ir_slicing.orchestration.state_file import SavedModel


class FederationServer:
    """Rounds of FedAvg among the agents of the active slices.

    Args:
        node: owner of topics and timers, in whose namespace they are.
        manager: whose slices take part; its `model` is what was saved before a restart, and is kept up to date.
        save: keeps the manager's state.

    Raises:
        ConfigError: the file of the first weights is missing or wrong.
    """

    def __init__(self, node: LeanNode, manager: SliceManager, save: Callable[[], None]) -> None:
        self._node, self._manager, self._save = node, manager, save
        first, config = load(manager.config.weights_file), manager.config
        rules = ServerConfig(aggregation=config.aggregation, norm_bound=config.norm_bound)
        self._server = AveragingServer(rules, first.values, first.architecture, ())
        self._restore()
        self._participants: list[str] = []
        self._silent: list[str] = []
        self._answered: set[str] = set()
        self._deadline: float | None = None
        self._due = 0.0
        self._bytes_down = 0
        self._model = node.create_publisher(GlobalModel, "model", RELIABLE)
        self._status = node.create_publisher(FederationStatus, "federation", LATCHED)
        node.create_subscription(SliceUpdate, "updates", self._on_update, RELIABLE)
        node.create_service(GetModel, "get_model", self._on_get_model)
        self._publish_status()

    def _restore(self) -> None:
        saved, server = self._manager.model, self._server
        if saved is None:
            return
        values = saved.array()
        if saved.architecture != server.architecture or values.shape != server.weights.shape:
            why = (
                f"saved weights are of architecture {saved.architecture} with {len(values)} numbers, the agents' of "
                f"{server.architecture} with {len(server.weights)}; the federation begins anew"
            )
            trail = self._manager.trail
            trail.add(self._now_ns(), "restore", "", None, MANAGER, why, State.PREPARATION, accepted=False)
            self._manager.model = None
            return
        server.weights, server.round = values, saved.round

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def tick(self) -> None:
        """Begins and closes rounds as time goes on; to be called every period."""
        now, config = self._now_ns() * 1e-9, self._manager.config
        self._server.slices = set(self._manager.registry.active)
        if self._deadline is not None and now + config.federation_timeout < self._deadline:
            self._deadline, self._due = None, now  # the clock was set back
        if self._deadline is None:
            self._due = min(self._due or now + config.federation_period, now + config.federation_period)
            if now >= self._due and self._server.slices:
                self._deadline = now + config.federation_timeout
                self._publish_status()
        elif now >= self._deadline or self._answered >= self._server.slices:
            self._deadline, self._due = None, now + config.federation_period
            self._close()

    def _close(self) -> None:
        server = self._server
        self._participants = sorted(self._answered)
        self._silent = sorted(server.slices - self._answered)
        if self._answered:
            self._answered.clear()
            data = server.close().to_bytes()
            self._bytes_down += len(data)
            self._model.publish(GlobalModel(data=data))
            self._manager.model = SavedModel.of(server.round, server.architecture, server.weights)
            self._save()
        self._publish_status()

    def _on_update(self, message: SliceUpdate) -> None:
        """Weights of another architecture or round, not finite, or from nobody known are refused and counted."""
        data = bytes(message.data)
        reason = self._server.receive(data)
        if not reason:
            self._answered.add(Update.from_bytes(data).slice)
            return
        self._node.get_logger().warning(
            f"refused: update of {len(data)} bytes: {reason} ({self._server.refused[reason]} so far)",
            throttle_duration_sec=5.0,
        )
        self._publish_status()

    def _on_get_model(self, request: GetModel.Request, response: GetModel.Response) -> GetModel.Response:
        data = self._server.whole().to_bytes()
        self._bytes_down += len(data)
        response.success, response.data = True, data
        return response

    def _publish_status(self) -> None:
        server = self._server
        message = FederationStatus(
            round=server.round,
            collecting=self._deadline is not None,
            architecture=server.architecture,
            participants=self._participants,
            silent=self._silent,
            refused_reasons=list(server.refused),
            refused=list(server.refused.values()),
            bytes_up=server.received_bytes,
            bytes_down=self._bytes_down,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._status.publish(message)
