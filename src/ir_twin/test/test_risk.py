# SPDX-License-Identifier: Apache-2.0
"""The risk rule: terminations foreseen by the most pessimistic member, candidates before the safe action, outcomes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.verdict_kinds import Reason, Sent
from ir_dynamics.ensemble_network import EnsembleNetwork, Risk
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.transitions import TransitionLayout
from ir_twin.judgement import judge, judge_all
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import TwinConfig, VetoConfig
from ir_twin.verdict import Array
from ir_twin.verdict_outcomes import Judged, RiskLimit, VerdictOutcomes

SECOND = 1_000_000_000
SAFE = np.array([0.0])
RISK = VetoConfig(mode="enforce", rule="risk", risk_limit=0.5, risk_steps=1, max_consecutive_vetoes=0, trial_steps=50)
SHARP = 20.0


def network(*places: float) -> EnsembleNetwork:
    """Members that predict s' = s + a, r = 0 and a terminal state where s + a > place, each with its own place."""
    members, width = len(places), 2
    weight = np.zeros((members, width, 2 * 2 + 1), np.float32)
    weight[:, 1, 0] = 1.0
    weight[:, :, 2] = SHARP
    bias = np.zeros((members, 1, 5), np.float32)
    bias[:, 0, 2] = -SHARP * np.array(places)
    zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
    limits = np.zeros((members, 2, 2), np.float32)
    return EnsembleNetwork((weight,), (bias,), limits, members, zeros, ones, zeros, ones, clip=math.inf)


def make(*places: float, config: VetoConfig = RISK) -> RobotTwin:
    task = TaskTwin("toy", TransitionLayout(1, 1), reward_window=100)
    error = PredictionError(0.1, 0.1, np.zeros(1))
    task.adopt(ModelVersion("toy", 3, network(*places), 100, 10, error, 0.1), config)
    task.risk_limit.value = config.risk_limit
    twin = RobotTwin("r1", task, SAFE, lambda action: np.clip(action, -1.0, 1.0))
    observe(twin, 0)
    return twin


def observe(twin: RobotTwin, step: int, state: float = 0.0, **changes: object) -> None:
    content = {"observation": [state], "action": [0.0] if step else [], "reward": 0.5, "terminated": False} | changes
    twin.observe(SECOND, "toy", episode=1, step=step, **content)


def test_the_risk_is_that_of_the_most_pessimistic_member_over_the_steps() -> None:
    """By hand: after a = 0.3 and 0.2 the state is 0.5, a member ends with sig(20 (s + a - place)) at each step."""
    places, start, first, then = (0.4, 0.9), 0.0, 0.3, 0.2

    def member(place: float) -> float:
        ends = [1 / (1 + math.exp(-SHARP * (s - place))) for s in (start + first, start + first + then)]
        return 1 - (1 - ends[0]) * (1 - ends[1])

    got = network(*places).risk([[start]], [[first]], [then], steps=2)
    assert got.risk[0] == pytest.approx(max(map(member, places)), rel=1e-4)
    assert network(*places).risk([[math.nan]], [[0.0]], [0.0], 1).risk[0] != 0.0  # NaN


def test_one_row_is_judged_as_in_a_batch_and_members_as_alone() -> None:
    rng = np.random.default_rng(0)
    whole = network(0.3, 0.6, 0.8)
    states, actions = rng.uniform(-1, 1, (50, 1)), rng.uniform(-1, 1, (50, 1))
    risk = whole.risk(states, actions, SAFE, 3).risk
    alone = np.stack([network(place).risk(states, actions, SAFE, 3).risk for place in (0.3, 0.6, 0.8)])
    np.testing.assert_allclose(risk, alone.max(axis=0), rtol=1e-4, atol=1e-6)
    one = [whole.risk(states[i : i + 1], actions[i : i + 1], SAFE, 3).risk[0] for i in range(50)]
    np.testing.assert_allclose(risk, one, rtol=1e-4, atol=1e-6)


