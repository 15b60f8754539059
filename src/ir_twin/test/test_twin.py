# SPDX-License-Identifier: Apache-2.0
"""A robot's twin judges by its last state, counts everything, and says when something is far off."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.verdict_kinds import Reason
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError, PredictNetwork
from ir_dynamics.transitions import TransitionLayout, layout_of
from ir_twin.command_delay import WINDOW
from ir_twin.judgement import judge
from ir_twin.latency_histogram import LatencyHistogram
from ir_twin.robot_twin import RECENT_VERDICTS, RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import VetoConfig

SAFE = np.array([0.25])
ENFORCE = VetoConfig(mode="enforce", threshold=0.0, max_consecutive_vetoes=3)
SECOND = 1_000_000_000


def network(weight: float = 1.0) -> PredictNetwork:
    """Predicts s' = s and r = weight * a."""
    layer = np.zeros((3, 3), np.float32)
    layer[2, 2] = weight
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    return PredictNetwork((layer,), (zeros,), "silu", True, zeros, ones, zeros, ones, clip=math.inf)


def model(version: int = 1, weight: float = 1.0) -> ModelVersion:
    return ModelVersion("toy", version, network(weight), 100, 10, PredictionError(0.1, 0.1, np.zeros(2)), 0.1)


def make(config: VetoConfig = ENFORCE) -> RobotTwin:
    task = TaskTwin("toy", TransitionLayout(2, 1), reward_window=100)
    task.adopt(model(), config)
    twin = RobotTwin("r1", task, SAFE)
    observe(twin, 0)
    return twin


def observe(twin: RobotTwin, step: int, stamp: int = SECOND, task: str = "toy", **changes: object) -> None:
    content = {"observation": [1.0, 2.0], "action": [0.0] if step else [], "reward": 0.5, "terminated": False} | changes
    twin.observe(stamp, task, episode=1, step=step, **content)


def test_a_good_action_passes_and_a_bad_one_is_replaced() -> None:
    twin = make()
    good = judge(twin, np.array([0.5]), SECOND, ENFORCE)
    assert (good.accepted, good.sent_safe_action, good.reason) == (True, False, Reason.ACCEPTED)
    assert good.predicted_reward == pytest.approx(0.5)
    assert good.sent == [0.5]
    bad = judge(twin, np.array([-0.5]), SECOND, ENFORCE)
    assert (bad.accepted, bad.sent_safe_action, bad.reason) == (False, True, Reason.LOW_REWARD)
    assert bad.sent == SAFE
    assert (bad.threshold, bad.model_version) == (0.0, 1)
    assert (twin.proposals, twin.counts[Reason.ACCEPTED], twin.counts[Reason.LOW_REWARD]) == (2, 1, 1)


@given(st.sampled_from(["off", "shadow", "enforce"]), st.floats(allow_nan=True), st.integers(1, 2))
def test_what_is_sent_is_finite_and_what_passes_is_unchanged(mode: str, value: float, width: int) -> None:
    config = ENFORCE.model_copy(update={"mode": mode})
    action = np.full(width, value)
    verdict = judge(make(config), action, SECOND, config)
    assert np.isfinite(verdict.sent).all()
    assert verdict.sent is (SAFE if verdict.sent_safe_action else action) or (verdict.sent == SAFE).all()
    if width == 2 or not math.isfinite(value):
        assert (verdict.reason, verdict.sent_safe_action) == (Reason.INVALID_COMMAND, True)
    elif mode != "enforce":
        assert verdict.sent is action


def test_states_that_are_missing_old_or_terminal_cannot_be_judged_by() -> None:
    action, twin = np.array([0.5]), make()
    limit = int(ENFORCE.state_timeout * SECOND)
    assert judge(twin, action, SECOND + limit, ENFORCE).reason is Reason.ACCEPTED
    assert judge(twin, action, SECOND + limit + 1, ENFORCE).reason is Reason.STALE_STATE
    assert judge(twin, action, SECOND - limit - 1, ENFORCE).reason is Reason.STALE_STATE  # the clock was put back
    observe(twin, 1, terminated=True)
    assert judge(twin, action, SECOND, ENFORCE).reason is Reason.STALE_STATE
    fresh = RobotTwin("r2", twin.task, SAFE)
    assert judge(fresh, action, SECOND, ENFORCE).reason is Reason.STALE_STATE


