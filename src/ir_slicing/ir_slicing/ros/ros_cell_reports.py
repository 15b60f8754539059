# SPDX-License-Identifier: Apache-2.0
"""From the radio's message /radio/report to the plain data that manager and agents are told."""

from __future__ import annotations

import ir_interfaces.msg as messages
from ir_common.ros_time import to_nanoseconds
from ir_radio.books import cell_report
from ir_radio.books.histogram import Delay
from ir_radio.ros.ros_slice_messages import DIRECTIONS, TYPES

_TYPES = {number: name for name, number in TYPES.items()}
_DIRECTIONS = {number: name for name, number in DIRECTIONS.items()}


def report_from_message(message: messages.CellReport) -> cell_report.Report:
    """The plain report; a number that names no type or direction stands in it as text."""
    return cell_report.Report(
        time=to_nanoseconds(message.header.stamp),
        period=message.period,
        slices=tuple(map(_slice_row, message.slices)),
        flows=tuple(map(_flow_row, message.flows)),
        links=tuple(map(_link_row, message.links)),
        scheduler=message.scheduler,
    )


def _slice_row(row: messages.SliceReport) -> cell_report.SliceRow:
    return cell_report.SliceRow(
        slice=row.slice,
        type=_TYPES.get(row.type, str(row.type)),
        resource_blocks=row.resource_blocks,
        capacity=row.capacity,
        offered_rate=row.offered_rate,
        delivered_rate=row.delivered_rate,
        utilisation=row.utilisation,
        counters=_counters(row.books),
        delay=_delay(row.delay),
        recent_delay=_delay(row.recent_delay),
        retransmissions=row.retransmissions,
        harq_failures=row.harq_failures,
        punctured_blocks=row.punctured_blocks,
        lost_bytes=row.lost_bytes,
    )


def _flow_row(row: messages.FlowReport) -> cell_report.FlowRow:
    return cell_report.FlowRow(
        slice=row.slice,
        robot=row.robot,
        topic=row.topic,
        direction=_DIRECTIONS.get(row.direction, str(row.direction)),
        counters=_counters(row.books),
        delay=_delay(row.delay),
        expired=row.expired,
        deadline_missed=row.deadline_missed,
        retransmissions=row.retransmissions,
        harq_failures=row.harq_failures,
    )


def _link_row(row: messages.LinkReport) -> cell_report.LinkRow:
    return cell_report.LinkRow(
        row.robot, row.distance, row.snr, row.rate, row.cell, row.handovers, row.dropped_poses, row.failures,
        row.uplink_snr,
    )  # fmt: skip


def _counters(books: messages.Books) -> cell_report.FlowCounters:
    return cell_report.FlowCounters(
        offered=books.offered_messages,
        offered_bytes=books.offered_bytes,
        delivered=books.delivered_messages,
        delivered_bytes=books.delivered_bytes,
        queued=books.queued_messages,
        queued_bytes=books.queued_bytes,
        dropped={row.reason: (row.messages, row.bytes) for row in books.dropped},
    )


def _delay(delay: messages.DelayStats) -> Delay:
    return Delay(delay.count, delay.mean, delay.p50, delay.p99, delay.max)
