# SPDX-License-Identifier: Apache-2.0
"""Agents as corrections of a rule: what they see and ask for beside the request that the policy forecast makes.

    b = margin * max(d, d^),    asked = b (1 + max_correction)^a,    a in [-1, 1]

With a = 0 the rule decides. d is the need now, d^ the forecast one. What an agent sees are ratios, so that slices of
any size, at any load, look alike, and weights can be averaged or used where they were not trained.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.slicing_environment import EnvironmentConfig, PeriodOutcome, SlicingEnvironment

Floats = NDArray[np.float64]
Request = TypeVar("Request", float, Floats)

CORRECTION_STATE = 7
"""Size of the state of an agent that corrects (`correction_state`)."""

MOST = 3.0
"""Largest number in a state, of a logarithm: beyond a factor of twenty nothing more is said."""


class CorrectionConfig(Config):
    """How far agents may go from the rule."""

    margin: float = Field(1.1, ge=1, le=10, description="of the rule, on the need of the present or the forecast")
    max_correction: float = Field(0.5, gt=0, le=9, description="largest correction of the rule's request, of it")
    memory: float = Field(0.9, ge=0, lt=1, description="what is left of the share of misses after a step")


def correction_state(
    needed: ArrayLike, expected: ArrayLike, low: ArrayLike, high: ArrayLike, before: ArrayLike, held: ArrayLike,
    base: ArrayLike, misses: ArrayLike,
) -> Floats:  # fmt: skip
    """States [..., 7]: log(d / b), log(d^ / b), log(low / d^), log(high / d^), log(d / d^ before), log(w / d), misses.

    MAFL's s = [d, d^] (section IV-A), and beside it what says how far the forecast can be trusted.

    Args:
        needed: [...] RB: d, now.
        expected: [...] RB: d^, forecast of the next step.
        low: [...] RB: its quantile of 0.1.
        high: [...] RB: its quantile of 0.9.
        before: [...] RB: the forecast that was made for now.
        held: [...] RB: w, that were there for d.
        base: [...] RB: b, that the rule asks for.
        misses: [...] recent share of the steps in which w was too little.
    """
    pairs = ((needed, base), (expected, base), (low, expected), (high, expected), (needed, before), (held, needed))
    logs = [np.clip(np.log(np.divide(a, b)), -MOST, MOST) for a, b in pairs]
    return np.stack([*logs, np.broadcast_to(np.asarray(misses, np.float64), logs[0].shape)], axis=-1)


def corrected(base: Request, action: Request, max_correction: float) -> Request:
    """RB that actions, clipped to [-1, 1], make of the rule's request: b (1 + max_correction)^a; numbers or arrays."""
    # hundreds of live slices ask one by one, and NumPy takes microseconds for a single number
    within = min(max(action, -1.0), 1.0) if isinstance(action, float) else np.clip(action, -1.0, 1.0)
    made: Request = base * (1.0 + max_correction) ** within
    return made


class CorrectedEnvironment(SlicingEnvironment):
    """The slicing environment in which agents correct the rule's request, in place of changing their bandwidth.

    Differs from MAFL section IV-A, whose relative change of w has to find the need again after every change of it.

    Args:
        config, traffic, seed, forecast, quantiles: of `SlicingEnvironment`.
        correction: validated.
    """

    def __init__(
        self, config: EnvironmentConfig, traffic: NDArray[np.floating], seed: int, forecast: Floats | None = None,
        quantiles: Floats | None = None, correction: CorrectionConfig | None = None,
    ) -> None:  # fmt: skip
        self.correction = correction or CorrectionConfig()
        super().__init__(config, traffic, seed, forecast, quantiles)

    def reset(self, step: int = 0, blocks: Floats | None = None) -> Floats:
        """As of `SlicingEnvironment`; nothing is remembered of errors and misses."""
        self._before: Floats | None = None
        self._misses = np.zeros((self.envs, self.slices))
        return super().reset(step, blocks)

    def base(self) -> Floats:
        """[env, slice] RB that the rule asks for."""
        return self.correction.margin * np.maximum(self.need.blocks, self.expected())

    def observe(self) -> Floats:
        """[env, slice, 7], `correction_state`."""
        before = self.need.blocks if self._before is None else self._before
        outlook = self.outlook()
        return correction_state(
            self.need.blocks, self.expected(), outlook[0], outlook[-1], before, self.blocks, self.base(), self._misses
        )

    def requested(self, action: NDArray[np.floating]) -> Floats:
        """RB that actions ask for, [env, slice]."""
        return corrected(self.base(), np.asarray(action, np.float64), self.correction.max_correction)

    def allocate(self, requested: Floats) -> tuple[Floats, PeriodOutcome, bool]:
        """As of `SlicingEnvironment`; remembers what was forecast, and whether it was enough."""
        self._before = self.expected()
        _, outcome, last = super().allocate(requested)
        missed = self.need.blocks > self.blocks
        self._misses = self.correction.memory * self._misses + (1.0 - self.correction.memory) * missed
        return self.observe(), outcome, last
