# SPDX-License-Identifier: Apache-2.0
"""What may be sent in the place of vetoed actions, of many robots of one task at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_common.verdict_kinds import Sent
from ir_twin.twin_config import VetoConfig

Array = NDArray[np.float64]
_BETWEEN = np.array([[0.5], [0.75], [0.25]])
"""Where between the safe action (0) and the vetoed one (1)."""
LEAST = 2
"""Tried for each robot, however many are vetoed at once: the safe action, and the one half way to it."""


class Substitute(NamedTuple):
    """What is sent in place of a vetoed action."""

    action: Array
    """[num_action], units by the task."""
    sent_as: Sent
    risk: float


class Candidates(NamedTuple):
    """What is tried for each robot."""

    actions: Array
    """[robots, n, num_action], units by the task."""
    kinds: list[Sent]
    """What each of the n is."""
    far: Array
    """[robots, n] how far from the vetoed action, in halves of each action's range."""

    def first(self, n: int) -> Candidates:
        """The first ``n`` of each robot."""
        return Candidates(self.actions[:, :n], self.kinds[:n], self.far[:, :n])

    def choose(self, risks: NDArray[np.floating], limit: float, better: NDArray[np.bool_]) -> list[Substitute | None]:
        """For each robot the nearest whose risk [robots, n] is within the limit, but for the safe action.

        Where none is within it, the least risky; the first where no risk is finite. Only those that are ``better``
        [robots, n] than the vetoed action count; None where there are none.
        """
        risks = np.where(better, risks, np.inf)
        within = (risks <= limit) & [kind is not Sent.SAFE for kind in self.kinds]
        nearest = np.where(within, self.far, np.inf).argmin(axis=1)
        least = np.where(np.isfinite(risks), risks, np.inf).argmin(axis=1)
        best = np.where(within.any(axis=1), nearest, least)
        rows = np.arange(len(best))
        chosen = zip(self.actions[rows, best], best, risks[rows, best].tolist(), strict=True)
        found = [Substitute(action, self.kinds[i], risk) for action, i, risk in chosen]
        return [one if row.any() else None for one, row in zip(found, better, strict=True)]


def tried_each(robots: int, config: VetoConfig) -> int:
    """How many candidates each of ``robots`` that are vetoed at once may try."""
    steps = config.risk_steps if config.rule == "risk" else 1
    return max(config.risk_evaluations // (robots * steps), LEAST)


def candidates(proposals: Array, safe_action: Array, previous: Array, drawn: Array, reach: Array) -> Candidates:
    """In this order: the safe action, half way to it, what was sent last, two more between, what was drawn.

    Args:
        proposals: [robots, num_action], vetoed.
        safe_action: [num_action].
        previous: [robots, num_action], sent last.
        drawn: [robots, n, num_action], around the proposals.
        reach: [num_action], half the range of each action.
    """
    around = near(proposals, drawn, reach)
    between = safe_action + _BETWEEN * (proposals[:, None] - safe_action)
    safe = np.broadcast_to(safe_action, proposals.shape)
    actions = np.concatenate([safe[:, None], between[:, :1], previous[:, None], between[:, 1:]], axis=1)
    kinds = [Sent.SAFE, Sent.SCALED, Sent.PREVIOUS, Sent.SCALED, Sent.SCALED, *around.kinds]
    far = np.concatenate([_distance(actions, proposals, reach), around.far], axis=1)
    return Candidates(np.concatenate([actions, around.actions], axis=1), kinds, far)


def near(proposals: Array, drawn: Array, reach: Array) -> Candidates:
    """Only what was drawn; arguments as of `candidates`."""
    return Candidates(drawn, [Sent.SAMPLED] * drawn.shape[1], _distance(drawn, proposals, reach))


def _distance(actions: Array, proposals: Array, reach: Array) -> Array:
    return np.sqrt((((actions - proposals[:, None]) / reach) ** 2).sum(axis=-1))  # type: ignore[no-any-return]
