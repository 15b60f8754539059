# SPDX-License-Identifier: Apache-2.0
"""The slice manager as a node: services for slices, allocation from radio reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ir_common.config import ConfigError
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import Allocation, CellReport, SliceList, SliceStatus
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice
from ir_radio.ros_messages import spec_from_message, spec_to_message
from ir_slicing.admission import Refused, Slice
from ir_slicing.allocation import POLICY
from ir_slicing.manager import ManagerConfig, SliceManager


class ManagerNode(LeanNode):
    """Holds the slices, admits new ones, and divides the carrier among them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("manager", namespace="/slicing", **kwargs)
        parameters = declare(self, ManagerConfig, self._configure)
        self._manager = SliceManager(parameters.config, self._now())
        self._slices_publisher = self.create_publisher(SliceList, "slices", LATCHED)
        self._allocation_publisher = self.create_publisher(Allocation, "allocation", LATCHED)
        self._reported = False
        self.create_subscription(CellReport, "/radio/report", self._on_report, RELIABLE)
        self.create_service(CreateSlice, "create_slice", self._on_create)
        self.create_service(ModifySlice, "modify_slice", self._on_modify)
        self.create_service(DeleteSlice, "delete_slice", self._on_delete)
        self.create_service(ListSlices, "list_slices", self._on_list)
        self._publish(slices_changed=True)
        self.create_timer(parameters.config.allocation_period, self._on_timer)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _configure(self, config: ManagerConfig) -> None:
        self._manager.configure(config)

    def _on_report(self, report: CellReport) -> None:
        self._manager.report(
            to_nanoseconds(report.header.stamp),
            offered={row.slice: row.offered_rate for row in report.slices},
            queued={row.slice: 8.0 * row.books.queued_bytes for row in report.slices},
            links={row.robot: row.rate for row in report.links},
        )
        self._reported = True

    def _on_timer(self) -> None:
        slices_changed = self._manager.tick(self._now())
        if slices_changed or self._reported:
            self._reported = False
            self._publish(slices_changed)

    def _publish(self, slices_changed: bool) -> None:
        """Decides on the allocation and publishes what changed; slices go first, so that readers know the names."""
        allocated = self._manager.allocate()
        stamp = to_stamp(self._now())
        if slices_changed or allocated:
            message = SliceList(slices=[self._status(entry) for entry in self._manager.registry.slices.values()])
            message.header.stamp = stamp
            self._slices_publisher.publish(message)
        if allocated:
            allocation = self._manager.allocation
            message = Allocation(sequence=allocation.sequence, policy=POLICY)
            message.header.stamp = stamp
            message.slices, message.resource_blocks = list(allocation.blocks), list(allocation.blocks.values())
            self._allocation_publisher.publish(message)

    def _status(self, entry: Slice) -> SliceStatus:
        blocks = self._manager.allocation.blocks.get(entry.spec.name, 0.0)
        return SliceStatus(spec=spec_to_message(entry.spec), created=to_stamp(entry.created), resource_blocks=blocks)

    def _on_create(self, request: CreateSlice.Request, response: CreateSlice.Response) -> CreateSlice.Response:
        def create() -> Slice:
            registry = self._manager.registry
            if request.template_name:
                spec = registry.from_template(request.template_name, request.spec.name)
            else:
                spec = spec_from_message(request.spec)
            return registry.create(spec, self._now(), self._manager.block_rate)

        self._change(create, "created", response)
        return response

    def _on_modify(self, request: ModifySlice.Request, response: ModifySlice.Response) -> ModifySlice.Response:
        registry = self._manager.registry
        self._change(
            lambda: registry.modify(spec_from_message(request.spec), self._now(), self._manager.block_rate),
            "modified",
            response,
        )
        if request.spec.name in registry.slices:
            response.slice = self._status(registry.slices[request.spec.name])
        return response

    def _on_delete(self, request: DeleteSlice.Request, response: DeleteSlice.Response) -> DeleteSlice.Response:
        self._change(lambda: self._manager.registry.delete(request.name), "deleted", response)
        return response

    def _change(self, change: Callable[[], Slice], done: str, response: Any) -> None:
        """Makes a change, or says in ``response`` why not; either way in the log."""
        try:
            entry = change()
        except (Refused, ConfigError) as error:
            response.success, response.message = False, str(error)
            self.get_logger().warning(f"refused: {error}")
            return
        self._publish(slices_changed=True)
        response.success, response.message = True, f"slice '{entry.spec.name}' {done}: {self._manager.room()}"
        if hasattr(response, "slice"):
            response.slice = self._status(entry)
        self.get_logger().info(response.message)

    def _on_list(self, request: ListSlices.Request, response: ListSlices.Response) -> ListSlices.Response:
        registry = self._manager.registry
        response.slices = [self._status(entry) for entry in registry.slices.values()]
        response.templates = [spec_to_message(template) for template in registry.templates.values()]
        return response


def main() -> None:
    """Entry point of the executable ``manager``."""
    run(ManagerNode)
