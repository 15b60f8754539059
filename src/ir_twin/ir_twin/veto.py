# SPDX-License-Identifier: Apache-2.0
"""The risk veto of IoR section III: an action whose predicted reward falls under a threshold is not sent."""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_common.verdict_kinds import Reason
from ir_twin.twin_config import VetoConfig

MIN_REWARDS = 50
"""Real rewards, and predictions, that a judgement about a threshold rests on at least."""
COMPARED_STEPS = 500
"""Recent steps of which prediction and outcome are compared."""


class VetoDecision(NamedTuple):
    """What becomes of one proposal."""

    accepted: bool
    """It would be passed on when enforcing."""
    send_safe: bool
    """The safe action is sent in its place."""
    reason: Reason


MissingInput = Literal[Reason.INVALID_COMMAND, Reason.NO_MODEL, Reason.STALE_STATE]
"""What a proposal cannot be tested without, as the reason of its verdict."""


def decide(
    config: VetoConfig, predicted_reward: float, threshold: float, vetoes_in_a_row: int = 0,
    missing: MissingInput | None = None, veto: Reason = Reason.LOW_REWARD,
) -> VetoDecision:  # fmt: skip
    r"""The rule: accepted where :math:`\hat r \ge` threshold. (Of risk and limit: both are given with a minus.)

    An invalid command is replaced by the safe action in every mode. Otherwise mode off passes everything, shadow passes
    everything and says what it would have done, enforce replaces what is not accepted. Where nothing can be predicted
    (no model, stale state, prediction not finite) the configured behaviour takes the place of the rule.

    Args:
        config: mode, and what takes the place of the rule.
        predicted_reward: dimensionless; anything where ``missing`` says that there is no prediction.
        threshold: dimensionless, finite unless ``missing`` is given.
        vetoes_in_a_row: of this robot until now; after ``max_consecutive_vetoes`` one proposal is sent as a probe
            (not accepted, yet not replaced), so that a twin that is wrong meets the evidence.
        missing: why there is no prediction, if so.
        veto: the reason where it is not accepted.
    """
    if missing is Reason.INVALID_COMMAND:
        return VetoDecision(False, True, missing)
    if config.mode == "off":
        return VetoDecision(True, False, Reason.UNTESTED)
    enforce = config.mode == "enforce"
    reason = Reason.NO_PREDICTION if missing is None and not math.isfinite(predicted_reward) else missing
    if reason is not None:
        accepted = _FALLBACKS[reason](config) == "pass"
        return VetoDecision(accepted, enforce and not accepted, reason)
    if predicted_reward >= threshold:
        return VetoDecision(True, False, Reason.ACCEPTED)
    probe = 0 < config.max_consecutive_vetoes <= vetoes_in_a_row
    return VetoDecision(False, enforce and not probe, veto)


_FALLBACKS = {
    Reason.NO_MODEL: lambda config: config.on_no_model,
    Reason.STALE_STATE: lambda config: config.on_stale_state,
    Reason.NO_PREDICTION: lambda config: config.on_no_prediction,
}


class Threshold:
    r"""The veto threshold of one task, given or taken from experience.

    Automatic: :math:`\tau = \min(Q_q(r),\; Q_\alpha(\hat r \mid r \ge Q_q(r)))`. The first term is the q-quantile (2 %)
    of the recent real rewards: only outcomes among the worst that the robots meet are worth a veto. The second bounds
    false vetoes: of the recent steps that turned out well, at most the share :math:`\alpha` (1 %) was predicted under
    the threshold, with each step predicted before anything was learnt from it; before `trial_steps` of them there is
    no threshold. A twin that knows little stays silent.

    A step under the threshold that was carried out while enforcing was a probe; it stands for the vetoes before it and
    weighs as many. So wrong vetoes are taken back, although what was vetoed is never seen.

    A step whose proposal was vetoed and replaced counts as an outcome of unknown size below the quantile: left out, the
    veto would remove the low tail and so tighten itself; with its predicted reward, a controller that proposes nothing
    but bad actions would loosen it. Where those fill the quantile, it stays as it was (at first: the lowest reward).

    Args:
        window: recent rewards that count.
    """

    def __init__(self, window: int) -> None:
        self._rewards = np.empty(window)
        self._count = 0
        self._quantile = math.nan
        self._compared: deque[tuple[float, float, float]] = deque(maxlen=COMPARED_STEPS)
        self.value = math.nan
        self.refused: str | None = None
        """Why a given threshold is not used, or None."""

    def add(self, reward: float) -> None:
        """Takes one real reward in, or -inf for a step whose proposal was vetoed and replaced."""
        self._rewards[self._count % len(self._rewards)] = reward
        self._count += 1

    def compare(self, predicted: NDArray[np.floating], real: NDArray[np.floating], config: VetoConfig) -> None:
        """Takes in what was predicted [n] for steps carried out, before it was learnt from, and what they gave [n]."""
        for guess, reward in zip(predicted.tolist(), real.tolist(), strict=True):
            probe = config.mode == "enforce" and guess < self.value
            if math.isfinite(guess):
                self._compared.append((guess, reward, 1.0 + config.max_consecutive_vetoes * probe))

    def update(self, config: VetoConfig) -> float:
        """Sets `value` from the present configuration and experience; NaN as long as there is too little."""
        given = config.threshold
        self.refused = None
        if given != "auto":
            self.refused = self.objection(given, config.max_veto_share)
        if given != "auto" and self.refused is None:
            self.value = given
        else:
            quantile = self._learnt_quantile(config.threshold_quantile)
            self.value = float(np.minimum(quantile, self._doubted(quantile, config)))  # keeps NaN
        return self.value

    def objection(self, threshold: float, max_veto_share: float) -> str | None:
        """Why ``threshold`` would veto nearly everything, judged by the recent real rewards; None if it would not."""
        real = self._real()
        if len(real) < MIN_REWARDS:
            return None
        share = float(np.mean(real < threshold))
        if share <= max_veto_share:
            return None
        return (
            f"threshold {threshold:g} is above {share:.0%} of the last {len(real)} rewards (median "
            f"{np.median(real):.3g}) and would veto them; give under {np.quantile(real, max_veto_share):.3g}, or auto"
        )

    def _real(self) -> NDArray[np.float64]:
        held = self._rewards[: self._count]
        return held[np.isfinite(held)]

    def _learnt_quantile(self, q: float) -> float:
        held, real = self._rewards[: self._count], self._real()
        if len(real) >= MIN_REWARDS:
            quantile = float(np.quantile(held, q, method="lower"))
            if math.isfinite(quantile):
                self._quantile = quantile
            elif math.isnan(self._quantile):
                self._quantile = float(real.min())
        return self._quantile

    def _doubted(self, quantile: float, config: VetoConfig) -> float:
        """The highest threshold that leaves at most `false_veto_share` of the steps that turned out well under it."""
        if len(self._compared) < config.trial_steps:
            return math.nan  # a twin earns its veto: wrong ones early on starve it of what it would learn from
        predicted, real, weight = np.array(self._compared).T
        good = real >= quantile
        if not good.any():
            return math.nan
        order = np.argsort(predicted[good])
        under = np.cumsum(weight[good][order])
        return float(predicted[good][order][np.argmax(under > config.false_veto_share * under[-1])])
