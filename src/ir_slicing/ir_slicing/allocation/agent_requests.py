# SPDX-License-Identifier: Apache-2.0
"""Requests of the slices' agents, and whether they are followed: the learned policy with its way back."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ir_common.config import Config
from ir_slicing.orchestration.lifecycle import MANAGER, AuditTrail, State

Standing = Literal["learned", "missing", "late", "worse"]
Refusal = Literal["", "unknown", "number", "carrier", "stale", "future"]

REASONS = {
    "unknown": "there is no active slice of that name",
    "number": "is no positive number",
    "carrier": "is more than the carrier has",
    "stale": "is older than the request before it",
    "future": "is of a time that has not come",
}


class TrustConfig(Config):
    """When an agent is listened to."""

    request_timeout: float = Field(1.0, gt=0, le=60, description="without a request for so long an agent is late, s")
    judge_time: float = Field(2.0, gt=0, le=600, description="time constant of the verdict on an agent, s")
    judge_share: float = Field(
        0.5, gt=0, le=1, description="share of the recent time in which an agent may be the worse one, fraction"
    )
    probation: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="a worse agent is not listened to for so long, s; doubles each time, up to 16-fold",
    )


@dataclass
class _Agent:
    """The manager's record of one slice's agent; times in s of ROS time."""

    blocks: float = math.nan
    asked: float = -math.inf
    standing: Standing = "missing"
    fault: float = 0.0
    """Low-passed share of the time in which it was worse."""
    banned_until: float = -math.inf
    bans: int = 0


class AgentRequests:
    """The last request of every slice, and the standing of its agent.

    An agent is *missing* until it asks, *late* when it has not asked for `request_timeout`, and *worse* when the slice
    misses its latency bound, or drops, while the agent asks for less than the proportional policy would have: then that
    policy would have done better. The share of the time in which this holds is low-passed with `judge_time`; above
    `judge_share` the agent is not listened to for the time of its `probation`. An agent that asks for too much costs
    the other slices nothing that is guaranteed to them (`allocation.divide`), and is not judged for it.

    Args:
        config: validated.
        carrier: RB of the carrier.
        trail: where a change of standing is put down.

    Attributes:
        refused: reason -> number of requests.
    """

    def __init__(self, config: TrustConfig, carrier: float, trail: AuditTrail) -> None:
        self.config, self.carrier, self._trail = config, carrier, trail
        self._agents: dict[str, _Agent] = {}
        self.refused: Counter[str] = Counter()

    def set_slices(self, names: list[str]) -> None:
        """Forgets the agents of slices that are gone."""
        self._agents = {name: self._agents.get(name, _Agent()) for name in names}

    def forget_times(self) -> None:
        """The clock was set back: what was asked on the old one says nothing."""
        self._agents = {name: _Agent() for name in self._agents}

    def take(self, time: float, name: str, blocks: float, now: float = math.inf) -> Refusal:
        """Takes a request; a refusal is counted and the last good one stays.

        A request from the future would make all that follow it older than itself, as one from before the clock was set
        back does; clocks of two hosts may differ by `request_timeout`.

        Args:
            time: s, at which it was made.
            name: of the slice.
            blocks: RB.
            now: s; without it nothing is from the future.
        """
        agent = self._agents.get(name)
        reason: Refusal = ""
        if agent is None:
            reason = "unknown"
        elif not math.isfinite(blocks) or blocks <= 0.0:
            reason = "number"
        elif blocks > self.carrier * (1.0 + 1e-9):
            reason = "carrier"
        elif not time <= now + self.config.request_timeout:
            reason = "future"
        elif time < agent.asked:
            reason = "stale"
        if reason or agent is None:
            self.refused[reason] += 1
            return reason
        agent.blocks, agent.asked = blocks, min(time, now)
        return ""

    def asked_since(self, name: str, time: float) -> bool:
        """Whether the slice's last request was made at ``time`` (s) or later."""
        return name in self._agents and self._agents[name].asked >= time - 1e-6

    def judge(self, name: str, seconds: float, missed: bool, proportional: float) -> None:
        """Counts a report period of a slice for or against its agent.

        Args:
            name: of the slice.
            seconds: length of the period.
            missed: the slice missed its latency bound or dropped messages.
            proportional: RB that the proportional policy asked for meanwhile.
        """
        agent = self._agents.get(name)
        if agent is not None and agent.standing == "learned":
            fault = 1.0 if missed and agent.blocks < 0.95 * proportional else 0.0
            agent.fault += -math.expm1(-seconds / self.config.judge_time) * (fault - agent.fault)

    def trusted(self, now: float) -> dict[str, float]:
        """RB asked for by the agents that are listened to at ``now`` (s); changes of standing go on record."""
        for name, agent in self._agents.items():
            before, agent.standing = agent.standing, self._standing(agent, now)
            if (before == "learned") != (agent.standing == "learned"):
                self._record(now, name, agent)
        return {name: agent.blocks for name, agent in self._agents.items() if agent.standing == "learned"}

    def standing(self, name: str) -> Standing:
        """The standing of a slice's agent."""
        return self._agents[name].standing if name in self._agents else "missing"

    def _standing(self, agent: _Agent, now: float) -> Standing:
        if agent.standing == "learned" and agent.fault > self.config.judge_share:
            agent.banned_until = now + self.config.probation * 2 ** min(agent.bans, 4)
            agent.bans, agent.fault = agent.bans + 1, 0.0
        if now < agent.banned_until:
            return "worse"
        if agent.asked == -math.inf:
            return "missing"
        return "late" if now - agent.asked > self.config.request_timeout else "learned"

    def _record(self, now: float, name: str, agent: _Agent) -> None:
        why = {
            "learned": "its agent asks",
            "missing": "its agent is missing",
            "late": f"its agent has not asked for {self.config.request_timeout:g} s",
            "worse": f"its agent did worse than the proportional policy; not listened to for "
            f"{agent.banned_until - now:.0f} s",
        }[agent.standing]
        action = "resume" if agent.standing == "learned" else "fallback"
        self._trail.add(round(now * 1e9), action, name, None, MANAGER, why, State.ACTIVE)
