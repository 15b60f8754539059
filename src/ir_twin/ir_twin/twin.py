# SPDX-License-Identifier: Apache-2.0
"""The twins of robots: their last state, their verdicts, their counts. What they share per task is the network."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_twin.config import VetoConfig
from ir_twin.predict_network import ModelVersion
from ir_twin.transitions import Layout, Transition, TransitionMaker
from ir_twin.veto import Lack, Reason, Threshold, decide

Array = NDArray[np.float64]
RECENT_VERDICTS = 200
"""Tested proposals over which the share of vetoes is watched."""


class TaskTwin:
    """What the robots of one task share: network and threshold. One network learns from all of them.

    Args:
        name: of the task.
        layout: widths of state and action.
        reward_window: recent rewards behind the automatic threshold.
    """

    def __init__(self, name: str, layout: Layout, reward_window: int) -> None:
        self.name, self.layout = name, layout
        self.threshold = Threshold(reward_window)
        self.model: ModelVersion | None = None
        self._fresh: list[Transition] = []

    @property
    def version(self) -> int:
        """Of the network in use, 0: none yet."""
        return self.model.version if self.model else 0

    def adopt(self, model: ModelVersion, config: VetoConfig) -> str | None:
        """Takes a new version into use; returns a new objection to the given threshold, if there is one."""
        objection = self.reconsider(config)  # of the steps until now, as the old version sees them
        self.model = model
        return objection

    def experience(self, transition: Transition) -> None:
        """Takes a real step in."""
        self.threshold.add(float(transition.reward))
        if self.model is not None:
            self._fresh.append(transition)

    def reconsider(self, config: VetoConfig) -> str | None:
        """Compares predictions with what came of it and sets the threshold anew.

        Returns an objection to the given threshold that was not there before.
        """
        if self._fresh and self.model is not None:
            states, actions = (np.stack([step[i] for step in self._fresh]) for i in (0, 1))
            real = np.array([step.reward for step in self._fresh])
            self.threshold.compare(self.model.network.predict(states, actions).reward, real, config)
            self._fresh.clear()
        before = self.threshold.refused
        self.threshold.update(config)
        return self.threshold.refused if before is None else None

    def ready(self) -> bool:
        """There is a network and a threshold."""
        return self.model is not None and math.isfinite(self.threshold.value)


class Verdict(NamedTuple):
    """What the twin says about one proposal, and the action to send."""

    accepted: bool
    sent_safe_action: bool
    reason: Reason
    predicted_reward: float
    """NaN without a prediction."""
    threshold: float
    """NaN without one."""
    sent: Array
    """[num_action], units by the task."""
    model_version: int


class RobotTwin:
    """The twin of one robot.

    Args:
        robot: its name.
        task: what it shares with the robots of its task.
        safe_action: [num_action], sent in place of what is not.
        clip: what the robot makes of an action beyond its bounds; the prediction is of that.

    Attributes:
        counts: verdicts by reason.
        vetoes_in_a_row: the vetoes that ended with the last proposal.
    """

    def __init__(
        self, robot: str, task: TaskTwin, safe_action: Array, clip: Callable[[Array], Array] = lambda action: action
    ) -> None:
        self.robot, self.task, self.safe_action = robot, task, np.asarray(safe_action, np.float64)
        self._clip = clip
        self.chain = TransitionMaker(task.layout)
        self.counts = dict.fromkeys(Reason, 0)
        self.accepted = self.probes = self.vetoes_in_a_row = 0
        self.latency = LatencyHistogram()
        self._stamp = 0
        self._recent: deque[bool] = deque(maxlen=RECENT_VERDICTS)
        self._alarmed = False

    @property
    def proposals(self) -> int:
        """Proposals judged so far."""
        return sum(self.counts.values())

    def observe(self, stamp: int, task: str, **content: object) -> Transition | None:
        """Takes the content of one TaskState in (as `TransitionMaker.feed`), stamped in ns of ROS time."""
        if task != self.task.name:
            self.chain.rejected += 1
            self.chain.reset()
            return None
        transition = self.chain.feed(**content)  # type: ignore[arg-type]
        self._stamp = stamp
        if transition is not None:
            self.task.experience(transition)
        return transition

    def judge(self, action: Array | None, now: int, config: VetoConfig) -> Verdict:
        """The verdict on a proposed action [num_action] at ``now``, ns of ROS time; None: not a valid command."""
        lack = self._lack(action, now, config)
        predicted, task = math.nan, self.task
        if lack is None and config.mode != "off" and action is not None and task.model is not None:
            state = self.chain.state
            assert state is not None
            predicted = float(task.model.network.predict(state[None], self._clip(action)[None]).reward[0])
        decision = decide(config, predicted, task.threshold.value, self.vetoes_in_a_row, lack)
        self._record(decision.reason, decision.accepted, decision.send_safe, config)
        sent = self.safe_action if decision.send_safe or action is None else action
        return Verdict(
            decision.accepted, decision.send_safe, decision.reason, predicted, task.threshold.value, sent, task.version
        )

    def alarm(self, config: VetoConfig) -> str | None:
        """One line when nearly all recent proposals fell under the threshold; said once until it is over."""
        if len(self._recent) < RECENT_VERDICTS:
            return None
        share = sum(self._recent) / len(self._recent)
        alarmed, self._alarmed = self._alarmed, share > config.max_veto_share
        if alarmed or not self._alarmed:
            return None
        probing = config.mode == "enforce" and config.max_consecutive_vetoes > 0
        way_out = f"; one in {config.max_consecutive_vetoes + 1} is sent as a probe" if probing else ""
        return (
            f"{self.robot}: {share:.0%} of the last {len(self._recent)} proposals are under the threshold "
            f"{self.task.threshold.value:.3g}: the controller or the twin is far off{way_out}"
        )

    def _lack(self, action: Array | None, now: int, config: VetoConfig) -> Lack | None:
        if action is None or action.shape != self.safe_action.shape or not np.isfinite(action).all():
            return Reason.INVALID_COMMAND
        if not self.task.ready():
            return Reason.NO_MODEL
        if self.chain.state is None or abs(now - self._stamp) > config.state_timeout * 1e9:
            return Reason.STALE_STATE
        return None

    def _record(self, reason: Reason, accepted: bool, send_safe: bool, config: VetoConfig) -> None:
        self.counts[reason] += 1
        self.accepted += accepted
        if reason in (Reason.ACCEPTED, Reason.LOW_REWARD):
            self._recent.append(reason is Reason.LOW_REWARD)
        if reason is not Reason.LOW_REWARD:
            self.vetoes_in_a_row = 0
        elif send_safe:
            self.vetoes_in_a_row += 1
            self.task.threshold.add(-math.inf)
        elif config.mode == "enforce":
            self.probes += 1
            self.vetoes_in_a_row = 0


class LatencyHistogram:
    """Latencies in bins of 2.3 % from 1 us to 10 s: quantiles since the start in constant memory."""

    _PER_DECADE, _DECADES = 100, 7

    def __init__(self) -> None:
        self._bins = [0] * (self._PER_DECADE * self._DECADES)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Takes one latency in, s."""
        index = int(math.log10(max(seconds, 1e-6) * 1e6) * self._PER_DECADE)
        self._bins[min(index, len(self._bins) - 1)] += 1
        self.count += 1

    def quantile(self, q: float) -> float:
        """Upper edge of the bin that holds the q-quantile, s; NaN: none yet."""
        if not self.count:
            return math.nan
        reached = np.searchsorted(np.cumsum(self._bins), q * self.count)
        return float(1e-6 * 10 ** ((int(reached) + 1) / self._PER_DECADE))
