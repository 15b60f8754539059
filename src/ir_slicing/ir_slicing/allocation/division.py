# SPDX-License-Identifier: Apache-2.0
"""Division of the carrier among slices in proportion to demand: the baseline policy of the slice manager.

The set-up is MAFL section II-A: one carrier of resource blocks (RB), slices m with demand d_m, resources w_m; eq. (7)
asks for w_m > 0 and a sum within the carrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

POLICY = "proportional"
Overload = Literal["proportional", "utility"]
STEEPNESS = 20.0
"""Of the utility (2), relative to the demand; as of `EnvironmentConfig`."""
STEPS = 256
"""Parts of what is left in which it is divided by utility."""
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
        dedicated: RB that it has whatever others need, at most ``guaranteed``.
        ceiling: RB that it never exceeds, at least ``guaranteed``.
    """

    name: str
    guaranteed: float
    reserved: float
    demand: float
    priority: int
    dedicated: float = 0.0
    ceiling: float = np.inf

    def __post_init__(self) -> None:
        if not 0.0 <= self.reserved <= self.guaranteed < np.inf or not 0.0 <= self.demand < np.inf:
            raise ValueError(f"slice {self.name}: 0 <= reserved <= guaranteed and demand >= 0 must hold: {self}")
        if not 0.0 <= self.dedicated <= self.guaranteed <= self.ceiling:
            raise ValueError(f"slice {self.name}: 0 <= dedicated <= guaranteed <= ceiling must hold: {self}")


def divide(requests: Sequence[Request], carrier: float, overload: Overload = "proportional") -> FloatArray:
    """Divides ``carrier`` resource blocks among slices.

    Each tier takes what the tiers before it left; a tier that does not fit is shared by the rule in brackets. No tier
    gives a slice more than its ceiling:

    0. dedicated_m (in proportion);
    1. reserved_m (priority classes in order, in proportion within a class);
    2. min(guaranteed_m, demand_m), the guarantee as far as it is asked for (same rule);
    3. demand beyond the guarantee (in proportion to it; or, with the overload rule "utility", so that the slices'
       utilities have the largest sum, `_by_utility`);
    4. guarantees that nobody asks for now (in proportion to what is missing);
    5. the rest, in proportion to demand, or to the guarantees while there is no demand at all; what that would give
       beyond a ceiling goes to the others in the same way.

    So the guarantees that are asked for are kept whenever they fit, no slice waits while another holds idle blocks
    beyond its reserve and its dedicated part, a slice never gets less for asking more, and the whole carrier is given
    out as far as the ceilings allow.

    Args:
        requests: [m] slices.
        carrier: RB of the carrier, not negative.
        overload: rule for demand beyond the guarantees that does not fit.

    Returns:
        [m] float64, RB, multiples of `QUANTUM`; the sum is exactly ``carrier``, or all ceilings where that is less,
        rounded down to a `QUANTUM`, or 0 without slices.
    """
    if not requests:
        return np.zeros(0)
    quanta = np.floor(carrier / QUANTUM)
    ceiling = np.floor(np.array([r.ceiling for r in requests]) / QUANTUM + 1e-9)
    dedicated = np.minimum(_up([r.dedicated for r in requests]), ceiling)
    reserved = np.minimum(np.maximum(_up([r.reserved for r in requests]), dedicated), ceiling)
    guaranteed = np.minimum(np.maximum(_up([r.guaranteed for r in requests]), 1.0), ceiling)
    demand = np.minimum(_up([r.demand for r in requests]), ceiling)
    priority = np.array([r.priority for r in requests])

    given = _share(dedicated, quanta)
    for goal in (reserved, np.maximum(reserved, np.minimum(guaranteed, demand))):
        for level in np.unique(priority):
            given += _share(np.where(priority == level, goal - given, 0.0), quanta - given.sum())
    if overload == "utility" and np.maximum(given, demand).sum() > quanta:
        given = _by_utility(given, demand, quanta)
    for goal in (np.maximum(given, demand), np.maximum(given, np.maximum(guaranteed, demand))):
        given += _share(goal - given, quanta - given.sum())
    given = _rest(given, ceiling, demand if demand.any() else guaranteed, guaranteed, quanta)
    blocks = _whole(given, min(quanta, np.floor(given.sum() + 1e-6))) * QUANTUM
    return np.minimum(blocks, [r.ceiling for r in requests])  # a ceiling of 2 less a rounding error is 20 quanta, too


def _by_utility(given: FloatArray, demand: FloatArray, quanta: float) -> FloatArray:
    """Adds to ``given`` [m], up to ``demand``, what makes the sum of the slices' utilities the largest.

    The utility of a slice that has w of its demand d is MAFL (2) with d as the rate that is required,
    1 / (1 + exp(-`STEEPNESS` (w / d - 1))). A knapsack over them, exact on a grid of `STEPS` parts of what is left:
    where (2) is steep it is better to serve some slices than to leave all of them short. Nobody loses what the tiers
    before gave.
    """
    # numba takes a second to import: who does not divide by utility needs none
    from ir_slicing.allocation.carrier_sharing import best_shares

    left = quanta - given.sum()
    missing = np.maximum(demand - given, 0.0)
    if left < STEPS:  # not one quantum a part
        return given
    unit = left / STEPS
    steps = np.arange(STEPS + 1) * unit
    added = np.minimum(steps, missing[:, None])  # [m, choice]
    ratio = (given[:, None] + added) / np.maximum(demand, 1.0)[:, None]
    value = 1.0 / (1.0 + np.exp(-STEEPNESS * (np.minimum(ratio, 1.0) - 1.0)))
    value[:, 1:][steps[1:] >= missing[:, None] + unit] = -np.inf  # more would be of no use
    chosen = best_shares(value[None], STEPS)[0]
    return given + np.take_along_axis(added, chosen[:, None], axis=1)[:, 0]


def _rest(given: FloatArray, ceiling: FloatArray, weight: FloatArray, spare: FloatArray, quanta: float) -> FloatArray:
    """Adds what is left of the carrier to ``given`` [m] by weight, up to the ceilings; then by ``spare``."""
    for by in (weight, spare):
        for _ in range(len(given)):
            below = np.where(given < ceiling, by, 0.0)
            rest = quanta - given.sum()
            if not below.any() or rest < 1e-6:
                break
            given = np.minimum(given + rest * below / below.sum(), ceiling)
    return given


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

    def changed(self, requests: Sequence[Request], blocks: FloatArray, carrier: float) -> bool:
        """Whether ``blocks`` ([m] RB for the slices of ``requests``) replaces the allocation in force.

        If so it is remembered. One that is over a ceiling, or under what is dedicated, is replaced in any case.
        """
        names = tuple(request.name for request in requests)
        same = names == self._names and carrier == self._carrier
        if same and bool(np.all(np.abs(blocks - self._blocks) <= self.relative * self._blocks)):
            kept = zip(requests, self._blocks, strict=True)
            if all(min(r.dedicated, carrier) - QUANTUM <= given <= r.ceiling for r, given in kept):
                return False
        self._names, self._blocks, self._carrier = names, blocks.copy(), carrier
        return True
