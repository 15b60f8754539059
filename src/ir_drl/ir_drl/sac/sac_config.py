# SPDX-License-Identifier: Apache-2.0
"""Hyper-parameters of the agent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ir_common.config import Config

Width = Annotated[int, Field(ge=1, le=8192)]


class SACConfig(Config):
    """Soft actor-critic; its defaults are IoR's (section III), and where it is silent Haarnoja et al.'s (2018)."""

    hidden: tuple[Width, ...] = Field(
        default=(256, 256, 256), min_length=1, description="widths of the hidden layers, neurons"
    )
    batch: int = Field(default=256, ge=1, description="transitions of one update")
    learning_rate: float = Field(
        default=3e-4, gt=0.0, le=1.0, description="Adam's step size, of actor, critics and entropy"
    )
    actor_rate: float | None = Field(
        default=None, gt=0.0, le=1.0, description="the same of actor and entropy alone; none: learning_rate"
    )
    discount: float = Field(default=0.99, ge=0.0, le=1.0, description="gamma, worth of the next step's value")
    target_rate: float = Field(
        default=0.005, gt=0.0, le=1.0, description="tau, what the targets take over in one update"
    )
    initial_alpha: float = Field(default=1.0, gt=0.0, description="entropy coefficient at the start, reward per nat")
    tune_entropy: bool = Field(
        default=True, description="whether alpha follows the target entropy, or stays as it starts"
    )
    actor_every: int = Field(default=1, ge=1, description="updates of the critics for each of actor and entropy")
    actor_after: int = Field(
        default=0, ge=0, description="updates of the critics before the first of these: for an actor that knows more"
    )
    anchor: float = Field(
        default=0.0, ge=0.0, description="weight of the actor's squared distance from its anchor, in mean values |Q|"
    )
    target_entropy: float | None = Field(default=None, description="nats; none: minus the number of actions")