def test_an_action_within_the_limit_passes() -> None:
    verdict = judge(make(0.8), np.array([0.2]), SECOND, RISK)
    assert (verdict.accepted, verdict.sent_as, verdict.reason) == (True, Sent.PROPOSAL, Reason.ACCEPTED)
    assert verdict.risk < 0.01
    assert (verdict.risk_limit, verdict.model_version) == (0.5, 3)


def test_in_place_of_a_risky_action_the_nearest_one_within_the_limit_is_sent() -> None:
    """Of 1.0 towards the safe 0.0: 0.75 is over the place of 0.6, 0.5 is not."""
    verdict = judge(make(0.6), np.array([1.0]), SECOND, RISK.model_copy(update={"risk_candidates": 0}))
    assert (verdict.accepted, verdict.sent_as, verdict.reason) == (False, Sent.SCALED, Reason.HIGH_RISK)
    assert verdict.sent == pytest.approx(np.array([0.5]))
    assert verdict.risk > 0.5 > verdict.sent_risk


def test_drawn_candidates_come_nearer_and_are_the_same_in_every_run() -> None:
    config = RISK.model_copy(update={"risk_candidates": 200})
    verdicts = [judge(make(0.6), np.array([1.0]), SECOND, config) for _ in range(2)]
    assert verdicts[0].sent_as is Sent.SAMPLED
    assert 0.55 < verdicts[0].sent[0] <= 0.6
    assert verdicts[0].sent == verdicts[1].sent


def test_where_nothing_is_within_the_limit_the_least_risky_is_sent() -> None:
    verdict = judge(make(-0.4), np.array([1.0]), SECOND, RISK.model_copy(update={"risk_candidates": 0}))
    assert verdict.sent_as is Sent.SAFE
    assert verdict.sent_safe_action
    assert verdict.sent == SAFE


def test_shadow_says_it_and_passes_it() -> None:
    shadow = RISK.model_copy(update={"mode": "shadow"})
    verdict = judge(make(0.5), np.array([1.0]), SECOND, shadow)
    assert (verdict.accepted, verdict.sent_as, verdict.reason) == (False, Sent.PROPOSAL, Reason.HIGH_RISK)
    assert verdict.sent == np.array([1.0])


def test_without_a_finite_prediction_the_configured_behaviour_applies() -> None:
    verdict = judge(make(math.nan), np.array([0.1]), SECOND, RISK)
    assert (verdict.reason, verdict.sent_as) == (Reason.NO_PREDICTION, Sent.SAFE)
    twin = make(0.5)
    twin.task.risk_limit.value = math.nan  # on trial
    assert judge(twin, np.array([1.0]), SECOND, RISK).reason is Reason.NO_MODEL


def test_a_twin_on_trial_notes_its_risks_acts_on_none_and_gets_a_limit_after_enough_outcomes() -> None:
    twin = make(0.5)
    twin.task.risk_limit.value = math.nan
    for step in range(1, 70):
        verdict = judge(twin, np.array([-0.5]), SECOND, RISK)
        assert (verdict.reason, verdict.sent_as) == (Reason.NO_MODEL, Sent.PROPOSAL)
        observe(twin, step)
    twin.task.reconsider(RISK)
    assert twin.task.risk_limit.value == RISK.risk_limit
    assert twin.outcomes.resolved == 0
    assert judge(twin, np.array([-0.5]), SECOND, RISK).reason is Reason.ACCEPTED


def test_many_robots_in_one_pass_get_the_verdicts_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    proposals = [rng.uniform(-1, 1, 1) for _ in range(30)]
    proposals[4], proposals[7] = None, np.array([math.nan])  # type: ignore[call-overload]
    twins = [make(0.3) for _ in proposals]
    for twin in twins[1:]:
        twin.task = twins[0].task
    together = judge_all(twins, proposals, SECOND, RISK)
    for verdict, proposal in zip(together, proposals, strict=True):
        alone = judge(make(0.3), proposal, SECOND, RISK)
        assert (verdict.reason, verdict.sent_as) == (alone.reason, alone.sent_as)
        np.testing.assert_allclose(verdict.sent, alone.sent, rtol=1e-6)


