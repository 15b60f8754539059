# SPDX-License-Identifier: Apache-2.0
"""Configuration of a training run, and how two of them differ."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ir_common.config import Config
from ir_drl.sac.reward_curriculum import RewardCurriculumConfig
from ir_drl.sac.sac_config import SACConfig


class TrainingConfig(Config):
    """A training run; the defaults are those of IoR section III and Fig. 4."""

    sac: SACConfig = Field(default_factory=SACConfig, description="the agent")
    seed: int = Field(default=0, ge=0, description="of every random number of the run")
    epochs: int = Field(default=120, ge=1, description="number of epochs")
    epoch_steps: int = Field(default=1000, ge=1, description="environment steps of an epoch")
    start_steps: int = Field(
        default=1000, ge=1, description="first steps of the run, with uniform actions and no updates"
    )
    return_steps: int = Field(
        default=1, ge=1, le=100, description="environment steps whose rewards a target sums up before the next value"
    )
    updates_per_step: int = Field(default=1, ge=0, description="gradient steps for each environment step")
    pace: RewardCurriculumConfig | None = Field(
        default=None, description="what steps pay in training; none: their rewards"
    )
    capacity: int = Field(default=1_000_000, ge=1, description="transitions that the replay buffer keeps")
    evaluation_episodes: int = Field(default=5, ge=0, description="episodes of an evaluation, one after each epoch")


def difference(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first key, with dots, whose values differ in two configurations of one kind, and the values.

    What one of them does not have at all is left out: an earlier release did not know it.
    """
    for key, one in before.items():
        other = now.get(key, one)
        if isinstance(one, dict) and isinstance(other, dict):
            if below := difference(one, other):
                return f"{key}.{below[0]}", *below[1:]
        elif one != other:
            return key, one, other
    return None
