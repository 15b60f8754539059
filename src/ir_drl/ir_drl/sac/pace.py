# SPDX-License-Identifier: Apache-2.0
"""A curriculum: in training, speed pays only so far as the robot has learnt not to fall at it."""

from __future__ import annotations

from pydantic import Field

from ir_common.config import Config


class PaceConfig(Config):
    """What a step pays in training. Records and evaluations keep the task's own rewards."""

    cap: float = Field(gt=0, description="reward that a step pays at most at first")
    allowance: float = Field(default=0.0, description="taken off every reward: what a robot gets that merely stands")
    growth: float = Field(default=1.1, gt=1.0, description="what the cap is multiplied by after an epoch")
    falls: int = Field(default=2, ge=0, description="in which the robot fell no more often than that,")
    reached: float = Field(default=0.7, gt=0, le=1, description="and whose steps paid this part of the cap on average")


class Pace:
    """The cap of a run, and what the epoch under way has paid. What was paid under a lower cap stays as it was.

    Args:
        config: none: every reward is paid as it is.

    Attributes:
        cap: reward that a step pays at most, before the allowance is taken off.
    """

    def __init__(self, config: PaceConfig | None) -> None:
        self._config = config
        self.cap = config.cap if config else float("inf")
        self._paid, self._steps = 0.0, 0

    def pay(self, reward: float) -> float:
        """What a step pays whose reward is ``reward``."""
        if self._config is None:
            return reward
        paid = min(reward, self.cap)
        self._paid += paid
        self._steps += 1
        return paid - self._config.allowance

    def end_epoch(self, falls: int) -> dict[str, float]:
        """Raises the cap where the epoch earned it; returns what it was in the epoch, for the record."""
        if self._config is None:
            return {}
        cap, mean = self.cap, self._paid / max(self._steps, 1)
        if falls <= self._config.falls and mean >= self._config.reached * cap:
            self.cap *= self._config.growth
        self._paid, self._steps = 0.0, 0
        return {"reward_cap": cap}