@pytest.mark.parametrize(("robots", "steps", "each"), [(1, 2, 13), (16, 2, 8), (64, 2, 2), (64, 1, 4), (1000, 1, 2)])
def test_the_more_are_vetoed_at_once_the_fewer_candidates_each_tries(
    robots: int, steps: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RISK.model_copy(update={"risk_steps": steps})
    twins = [make(0.6) for _ in range(robots)]
    for twin in twins[1:]:
        twin.task = twins[0].task
    asked: list[int] = []
    risk = TaskTwin.risk

    def counted(task: TaskTwin, states: Array, actions: Array, *rest: object) -> Risk:
        asked.append(len(actions))
        return risk(task, states, actions, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TaskTwin, "risk", counted)
    verdicts = judge_all(twins, [np.array([1.0])] * robots, SECOND, config)
    assert asked == [robots, robots * each]
    assert all(verdict.reason is Reason.HIGH_RISK and verdict.sent_risk < 0.5 for verdict in verdicts)


def test_the_risk_rule_needs_the_ensemble() -> None:
    with pytest.raises(ValueError, match="ensemble"):
        TwinConfig(robots=("cart",), rule="risk")
    assert TwinConfig(robots=("cart",), rule="risk", preset="ensemble").rule == "risk"


def test_steps_are_right_where_a_fall_follows_within_the_horizon() -> None:
    """Flagged at steps 2 and 7 of 0..9, fall at the end of step 9, horizon 4: steps 6 to 9 are followed by it."""
    foresight, config = VerdictOutcomes(), VetoConfig(foresight_steps=4)
    for step in range(10):
        foresight.judged(Judged(step in (2, 7), 0.0, 1.0))
        foresight.advance(step == 9, config)
    assert foresight.counts == [[5, 3], [1, 1]]
    assert (foresight.precision, foresight.recall) == (0.5, 0.25)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60), st.integers(1, 6))
def test_foresight_counts_as_a_slow_reference_does(steps: list[tuple[bool, bool, bool]], horizon: int) -> None:
    foresight, config = VerdictOutcomes(), VetoConfig(foresight_steps=horizon)
    for flagged, fell, lost in steps:
        foresight.judged(Judged(flagged, 0.0, 1.0))
        foresight.advance(fell, config)
        if lost:
            foresight.interrupt()
    expected = [[0, 0], [0, 0]]
    for i, (flagged, _, _) in enumerate(steps):
        for after in range(horizon):
            if i + after >= len(steps):
                break
            _, fell, lost = steps[i + after]
            if fell or after == horizon - 1:
                expected[flagged][fell] += 1
                break
            if lost:
                break
    assert foresight.counts == expected


@pytest.mark.parametrize(("falls", "outcome"), [(True, [6, 2]), (False, [6, 0])])
def test_a_lost_message_does_not_hide_what_came_of_the_steps_before_it(falls: bool, outcome: list[int]) -> None:
    """Of steps 0 to 15, in an episode that ends with state 16, only the even ones are heard; H = 5."""
    shadow = RISK.model_copy(update={"mode": "shadow", "foresight_steps": 5})
    twin = make(0.5, config=shadow)
    judge(twin, np.array([0.0]), SECOND, shadow)
    for step in range(2, 16, 2):
        observe(twin, step)
        judge(twin, np.array([0.0]), SECOND, shadow)
    observe(twin, 16, terminated=falls, truncated=not falls)
    assert twin.outcomes.counts == [outcome, [0, 0]], "of 12 and 14 nobody knows where it was cut off"


def test_the_end_of_an_episode_that_was_lost_is_no_outcome() -> None:
    shadow = RISK.model_copy(update={"mode": "shadow", "foresight_steps": 5})
    twin = make(0.5, config=shadow)
    for step in range(1, 4):
        judge(twin, np.array([0.0]), SECOND, shadow)
        observe(twin, step)
    twin.observe(SECOND, "toy", episode=2, step=9, observation=[0.0], action=[0.0], reward=0.5, terminated=False)
    assert twin.outcomes.resolved == 0


