# SPDX-License-Identifier: Apache-2.0
"""Between the package's plain data and its messages."""

from __future__ import annotations

from array import array

from nav_msgs.msg import OccupancyGrid

from ir_common.config import validate
from ir_common.ros_time import to_stamp
from ir_common.slice_kinds import SliceKind
from ir_interfaces.msg import (
    Books,
    CellReport,
    DelayStats,
    DropCount,
    FlowReport,
    LinkReport,
    SliceReport,
)
from ir_interfaces.msg import FlowSpec as FlowSpecMessage
from ir_interfaces.msg import SliceSpec as SliceSpecMessage
from ir_radio.books import cell_report
from ir_radio.books.histogram import Delay
from ir_radio.model.carrier import Carrier
from ir_radio.model.radio_map import RadioMap
from ir_radio.model.slice_specs import SliceSpec

TYPES = {kind.key: int(kind) for kind in SliceKind}
DIRECTIONS = {"uplink": FlowSpecMessage.UPLINK, "downlink": FlowSpecMessage.DOWNLINK}
_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_DIRECTION_NAMES = {number: name for name, number in DIRECTIONS.items()}


def spec_to_message(spec: SliceSpec) -> SliceSpecMessage:
    """The message of a slice."""
    return SliceSpecMessage(
        name=spec.name,
        template_name=spec.template_name,
        type=TYPES[spec.type],
        differentiator=spec.differentiator,
        rate=spec.rate,
        max_latency=spec.max_latency,
        reliability=spec.reliability,
        priority=spec.priority,
        lifetime=spec.lifetime,
        queue_limit=spec.queue_limit,
        share=spec.share or 0.0,
        flows=[
            FlowSpecMessage(
                robots=list(flow.robots),
                topic=flow.topic,
                message_type=flow.message_type,
                direction=DIRECTIONS[flow.direction],
                five_qi=flow.five_qi,
            )
            for flow in spec.flows
        ],
        dedicated_share=spec.dedicated_share,
        max_share=spec.max_share,
        uplink_rate=spec.uplink_rate,
        downlink_rate=spec.downlink_rate,
    )


def spec_from_message(message: SliceSpecMessage) -> SliceSpec:
    """The slice that a message asks for.

    Raises:
        ConfigError: a field is out of range; the text names slice and field.
    """
    values = {
        "name": message.name,
        "template_name": message.template_name,
        "type": _TYPE_NAMES.get(message.type, f"type {message.type}"),
        "differentiator": message.differentiator,
        "rate": message.rate or (None if message.uplink_rate + message.downlink_rate > 0.0 else 0.0),
        "max_latency": message.max_latency,
        "reliability": message.reliability,
        "priority": message.priority,
        "lifetime": message.lifetime,
        "queue_limit": message.queue_limit,
        "share": message.share or None,
        "flows": [
            {
                "robots": list(flow.robots),
                "topic": flow.topic,
                "message_type": flow.message_type,
                "direction": _DIRECTION_NAMES.get(flow.direction, f"direction {flow.direction}"),
                "five_qi": flow.five_qi,
            }
            for flow in message.flows
        ],
        "dedicated_share": message.dedicated_share,
        "max_share": message.max_share or 1.0,
        "uplink_rate": message.uplink_rate,
        "downlink_rate": message.downlink_rate,
    }
    return validate(SliceSpec, values, f"slice '{message.name}'")


def report_to_message(report: cell_report.Report, carrier: Carrier, sequence: int) -> CellReport:
    """The message of a report; `sequence`: number of the allocation in force."""
    message = CellReport(
        period=report.period,
        resource_blocks=carrier.resource_blocks,
        bandwidth=carrier.bandwidth,
        allocation_sequence=sequence,
        slices=[_slice_to_message(row) for row in report.slices],
        flows=[_flow_to_message(row) for row in report.flows],
        links=[_link_to_message(row) for row in report.links],
        scheduler=report.scheduler,
    )
    message.header.stamp = to_stamp(report.time)
    return message


def map_message(found: RadioMap, cell: float) -> OccupancyGrid:
    """The message of a map of the radio: SINR, 0 to 100 dB, -1 out of coverage; cells of `cell` m, frame map."""
    rows, columns = found.rate.shape
    message = OccupancyGrid(data=array("b", found.decibels().ravel().tolist()))
    message.header.frame_id = "map"
    message.info.resolution, message.info.width, message.info.height = cell, columns, rows
    message.info.origin.position.x = float(found.x[0]) - cell / 2
    message.info.origin.position.y = float(found.y[0]) - cell / 2
    message.info.origin.orientation.w = 1.0
    return message


def _slice_to_message(row: cell_report.SliceRow) -> SliceReport:
    return SliceReport(
        slice=row.slice,
        type=TYPES[row.type],
        resource_blocks=row.resource_blocks,
        capacity=row.capacity,
        offered_rate=row.offered_rate,
        delivered_rate=row.delivered_rate,
        utilisation=row.utilisation,
        books=_counters_to_message(row.counters),
        delay=_delay_to_message(row.delay),
        recent_delay=_delay_to_message(row.recent_delay),
        punctured_blocks=row.punctured_blocks,
        lost_bytes=row.lost_bytes,
        retransmissions=row.retransmissions,
        harq_failures=row.harq_failures,
    )


def _flow_to_message(row: cell_report.FlowRow) -> FlowReport:
    return FlowReport(
        robot=row.robot,
        topic=row.topic,
        direction=DIRECTIONS[row.direction],
        slice=row.slice,
        books=_counters_to_message(row.counters),
        delay=_delay_to_message(row.delay),
        expired=row.expired,
        deadline_missed=row.deadline_missed,
        retransmissions=row.retransmissions,
        harq_failures=row.harq_failures,
    )


def _link_to_message(row: cell_report.LinkRow) -> LinkReport:
    return LinkReport(
        robot=row.robot,
        distance=row.distance,
        snr=row.snr,
        rate=row.rate,
        cell=row.station,
        handovers=row.handovers,
        dropped_poses=row.bad_poses,
        failures=row.failures,
        uplink_snr=row.uplink_snr,
    )


def _counters_to_message(counters: cell_report.FlowCounters) -> Books:
    return Books(
        offered_messages=counters.offered,
        offered_bytes=counters.offered_bytes,
        delivered_messages=counters.delivered,
        delivered_bytes=counters.delivered_bytes,
        queued_messages=counters.queued,
        queued_bytes=counters.queued_bytes,
        dropped=[DropCount(reason=reason, messages=m, bytes=b) for reason, (m, b) in counters.dropped.items()],
    )


def _delay_to_message(delay: Delay) -> DelayStats:
    return DelayStats(count=delay.count, mean=delay.mean, p50=delay.p50, p99=delay.p99, max=delay.max)
