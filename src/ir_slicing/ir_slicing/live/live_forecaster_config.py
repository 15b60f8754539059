# SPDX-License-Identifier: Apache-2.0
"""Parameters of a live slice's forecaster."""

from __future__ import annotations

from pydantic import Field

from ir_common.config import Config


class LiveForecasterConfig(Config):
    """How the forecaster of a live slice learns, and when it is used."""

    window: int = Field(24, ge=4, le=1000, description="report periods that it looks back")
    history: int = Field(600, ge=50, le=100_000, description="report periods that it learns from")
    duty: float = Field(0.05, gt=0, le=1, description="share of one core that learning may take, all slices together")
    epochs: int = Field(2, ge=1, le=1000, description="passes over the history each time")
    judge_reports: float = Field(
        10.0, ge=1, le=1000, description="time constant of the error in use, by which it is kept in use, report periods"
    )