def test_a_proposal_that_was_not_carried_out_tells_nothing() -> None:
    twin = make(0.5)
    for step in range(1, 20):
        judge(twin, np.array([1.0]), SECOND, RISK)
        observe(twin, step)
    twin.task.risk_limit.update(RISK)
    assert math.isnan(twin.task.risk_limit.value)
    assert not twin.task.risk_limit._known


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.2))
def test_the_risk_limit_bounds_false_vetoes_however_bad_the_twin(seed: int, share: float) -> None:
    rng, limit = np.random.default_rng(seed), RiskLimit()
    risks, fell = rng.uniform(0, 1, 300), rng.random(300) < 0.1
    config = RISK.model_copy(update={"false_veto_share": share})
    for risk, down in zip(risks, fell, strict=True):
        limit.add(Judged(bool(risk > 0.5), float(risk), 1.0), bool(down))
    limit.update(config)
    assert limit.value >= 0.5
    assert np.mean(risks[~fell] > limit.value) <= share


def test_in_shadow_a_twin_that_foresees_falls_gets_its_precision_and_recall() -> None:
    shadow = RISK.model_copy(update={"mode": "shadow", "foresight_steps": 1})
    twin, rng = make(0.5, config=shadow), np.random.default_rng(3)
    for step in range(1, 200):
        action = rng.uniform(-1, 1)
        judge(twin, np.array([action]), SECOND, shadow)
        observe(twin, step, terminated=bool(action > 0.5))
        twin.chain.state = np.zeros(1)  # stands up at once
    assert twin.outcomes.resolved > 100
    assert twin.outcomes.precision == twin.outcomes.recall == 1.0


@pytest.mark.parametrize("changed", [{"rule": "risk_to_go"}, {"rule": "reward"}, {"risk_steps": 2}])
def test_another_rule_or_another_lookahead_is_judged_by_its_own_outcomes(changed: dict[str, object]) -> None:
    """Two robots of a task, all risks 0.9 until the change; the second robot is not asked any more."""
    shadow = RISK.model_copy(update={"mode": "shadow", "foresight_steps": 3})
    other, twins = shadow.model_copy(update=changed), [make(0.5, config=shadow) for _ in range(2)]
    twins[1].task = task = twins[0].task
    for step in range(1, 100):
        judge_all(twins, [np.array([0.6])] * 2, SECOND, shadow)
        for twin in twins:
            observe(twin, step)
    task.reconsider(shadow)
    assert task.risk_limit.value == pytest.approx(1 / (1 + math.exp(-SHARP * 0.1)), rel=1e-4)
    assert twins[0].outcomes.resolved == 97 and twins[0].outcomes.precision == 0.0
    task.reconsider(other)
    assert math.isnan(task.risk_limit.value)
    judge(twins[0], np.array([-0.6]), SECOND, other)
    for twin in twins:
        observe(twin, 100)
    assert not task.risk_limit._known, "what the old rule said and came out since"
    assert twins[0].outcomes.resolved == 0
    for step in range(101, 104):
        judge(twins[0], np.array([-0.6]), SECOND, other)
        observe(twins[0], step)
    assert len(task.risk_limit._known) == (2 if changed == {"risk_steps": 2} else 0)
    task.reconsider(other.model_copy(update={"risk_limit": 0.7}))
    assert len(task.risk_limit._known) == (2 if changed == {"risk_steps": 2} else 0), (
        "of another limit they tell as well"
    )


def test_the_lookahead_of_the_risk_rule_is_nothing_to_the_others() -> None:
    for rule in ("reward", "risk_to_go"):
        kinds = {RISK.model_copy(update={"rule": rule, "risk_steps": steps}).risk_kind for steps in (1, 2)}
        assert len(kinds) == 1
