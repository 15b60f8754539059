# SPDX-License-Identifier: Apache-2.0
"""Parameters of the slice policy forecast."""

from __future__ import annotations

from pydantic import Field

from ir_common.config import Config, live


class NeedConfig(Config):
    """How much more than the need is asked for."""

    margin: float = live(1.15, ge=1, le=10, description="forecast: asked for, relative to the need that is expected")
    twin: bool = Field(True, description="forecast: slice forecasters are fitted; else the low pass forecasts")
