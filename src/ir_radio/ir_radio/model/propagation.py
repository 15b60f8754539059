# SPDX-License-Identifier: Apache-2.0
"""Where a carrier is: keys of `carrier.propagation`, the scenarios of 3GPP TR 38.901 (docs/method/channel.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ir_common.config import Config

Scenario = Literal["inf_sl", "inf_dl", "inf_sh", "inf_dh", "inh_mixed", "inh_open", "umi"]
FACTORIES: tuple[Scenario, ...] = ("inf_sl", "inf_dl", "inf_sh", "inf_dh")


class Propagation(Config):
    """Path loss, line of sight and shadowing as in TR 38.901, section 7.4, in place of free space.

    The clutter of a factory is by default that of its calibration (table 7.8-7): sparse 20 %, 10 m wide, 2 m high;
    dense 60 %, 2 m wide, 6 m high.
    """

    scenario: Scenario = Field(
        description="factory (sparse or dense clutter, low or high base station), office (mixed or open), street canyon"
    )
    clutter_density: float | None = Field(None, gt=0, lt=1, description="factory: fraction of the floor under clutter")
    clutter_size: float | None = Field(None, ge=0.1, le=1000, description="factory: width of the clutter, m")
    clutter_height: float | None = Field(None, ge=0.1, le=100, description="factory: height of the clutter, m")
    line_of_sight: Literal["drawn", "always", "never"] = Field(
        "drawn", description="drawn: by its probability, as a field over space; else everywhere or nowhere"
    )
    shadowing: bool = Field(True, description="log-normal, with the deviations and correlations of the scenario")

    @property
    def in_factory(self) -> bool:
        """Is the scenario one of factories?"""
        return self.scenario in FACTORIES

    @property
    def base_is_high(self) -> bool:
        """Does a factory's base station stand over the clutter?"""
        return self.scenario in ("inf_sh", "inf_dh")

    @property
    def density(self) -> float:
        """Fraction of the floor under clutter."""
        return self.clutter_density or (0.2 if self.scenario in ("inf_sl", "inf_sh") else 0.6)

    @property
    def width(self) -> float:
        """Width of the clutter, m."""
        return self.clutter_size or (10.0 if self.scenario in ("inf_sl", "inf_sh") else 2.0)

    @property
    def height(self) -> float:
        """Height of the clutter, m."""
        return self.clutter_height or (2.0 if self.scenario in ("inf_sl", "inf_sh") else 6.0)

    def fault(self, heights: tuple[float, ...]) -> str:
        """Why base stations at these heights, m, do not go with the scenario; empty: they do."""
        for z in heights:
            if self.in_factory and self.base_is_high != (z > self.height):
                side, other = ("over", "low") if self.base_is_high else ("under", "high")
                return (
                    f"propagation: {self.scenario} has its base stations {side} the clutter of {self.height:g} m, one "
                    f"is at {z:g} m; change position or clutter_height, or take a scenario with a {other} one"
                )
            if z <= 1.0 and self.scenario == "umi":
                return f"propagation: umi has base stations over 1 m (TR 38.901, table 7.4.1-1), one is at {z:g} m"
        return ""
