# SPDX-License-Identifier: Apache-2.0
"""Slice policies: how many resource blocks the manager asks for in the name of a slice, before it divides the carrier.

A new policy is a function here, with a name in `PolicyName` and `POLICIES`; a new way of learning what an agent asks
for is a class in `learning.agents`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.division import Request

PolicyName = Literal["proportional", "forecast", "learned", "static"]


@dataclass(frozen=True)
class SliceNeed:
    """The need of a slice as it is known at a decision; all in RB at the present links.

    Attributes:
        guaranteed: carry its guaranteed rate.
        reserved: it keeps even without demand, at most ``guaranteed``.
        measured: what it offers and what waits would fill.
        asked: its agent, or the forecast of its need, asks for; NaN where there is none that is listened to.
        dedicated: it has whatever others need, at most ``guaranteed``.
        ceiling: it never exceeds, at least ``guaranteed``.
    """

    guaranteed: float
    reserved: float
    measured: float
    asked: float
    dedicated: float = 0.0
    ceiling: float = math.inf


SlicePolicy = Callable[[SliceSpec, SliceNeed], Request]
"""A function from a slice and its need to the request that is made in its name."""


def _request(spec: SliceSpec, need: SliceNeed, reserved: float, demand: float) -> Request:
    return Request(spec.name, need.guaranteed, reserved, demand, spec.priority, need.dedicated, need.ceiling)


def static(spec: SliceSpec, need: SliceNeed) -> Request:
    """The guarantee, whether it is used or not."""
    return _request(spec, need, need.guaranteed, need.guaranteed)


def proportional(spec: SliceSpec, need: SliceNeed) -> Request:
    """The measured demand."""
    return _request(spec, need, need.reserved, need.measured)


def requested(spec: SliceSpec, need: SliceNeed) -> Request:
    """The request of the slice's agent, or of the forecast of its need."""
    return _request(spec, need, need.reserved, need.asked)


POLICIES: dict[PolicyName, SlicePolicy] = {
    "proportional": proportional, "forecast": requested, "learned": requested, "static": static,
}  # fmt: skip
