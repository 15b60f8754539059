# SPDX-License-Identifier: Apache-2.0
"""Verdicts on what robots of one task propose, in one batched pass of the network, and what is sent instead."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ir_common.verdict_kinds import VETOES, Reason, Sent
from ir_twin.robot_twin import RobotTwin
from ir_twin.substitutes import Substitute, candidates, near, tried_each
from ir_twin.task_twin import Forecast
from ir_twin.twin_config import VetoConfig
from ir_twin.verdict import Array, Verdict
from ir_twin.veto import VetoDecision


def judge(twin: RobotTwin, action: Array | None, now: int, config: VetoConfig) -> Verdict:
    """The verdict on a proposed action [num_action] at ``now``, ns of ROS time; None: not a valid command."""
    return judge_all([twin], [action], now, config)[0]


def judge_all(
    twins: Sequence[RobotTwin], actions: Sequence[Array | None], now: int, config: VetoConfig,
    noise_free: Sequence[Array | None] | None = None,
) -> list[Verdict]:  # fmt: skip
    """Verdicts on one proposal each of robots of one task, from one batched pass; one each; see `judge`.

    ``noise_free`` is as of `Proposed`, for each robot.
    """
    missing = [twin.missing_input(action, now, config) for twin, action in zip(twins, actions, strict=True)]
    tests = None, *([Reason.NO_MODEL] if config.by_risk else [])  # a risk on trial is not acted on but noted
    asked = [
        i for i, (twin, lacking) in enumerate(zip(twins, missing, strict=True))
        if lacking in tests and twin.task.able(config) and config.mode != "off"
    ]  # fmt: skip
    forecasts = [Forecast()] * len(twins)
    if asked:
        first = twins[asked[0]]
        states = np.stack([twins[i].met() for i in asked])
        proposals = first.clip(np.stack([action for i in asked if (action := actions[i]) is not None]))
        answers = first.task.forecast(states, proposals, first.safe_action, config)
        for i, answer in zip(asked, answers, strict=True):
            forecasts[i] = answer
    decisions = [
        twin.decide(lacking, forecast, config)
        for twin, lacking, forecast in zip(twins, missing, forecasts, strict=True)
    ]
    others: dict[int, Substitute | None] = {}
    rows: list[int] = []
    if config.replace_with == "noise_free":
        noiseless = noise_free or [None] * len(twins)
        known = {i: _without_noise(twins[i], noiseless[i]) for i in asked if decisions[i].reason in VETOES}
        others = {i: other for i, other in known.items() if decisions[i].send_safe}
        if config.rule == "risk_to_go":  # it tells actions of one state apart: with nothing to choose it has no say
            accepted = VetoDecision(True, False, Reason.ACCEPTED)
            decisions = [accepted if known.get(i, ()) is None else d for i, d in enumerate(decisions)]
    else:
        rows = [j for j, i in enumerate(asked) if decisions[i].send_safe and decisions[i].reason is Reason.HIGH_RISK]
    if rows:
        vetoed = [asked[j] for j in rows]
        each = np.stack([forecasts[i].each for i in vetoed])
        found = _substitutes([twins[i] for i in vetoed], states[rows], proposals[rows], each, config)
        others = dict(zip(vetoed, found, strict=True))
    for i, other in others.items():
        if other is None:
            decisions[i] = decisions[i]._replace(send_safe=False)
    return [
        twin.finalise(action, decision, forecast, config, others.get(i))
        for i, (twin, action, decision, forecast) in enumerate(zip(twins, actions, decisions, forecasts, strict=True))
    ]


def _without_noise(twin: RobotTwin, action: Array | None) -> Substitute | None:
    """The controller's action without noise, within the robot's bounds; None where it is not known or not valid."""
    if action is None or action.shape != twin.safe_action.shape or not np.isfinite(action).all():
        return None
    return Substitute(twin.clip(action), Sent.NOISE_FREE, math.nan)


def _substitutes(
    twins: Sequence[RobotTwin], states: Array, proposals: Array, each: NDArray[np.floating], config: VetoConfig
) -> list[Substitute | None]:
    """In place of each proposal [robots, num_action] in its state [robots, num_state]; all in one batched pass.

    Under the risk to go no action is safe as such, and the network knows only what is near to what was done: tried is
    what is drawn around the proposal. It must be better in the eyes of every elite, each compared with its own risk of
    the proposal (``each`` [robots, elites]). None where nothing is.
    """
    first, most = twins[0], tried_each(len(twins), config)
    drawn = first.clip(np.stack([t.draw(proposal, config) for t, proposal in zip(twins, proposals, strict=True)]))
    if config.rule == "risk_to_go":
        found = near(proposals, drawn, first.reach).first(most)
    else:
        previous = np.stack([twin.sent for twin in twins])
        found = candidates(proposals, first.safe_action, previous, drawn, first.reach).first(most)
    robots, n, width = found.actions.shape
    if not n:
        return [None] * robots
    tried = found.actions.reshape(-1, width)
    risk = first.task.risk(np.repeat(states, n, axis=0), tried, first.safe_action, config)
    better = np.ones((robots, n), bool)
    if config.rule == "risk_to_go":
        better = (risk.each.reshape(-1, robots, n) < each.T[:, :, None]).all(axis=0)
    return found.choose(risk.risk.reshape(robots, n), first.task.limit(config), better)
