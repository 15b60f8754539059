# SPDX-License-Identifier: Apache-2.0
"""What came of the steps that were judged: precision and recall of the verdicts, and the limit of the risk rule."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from ir_twin.twin_config import VetoConfig

COMPARED_STEPS = 2000
"""Recent judged steps whose outcome is known, behind the risk limit."""


class Judged(NamedTuple):
    """One step whose proposal was carried out."""

    flagged: bool
    """The verdict was against it."""
    risk: float
    """Predicted probability of a terminal state; NaN under the reward rule."""
    weight: float
    """Steps that it stands for."""
    on_trial: bool = False
    """There was no limit yet, and so no verdict."""


class VerdictOutcomes:
    """Follows the judged steps of one robot until a terminal state comes or stays away.

    A step was right to be flagged where the episode terminates within H control steps from it. A lost message hides
    none of it: a later state tells that the robot went on until then. Steps whose outcome is not seen (the episode was
    cut off, or its end lost) count as neither. With another rule, or another `risk_steps`, it begins anew.

    Attributes:
        counts: [flagged][fell] steps since then that were judged in shadow mode.
    """

    def __init__(self) -> None:
        self.counts = [[0, 0], [0, 0]]
        self._kind: tuple[str, int] | None = None
        self._present: Judged | None = None
        self._pending: deque[tuple[int, Judged]] = deque()
        self._step = 0

    def judged(self, judged: Judged | None) -> None:
        """The proposal for the present step; a later one replaces it. None: it is not carried out."""
        self._present = judged

    def advance(self, terminated: bool, config: VetoConfig, steps: int = 1) -> list[tuple[Judged, bool]]:
        """So many control steps on; returns the steps whose outcome is known now, each with whether the robot fell.

        ``config`` is that of the last proposal.
        """
        if config.risk_kind != self._kind:
            self._kind, self.counts = config.risk_kind, [[0, 0], [0, 0]]
            self._pending.clear()
        if self._present is not None:
            self._pending.append((self._step, self._present))
            self._present = None
        self._step += steps
        known = []
        while self._pending and (terminated or self._step - self._pending[0][0] >= config.foresight_steps):
            began, judged = self._pending.popleft()
            known.append((judged, terminated and self._step - began <= config.foresight_steps))
        if config.mode == "shadow":
            for judged, fell in ((judged, fell) for judged, fell in known if not judged.on_trial):
                self.counts[judged.flagged][fell] += 1
        return known

    def interrupt(self) -> None:
        """What comes next does not follow from what was."""
        self._present = None
        self._pending.clear()

    @property
    def resolved(self) -> int:
        """Steps with a known outcome."""
        return sum(map(sum, self.counts))

    @property
    def precision(self) -> float:
        """Share of the flagged steps that a terminal state followed; NaN: none was flagged."""
        flagged = sum(self.counts[1])
        return self.counts[1][1] / flagged if flagged else math.nan

    @property
    def recall(self) -> float:
        """Share of the steps followed by a terminal state that were flagged; NaN: none was."""
        fell = self.counts[0][1] + self.counts[1][1]
        return self.counts[1][1] / fell if fell else math.nan


class RiskLimit:
    r"""The limit of the risk rule for one task: :math:`\max(\rho_0, Q_{1-\alpha}(\rho \mid \text{no fall}))`.

    :math:`\rho_0` is the configured limit. The second term bounds false vetoes: of the recent steps that no terminal
    state followed, at most the share :math:`\alpha` had a risk over the limit. Probes stand for the vetoes before them.
    Before `trial_steps` outcomes there is no limit: a twin earns its veto, and anew with another rule or another
    `risk_steps`, as those risks do not compare. The risk to go is of what comes after all of these steps, and what is
    sent in a vetoed action's place is near it: its limit is the configured one. So it is, and from the first proposal,
    where the controller's own noise-free action is sent instead: a wrong veto costs a step of exploration.

    Attributes:
        kind: of the risks (`VetoConfig.risk_kind`), as at the last update; None before.
    """

    def __init__(self) -> None:
        self.kind: tuple[str, int] | None = None
        self._known: deque[tuple[float, bool, float]] = deque(maxlen=COMPARED_STEPS)
        self.value = math.nan

    def add(self, judged: Judged, fell: bool) -> None:
        """Takes in what came of a step."""
        if math.isfinite(judged.risk):
            self._known.append((judged.risk, fell, judged.weight))

    def update(self, config: VetoConfig) -> None:
        """Sets `value`; NaN as long as there is too little."""
        if self.kind not in (None, config.risk_kind):
            self._known.clear()
        self.kind, self.value = config.risk_kind, math.nan
        if config.replace_with == "noise_free":
            self.value = config.risk_limit
        elif len(self._known) >= config.trial_steps:
            risk, fell, weight = np.array(self._known).T
            self.value = config.risk_limit
            good = fell < 0.5
            if good.any() and config.rule == "risk":
                order = np.argsort(-risk[good])
                over = np.cumsum(weight[good][order])
                doubted = risk[good][order][np.argmax(over > config.false_veto_share * over[-1])]
                self.value = max(config.risk_limit, float(doubted))
