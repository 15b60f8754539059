# SPDX-License-Identifier: Apache-2.0
r"""Whether a robot is still the one that its twin knows: a sequential test on the residuals of a network that stays.

A payload, another floor, a joint that drags or a sensor that drifts changes what an action leads to. The test sees that
in residuals against the predicted uncertainty (`EnsembleNetwork.residuals`), block by block of about a second, beside
blocks of the robot as it was in practice (`KnownRobot`). For each observed quantity d there are two scores of a block,

.. math:: A_d = \mathrm{mean}\, u_d, \qquad B_d = |\mathrm{mean}\, \mathrm{sgn}(z_d)\, u_d|

with z the residuals and u their surprise (`ir_dynamics.calibration.surprise`): larger errors, and errors to one side.
Each score has a rank among those of practice, hence a p-value; practice in several conditions (exploration) has one for
each, and the largest counts. A p-value becomes a bet (an e-value, of mean 1 while nothing has changed; Vovk and Wang
2021, eq. 2), and bets multiply:

.. math:: e(p) = \frac{1 - p + p \ln p}{p \ln^2 p}, \qquad M_k = \max(M_{k-1}, 1)\, e(p_k)

The alarm is due where the mean of M over all scores reaches c. Such a test has an average run length to a false alarm
of at least c blocks (an e-CUSUM: Shin, Ramdas and Rinaldo 2023, "E-detectors"), so c is the number of blocks in the
time in which one false alarm is allowed. It holds as far as blocks of a robot that has not changed are alike, one after
the other; the bench twin-drift measures it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.atomic_file import replacing
from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line
from ir_common.diagnosis import OK, WARN, Status
from ir_dynamics.calibration import surprise
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.transitions import Transition

BLOCK_SECONDS = 1.0
MIN_BLOCK_STEPS = 16
FALSE_ALARM_SECONDS = 3600.0
"""A robot that has not changed gives at most one alarm in this time, on average."""
HELD_SECONDS = 60.0
"""So long after the last alarm a robot counts as changed."""
SIDES = ("errors", "one-sided errors")
_BEGUN = 1.0
"""ln M over which evidence counts as having begun: chance alone is soon under it again."""


def block_steps(control_period: float) -> int:
    """Transitions of a block."""
    return max(round(BLOCK_SECONDS / control_period), MIN_BLOCK_STEPS)


def block_scores(network: EnsembleNetwork, steps: Sequence[Transition], num_observation: int) -> NDArray[np.float64]:
    """Both scores of each observed quantity in a block of transitions [2 * num_observation]; A first, then B."""
    batch = Transition(*(np.stack([np.asarray(step[i]) for step in steps]) for i in range(len(steps[0]))))
    z = network.residuals(batch)[:, :num_observation]
    if network.tails is None or not np.isfinite(z).all():
        return np.full(2 * num_observation, np.nan)
    u = surprise(z, network.tails[:num_observation])
    return np.concatenate([u.mean(axis=0), np.abs((np.sign(z) * u).mean(axis=0))])


@dataclass(frozen=True)
class KnownRobot:
    """A robot of a task as its twin knows it: the network that stays, and scores of blocks in practice.

    Attributes:
        network: with measured tails.
        scores: of each condition that was practised in [blocks, 2 * num_observation].
    """

    network: EnsembleNetwork
    scores: tuple[NDArray[np.float32], ...]

    def p_values(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often, at the most, a score of this size came in practice [2 * num_observation]."""
        each = [(1 + (known >= scores.astype(np.float32)).sum(axis=0)) / (1 + len(known)) for known in self.scores]
        return np.max(each, axis=0)  # type: ignore[no-any-return]


def scores_file(checkpoint: Path) -> Path:
    """Where the scores of practice are beside a checkpoint."""
    return checkpoint.with_suffix(".scores.npz")


def save_scores(checkpoint: Path, scores: Sequence[NDArray[np.floating]]) -> None:
    """Writes the scores of practice [conditions] [blocks, scores] beside a checkpoint, whole or not at all."""
    with replacing(scores_file(checkpoint)) as file:
        np.savez_compressed(file, *(one.astype(np.float32) for one in scores))


def load_known(checkpoint: Path, network: object, num_observation: int) -> KnownRobot | None:
    """The robot of a checkpoint; None where nothing was written of it, or the network is no ensemble.

    Raises:
        ConfigError: the file is damaged, or of another task.
    """
    file = scores_file(checkpoint)
    if not file.exists() or not isinstance(network, EnsembleNetwork) or network.tails is None:
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            scores = tuple(content[name] for name in content.files)
    except DAMAGED as error:
        raise ConfigError(f"{file}: is damaged ({first_line(error)}); remove it, or practise anew") from None
    if not scores or any(one.ndim != 2 or one.shape[1] != 2 * num_observation or not len(one) for one in scores):
        raise ConfigError(f"{file}: holds no scores of {num_observation} quantities; remove it, or practise anew")
    return KnownRobot(network, scores)


