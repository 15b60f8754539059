# SPDX-License-Identifier: Apache-2.0
"""The topics of the manager's side of the federation; what is decided, `FederationRounds` decides."""

from __future__ import annotations

from ir_common.ros_node import LATCHED, RELIABLE, LeanNode
from ir_interfaces.msg import FederationStatus, GlobalModel, SliceUpdate
from ir_interfaces.srv import GetModel
from ir_slicing.manager.federation_rounds import FederationRounds, FederationState
from ir_slicing.ros.ros_manager_messages import federation_message


class FederationTopics:
    """Updates in, models and states out.

    Args:
        node: owner of the topics, in whose namespace they are.
        rounds: of the manager.
    """

    def __init__(self, node: LeanNode, rounds: FederationRounds) -> None:
        self._node, self._rounds = node, rounds
        self._model = node.create_publisher(GlobalModel, "model", RELIABLE)
        self._status = node.create_publisher(FederationStatus, "federation", LATCHED)
        node.create_subscription(SliceUpdate, "updates", self._on_update, RELIABLE)
        node.create_service(GetModel, "get_model", self._on_get_model)
        self.publish(None, rounds.state)

    def publish(self, model: bytes | None, state: FederationState | None) -> None:
        """Publishes what there is of a change of the weights and a new state."""
        if model is not None:
            self._model.publish(GlobalModel(data=model))
        if state is not None:
            now = self._node.get_clock().now().nanoseconds
            self._status.publish(federation_message(state, now))

    def _on_update(self, message: SliceUpdate) -> None:
        refused = self._rounds.receive(bytes(message.data))
        if refused:
            self._node.get_logger().warning(f"refused: {refused}", throttle_duration_sec=5.0)
            self.publish(None, self._rounds.state)

    def _on_get_model(self, request: GetModel.Request, response: GetModel.Response) -> GetModel.Response:
        response.success, response.data = True, self._rounds.whole()
        return response
