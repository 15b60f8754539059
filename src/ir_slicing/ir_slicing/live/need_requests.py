# SPDX-License-Identifier: Apache-2.0
"""Requests of the policy forecast: a margin on the pooled need of the present or the forecast, whichever is more.

    asked = margin * max(need(now), need(t + 1), need(t + 2))

with `pooled_need` of the traffic of the last period and of what is forecast for the next two: a decision is in force in
both. Where no forecast is in use, the low-passed traffic stands in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ir_radio.books.cell_report import Report
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.live.joint_forecasts import JointForecasts
from ir_slicing.live.live_forecaster import LiveForecaster, fit_ready
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.live.need_config import NeedConfig
from ir_slicing.live.slice_sight import SliceSight, look_all
from ir_slicing.live.slice_sight_config import SliceSightConfig
from ir_slicing.live.slice_view import SortedReport, ViewReader


@dataclass(frozen=True)
class BlockRequest:
    """A request in the name of a slice to the manager.

    Attributes:
        time: ns of ROS time of the report that it was made from.
        slice: name.
        resource_blocks: RB.
    """

    time: int
    slice: str
    resource_blocks: float


class NeedRequests:
    """Requests in the name of all slices, report by report.

    Args:
        config: validated.
        sight: how needs are reckoned.
        seed: of the forecasters.

    Attributes:
        sights: by name of the slice.
    """

    def __init__(self, config: NeedConfig, sight: SliceSightConfig, seed: int = 0) -> None:
        self.config, self._sight, self._seed = config, sight, seed
        self.sights: dict[str, SliceSight] = {}
        self._joint = JointForecasts()
        self._readers: dict[str, ViewReader] = {}

    def configure(self, config: NeedConfig, sight: SliceSightConfig) -> None:
        """Takes over other parameters; slice forecasters stay."""
        self.config, self._sight = config, sight
        for one in self.sights.values():
            one.configure(sight)

    def set_slices(self, specs: Mapping[str, SliceSpec]) -> None:
        """Takes the slices in force."""
        for name in set(self.sights) - set(specs):
            del self.sights[name], self._readers[name]
        for name, spec in specs.items():
            if name not in self.sights:
                forecaster = LiveForecaster(LiveForecasterConfig(), self._seed, train=self.config.twin)
                self.sights[name] = SliceSight(spec.max_latency, self._sight, forecaster, spec.reliability)
                self._readers[name] = ViewReader(name)
            self.sights[name].max_latency, self.sights[name].reliability = spec.max_latency, spec.reliability

    def report(self, report: Report, carrier: float) -> list[BlockRequest]:
        """Takes in what the radio did; returns what is asked for each slice.

        Args:
            report: from the radio.
            carrier: RB of the carrier.
        """
        rows = SortedReport(report)
        seen = [
            (name, sight, view)
            for name, sight in self.sights.items()
            if (view := self._readers[name].read(rows, carrier)) is not None
        ]
        if not seen:
            return []
        look_all([(sight, view) for _, sight, view in seen], self._joint)
        requests = []
        for name, sight, _ in seen:
            blocks = min(max(sight.request(self.config.margin), sight.config.min_blocks), carrier)
            requests.append(BlockRequest(report.time, name, blocks))
        return requests

    @property
    def forecasters(self) -> list[LiveForecaster]:
        """The forecasters of all slices, for who fits them."""
        return [sight.forecaster for sight in self.sights.values()]

    def fit(self, fits: int) -> int:
        """Fits slice forecasters here and now, at most ``fits`` of them; returns how many were fitted."""
        return fit_ready(self.forecasters, fits)

    def refused(self) -> Counter[str]:
        """Name of a slice -> forecasts that were not used, so far."""
        return Counter({name: sight.refused["forecast"] for name, sight in self.sights.items()})
