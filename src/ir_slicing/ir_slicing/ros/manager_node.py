# SPDX-License-Identifier: Apache-2.0
"""The slice manager as a node: messages and services around `ManagerEngine`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_seconds
from ir_interfaces.msg import Allocation, CellReport, SliceEvent, SliceList, SliceRequest
from ir_interfaces.msg import SliceSpec as SliceSpecMessage
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice, SetSliceActive, SetTemplate
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_slice_messages import spec_from_message, spec_to_message
from ir_slicing.live.background_work import BackgroundFitting
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerAnswer, ManagerDecision, ManagerEngine
from ir_slicing.orchestration.lifecycle import LifecycleEvent
from ir_slicing.ros.ros_cell_reports import report_from_message
from ir_slicing.ros.ros_federation import FederationTopics
from ir_slicing.ros.ros_manager_messages import allocation_message, event_message, list_message, status_message

AUDIT = QoSProfile(
    depth=200, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)  # fmt: skip
"""The last events, for late joiners too."""


class ManagerNode(LeanNode):
    """Gives the engine what comes and the time, and publishes what it decides."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("manager", namespace="/slicing", **kwargs)
        parameters = declare(self, ManagerConfig, self._configure)
        self._engine = ManagerEngine(parameters.config, self._now())
        self._journal = JournalPublisher(self, self._engine.journal)
        self._slices_publisher = self.create_publisher(SliceList, "slices", LATCHED)
        self._allocation_publisher = self.create_publisher(Allocation, "allocation", LATCHED)
        self._event_publisher = self.create_publisher(SliceEvent, "events", AUDIT)
        self.create_subscription(CellReport, "/radio/report", self._on_report, RELIABLE)
        self.create_service(CreateSlice, "create_slice", self._on_create)
        self.create_service(ModifySlice, "modify_slice", self._on_modify)
        self.create_service(DeleteSlice, "delete_slice", self._on_delete)
        self.create_service(SetSliceActive, "set_slice_active", self._on_set_active)
        self.create_service(ListSlices, "list_slices", self._on_list)
        self.create_service(SetTemplate, "set_template", self._on_set_template)
        self.create_service(DeleteSlice, "delete_template", self._on_delete_template)
        self._fitting = BackgroundFitting(LiveForecasterConfig().duty)
        self._federation: FederationTopics | None = None
        if self._engine.federation is not None:
            self.create_subscription(SliceRequest, "requests", self._on_request, RELIABLE)
            self._federation = FederationTopics(self, self._engine.federation)
        self._publish(self._engine.start())
        self.create_timer(parameters.config.allocation_period, self._on_timer)

    def close(self) -> None:
        """Keeps the state for the next manager."""
        if hasattr(self, "_engine"):
            self._save()

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _configure(self, config: ManagerConfig) -> None:
        self._engine.configure(config)

    # --- reports, requests, time ---

    def _on_report(self, message: CellReport) -> None:
        decision = self._engine.report(report_from_message(message))
        if decision is not None:
            self._publish(decision)
        if self._engine.needs is not None:
            self._fitting.offer(self._engine.needs.forecasters)

    def _on_request(self, message: SliceRequest) -> None:
        time = to_seconds(message.header.stamp)
        refused = self._engine.request(self._now(), time, message.slice, message.resource_blocks)
        if refused:
            self.get_logger().warning(f"refused: {refused}", throttle_duration_sec=5.0)
        decision = self._engine.all_asked()
        if decision is not None:
            self._publish(decision)

    def _on_timer(self) -> None:
        decision = self._engine.tick(self._now())
        if decision is not None:
            self._publish(decision)

    def _publish(self, decision: ManagerDecision) -> None:
        if self._federation is not None:
            self._federation.publish(decision.model, decision.federation)
        self._journal.flush()
        now = self._now()
        if decision.slices is not None:
            self._slices_publisher.publish(list_message(decision.slices, now))
        if decision.allocation is not None:
            policy = self._engine.manager.config.policy
            self._allocation_publisher.publish(allocation_message(decision.allocation, policy, now))
        for event in decision.events:
            self._event_publisher.publish(event_message(event))
            self._tell(event)
        if decision.save:
            self._save()

    def _tell(self, event: LifecycleEvent) -> None:
        if event.action in ("fallback", "resume", "restore"):
            log = self.get_logger().info if event.accepted else self.get_logger().warning
            log(f"{event.action}{' of slice ' + event.slice if event.slice else ''}: {event.reason}")

    def _save(self) -> None:
        try:
            self._engine.save()
        except OSError as error:
            self.get_logger().error(
                f"{self._engine.manager.config.state_file}: cannot be written ({error.strerror}); a restart would "
                "forget what is new",
                throttle_duration_sec=10.0,
            )

    # --- services ---

    def _on_create(self, request: CreateSlice.Request, response: CreateSlice.Response) -> CreateSlice.Response:
        template, name, read = request.template_name, request.spec.name, _reader(request.spec)
        return self._answer(self._engine.create(self._now(), request.requester, template, name, read), response)

    def _on_modify(self, request: ModifySlice.Request, response: ModifySlice.Response) -> ModifySlice.Response:
        spec = request.spec
        return self._answer(self._engine.modify(self._now(), request.requester, spec.name, _reader(spec)), response)

    def _on_delete(self, request: DeleteSlice.Request, response: DeleteSlice.Response) -> DeleteSlice.Response:
        return self._answer(self._engine.delete(self._now(), request.requester, request.name), response)

    def _on_set_active(
        self, request: SetSliceActive.Request, response: SetSliceActive.Response
    ) -> SetSliceActive.Response:
        answer = self._engine.set_active(self._now(), request.requester, request.name, request.active)
        return self._answer(answer, response)

    def _on_set_template(self, request: SetTemplate.Request, response: SetTemplate.Response) -> SetTemplate.Response:
        spec = request.spec
        answer = self._engine.set_template(self._now(), request.requester, spec.name, _reader(spec))
        return self._answer(answer, response)

    def _on_delete_template(self, request: DeleteSlice.Request, response: DeleteSlice.Response) -> DeleteSlice.Response:
        return self._answer(self._engine.delete_template(self._now(), request.requester, request.name), response)

    def _answer(self, answer: ManagerAnswer, response: Any) -> Any:
        """Publishes what a request led to, then puts it in the response; refusals also in the log."""
        if not answer.success:
            self.get_logger().warning(f"refused: {answer.message}")
        self._publish(answer.decision)
        response.success, response.message = answer.success, answer.message
        if answer.slice is not None and hasattr(response, "slice"):
            response.slice = status_message(answer.slice)
        if answer.success:
            self.get_logger().info(answer.message)
        return response

    def _on_list(self, request: ListSlices.Request, response: ListSlices.Response) -> ListSlices.Response:
        response.slices = [status_message(one) for one in self._engine.slices()]
        response.templates = [spec_to_message(template) for template in self._engine.templates()]
        return response


def _reader(message: SliceSpecMessage) -> Callable[[], SliceSpec]:
    return lambda: spec_from_message(message)


def main() -> None:
    """Entry point of the executable ``manager``."""
    run(ManagerNode)
