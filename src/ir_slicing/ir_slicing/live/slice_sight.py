# SPDX-License-Identifier: Apache-2.0
"""State, action and reward of a live agent: MAFL section IV on the radio's reports of its slice.

It sees the world as the agents of `learning` do. An agent corrects the request of the policy forecast
(`learning.correction`), or, as in the paper, asks for a relative change of its blocks in the state of
`learning.slicing_environment`. A live slice has a latency bound, so every device (one topic of one robot) is a
delay-constrained one, eq. (3). Of other slices it is told only how many missed their bounds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ir_slicing.allocation.demand import DemandFilter
from ir_slicing.allocation.pooled_need import pooled_needs, quantile_factor
from ir_slicing.learning import satisfaction
from ir_slicing.learning.agents.ddpg import STATE
from ir_slicing.learning.correction import CORRECTION_STATE, corrected, correction_state
from ir_slicing.live.joint_forecasts import JointForecasts
from ir_slicing.live.live_forecaster import LiveForecaster, foretell
from ir_slicing.live.slice_sight_config import SliceSightConfig
from ir_slicing.live.slice_view import SliceView

Floats = NDArray[np.float64]
Seen = tuple[float, ...]
"""What a state is made of (`SliceSight.observe`)."""
Outcome = tuple[float, float, float, int, int, float, bool, float]
"""RB granted of the request and RB needed; p99 in s, messages delivered and dropped, bit that wait; whether the bound
was missed, and the share of the other slices that missed theirs."""
P99 = 0.99
MEMORY = 0.9
"""What is left of the share of misses after a report."""


def state_size(config: SliceSightConfig) -> int:
    """Size of the states of agents."""
    return CORRECTION_STATE if config.action == "correction" else STATE


def states_of(config: SliceSightConfig, seen: Sequence[Seen]) -> Floats:
    """States [k, `state_size`] of k slices: `correction.correction_state`, or log(d/w), log(d^/w), log(w/w_equal)."""
    columns = np.array(seen, np.float64).T
    if config.action == "correction":
        needed, expected, low, high, before, held, base, misses = columns
        return correction_state(needed, expected, low, high, before, held, base, misses)
    needed, expected, held, equal = columns
    return np.log(np.stack([needed / held, expected / held, held / equal], axis=-1))


class SliceSight:
    """`learning.slicing_environment` on the reports of a live radio: state, action and reward of one slice.

    Args:
        max_latency: the slice's latency bound, s.
        config: validated.
        forecaster: forecasts the devices' traffic.
        reliability: fraction of the messages that meet the bound while the need is met; by default that of the p99 by
            which reports are judged.

    Attributes:
        asked: RB of the last request.
        needed: RB that the slice needs now.
        expected: [horizon] RB that it will need in the periods of `live_forecaster.HORIZONS`.
        base: RB that agents correct: what the policy forecast asks for.
        refused: reason -> number of forecasts that were not used.
    """

    def __init__(
        self, max_latency: float, config: SliceSightConfig, forecaster: LiveForecaster, reliability: float = P99
    ) -> None:
        self.max_latency, self.reliability = max_latency, reliability
        self.config, self.forecaster = config, forecaster
        self._filter = DemandFilter(config.demand_time_constant)
        self._joint = JointForecasts()
        self._smooth: tuple[float, ...] = ()
        self._held = config.min_blocks
        self._misses = 0.0
        self.base = config.min_blocks
        self.asked: float | None = None
        self.needed = config.min_blocks
        self.expected: tuple[float, ...] = (config.min_blocks,)
        self.refused: Counter[str] = Counter()

    def configure(self, config: SliceSightConfig) -> None:
        """Takes over other parameters."""
        self.config = config
        self._filter.time_constant = config.demand_time_constant

    def observe(self, view: SliceView) -> Seen:
        """Takes in a report; returns what the state is made of, for `states_of`.

        d is what the last period needed, d^ what the forecaster, or without one the low-passed rates, say of the next.
        """
        before = self.expected[0]
        self.look(view)
        return self.seen(view, before)

    def seen(self, view: SliceView, before: float) -> Seen:
        """What the state is made of, after a `look` at the view.

        Args:
            before: RB that were expected of this period.
        """
        low = self.config.min_blocks
        if self.config.action == "correction":
            self._misses = MEMORY * self._misses + (1.0 - MEMORY) * self._missed(view)
            self.base = min(max(self.request(self.config.base_margin), low), view.carrier)
            ahead, (least, most) = max(self.expected), self.forecaster.spread
            held = max(view.allocated, low)
            return self.needed, ahead, least * ahead, most * ahead, before, held, self.base, self._misses
        held = self._held = max(min(self.asked or view.allocated, view.allocated), low)
        return self.needed, self.expected[0], held, view.carrier / max(view.slices, 1)

    def request(self, margin: float) -> float:
        """RB that the policy forecast asks for after a report."""
        return margin * max(self.needed, *self.expected)

    def _missed(self, view: SliceView) -> bool:
        """Whether the slice missed its bound, or dropped, in the period."""
        nothing = view.delivered == 0 and view.queued > 0.0
        return view.delay > self.max_latency or view.dropped > 0 or nothing

    def look(self, view: SliceView) -> None:
        """Takes in a report: what the slice needs now, and what it is expected to need (`look_all`)."""
        look_all([(self, view)], self._joint)

    def take(self, view: SliceView) -> None:
        """Takes in the traffic of a report."""
        self._smooth = self._filter.follow(view.time, view.devices, view.offered)
        self.forecaster.push(view.devices, view.offered, self._smooth)

    def outlook(self, view: SliceView) -> tuple[Sequence[float], ...]:
        """[period][device] bit/s that are expected: the forecast, or the low pass.

        A forecast of another width, negative or not finite is refused, and the low pass stands in.
        """
        outlook = self.forecaster.forecast()
        if outlook is None:
            return (self._smooth,)
        for ahead in outlook:  # a sum with a NaN is one
            if len(ahead) != len(view.offered) or not (sum(ahead) < math.inf and min(ahead, default=0.0) >= 0.0):
                self.refused["forecast"] += 1
                return (self._smooth,)
        return tuple(outlook)

    def ask(self, action: float, view: SliceView) -> float:
        """RB that an action asks for: the base times (1 + max_correction)^action; or of what is held."""
        config = self.config
        if config.action == "correction":
            asked = corrected(self.base, action, config.max_correction)
        else:
            asked = self._held * (1.0 + config.max_change) ** action
        self.asked = min(max(asked, self.config.min_blocks), view.carrier)
        return self.asked

    def need(self, view: SliceView, offered: Sequence[float]) -> float:
        """RB with which the slice meets its bound while its devices offer ``offered`` [device] bit/s (`needs_of`)."""
        return float(needs_of([(self, view)], [[offered]])[0, 0])

    def outcome(self, view: SliceView) -> Outcome:
        """The outcome of the last request; to be asked after `look` at the report on what came of it."""
        granted = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        return (
            granted, self.needed, view.delay, view.delivered, view.dropped, view.queued,
            self._missed(view), view.others_missed,
        )  # fmt: skip

    def rewards(self, outcomes: Sequence[Outcome]) -> Floats:
        """(14) of requests [k], with the measured delay in (3) and what was granted of them in (5), less the weights of
        missed bounds, the slice's own and the others'.

        (3) is of the share of the messages that were not dropped; an idle slice is satisfied, one in which nothing
        comes through though some waits is not.
        """
        granted, needed, delay, delivered, dropped, queued, missed, others = np.array(outcomes, np.float64).T
        used = satisfaction.utilisation(granted, needed, "efficient")
        delay = np.where(delivered > 0.0, delay, np.inf)
        served = satisfaction.delay_satisfaction(delay, np.float64(self.max_latency), self.config.steepness)
        count = delivered + dropped
        satisfied = np.where(count > 0.0, served * delivered / np.maximum(count, 1.0), queued <= 0.0)
        worth = self.config.utilisation_weight * used + self.config.utility_weight * satisfied
        return np.asarray(worth - self.config.missed_weight * missed - self.config.others_weight * others)

    def reward(self, view: SliceView) -> float:
        """(14) of the last request; as `outcome`."""
        return float(self.rewards([self.outcome(view)])[0])


def look_all(pairs: Sequence[tuple[SliceSight, SliceView]], joint: JointForecasts) -> None:
    """Has many slices look at their views of a report, with all that is numbers reckoned together."""
    for sight, view in pairs:
        sight.take(view)
    foretell([sight.forecaster for sight, _ in pairs], joint)
    outlook = [sight.outlook(view) for sight, view in pairs]
    present: list[Sequence[float]] = [view.offered for _, view in pairs]
    needs = needs_of(pairs, [present, [ahead[0] for ahead in outlook], [ahead[-1] for ahead in outlook]]).tolist()
    for (sight, _), ahead, now, first, last in zip(pairs, outlook, *needs, strict=True):
        sight.needed = now
        sight.expected = (first, last) if len(ahead) > 1 else (first,)


def needs_of(pairs: Sequence[tuple[SliceSight, SliceView]], rows: Sequence[Sequence[Sequence[float]]]) -> Floats:
    """RB [row, slice] with which slices meet their bounds while their devices offer ``rows`` [row][slice][device].

    Queued bits count as far as they are more than what the latency bound allows to wait. A device whose link is unknown
    has the mean block rate of the slice's others; a slice that knows none needs the least.
    """
    views, sights = [view for _, view in pairs], [sight for sight, _ in pairs]
    count = len(pairs)
    devices = [len(view.devices) for view in views]
    owner = np.repeat(np.arange(count), devices)
    packet = _joined([view.packet for view in views], len(owner))
    rate = _joined([view.block_rate for view in views], len(owner))
    known = rate > 0.0
    knows = np.bincount(owner, known, count)
    mean = np.bincount(owner, np.where(known, rate, 0.0), count) / np.maximum(knows, 1.0)
    mean[knows == 0.0] = 1.0
    rate = np.where(known, rate, mean[owner])
    bound = np.array([sight.max_latency for sight in sights])
    factor = np.array([quantile_factor(sight.reliability) for sight in sights])
    low = np.array([sight.config.min_blocks for sight in sights])
    drain = np.array([sight.config.drain_time for sight in sights])
    queued, carrier = np.array([view.queued for view in views]), np.array([view.carrier for view in views])
    out = np.empty((len(rows), count))
    for k, row in enumerate(rows):
        bits = _joined(row, len(owner))
        late = np.where(queued > 0.0, queued - np.bincount(owner, bits, count) * bound, 0.0)
        blocks = pooled_needs(bits, packet, rate, owner, bound, factor) + np.maximum(late, 0.0) / drain / mean
        out[k] = np.where(knows > 0.0, np.minimum(np.maximum(blocks, low), carrier), low)
    return out


def _joined(parts: Sequence[Sequence[float]], count: int) -> Floats:
    """[slice][device] in one row."""
    return np.fromiter(chain.from_iterable(parts), np.float64, count)