def bet(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The e-value of a p-value in (0, 1]: the mixture of all power calibrators, whose mean is at most 1."""
    p = np.minimum(p, 1 - 1e-6)
    log = np.log(p)
    return (1 - p + p * log) / (p * log**2)  # type: ignore[no-any-return]


@dataclass
class DriftState:
    """What a test says.

    Attributes:
        blocks: looked at so far.
        evidence: the mean of M; the alarm is due at `limit`.
        alarms: so far.
        what: the quantity that gave most at the last alarm, and in which way; empty: none yet.
        began: when its evidence began to grow, s; NaN: no alarm yet.
        noticed: when the last alarm came, s.
        first: when the first of the alarms came that hold the present state up, s.
    """

    limit: float
    blocks: int = 0
    evidence: float = 0.0
    alarms: int = 0
    what: str = ""
    began: float = math.nan
    noticed: float = math.nan
    first: float = math.nan

    @property
    def took(self) -> float:
        """s from where the evidence began to the alarm."""
        return self.first - self.began

    def changed(self, now: float) -> bool:
        """Whether the robot counts as another at ``now``, s."""
        return self.alarms > 0 and now - self.noticed <= HELD_SECONDS

    def diagnosis(self, robot: str, now: float) -> Status:
        """What there is to say of a robot at ``now``, s; its host is the robot's name."""
        values = {
            "evidence": f"{self.evidence:.3g}", "alarm at": f"{self.limit:.3g}", "alarms": str(self.alarms),
            "blocks": str(self.blocks),
        }  # fmt: skip
        if not self.changed(now):
            return Status(f"twin: {robot}", OK, "the robot is as the twin knows it", robot, values)
        values |= {"what": self.what, "noticed after (s)": f"{self.took:.1f}", "since (s)": f"{self.began:.1f}"}
        text = f"the robot is not as the twin knows it: {self.what}, noticed after {self.took:.1f} s"
        return Status(f"twin: {robot}", WARN, text, robot, values)


@dataclass
class DriftWatch:
    """The test of one robot, on the transitions that it makes.

    Args:
        known: the robot as it was in practice.
        names: of the observed quantities.
        control_period: s.
        false_alarm_seconds: average time to a false alarm, at least.
    """

    known: KnownRobot
    names: Sequence[str]
    control_period: float
    false_alarm_seconds: float = FALSE_ALARM_SECONDS
    state: DriftState = field(init=False)

    def __post_init__(self) -> None:
        self._block = block_steps(self.control_period)
        self.state = DriftState(limit=self.false_alarm_seconds / (self._block * self.control_period))
        self._log = np.zeros(2 * len(self.names))  # ln M
        self._since = np.full(len(self._log), math.nan)
        self._waiting: list[tuple[float, Transition]] = []

    def add(self, now: float, transition: Transition) -> None:
        """Takes a transition that was complete at ``now``, s; what follows from it comes with `look`."""
        self._waiting.append((now, transition))

    def look(self) -> list[str]:
        """Looks at the blocks that are complete; returns a line for each time that the robot is found to be another."""
        said = []
        while len(self._waiting) >= self._block:
            block, self._waiting = self._waiting[: self._block], self._waiting[self._block :]
            scores = block_scores(self.known.network, [step for _, step in block], len(self.names))
            if np.isfinite(scores).all() and (line := self.take(scores, block[0][0], block[-1][0])):
                said.append(line)
        return said

    def take(self, scores: NDArray[np.float64], begin: float, end: float) -> str | None:
        """Takes the scores of a block (`block_scores`) from ``begin`` to ``end``, s; see `look`."""
        state = self.state
        self._since[self._log <= _BEGUN] = begin
        self._log = np.maximum(self._log, 0.0) + np.log(bet(self.known.p_values(scores)))
        state.blocks += 1
        state.evidence = float(np.exp(np.minimum(self._log, 700.0)).mean())
        if state.evidence < state.limit:
            return None
        most = int(self._log.argmax())
        held = state.changed(end)
        state.alarms, state.noticed = state.alarms + 1, end
        self._log[:] = 0.0
        if held:
            return None
        side, d = divmod(most, len(self.names))
        state.what, state.began, state.first = f"{SIDES[side]} of {self.names[d]}", float(self._since[most]), end
        return f"is not the robot that the twin knows: {state.what}, noticed {state.took:.1f} s after they began"
