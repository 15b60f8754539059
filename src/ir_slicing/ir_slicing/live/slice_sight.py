# SPDX-License-Identifier: Apache-2.0
"""State, action and reward of a live agent: MAFL section IV on the radio's reports of its slice, and on nothing else.

It sees the world as the agents of `learning.slicing_environment` do, so that weights trained there serve here: state
log(d / w), log(d^ / w), log(w / w_equal) with the needed blocks d now and d^ forecast, and the granted blocks w; the
action is a relative change of w. A live slice has a latency bound, so every device (one topic of one robot) is a
delay-constrained one, eq. (3).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ir_slicing.allocation.demand import DemandFilter
from ir_slicing.learning import satisfaction
from ir_slicing.live.live_forecaster import LiveForecaster
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_view import SliceView

Floats = NDArray[np.float64]


class SliceSight:
    """`learning.slicing_environment` on the reports of a live radio: state, action and reward of one slice.

    Args:
        max_latency: the slice's latency bound, s.
        config: validated.
        forecaster: forecasts the devices' traffic.

    Attributes:
        asked: RB of the last request.
        needed: RB that the slice needs now.
        refused: reason -> number of forecasts that were not used.
    """

    def __init__(self, max_latency: float, config: SliceAgentConfig, forecaster: LiveForecaster) -> None:
        self.max_latency, self.config, self.forecaster = max_latency, config, forecaster
        self._filter = DemandFilter(config.demand_time_constant)
        self._held = config.min_blocks
        self.asked: float | None = None
        self.needed = config.min_blocks
        self.refused: Counter[str] = Counter()

    def observe(self, view: SliceView) -> Floats:
        """Takes in a report; returns the state [3]: log(d/w), log(d^/w), log(w/w_equal).

        d is what the last period needed, d^ what the forecaster, or without one the low-passed rates, say of the next.
        """
        smooth = self._filter.update(view.time, dict(zip(view.devices, view.offered, strict=True)))
        self.forecaster.push(view.devices, view.offered)
        self.needed = self.need(view, view.offered)
        expected = self._forecast(np.array([smooth[device] for device in view.devices]))
        self._held = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        equal = view.carrier / max(view.slices, 1)
        return np.log([self.needed / self._held, self.need(view, expected) / self._held, self._held / equal])

    def ask(self, action: float, view: SliceView) -> float:
        """RB that an action asks for: what is held times (1 + max_change)^action."""
        asked = self._held * (1.0 + self.config.max_change) ** action
        self.asked = float(np.clip(asked, self.config.min_blocks, view.carrier))
        return self.asked

    def need(self, view: SliceView, offered: Floats) -> float:
        """RB with which every device is satisfied to the target while it offers ``offered`` [device] bit/s.

        Queued bits count as far as they are more than what the latency bound allows to wait.
        """
        known = view.block_rate > 0.0
        if not known.any():
            return self.config.min_blocks
        rate = np.where(known, view.block_rate, view.block_rate[known].mean())
        margin = satisfaction.headroom(self.config.target, self.config.steepness)
        bound = np.full(offered.shape, self.max_latency)
        wanted = np.where(offered > 0.0, satisfaction.rate_for_delay(offered, view.packet, bound, margin), 0.0)
        late = max(view.queued - float(offered.sum()) * self.max_latency, 0.0)
        blocks = float((wanted / rate).sum()) + late / self.config.drain_time / float(rate.mean())
        return min(max(blocks, self.config.min_blocks), view.carrier)

    def _forecast(self, smooth: Floats) -> Floats:
        """The forecast of the next period; one of another width is refused, and the low pass stands in."""
        forecast = self.forecaster.forecast()
        if forecast is None:
            return smooth
        if forecast.shape != smooth.shape or not np.isfinite(forecast).all() or (forecast < 0.0).any():
            self.refused["forecast"] += 1
            return smooth
        return forecast

    def reward(self, view: SliceView) -> float:
        """(14) of the last request, with the measured delay in (3) and what was granted of it in (5).

        To be asked after `observe` of the report on what came of the request.
        """
        granted = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        used = float(satisfaction.utilisation(np.array(granted), np.array(self.needed), "efficient"))
        return self.config.utilisation_weight * used + self.config.utility_weight * self.satisfaction(view)

    def satisfaction(self, view: SliceView) -> float:
        """(3) with the measured delay, times the share of the messages that were not dropped; idle: 1."""
        count = view.delivered + view.dropped
        if not count:
            return 0.0 if view.queued > 0.0 else 1.0
        if not view.delivered:
            return 0.0
        served = satisfaction.delay_satisfaction(
            np.array(view.delay), np.array(self.max_latency), self.config.steepness
        )
        return float(served) * view.delivered / count