def test_without_a_model_the_configured_behaviour_applies() -> None:
    twin = RobotTwin("r1", TaskTwin("toy", TransitionLayout(2, 1), 100), SAFE)
    observe(twin, 0)
    verdict = judge(twin, np.array([-1.0]), SECOND, ENFORCE)
    assert (verdict.reason, verdict.accepted, verdict.model_version) == (Reason.NO_MODEL, True, 0)
    assert math.isnan(verdict.predicted_reward)
    careful = ENFORCE.model_copy(update={"on_no_model": "safe"})
    assert judge(twin, np.array([-1.0]), SECOND, careful).sent_safe_action


def test_a_prediction_that_is_not_finite_is_said() -> None:
    twin = make()
    twin.task.model = replace(model(), network=network(math.nan))
    verdict = judge(twin, np.array([0.5]), SECOND, ENFORCE)
    assert (verdict.reason, verdict.sent_safe_action) == (Reason.NO_PREDICTION, True)


def test_the_prediction_is_of_what_the_robot_makes_of_an_action() -> None:
    task = make().task
    twin = RobotTwin("r1", task, SAFE, clip=lambda action: np.clip(action, -1, 1))
    observe(twin, 0)
    verdict = judge(twin, np.array([1e300]), SECOND, ENFORCE)
    assert verdict.predicted_reward == 1.0
    assert verdict.sent == [1e300]


def test_states_of_another_task_are_refused() -> None:
    twin = make()
    observe(twin, 1, task="other")
    assert twin.chain.rejected == 1
    assert twin.chain.state is None


def test_vetoes_in_a_row_are_bounded_by_probes() -> None:
    twin = make()
    sent_safe = [judge(twin, np.array([-1.0]), SECOND, ENFORCE).sent_safe_action for _ in range(8)]
    assert sent_safe == [True, True, True, False, True, True, True, False]
    assert twin.probes == 2
    assert twin.accepted == 0


def test_an_alarm_is_given_once_until_it_is_over() -> None:
    twin, said = make(), []
    for sign in (-1.0, -1.0, 1.0, 1.0, -1.0):
        for _ in range(RECENT_VERDICTS):
            judge(twin, np.array([sign]), SECOND, ENFORCE)
            said.append(twin.alarm(ENFORCE))
    lines = [line for line in said if line]
    assert len(lines) == 2
    assert "r1: 100% of the last" in lines[0]
    assert "one in 4" in lines[0]


def test_vetoes_are_usual_under_the_risk_to_go() -> None:
    twin = make()
    for _ in range(RECENT_VERDICTS):
        judge(twin, np.array([-1.0]), SECOND, ENFORCE)
    assert twin.alarm(ENFORCE.model_copy(update={"rule": "risk_to_go"})) is None
    assert twin.alarm(ENFORCE) is not None, "of another rule it would have been said"


def test_robots_of_one_task_share_network_and_rewards() -> None:
    one = make()
    other = RobotTwin("r2", one.task, SAFE)
    observe(other, 0)
    for step in range(1, 61):
        observe(one, step, reward=1.0, action=[1.0])
    auto = ENFORCE.model_copy(update={"threshold": "auto", "trial_steps": 50})
    assert one.task.adopt(model(version=2), auto) is None
    for action, accepted in ((1.0, True), (0.95, False)):
        verdict = judge(other, np.array([action]), SECOND, auto)
        assert (verdict.model_version, verdict.threshold, verdict.accepted) == (2, 1.0, accepted)


def test_a_twin_that_predicts_too_little_vetoes_nothing_once_it_has_met_the_evidence() -> None:
    auto = ENFORCE.model_copy(update={"threshold": "auto", "trial_steps": 50})
    twin = make(auto)
    assert judge(twin, np.array([-1.0]), SECOND, auto).reason is Reason.NO_MODEL  # nothing to compare with yet
    for step in range(1, 61):
        observe(twin, step, reward=1.0, action=[-1.0])  # the model predicts -1
    twin.task.reconsider(auto)
    assert judge(twin, np.array([-1.0]), SECOND, auto).accepted
    assert not judge(twin, np.array([-1.1]), SECOND, auto).accepted


def test_a_given_threshold_over_all_rewards_is_objected_to_once() -> None:
    twin = make()
    for step in range(1, 61):
        observe(twin, step, reward=1.0, action=[1.0])
    absurd = ENFORCE.model_copy(update={"threshold": 7.0})
    objection = twin.task.reconsider(absurd)
    assert objection is not None
    assert twin.task.adopt(model(version=2), absurd) is None
    assert judge(twin, np.array([1.0]), SECOND, absurd).accepted  # the automatic one is used: 1.0


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_latency_quantiles_are_right_within_a_bin(latencies: list[float], q: float) -> None:
    histogram = LatencyHistogram()
    for latency in latencies:
        histogram.add(latency)
    exact = np.quantile(latencies, q, method="inverted_cdf")
    assert exact * 0.999 <= histogram.quantile(q) <= exact * 1.05


