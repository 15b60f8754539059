# SPDX-License-Identifier: Apache-2.0
"""Division of the carrier among slices in proportion to demand: the baseline policy of the slice manager.

The set-up is MAFL section II-A: one carrier of resource blocks (RB), slices m with demand d_m, resources w_m; eq. (7)
asks for w_m > 0 and a sum within the carrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

POLICY = "proportional"
QUANTUM = 1.0 / 1024.0
"""Allocations are multiples of this, in RB: a binary fraction, so that sums of them are exact."""


@dataclass(frozen=True)
class Request:
    """The blocks that one slice is entitled to, and those that it could use now.

    Attributes:
        name: of the slice.
        guaranteed: RB that carry its guaranteed rate at the present links, positive.
        reserved: RB that it keeps even without demand, at most ``guaranteed``.
        demand: RB that it could use now, not negative.
        priority: 0 is served first when the carrier is short.
    """

    name: str
    guaranteed: float
    reserved: float
    demand: float
    priority: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.reserved <= self.guaranteed < np.inf or not 0.0 <= self.demand < np.inf:
            raise ValueError(f"slice {self.name}: 0 <= reserved <= guaranteed and demand >= 0 must hold: {self}")


def divide(requests: Sequence[Request], carrier: float) -> FloatArray:
    """Divides ``carrier`` resource blocks among slices.

    Each tier takes what the tiers before it left; a tier that does not fit is shared by the rule in brackets:

    1. reserved_m (priority classes in order, in proportion within a class);
    2. min(guaranteed_m, demand_m), the guarantee as far as it is asked for (same rule);
    3. demand beyond the guarantee (in proportion to it);
    4. guarantees that nobody asks for now (in proportion to what is missing);
    5. the rest, in proportion to demand, or to the guarantees while there is no demand at all.

    So the guarantees that are asked for are kept whenever they fit, no slice waits while another holds idle blocks
    beyond its reserve, a slice never gets less for asking more, and the whole carrier is given out.

    Args:
        requests: [m] slices.
        carrier: RB of the carrier, not negative.

    Returns:
        [m] float64, RB, multiples of `QUANTUM`; the sum is exactly ``carrier`` rounded down to a `QUANTUM`, or 0
        without slices.
    """
    if not requests:
        return np.zeros(0)
    quanta = np.floor(carrier / QUANTUM)
    reserved = _up([r.reserved for r in requests])
    guaranteed = np.maximum(_up([r.guaranteed for r in requests]), 1.0)
    demand = _up([r.demand for r in requests])
    priority = np.array([r.priority for r in requests])

    given = np.zeros(len(requests))
    for goal in (reserved, np.maximum(reserved, np.minimum(guaranteed, demand))):
        for level in np.unique(priority):
            given += _share(np.where(priority == level, goal - given, 0.0), quanta - given.sum())
    for goal in (np.maximum(given, demand), np.maximum(given, np.maximum(guaranteed, demand))):
        given += _share(goal - given, quanta - given.sum())
    rest = quanta - given.sum()
    weight = demand if demand.any() else guaranteed
    return _whole(given + rest * weight / weight.sum(), quanta) * QUANTUM


def _up(blocks: Sequence[float]) -> FloatArray:
    """RB as whole quanta, rounded up; the margin forgives the rounding error of the division."""
    return np.ceil(np.asarray(blocks, dtype=np.float64) / QUANTUM - 1e-9)


def _share(wanted: FloatArray, free: float) -> FloatArray:
    """``wanted`` where it fits into ``free``, otherwise scaled down to it."""
    total, free = wanted.sum(), max(free, 0.0)
    return wanted if total <= free else wanted * (free / total)


def _whole(quanta: FloatArray, total: float) -> FloatArray:
    """Largest-remainder rounding of [m] quanta to whole ones that sum to ``total``; ties go to the first slice."""
    nearest = np.rint(quanta)
    quanta = np.where(np.abs(quanta - nearest) < 1e-6, nearest, quanta)
    floor = np.floor(quanta)
    left = int(total - floor.sum())
    order = np.argsort(floor - quanta, kind="stable")
    floor[order[:left]] += 1.0
    return floor


class Hysteresis:
    """Keeps the allocation in force until a new one differs enough to be worth a change.

    Args:
        relative: a slice's new share differs when it is off by more than this fraction of its present one.
    """

    def __init__(self, relative: float) -> None:
        self.relative = relative
        self._names: tuple[str, ...] = ()
        self._blocks: FloatArray = np.zeros(0)
        self._carrier = -1.0  # no allocation in force

    def changed(self, names: Sequence[str], blocks: FloatArray, carrier: float) -> bool:
        """Whether ``blocks`` ([m] RB for ``names``) replaces the allocation in force; if so it is remembered."""
        same = tuple(names) == self._names and carrier == self._carrier
        if same and bool(np.all(np.abs(blocks - self._blocks) <= self.relative * self._blocks)):
            return False
        self._names, self._blocks, self._carrier = tuple(names), blocks.copy(), carrier
        return True
