# SPDX-License-Identifier: Apache-2.0
"""A curriculum of rewards: in training, speed pays only so far as the robot has learnt not to fall at it."""

from __future__ import annotations

from pydantic import Field

from ir_common.config import Config


class RewardCurriculumConfig(Config):
    """What a step pays in training. Records and evaluations keep the task's own rewards."""

    cap: float = Field(gt=0, description="reward that a step pays at most at first")
    allowance: float = Field(default=0.0, description="taken off every reward: what a robot gets that merely stands")
    growth: float = Field(default=1.1, gt=1.0, description="what the cap is multiplied by after an epoch")
    falls: int = Field(default=2, ge=0, description="in which the robot fell no more often than that,")
    reached: float = Field(default=0.7, gt=0, le=1, description="and whose steps paid this part of the cap on average")


class RewardCurriculum:
    """Shapes the rewards of a run: they are capped, and the cap rises after epochs that went well.

    What was shaped under a lower cap stays as it was.

    Args:
        config: none: every reward stays as it is.

    Attributes:
        cap: reward that a step pays at most, before the allowance is taken off; dimensionless.
    """

    def __init__(self, config: RewardCurriculumConfig | None) -> None:
        self._config = config
        self.cap = config.cap if config else float("inf")
        self._capped, self._steps = 0.0, 0

    def shaped(self, reward: float) -> float:
        """What the agent is given for a step whose reward is ``reward``."""
        if self._config is None:
            return reward
        capped = min(reward, self.cap)
        self._capped += capped
        self._steps += 1
        return capped - self._config.allowance

    def end_epoch(self, falls: int) -> dict[str, float]:
        """Raises the cap where the epoch earned it; returns what it was in the epoch, for the record."""
        if self._config is None:
            return {}
        cap, mean = self.cap, self._capped / max(self._steps, 1)
        if falls <= self._config.falls and mean >= self._config.reached * cap:
            self.cap *= self._config.growth
        self._capped, self._steps = 0.0, 0
        return {"reward_cap": cap}
