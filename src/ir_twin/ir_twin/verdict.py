# SPDX-License-Identifier: Apache-2.0
"""The record of one verdict."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_common.verdict_kinds import Reason, Sent

Array = NDArray[np.float64]


class Proposed(NamedTuple):
    """What a robot's controller proposes."""

    robot: str
    action: Array | None
    """[num_action], units by the task; None: not a valid command."""
    noise_free: Array | None = None
    """[num_action], what it would propose without its exploration; None: it does not explore, or does not tell."""


class Verdict(NamedTuple):
    """What the twin says about one proposal, and the action to send."""

    accepted: bool
    sent_as: Sent
    reason: Reason
    predicted_reward: float
    """NaN without a prediction."""
    threshold: float
    """NaN without one."""
    sent: Array
    """[num_action], units by the task."""
    model_version: int
    risk: float = math.nan
    """Of the proposal; NaN without a prediction, and under the reward rule."""
    risk_limit: float = math.nan
    sent_risk: float = math.nan
    """Of what was sent in the proposal's place, as far as it was tried."""

    @property
    def sent_safe_action(self) -> bool:
        """The safe action was sent in the proposal's place."""
        return self.sent_as is Sent.SAFE
