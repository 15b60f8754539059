# SPDX-License-Identifier: Apache-2.0
"""The twins of robots: their last state, their verdicts, their counts. What they share per task is the network."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_dynamics.ensemble_network import EnsembleNetwork, Risk
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.transitions import Transition, TransitionLayout, TransitionMaker
from ir_twin.command_delay import CommandDelay, Trial
from ir_twin.substitutes import Substitute, candidates, near, tried_each
from ir_twin.twin_config import VetoConfig
from ir_twin.verdict_outcomes import Judged, RiskLimit, VerdictOutcomes
from ir_twin.veto import VETOES, Lack, Reason, Sent, Threshold, VetoDecision, decide

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

    def __init__(self, name: str, layout: TransitionLayout, reward_window: int) -> None:
        self.name, self.layout = name, layout
        self.threshold = Threshold(reward_window)
        self.risk_limit = RiskLimit()
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

    def judge(
        self, robots: Sequence[RobotTwin], actions: Sequence[Array | None], now: int, config: VetoConfig
    ) -> list[Verdict]:
        """Verdicts on one proposal each of some of its robots; see `judge_all`."""
        return judge_all(robots, actions, now, config)

    def reconsider(self, config: VetoConfig) -> str | None:
        """Compares predictions with what came of it and sets the threshold anew.

        Returns an objection to the given threshold that was not there before.
        """
        if self._fresh and self.model is not None:
            states, actions = (np.stack([step[i] for step in self._fresh]) for i in (0, 1))
            real = np.array([step.reward for step in self._fresh])
            self.threshold.compare(self.model.network.predict(states, actions).reward, real, config)
            self._fresh.clear()
        self.risk_limit.update(config)
        before = self.threshold.refused
        self.threshold.update(config)
        return self.threshold.refused if before is None else None

    def limit(self, config: VetoConfig) -> float:
        """Threshold or risk limit of the rule in use; NaN: none yet."""
        return self.risk_limit.value if config.by_risk else self.threshold.value

    def forecast(self, states: Array, actions: Array, safe_action: Array, config: VetoConfig) -> list[Forecast]:
        """What the network in use expects of states [batch, num_state] and actions [batch, num_action].

        Under the risk rule, what is done after ``actions`` is the safe action.
        """
        if self.model is None:
            return [Forecast()] * len(actions)
        rewards = self.model.network.predict(states, actions).reward.tolist()
        if not config.by_risk:
            return [Forecast(reward) for reward in rewards]
        risk, each = self.risk(states, actions, safe_action, config)
        return [Forecast(*one) for one in zip(rewards, risk.tolist(), each.T, strict=True)]

    def risk(self, states: Array, actions: Array, safe_action: Array, config: VetoConfig) -> Risk:
        """The risk of each row under the rule in use, see `forecast`; NaN without a network that knows it."""
        network = self.model.network if self.model else None
        if not isinstance(network, EnsembleNetwork):
            unknown = np.full(len(actions), np.nan, np.float32)
            return Risk(unknown, unknown[None])
        if config.rule == "risk":
            return network.risk(states, actions, safe_action, config.risk_steps)
        return network.risk_to_go(states, actions)

    def able(self, config: VetoConfig) -> bool:
        """Whether the network in use has learnt what the rule asks."""
        network = self.model.network if self.model else None
        if config.rule == "risk_to_go":
            return isinstance(network, EnsembleNetwork) and network.to_go is not None
        return network is not None


class Forecast(NamedTuple):
    """What is expected of one action."""

    reward: float = math.nan
    """Of the next step, dimensionless."""
    risk: float = math.nan
    """Probability of a terminal state within `risk_steps`, or risk to go; NaN under the reward rule."""
    each: NDArray[np.floating] = np.array([np.nan])
    """[elites] the risk as each of them sees it."""


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


def judge_all(
    twins: Sequence[RobotTwin], actions: Sequence[Array | None], now: int, config: VetoConfig
) -> list[Verdict]:
    """Verdicts on one proposal each of robots of one task, from one batched pass; see `RobotTwin.judge`."""
    lacks = [twin.lack(action, now, config) for twin, action in zip(twins, actions, strict=True)]
    tests = None, *([Reason.NO_MODEL] if config.by_risk else [])  # a risk on trial is not acted on but noted
    asked = [
        i for i, (twin, lack) in enumerate(zip(twins, lacks, strict=True))
        if lack in tests and twin.task.able(config) and config.mode != "off"
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
        twin.decide(lack, forecast, config) for twin, lack, forecast in zip(twins, lacks, forecasts, strict=True)
    ]
    rows = [j for j, i in enumerate(asked) if decisions[i].send_safe and decisions[i].reason is Reason.HIGH_RISK]
    others: dict[int, Substitute | None] = {}
    if rows:
        vetoed = [asked[j] for j in rows]
        each = np.stack([forecasts[i].each for i in vetoed])
        found = _substitutes([twins[i] for i in vetoed], states[rows], proposals[rows], each, config)
        others = dict(zip(vetoed, found, strict=True))
        for i, other in others.items():
            if other is None:
                decisions[i] = decisions[i]._replace(send_safe=False)
    return [
        twin.settle(action, decision, forecast, config, others.get(i))
        for i, (twin, action, decision, forecast) in enumerate(zip(twins, actions, decisions, forecasts, strict=True))
    ]


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
        self.foresight = VerdictOutcomes()
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
            for judged, fell in self.foresight.advance(self.chain.terminated, self._config, passed):
                if self._config.risk_kind == self.task.risk_limit.kind:  # not of a rule that was changed since
                    self.task.risk_limit.add(judged, fell)
        if passed <= 0 or self.chain.state is None:
            self.foresight.interrupt()
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

    def judge(self, action: Array | None, now: int, config: VetoConfig) -> Verdict:
        """The verdict on a proposed action [num_action] at ``now``, ns of ROS time; None: not a valid command."""
        return self.task.judge([self], [action], now, config)[0]

    def met(self) -> Array:
        """The state that a command sent now will meet [num_state], as far as is known."""
        assert self.chain.state is not None
        return self.chain.state if self.expected is None else self.expected

    def decide(self, lack: Lack | None, forecast: Forecast, config: VetoConfig) -> VetoDecision:
        """What becomes of a proposal, given what is expected of it or why nothing is."""
        limit = self.task.limit(config)
        if config.by_risk:
            return decide(config, -forecast.risk, -limit, self.vetoes_in_a_row, lack, Reason.HIGH_RISK)
        return decide(config, forecast.reward, limit, self.vetoes_in_a_row, lack)

    def settle(
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

    def lack(self, action: Array | None, now: int, config: VetoConfig) -> Lack | None:
        """Why an action cannot be tested, if so."""
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
            self.foresight.judged(None if decision.send_safe else Judged(vetoed, forecast.risk, weight))
        elif not decision.send_safe and math.isfinite(forecast.risk):
            self.foresight.judged(Judged(False, forecast.risk, 1.0, on_trial=True))
        if not vetoed:
            self.vetoes_in_a_row = 0
        elif decision.send_safe:
            self.vetoes_in_a_row += 1
            if reason is Reason.LOW_REWARD:
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
