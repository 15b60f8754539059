# SPDX-License-Identifier: Apache-2.0
"""The veto's rule holds for all numbers; the threshold makes sense and cannot run away."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.verdict_kinds import Reason, VerdictMode
from ir_twin.twin_config import Mode, VetoConfig
from ir_twin.veto import MIN_REWARDS, Threshold, decide

REWARDS = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(-1e6, 1e6)
MODES = st.sampled_from(["off", "shadow", "enforce"])
FALLBACKS = st.sampled_from(["pass", "safe"])
MISSING = st.sampled_from([None, Reason.INVALID_COMMAND, Reason.NO_MODEL, Reason.STALE_STATE])
CONFIGS = st.builds(
    VetoConfig, mode=MODES, on_no_model=FALLBACKS, on_stale_state=FALLBACKS, on_no_prediction=FALLBACKS,
    max_consecutive_vetoes=st.integers(0, 3),
)  # fmt: skip

SHORT_TRIAL = VetoConfig(trial_steps=MIN_REWARDS)


def test_the_modes_of_the_configuration_are_those_of_the_message() -> None:
    assert [mode.name.lower() for mode in VerdictMode] == [*get_args(Mode)]


@given(CONFIGS, FINITE, FINITE, FINITE)
def test_a_higher_threshold_never_accepts_more(config: VetoConfig, reward: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert decide(config, reward, low).accepted >= decide(config, reward, high).accepted


@given(CONFIGS, FINITE, FINITE, FINITE)
def test_a_higher_reward_is_never_accepted_less(config: VetoConfig, threshold: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert decide(config, low, threshold).accepted <= decide(config, high, threshold).accepted


@given(CONFIGS, REWARDS, FINITE, st.integers(0, 100))
def test_an_invalid_command_is_never_sent(config: VetoConfig, reward: float, threshold: float, vetoes: int) -> None:
    decision = decide(config, reward, threshold, vetoes, Reason.INVALID_COMMAND)
    assert decision == (False, True, Reason.INVALID_COMMAND)


@given(CONFIGS, REWARDS, FINITE, st.integers(0, 100), MISSING)
def test_only_enforcing_replaces_a_valid_command(
    config: VetoConfig, reward: float, threshold: float, vetoes: int, missing: Reason | None
) -> None:
    decision = decide(config, reward, threshold, vetoes, missing)  # type: ignore[arg-type]
    if missing is not Reason.INVALID_COMMAND and config.mode != "enforce":
        assert not decision.send_safe
    if decision.send_safe:
        assert not decision.accepted


@given(CONFIGS, st.sampled_from([math.nan, math.inf, -math.inf]), FINITE)
def test_a_prediction_that_is_not_finite_is_never_an_acceptance(
    config: VetoConfig, reward: float, threshold: float
) -> None:
    decision = decide(config, reward, threshold)
    if config.mode != "off":
        assert decision.reason is Reason.NO_PREDICTION
        assert decision.accepted == (config.on_no_prediction == "pass")


@pytest.mark.parametrize("missing", [Reason.NO_MODEL, Reason.STALE_STATE])
@pytest.mark.parametrize("fallback", ["pass", "safe"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_without_a_prediction_the_configured_behaviour_applies(mode: str, fallback: str, missing: Reason) -> None:
    field = {Reason.NO_MODEL: "on_no_model", Reason.STALE_STATE: "on_stale_state"}[missing]
    decision = decide(VetoConfig(mode=mode, **{field: fallback}), math.nan, math.nan, 0, missing)  # type: ignore[arg-type]
    assert decision == (fallback == "pass", mode == "enforce" and fallback == "safe", missing)


def test_a_probe_is_sent_after_the_bounded_number_of_vetoes() -> None:
    config = VetoConfig(mode="enforce", max_consecutive_vetoes=2)
    assert [decide(config, -1.0, 0.0, n).send_safe for n in range(4)] == [True, True, False, False]
    assert not decide(config, -1.0, 0.0, 2).accepted
    assert decide(config.model_copy(update={"max_consecutive_vetoes": 0}), -1.0, 0.0, 10**6).send_safe


def filled(rewards: np.ndarray, window: int = 1000) -> Threshold:
    threshold = Threshold(window)
    for reward in rewards:
        threshold.add(float(reward))
    return threshold


def compared(rewards: np.ndarray, predicted: np.ndarray | None = None, mode: str = "shadow") -> Threshold:
    threshold = filled(rewards)
    threshold.compare(rewards if predicted is None else predicted, rewards, VetoConfig(mode=mode))  # type: ignore[arg-type]
    return threshold


def test_with_a_perfect_twin_the_automatic_threshold_is_the_quantile() -> None:
    assert compared(np.arange(400.0)).update(VetoConfig(threshold_quantile=0.02, false_veto_share=0.0)) == 7.0


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0), st.floats(-2.0, 2.0), st.floats(0.0, 0.2))
def test_false_vetoes_are_bounded_however_bad_the_twin(seed: int, noise: float, bias: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=300)
    predicted = rewards + bias + noise * rng.normal(size=300)
    config = VetoConfig(threshold_quantile=0.05, false_veto_share=share)
    value = compared(rewards, predicted).update(config)
    quantile = np.quantile(rewards, 0.05, method="lower")
    assert value <= quantile
    assert np.mean(predicted[rewards >= quantile] < value) <= share


def test_probes_that_turn_out_well_take_wrong_vetoes_back_and_bad_ones_do_not() -> None:
    rng, config = np.random.default_rng(0), VetoConfig(mode="enforce", max_consecutive_vetoes=20)
    for outcome, taken_back in ((1.0, True), (-9.0, False)):
        threshold = compared(rng.normal(1.0, 0.1, size=400), mode="enforce")
        before = threshold.update(config)
        for _ in range(3):
            threshold.add(outcome)
            threshold.compare(np.array([-2.0]), np.array([outcome]), config)
        assert (threshold.update(config) <= -2.0) == taken_back
        assert taken_back or threshold.value == pytest.approx(before, abs=0.1)


def test_vetoes_before_the_first_quantile_leave_the_lowest_reward() -> None:
    threshold = compared(np.arange(60.0))
    for _ in range(60):
        threshold.add(-math.inf)
    assert threshold.update(SHORT_TRIAL) == 0.0


def test_there_is_no_threshold_without_enough_rewards_and_predictions() -> None:
    assert math.isnan(compared(np.zeros(MIN_REWARDS - 1)).update(SHORT_TRIAL))
    assert math.isnan(filled(np.zeros(MIN_REWARDS)).update(SHORT_TRIAL))
    assert compared(np.zeros(MIN_REWARDS)).update(SHORT_TRIAL) == 0.0
    assert math.isnan(compared(np.zeros(MIN_REWARDS), np.full(MIN_REWARDS, np.nan)).update(SHORT_TRIAL))


def test_vetoed_steps_neither_tighten_nor_loosen_the_threshold() -> None:
    """A fleet with steady proposals: each veto removes a low reward, and its place is kept."""
    rng, config = np.random.default_rng(0), VetoConfig(threshold_quantile=0.05)
    threshold = compared(rng.normal(size=1000))
    first = threshold.update(config)
    for _ in range(50):
        for reward in rng.normal(size=200):
            threshold.add(reward if reward >= threshold.value else -math.inf)
        threshold.update(config)
    assert threshold.value == pytest.approx(first, abs=0.35)  # left out, the vetoed would carry it over the median
    for _ in range(2000):
        threshold.add(-math.inf)
    before = threshold.value
    assert threshold.update(config) == before


@given(st.floats(-10, 10), st.floats(0.1, 1.0))
def test_a_threshold_over_the_share_of_rewards_is_objected_to(given_threshold: float, share: float) -> None:
    rewards = np.random.default_rng(0).normal(size=200)
    objection = filled(rewards).objection(given_threshold, share)
    assert (objection is not None) == (np.mean(rewards < given_threshold) > share)


def test_a_threshold_that_would_veto_everything_is_said_and_replaced() -> None:
    threshold, config = compared(np.linspace(0, 1, 200)), VetoConfig(threshold=5.0)
    assert threshold.update(config) < 0.1
    assert threshold.refused is not None
    assert "100%" in threshold.refused
    assert threshold.update(config.model_copy(update={"threshold": 0.3})) == 0.3
    assert threshold.refused is None


def test_a_given_threshold_is_used_before_there_are_rewards() -> None:
    assert Threshold(100).update(VetoConfig(threshold=-1.5)) == -1.5


def test_a_twin_earns_its_veto_by_predicting() -> None:
    config = VetoConfig(trial_steps=100)
    assert math.isnan(compared(np.zeros(99)).update(config))
    assert compared(np.zeros(100)).update(config) == 0.0
