# SPDX-License-Identifier: Apache-2.0
"""Joint scheduling of computing and air, IoR section IV (4): least mean URLLC delay under the needs of eMBB.

The paper names the aim and no method. Here: a search over the shared part of the computing, M and the puncturing rule,
each tried by simulation on the same draws of chance. For each rule from the greatest M down, shares from the greatest
down to the first that keeps the needs: more of both serves URLLC sooner. Shares with which the computing alone breaks a
need are left out at once, as the air only adds delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from pydantic import Field

from ir_common.config import Config
from ir_radio.coexistence.batch_run import BatchResult, Draw, Floats, Ints, draw, process, radiate
from ir_radio.coexistence.scenario import SLOT, CoexistenceScenario, PunctureRule
from ir_radio.model.shares import MILLE

SHARES = tuple(range(50, MILLE + 1, 50))
"""Shares of the computing that are tried, thousandths."""

TIE = 1e-3
"""Relative difference of URLLC delay that counts as none; then the least eMBB delay decides."""


class Requirements(Config):
    """What must be kept while URLLC is made fast."""

    embb_rate: float = Field(gt=0, description="of each eMBB robot, bit/s; who offers less must get what it offers")
    embb_delay: float = Field(gt=0, description="greatest mean delay of the jobs of each eMBB robot, s")
    dropped: float = Field(
        0.01, gt=0, le=1, description="greatest share of URLLC packets not delivered, dropped or stuck"
    )
    slack: float = Field(0.01, ge=0, lt=1, description="relative shortfall of rate that counts as kept")


@dataclass(frozen=True)
class Measure:
    """Figures of one candidate: means over the draws, of eMBB those of the robot that fares worst.

    Attributes:
        delay: mean URLLC delay, s. rate: delivered of needed, 1 is all. embb_delay: s. dropped: share of packets.
    """

    delay: float
    rate: float
    embb_delay: float
    dropped: float

    def keeps(self, need: Requirements) -> bool:
        """Whether all requirements are kept."""
        rate = self.rate >= 1.0 - need.slack
        return rate and self.embb_delay <= need.embb_delay and self.dropped <= need.dropped


@dataclass(frozen=True)
class JointSchedule:
    """What the joint scheduler decided.

    Attributes:
        best: the scenario to run, None where the requirements are infeasible.
        measure: its figures. reasons: why it is infeasible, one line each. tried: candidates simulated.
    """

    best: CoexistenceScenario | None
    measure: Measure | None
    reasons: tuple[str, ...]
    tried: int


@dataclass
class _Search:
    scene: CoexistenceScenario
    need: Requirements
    draws: list[Draw]
    ready: dict[int, list[tuple[Ints, Ints]]] = field(default_factory=dict)
    tried: dict[tuple[int, int, str], Measure] = field(default_factory=dict)

    def candidate(self, share: int, limit: int, rule: str) -> CoexistenceScenario:
        return self.scene.but(shared=share, packets_per_minislot=limit, puncture=rule)

    def processed(self, share: int) -> list[tuple[Ints, Ints]]:
        """The computing part, which M and the rule do not change."""
        if share not in self.ready:
            scene = self.scene.but(shared=share)
            self.ready[share] = [process(scene, one) for one in self.draws]
        return self.ready[share]

    def measure(self, share: int, limit: int, rule: str) -> Measure:
        key = share, limit, rule
        if key not in self.tried:
            scene = self.candidate(*key)
            runs = [radiate(scene, one, ready) for one, ready in zip(self.draws, self.processed(share), strict=True)]
            self.tried[key] = measured(runs, scene, self.need)
        return self.tried[key]

    def shares(self) -> list[int]:
        """Shares, greatest first, with which the computing alone does not break a need."""
        return [share for share in reversed(SHARES) if self._computing_keeps(share)]

    def _computing_keeps(self, share: int) -> bool:
        ends = self.processed(share)
        waits = [_waits(one, end[1], self.scene.embb_robots) for one, end in zip(self.draws, ends, strict=True)]
        stuck = [
            np.mean(end[0][one.packets < _span(one)] > one.slots * SLOT)
            for one, end in zip(self.draws, ends, strict=True)
            if len(one.packets) and one.packets[0] < _span(one)
        ]
        slow = float(np.mean(waits, axis=0).max()) > self.need.embb_delay
        return not slow and float(sum(stuck)) <= self.need.dropped * len(self.draws)

    def greatest_share(self, shares: list[int], limit: int, rule: str) -> int | None:
        """The first of the shares that keeps the requirements."""
        return next((share for share in shares if self.measure(share, limit, rule).keeps(self.need)), None)


def _span(chance: Draw) -> int:
    """What comes in the last tenth of a run does not count: it may still be on its way."""
    return chance.slots * SLOT * 9 // 10


def _waits(chance: Draw, end: Ints, robots: int) -> Floats:
    """Mean delay of the jobs of each robot, s. One that did not end counts until the end of the run: a lower bound."""
    early = chance.jobs < _span(chance)
    until = chance.slots * SLOT
    stay = np.where((end > 0) & (end < until), end, until)[early] - chance.jobs[early]
    jobs = np.bincount(chance.users[early], minlength=robots)
    return np.asarray(np.bincount(chance.users[early], stay, robots) / np.maximum(jobs, 1) * 1e-9)


def measured(runs: Sequence[BatchResult], scene: CoexistenceScenario, need: Requirements) -> Measure:
    """The figures of the runs of one candidate."""
    rates, delays, dropped = [], [], []
    for run in runs:
        span = _span(run.draw)
        came = run.packet_end[run.draw.packets < span]
        dropped.append(float(np.mean(came < 0)) if len(came) else 0.0)
        early = run.draw.jobs < span
        users, bits = run.draw.users[early], run.draw.bits[early]
        offered = np.bincount(users, bits, scene.embb_robots)
        got = np.bincount(users, bits - run.job_left[early], scene.embb_robots)
        needed = np.minimum(offered, need.embb_rate * span * 1e-9)
        rates.append(np.where(needed > 0, got / np.maximum(needed, 1.0), 1.0))
        delays.append(_waits(run.draw, run.job_end, scene.embb_robots))
    return Measure(
        float(np.mean([run.urllc_delay for run in runs])),
        float(np.mean(rates, axis=0).min()),
        float(np.mean(delays, axis=0).max()),
        float(np.mean(dropped)),
    )


def optimise(scene: CoexistenceScenario, need: Requirements, slots: int, seeds: Sequence[int]) -> JointSchedule:
    """Chooses share, M and rule for a scenario under "puncturing", by simulation of `slots` slots for each seed."""
    search = _Search(scene, need, [draw(scene, slots, seed) for seed in seeds])
    shares, fastest = search.shares(), np.inf
    for rule in get_args(PunctureRule):
        for limit in range(scene.sub_carriers, 0, -1):
            if not shares or search.measure(shares[0], limit, rule).delay > fastest * (1.0 + TIE):
                break  # a smaller M is slower still
            share = search.greatest_share(shares, limit, rule)
            if share is not None:
                fastest = min(fastest, search.measure(share, limit, rule).delay)
            if share == shares[0]:
                break
    for share in () if shares else SHARES:
        search.measure(share, scene.sub_carriers, "rotate")  # only to say what is infeasible
    kept = {key: one for key, one in search.tried.items() if one.keeps(need)}
    if not kept:
        return JointSchedule(None, None, _reasons(list(search.tried.values()), need), len(search.tried))
    fastest = min(one.delay for one in kept.values())
    equal = {key: one for key, one in kept.items() if one.delay <= fastest * (1.0 + TIE)}
    best = min(equal, key=lambda key: equal[key].embb_delay)
    return JointSchedule(search.candidate(*best), equal[best], (), len(search.tried))


def _reasons(tried: list[Measure], need: Requirements) -> tuple[str, ...]:
    """Which requirements no candidate kept, with the best that was reached."""
    rate, delay = max(m.rate for m in tried), min(m.embb_delay for m in tried)
    dropped = min(m.dropped for m in tried)
    reasons = []
    if rate < 1.0 - need.slack:
        reasons.append(f"eMBB rate: at best {100 * rate:.1f} % of {need.embb_rate:g} bit/s a robot is delivered")
    if delay > need.embb_delay:
        reasons.append(f"eMBB delay: at best {1e3 * delay:.2f} ms, the bound is {1e3 * need.embb_delay:g} ms")
    if dropped > need.dropped:
        reasons.append(f"URLLC: at best {100 * dropped:.2f} % is not delivered, the bound is {100 * need.dropped:g} %")
    return tuple(reasons) or ("each requirement can be kept, but no choice keeps all; loosen one",)
