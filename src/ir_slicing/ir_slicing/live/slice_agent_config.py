# SPDX-License-Identifier: Apache-2.0
"""Parameters of a live agent, and of a process that hosts several of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from ir_slicing.learning.agent_weights import TRAINED
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.live.slice_sight_config import SliceSightConfig


class SliceAgentConfig(SliceSightConfig):
    """How a live agent acts and learns."""

    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of Adam while it learns online")
    noise: float = Field(0.02, ge=0, le=1, description="deviation of the exploration noise on the action")
    warm_up: int = Field(256, ge=1, description="transitions before the first update")
    replay: int = Field(10_000, ge=1, description="transitions that are kept")
    keep: float = Field(0.1, gt=0, le=1, description="share of the changed weights that an update message holds")


class SliceAgentsConfig(SliceAgentConfig, LiveForecasterConfig):
    """Parameters of the agents that one process hosts."""

    slices: tuple[str, ...] = Field((), description="names of the slices that this process hosts; empty: all there are")
    weights_file: Path = Field(TRAINED, description="what the agents start from: an NPZ file, the manager's")
    keys_file: Path | None = Field(
        None, description="keys of the slices, with which their updates are signed; empty: they are not"
    )
    learn: bool = Field(True, description="agents train online and take part in the federation")
    learn_duty: float = Field(0.05, gt=0, le=1, description="share of one core that all agents' training may take")
    personal_layers: int = Field(
        0, ge=0, le=100, description="last layers of every agent's networks that the federation does not touch"
    )
    twin: bool = Field(
        True, description="slice forecasters are trained and asked; without, the present is the forecast"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of exploration, samples and forecasters")

    @field_validator("keys_file", mode="before")
    @classmethod
    def _no_file(cls, value: Any) -> Any:
        return value or None

    @field_validator("slices", mode="before")
    @classmethod
    def _no_empty_name(cls, value: Any) -> Any:
        return [name for name in value if name]