def test_latencies_outside_the_histogram_are_counted_at_its_ends() -> None:
    histogram = LatencyHistogram()
    assert math.isnan(histogram.quantile(0.5))
    histogram.add(0.0)
    histogram.add(1e9)
    assert histogram.count == 2
    assert histogram.quantile(1.0) == pytest.approx(10.0)


def test_verdicts_are_about_the_state_that_the_command_will_meet() -> None:
    """s' = s + (a, a), r = the first of s: with commands two steps late, two of them are added before it is judged."""
    layer = np.zeros((3, 3), np.float32)
    layer[2, :2], layer[0, 2] = 1.0, 1.0
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    adding = PredictNetwork((layer,), (zeros,), "silu", True, zeros, ones, zeros, ones, clip=math.inf)
    config = ENFORCE.model_copy(update={"threshold": -1e6, "compensate_delay": True})
    twin, sent, state = make(config), [0.0], np.array([1.0, 2.0])
    known = 3 + WINDOW  # the step since which the delay is known: the first answer is met in step 4
    twin.task.adopt(replace(model(), network=adding), config)
    assert not twin.compensates(config) and twin.expect() is None

    def arrive(step: int) -> None:
        nonlocal state
        state = state + (action := sent[max(step - 3, 0)])
        observe(twin, step, action=[action], observation=state.tolist())

    for step in range(1, 2 * WINDOW):
        arrive(step)
        foreseen = twin.compensates(config) and twin.expect() is not None
        assert foreseen == (step >= known + 1 + WINDOW // 2), "once it has proved right, two steps later for each"
        sent.append(float(np.sin(step)))
        judge(twin, np.array([sent[-1]]), SECOND, config)
    assert twin.compensates(config)
    assert not any(twin.compensates(config.model_copy(update={"mode": mode})) for mode in ("off", "shadow"))
    assert not twin.compensates(config.model_copy(update={"compensate_delay": False}))
    arrive(200)
    plain = judge(twin, np.array([0.3]), SECOND, config)
    sent.append(0.3)
    assert plain.predicted_reward == pytest.approx(state[0]), "of the state that came, until the other is asked for"
    arrive(201)
    meant = state + sent[199] + 0.3
    np.testing.assert_allclose(twin.expect(), meant, atol=1e-5)
    assert judge(twin, np.array([0.0]), SECOND, config).predicted_reward == pytest.approx(meant[0], abs=1e-5)
    observe(twin, 202, action=[sent[199]], observation=[3.4e38, 2.0])
    twin.task.adopt(replace(model(), network=replace(adding, output_scale=np.full(3, np.inf, np.float32))), config)
    assert twin.expect() is None and twin.expected is None


def test_what_is_foreseen_begins_with_the_action_that_was_in_force() -> None:
    """s' = s + (b, b), b the action before a, r = b; commands come a step late and move the robot a step later."""
    layout = layout_of("ensemble", 2, 1)
    layer = np.zeros((4, 4), np.float32)
    layer[2, :2], layer[2, 3] = 1.0, 1.0
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    adding = PredictNetwork((layer,), (zeros,), "silu", True, zeros, ones, zeros, ones, clip=math.inf)
    config = ENFORCE.model_copy(update={"threshold": -1e6, "compensate_delay": True})
    task = TaskTwin("toy", layout, reward_window=100)
    task.adopt(replace(model(), network=adding), config)
    twin, state, force = RobotTwin("r1", task, SAFE), np.array([1.0, 2.0]), [0.0, 0.0]
    observe(twin, 0, observation=state.tolist())
    for step in range(1, 2 * WINDOW):
        state = state + force[-2]  # what was in force in the step before
        observe(twin, step, action=[force[-1]], observation=state.tolist())
        expected = twin.expect()
        judge(twin, np.array([np.sin(step)]), SECOND, config)
        force.append(float(np.sin(step - 1)))
        if twin.trial.passes:
            np.testing.assert_allclose(expected, state + force[-2], atol=1e-5)
    assert twin.trial.passes and twin.delay.steps == 1
    state = state + force[-2]
    observe(twin, 2 * WINDOW, action=[force[-1]], observation=state.tolist())
    twin.expect()
    assert twin.met() == pytest.approx([*(state + force[-1]), np.sin(2 * WINDOW - 1)], abs=1e-5)
    assert judge(twin, np.array([9.0]), SECOND, config).predicted_reward == pytest.approx(np.sin(2 * WINDOW - 1))
