# SPDX-License-Identifier: Apache-2.0
"""The twin of one robot: its last state, the delay of its commands, its verdicts and their counts."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Callable

import numpy as np

from ir_common.verdict_kinds import VETOES, Reason, Sent
from ir_dynamics.transitions import Transition, TransitionMaker
from ir_twin.command_delay import CommandDelay, Trial
from ir_twin.latency_histogram import LatencyHistogram
from ir_twin.substitutes import Substitute
from ir_twin.task_twin import Forecast, TaskTwin
from ir_twin.twin_config import VetoConfig
from ir_twin.verdict import Array, Verdict
from ir_twin.verdict_outcomes import Judged, VerdictOutcomes
from ir_twin.veto import MissingInput, VetoDecision, decide

RECENT_VERDICTS = 200
"""Tested proposals over which the share of vetoes is watched."""


class RobotTwin:
    """The twin of one robot.

    Args:
        robot: its name.
        task: what it shares with the robots of its task.
        safe_action: [num_action], sent in place of what is not.
        clip: what the robot makes of actions [..., num_action] beyond their bounds; the prediction is of that.

    Attributes:
        delay: of the robot's commands.
        trial: of what is foreseen where they are late.
        expected: the state that the next command will meet [num_state], where the delay is compensated; else None.
        sent: what was sent last, within the bounds [num_action]; the safe action at first.
        reach: half the range of each action [num_action].
        counts: verdicts by reason.
        vetoes_in_a_row: the vetoes that ended with the last proposal.
    """

    def __init__(
        self, robot: str, task: TaskTwin, safe_action: Array, clip: Callable[[Array], Array] = lambda action: action
    ) -> None:
        self.robot, self.task, self.safe_action = robot, task, np.asarray(safe_action, np.float64)
        self.clip = clip
        self.chain = TransitionMaker(task.layout)
        self.delay, self.trial = CommandDelay(), Trial()
        self.expected: Array | None = None
        self.counts = dict.fromkeys(Reason, 0)
        self.accepted = self.probes = self.vetoes_in_a_row = 0
        self.latency = LatencyHistogram()
        self.outcomes = VerdictOutcomes()
        self._config = VetoConfig()  # as at the last verdict
        self._stamp = 0
        everywhere = np.full(len(self.safe_action), np.inf)
        span = clip(everywhere) - clip(-everywhere)
        self.reach = np.where(np.isfinite(span), span / 2, 1.0)
        self.sent = self.safe_action
        self._rng = np.random.default_rng(zlib.crc32(robot.encode()))  # the same candidates when a run is repeated
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
        before = self.chain.episode, self.chain.step
        transition = self.chain.feed(**content)  # type: ignore[arg-type]
        passed = self.chain.step - before[1] if self.chain.episode == before[0] else 0
        self._stamp, self.expected = stamp, None
        if (state := self.chain.state) is not None:
            episode, step = self.chain.episode, self.chain.step
            self.delay.arrived(episode, step, np.asarray(content["action"], np.float64))
            if self.task.model is not None:
                n = self.task.layout.num_observation
                self.trial.arrived(episode, step, state[:n], self.task.model.network.input_scale[:n])
        if transition is not None:
            self.task.experience(transition)
        if passed > 0:  # one step, or with lost messages more
            for judged, fell in self.outcomes.advance(self.chain.terminated, self._config, passed):
                if self._config.risk_kind == self.task.risk_limit.kind:  # not of a rule that was changed since
                    self.task.risk_limit.add(judged, fell)
        if passed <= 0 or self.chain.state is None:
            self.outcomes.interrupt()
        return transition

    def compensates(self, config: VetoConfig) -> bool:
        """Whether the robot's controller is given the state that its command will meet."""
        return config.compensate_delay and config.mode == "enforce" and self.delay.steps > 0

    def expect(self) -> Array | None:
        r"""What will be observed as a command sent now takes effect [num_observation].

        Verdicts are about that state until the next one comes.

        .. math:: \hat s_{k+d} = f(\dots f(s_k, a_{k-d}) \dots, a_{k-1})

        with f the network in use, d the delay in control steps and :math:`a_j` what was sent in answer to state j. None
        without a network, where nothing is known of what is on its way, where what is foreseen is not finite, and until
        it has proved nearer to the states that came than those known before (`ir_twin.command_delay.Trial`).
        """
        known, model = self.chain.state, self.task.model
        actions = self.delay.on_their_way(self.chain.step)
        if known is None or model is None or not actions:
            return None
        state, layout = known, self.task.layout
        n = layout.num_observation
        for action in actions:
            foreseen = model.network.predict(state[None], action[None]).next_state[0, :n]
            state = layout.state_of(foreseen.astype(np.float64), action)
        if np.isfinite(state).all():
            self.trial.foresee(self.chain.step + self.delay.steps, state[:n], known[:n])
            self.expected = state if self.trial.passes else None
        return None if self.expected is None else self.expected[:n]

    def met(self) -> Array:
        """The state that a command sent now will meet [num_state], as far as is known."""
        assert self.chain.state is not None
        return self.chain.state if self.expected is None else self.expected

    def decide(self, missing: MissingInput | None, forecast: Forecast, config: VetoConfig) -> VetoDecision:
        """What becomes of a proposal, given what is expected of it or why nothing is."""
        limit = self.task.limit(config)
        if config.by_risk:
            return decide(config, -forecast.risk, -limit, self.vetoes_in_a_row, missing, Reason.HIGH_RISK)
        return decide(config, forecast.reward, limit, self.vetoes_in_a_row, missing)

    def finalise(
        self, action: Array | None, decision: VetoDecision, forecast: Forecast, config: VetoConfig,
        substitute: Substitute | None = None,
    ) -> Verdict:  # fmt: skip
        """The verdict that follows from a decision; where it vetoes, the safe action is sent or the substitute."""
        sent, sent_as, sent_risk = action, Sent.PROPOSAL, math.nan
        if decision.send_safe or action is None:
            sent, sent_as, sent_risk = substitute or (self.safe_action, Sent.SAFE, math.nan)
        self._record(decision, forecast, config)
        assert sent is not None
        self.sent, self._config = self.clip(sent), config
        self.delay.sent(self.chain.step, self.sent)
        limit = self.task.limit(config) if config.by_risk else math.nan
        return Verdict(
            decision.accepted, sent_as, decision.reason, forecast.reward, self.task.threshold.value, sent,
            self.task.version, forecast.risk, limit, sent_risk,
        )  # fmt: skip

    def draw(self, proposal: Array, config: VetoConfig) -> Array:
        """Actions around a proposal [num_action], to be tried in its place: [risk_candidates, num_action]."""
        noise = self._rng.normal(size=(config.risk_candidates, len(proposal)))
        return proposal + config.risk_spread * self.reach * noise

    def alarm(self, config: VetoConfig) -> str | None:
        """One line when nearly all recent proposals fell under the threshold; said once until it is over.

        Not under the risk to go: where falls are frequent it replaces nearly all by something near that is better.
        """
        if len(self._recent) < RECENT_VERDICTS or config.rule == "risk_to_go":
            return None
        share = sum(self._recent) / len(self._recent)
        alarmed, self._alarmed = self._alarmed, share > config.max_veto_share
        if alarmed or not self._alarmed:
            return None
        probing = config.mode == "enforce" and config.max_consecutive_vetoes > 0
        way_out = f"; one in {config.max_consecutive_vetoes + 1} is sent as a probe" if probing else ""
        what = "over the risk limit" if config.by_risk else "under the threshold"
        return (
            f"{self.robot}: {share:.0%} of the last {len(self._recent)} proposals are {what} "
            f"{self.task.limit(config):.3g}: the controller or the twin is far off{way_out}"
        )

    def missing_input(self, action: Array | None, now: int, config: VetoConfig) -> MissingInput | None:
        """What is missing to test a proposed action [num_action] at ``now``, ns of ROS time; None: nothing."""
        if action is None or action.shape != self.safe_action.shape or not np.isfinite(action).all():
            return Reason.INVALID_COMMAND
        unready = not math.isfinite(self.task.limit(config))
        if not self.task.able(config) or (unready and not config.by_risk):
            return Reason.NO_MODEL
        if self.chain.state is None or abs(now - self._stamp) > config.state_timeout * 1e9:
            return Reason.STALE_STATE
        return Reason.NO_MODEL if unready else None

    def _record(self, decision: VetoDecision, forecast: Forecast, config: VetoConfig) -> None:
        reason, vetoed = decision.reason, decision.reason in VETOES
        self.counts[reason] += 1
        self.accepted += decision.accepted
        if vetoed or reason is Reason.ACCEPTED:
            self._recent.append(vetoed)
            probe = vetoed and config.mode == "enforce"
            weight = 1.0 + config.max_consecutive_vetoes * probe
            self.outcomes.judged(None if decision.send_safe else Judged(vetoed, forecast.risk, weight))
        elif not decision.send_safe and math.isfinite(forecast.risk):
            self.outcomes.judged(Judged(False, forecast.risk, 1.0, on_trial=True))
        if not vetoed:
            self.vetoes_in_a_row = 0
        elif decision.send_safe:
            self.vetoes_in_a_row += 1
            if reason is Reason.LOW_REWARD:
                self.task.threshold.add(-math.inf)
        elif config.mode == "enforce":
            self.probes += 1
            self.vetoes_in_a_row = 0
