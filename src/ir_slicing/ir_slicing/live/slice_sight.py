# SPDX-License-Identifier: Apache-2.0
"""State, action and reward of a live agent: MAFL section IV on the radio's reports of its slice, and on nothing else.

It sees the world as the agents of `learning.slicing_environment` do, so that weights trained there serve here: state
log(d / w), log(d^ / w), log(w / w_equal) with the needed blocks d now and d^ forecast, and the granted blocks w; the
action is a relative change of w. A live slice has a latency bound, so every device (one topic of one robot) is a
delay-constrained one, eq. (3).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ir_slicing.allocation.demand import DemandFilter
from ir_slicing.allocation.pooled_need import pooled_need, quantile_factor
from ir_slicing.learning import satisfaction
from ir_slicing.live.live_forecaster import LiveForecaster
from ir_slicing.live.slice_sight_config import SliceSightConfig
from ir_slicing.live.slice_view import SliceView

Floats = NDArray[np.float64]
State = tuple[float, float, float]
Outcome = tuple[float, float, float, int, int, float]
"""RB granted of the request and RB needed; p99 in s, messages delivered and dropped, bit that wait."""
P99 = 0.99


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
        refused: reason -> number of forecasts that were not used.
    """

    def __init__(
        self, max_latency: float, config: SliceSightConfig, forecaster: LiveForecaster, reliability: float = P99
    ) -> None:
        self.max_latency, self.reliability = max_latency, reliability
        self.config, self.forecaster = config, forecaster
        self._filter = DemandFilter(config.demand_time_constant)
        self._held = config.min_blocks
        self.asked: float | None = None
        self.needed = config.min_blocks
        self.expected: tuple[float, ...] = (config.min_blocks,)
        self.refused: Counter[str] = Counter()

    def configure(self, config: SliceSightConfig) -> None:
        """Takes over other parameters."""
        self.config = config
        self._filter.time_constant = config.demand_time_constant

    def observe(self, view: SliceView) -> State:
        """Takes in a report; returns the state [3]: log(d/w), log(d^/w), log(w/w_equal).

        d is what the last period needed, d^ what the forecaster, or without one the low-passed rates, say of the next.
        """
        self.look(view)
        held = self._held = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        equal = view.carrier / max(view.slices, 1)
        return math.log(self.needed / held), math.log(self.expected[0] / held), math.log(held / equal)

    def look(self, view: SliceView) -> None:
        """Takes in a report: what the slice needs now, and what it is expected to need."""
        low_passed = self._filter.update(view.time, dict(zip(view.devices, view.offered, strict=True)))
        smooth = tuple([low_passed[device] for device in view.devices])
        self.forecaster.push(view.devices, view.offered, smooth)
        self.needed = self.need(view, view.offered)
        outlook = self._outlook(view)
        self.expected = tuple(self.need(view, one) for one in ([smooth] if outlook is None else outlook))

    def ask(self, action: float, view: SliceView) -> float:
        """RB that an action asks for: what is held times (1 + max_change)^action."""
        asked = self._held * (1.0 + self.config.max_change) ** action
        self.asked = min(max(asked, self.config.min_blocks), view.carrier)
        return self.asked

    def need(self, view: SliceView, offered: Iterable[float]) -> float:
        """RB with which the slice meets its bound while its devices offer ``offered`` [device] bit/s.

        Queued bits count as far as they are more than what the latency bound allows to wait.
        """
        known = [rate for rate in view.block_rate if rate > 0.0]
        if not known:
            return self.config.min_blocks
        mean = sum(known) / len(known)
        rates, bits = [rate if rate > 0.0 else mean for rate in view.block_rate], list(offered)
        blocks = pooled_need(bits, view.packet, rates, self.max_latency, quantile_factor(self.reliability))
        late = max(view.queued - sum(bits) * self.max_latency, 0.0)
        blocks += late / self.config.drain_time / (sum(rates) / len(rates))
        return min(max(blocks, self.config.min_blocks), view.carrier)

    def _outlook(self, view: SliceView) -> Floats | None:
        """The forecast; one of another width, negative or not finite is refused, and the low pass stands in."""
        outlook = self.forecaster.forecast()
        if outlook is None:
            return None
        fits = outlook.shape[1:] == (len(view.offered),)
        if not fits or not np.isfinite(outlook).all() or (outlook < 0.0).any():
            self.refused["forecast"] += 1
            return None
        return outlook

    def outcome(self, view: SliceView) -> Outcome:
        """The outcome of the last request; to be asked after `look` at the report on what came of it."""
        granted = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        return granted, self.needed, view.delay, view.delivered, view.dropped, view.queued

    def rewards(self, outcomes: Sequence[Outcome]) -> Floats:
        """(14) of requests [k], with the measured delay in (3) and what was granted of them in (5).

        (3) is of the share of the messages that were not dropped; an idle slice is satisfied, one in which nothing
        comes through though some waits is not.
        """
        granted, needed, delay, delivered, dropped, queued = np.array(outcomes, np.float64).T
        used = satisfaction.utilisation(granted, needed, "efficient")
        delay = np.where(delivered > 0.0, delay, np.inf)
        served = satisfaction.delay_satisfaction(delay, np.float64(self.max_latency), self.config.steepness)
        count = delivered + dropped
        satisfied = np.where(count > 0.0, served * delivered / np.maximum(count, 1.0), queued <= 0.0)
        return self.config.utilisation_weight * used + self.config.utility_weight * satisfied

    def reward(self, view: SliceView) -> float:
        """(14) of the last request; as `outcome`."""
        return float(self.rewards([self.outcome(view)])[0])
