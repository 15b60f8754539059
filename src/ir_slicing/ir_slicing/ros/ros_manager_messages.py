# SPDX-License-Identifier: Apache-2.0
"""Messages of what the slice manager decides: slices, allocation, audit trail, federation."""

from __future__ import annotations

from collections.abc import Iterable

import ir_interfaces.msg as messages
from ir_common.ros_time import to_stamp
from ir_radio.ros.ros_slice_messages import spec_to_message
from ir_slicing.allocation.slice_policies import PolicyName
from ir_slicing.manager.federation_rounds import FederationState
from ir_slicing.manager.manager_engine import SliceInForce
from ir_slicing.manager.slice_manager import Allocation
from ir_slicing.orchestration.lifecycle import LifecycleEvent


def status_message(slice_: SliceInForce) -> messages.SliceStatus:
    """The message of a slice and what it has."""
    entry = slice_.entry
    return messages.SliceStatus(
        spec=spec_to_message(entry.spec),
        created=to_stamp(entry.created),
        resource_blocks=slice_.resource_blocks,
        state=str(entry.state),
    )


def list_message(slices: Iterable[SliceInForce], now: int) -> messages.SliceList:
    """The message of the slices in force; ``now`` is ns of ROS time."""
    message = messages.SliceList(slices=[status_message(one) for one in slices])
    message.header.stamp = to_stamp(now)
    return message


def allocation_message(allocation: Allocation, policy: PolicyName, now: int) -> messages.Allocation:
    """The message of an allocation; ``policy`` is the manager's own, ``now`` ns of ROS time."""
    message = messages.Allocation(sequence=allocation.sequence, policy=policy)
    message.header.stamp = to_stamp(now)
    message.slices, message.resource_blocks = list(allocation.blocks), list(allocation.blocks.values())
    message.policies = [allocation.policies[name] for name in allocation.blocks]
    return message


def event_message(event: LifecycleEvent) -> messages.SliceEvent:
    """The message of a line of the audit trail."""
    message = messages.SliceEvent(
        sequence=event.sequence, slice=event.slice, sst=event.sst, sd=event.sd, action=event.action,
        requester=event.requester, accepted=event.accepted, reason=event.reason,
        state_before=str(event.before), state_after=str(event.after),
    )  # fmt: skip
    message.header.stamp = to_stamp(event.time)
    return message


def federation_message(state: FederationState, now: int) -> messages.FederationStatus:
    """The message of the state of the federation; ``now`` is ns of ROS time."""
    message = messages.FederationStatus(
        round=state.round,
        collecting=state.collecting,
        architecture=state.architecture,
        participants=list(state.participants),
        silent=list(state.silent),
        refused_reasons=list(state.refused),
        refused=list(state.refused.values()),
        bytes_up=state.bytes_up,
        bytes_down=state.bytes_down,
    )
    message.header.stamp = to_stamp(now)
    return message
