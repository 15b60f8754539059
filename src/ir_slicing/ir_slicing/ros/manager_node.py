# SPDX-License-Identifier: Apache-2.0
"""The slice manager as a node: services for slices, allocation from radio reports and agents' requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ir_common.config import ConfigError
from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_seconds, to_stamp
from ir_interfaces.msg import Allocation, CellReport, SliceEvent, SliceList, SliceRequest, SliceStatus
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice, SetSliceActive, SetTemplate
from ir_radio.ros.ros_slice_messages import spec_from_message, spec_to_message
from ir_slicing.allocation.agent_requests import REASONS
from ir_slicing.allocation.slice_loads import LoadReader
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_journal import keep
from ir_slicing.orchestration.admission import Slice, SliceRefused
from ir_slicing.orchestration.lifecycle import MANAGER, State
from ir_slicing.ros.ros_cell_reports import report_from_message
from ir_slicing.ros.ros_federation import FederationServer

AUDIT = QoSProfile(
    depth=200, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)  # fmt: skip
"""The last events, for late joiners too."""


class ManagerNode(LeanNode):
    """Holds the slices, admits new ones, and divides the carrier among them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("manager", namespace="/slicing", **kwargs)
        parameters = declare(self, ManagerConfig, self._configure)
        self._manager, journal = keep(parameters.config, self._now())
        self._journal = JournalPublisher(self, journal)
        self._loads = LoadReader()
        self._slices_publisher = self.create_publisher(SliceList, "slices", LATCHED)
        self._allocation_publisher = self.create_publisher(Allocation, "allocation", LATCHED)
        self._event_publisher = self.create_publisher(SliceEvent, "events", AUDIT)
        self._events = 0
        self._reported = False
        self.create_subscription(CellReport, "/radio/report", self._on_report, RELIABLE)
        self.create_service(CreateSlice, "create_slice", self._on_create)
        self.create_service(ModifySlice, "modify_slice", self._on_modify)
        self.create_service(DeleteSlice, "delete_slice", self._on_delete)
        self.create_service(SetSliceActive, "set_slice_active", self._on_set_active)
        self.create_service(ListSlices, "list_slices", self._on_list)
        self.create_service(SetTemplate, "set_template", self._on_set_template)
        self.create_service(DeleteSlice, "delete_template", self._on_delete_template)
        self._federation: FederationServer | None = None
        if parameters.config.policy == "learned":
            self.create_subscription(SliceRequest, "requests", self._on_request, RELIABLE)
            self._federation = FederationServer(self, self._manager, self._save)
        self._started()
        self._publish(slices_changed=True)
        self.create_timer(parameters.config.allocation_period, self._on_timer)

    def close(self) -> None:
        """Keeps the state for the next manager."""
        if hasattr(self, "_manager"):
            self._save()

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _configure(self, config: ManagerConfig) -> None:
        self._manager.configure(config)

    def _started(self) -> None:
        """The trail begins with the slices of the file; what was restored stands in it already."""
        manager, now = self._manager, self._now()
        restored = {event.slice for event in manager.trail.peek() if event.action == "restore"}
        for name, entry in manager.registry.slices.items():
            if name not in restored:
                reason = f"stands in {manager.config.slices_file}"
                manager.trail.add(now, "create", name, entry.spec, MANAGER, reason, State.PREPARATION, entry.state)

    # --- reports and requests ---

    def _on_report(self, message: CellReport) -> None:
        report = report_from_message(message)
        bounds = {name: entry.spec.max_latency for name, entry in self._manager.registry.slices.items()}
        self._manager.report(
            report.time,
            self._loads.read(report, bounds),
            {row.robot: row.rate for row in report.links},
        )
        self._reported = True

    def _on_request(self, message: SliceRequest) -> None:
        """A refused request is counted; the last good one stays in force until it is late."""
        time, name, blocks = to_seconds(message.header.stamp), message.slice, message.resource_blocks
        reason = self._manager.requests.take(time, name, blocks)
        if not reason:
            self._reported = True
            return
        count = self._manager.requests.refused[reason]
        self.get_logger().warning(
            f"refused: request of slice '{name}' for {blocks:g} resource blocks: {REASONS[reason]} ({count} so far)",
            throttle_duration_sec=5.0,
        )
        if count == 1 or count % 1000 == 0:
            entry = self._manager.registry.slices.get(name)
            why = f"{blocks:g} resource blocks: {REASONS[reason]} ({count} so far)"
            state = entry.state if entry else State.PREPARATION
            spec = entry.spec if entry else None
            self._manager.trail.add(self._now(), "request", name, spec, f"agent of {name}", why, state, accepted=False)

    def _on_timer(self) -> None:
        slices_changed = self._manager.tick(self._now())
        if self._federation:
            self._federation.tick()
        # an agent that falls silent is noticed without any message
        if slices_changed or self._reported or self._federation:
            self._reported = False
            self._publish(slices_changed)

    def _publish(self, slices_changed: bool) -> None:
        """Decides on the allocation and publishes what changed; slices go first, so that readers know the names."""
        manager = self._manager
        allocated = manager.allocate()
        self._journal.flush()
        stamp = to_stamp(self._now())
        if slices_changed or allocated:
            message = SliceList(slices=[self._status(entry) for entry in manager.registry.active.values()])
            message.header.stamp = stamp
            self._slices_publisher.publish(message)
        if allocated:
            allocation = manager.allocation
            message = Allocation(sequence=allocation.sequence, policy=manager.config.policy)
            message.header.stamp = stamp
            message.slices, message.resource_blocks = list(allocation.blocks), list(allocation.blocks.values())
            message.policies = [allocation.policies[name] for name in allocation.blocks]
            self._allocation_publisher.publish(message)
        self._publish_events()
        if slices_changed:
            self._save()

    def _publish_events(self) -> None:
        for event in self._manager.trail.take():
            self._events += 1
            message = SliceEvent(
                sequence=self._events, slice=event.slice, sst=event.sst, sd=event.sd, action=event.action,
                requester=event.requester, accepted=event.accepted, reason=event.reason,
                state_before=str(event.before), state_after=str(event.after),
            )  # fmt: skip
            message.header.stamp = to_stamp(event.time)
            self._event_publisher.publish(message)
            if event.action in ("fallback", "resume", "restore"):
                log = self.get_logger().info if event.accepted else self.get_logger().warning
                log(f"{event.action}{' of slice ' + event.slice if event.slice else ''}: {event.reason}")

    def _save(self) -> None:
        try:
            self._manager.save()
        except OSError as error:
            self.get_logger().error(
                f"{self._manager.config.state_file}: cannot be written ({error.strerror}); a restart would forget "
                "what is new",
                throttle_duration_sec=10.0,
            )

    def _status(self, entry: Slice) -> SliceStatus:
        blocks = self._manager.allocation.blocks.get(entry.spec.name, 0.0)
        return SliceStatus(
            spec=spec_to_message(entry.spec),
            created=to_stamp(entry.created),
            resource_blocks=blocks,
            state=str(entry.state),
        )

    # --- services ---

    def _on_create(self, request: CreateSlice.Request, response: CreateSlice.Response) -> CreateSlice.Response:
        registry = self._manager.registry
        name = request.spec.name or request.template_name

        def make() -> Any:
            if request.template_name:
                return registry.from_template(request.template_name, request.spec.name)
            return spec_from_message(request.spec)

        orchestrator = self._manager.orchestrator
        self._change(lambda: orchestrator.create(self._now(), request.requester, name, make), "created", response)
        return response

    def _on_modify(self, request: ModifySlice.Request, response: ModifySlice.Response) -> ModifySlice.Response:
        name, slices = request.spec.name, self._manager.registry.slices
        self._change(
            lambda: self._manager.orchestrator.modify(
                self._now(), request.requester, name, lambda: spec_from_message(request.spec)
            ),
            "modified",
            response,
        )
        if name in slices:
            response.slice = self._status(slices[name])
        return response

    def _on_delete(self, request: DeleteSlice.Request, response: DeleteSlice.Response) -> DeleteSlice.Response:
        orchestrator = self._manager.orchestrator
        self._change(lambda: orchestrator.delete(self._now(), request.requester, request.name), "deleted", response)
        return response

    def _on_set_active(
        self, request: SetSliceActive.Request, response: SetSliceActive.Response
    ) -> SetSliceActive.Response:
        self._change(
            lambda: self._manager.orchestrator.set_active(self._now(), request.requester, request.name, request.active),
            "activated" if request.active else "deactivated",
            response,
        )
        return response

    def _on_set_template(self, request: SetTemplate.Request, response: SetTemplate.Response) -> SetTemplate.Response:
        spec = request.spec

        def change() -> str:
            self._manager.orchestrator.set_template(
                self._now(), request.requester, spec.name, lambda: spec_from_message(spec)
            )
            return f"template '{spec.name}' set"

        self._change_template(change, response)
        return response

    def _on_delete_template(self, request: DeleteSlice.Request, response: DeleteSlice.Response) -> DeleteSlice.Response:
        def change() -> str:
            self._manager.orchestrator.delete_template(self._now(), request.requester, request.name)
            return f"template '{request.name}' deleted"

        self._change_template(change, response)
        return response

    def _change(self, change: Callable[[], Slice], done: str, response: Any) -> None:
        """Makes a change of a slice, and says what it led to."""

        def publish() -> str:
            entry = change()
            self._publish(slices_changed=True)
            if hasattr(response, "slice"):
                response.slice = self._status(entry)
            return f"slice '{entry.spec.name}' {done}: {self._manager.room()}"

        self._answer(publish, response)

    def _change_template(self, change: Callable[[], str], response: Any) -> None:
        def keep() -> str:
            message = change()
            self._save()
            return message

        self._answer(keep, response)
        self._publish_events()

    def _answer(self, change: Callable[[], str], response: Any) -> None:
        """Makes a change, or says in ``response`` why not; either way in the log and in the audit trail."""
        try:
            response.success, response.message = True, change()
        except (SliceRefused, ConfigError) as error:
            response.success, response.message = False, str(error)
            self.get_logger().warning(f"refused: {error}")
            self._publish_events()
            return
        self.get_logger().info(response.message)

    def _on_list(self, request: ListSlices.Request, response: ListSlices.Response) -> ListSlices.Response:
        registry = self._manager.registry
        response.slices = [self._status(entry) for entry in registry.slices.values()]
        response.templates = [spec_to_message(template) for template in registry.templates.values()]
        return response


def main() -> None:
    """Entry point of the executable ``manager``."""
    run(ManagerNode)
