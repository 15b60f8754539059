# SPDX-License-Identifier: Apache-2.0
"""How near a terminal state turned out to be: labels, the networks that learn them, and the rule that asks them."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ir_common.verdict_kinds import Reason, Sent
from ir_dynamics.dynamics_config import EnsembleConfig, FittingConfig, RiskConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork, Risk
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.risk_network import RiskNetwork
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.termination_labels import FAR, TerminationLabels
from ir_dynamics.transitions import UNKNOWN, Transition, TransitionLayout, TransitionMaker, layout_of
from ir_twin.judgement import judge, judge_all
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import TwinConfig, VetoConfig
from ir_twin.verdict_outcomes import Judged

torch.set_num_threads(1)
LAYOUT = TransitionLayout(1, 1, ahead=True)
PERIOD = 0.1
RULE = VetoConfig(mode="enforce", rule="risk_to_go", risk_limit=0.3, max_consecutive_vetoes=0, trial_steps=50)
SMALL = RiskConfig(members=3, hidden=(32, 32), min_transitions=100)
MANY = RULE.model_copy(update={"risk_candidates": 200, "risk_spread": 0.6})


def step(number: float, terminated: bool = False) -> Transition:
    return Transition(np.array([number]), np.zeros(1), 0.0, np.array([number + 1]), terminated)


class Robot:
    """A robot whose states come or are lost; the number of a transition is that of the state it begins in."""

    def __init__(self, horizon: float) -> None:
        self.labels, self.maker = TerminationLabels(horizon, PERIOD), TransitionMaker(TransitionLayout(1, 1))

    def tell(self, number: int, episode: int = 1, terminated: bool = False, truncated: bool = False, bad: bool = False):
        transition = self.maker.feed(
            episode=episode, step=number, observation=[math.nan if bad else number], action=[0.0] if number else [],
            reward=0.0, terminated=terminated, truncated=truncated,
        )  # fmt: skip
        return [(int(t.state[0]), pytest.approx(t.ahead)) for t in self.labels.follow(transition, self.maker)]


def test_before_a_terminal_state_the_label_falls_to_a_twentieth_within_the_horizon() -> None:
    robot = Robot(0.4)
    assert [robot.tell(k) for k in range(5)] == [[]] * 5
    assert robot.tell(5) == [(0, 0.0)], "nothing came of it within four steps"
    assert robot.tell(6, terminated=True) == [(k, FAR ** ((5 - k) / 4)) for k in (1, 2, 3, 4, 5)]


def test_a_lost_state_leaves_the_others_what_came_of_them() -> None:
    robot = Robot(0.4)
    assert [robot.tell(k) for k in (0, 1, 2)] == [[]] * 3
    assert robot.tell(6) == [(0, 0.0), (1, 0.0)], "it goes on, five and four steps after them"
    assert robot.tell(7) == []
    assert robot.tell(12, terminated=True) == [(6, 0.0)], "it did not fall in the four after it"
    robot = Robot(0.4)
    assert [robot.tell(k) for k in (0, 1)] == [[]] * 2
    assert robot.tell(4, terminated=True) == [(0, FAR ** (3 / 4))]


@pytest.mark.parametrize("end", [{"truncated": True}, {"bad": True}, {"episode": 2}])
def test_of_what_was_not_followed_nothing_is_said(end: dict[str, object]) -> None:
    robot = Robot(0.4)
    robot.tell(0)
    robot.tell(1)
    made = [(0, UNKNOWN), (1, UNKNOWN)] if "truncated" in end else [(0, UNKNOWN)]
    assert robot.tell(2, **end) == made
    assert robot.tell(0, episode=3) == [] and robot.tell(1, episode=3, terminated=True) == [(0, 1.0)]


def test_without_a_horizon_transitions_pass_as_they_are() -> None:
    labels, given_step, chain = TerminationLabels(0.0, PERIOD), step(0), TransitionMaker(TransitionLayout(1, 1))
    assert labels.follow(given_step, chain) == [given_step] and labels.follow(None, chain) == []


@given(st.lists(st.sampled_from(["goes on", "falls", "is cut", "is lost"]), max_size=40), st.integers(1, 6))
def test_every_transition_comes_out_once_in_order_with_the_label_of_a_slow_reference(
    ends: list[str], horizon: int
) -> None:
    robot, out, episode, number, states = Robot(horizon * PERIOD), [], 1, 0, []
    for end in ends:  # (episode, step, end), each state in which an episode ends begins another
        states.append((episode, number, end))
        episode, number = (episode, number + 1) if end in ("goes on", "is lost") else (episode + 1, 0)
    for of, at, end in states:
        if end != "is lost":
            out += [(of, *one) for one in robot.tell(at, of, end == "falls", end == "is cut")]
    out += [(robot.maker.episode, int(t.state[0]), t.ahead) for t in robot.labels.end()]
    came = [state for state in states if state[2] != "is lost"]
    expected = []
    for (of, at, end), (then, later, _) in pairwise(came):
        if then != of or later != at + 1 or end != "goes on":
            continue
        label = UNKNOWN
        for _, k, what in [state for state in came if state[0] == of and state[1] >= later]:
            if what == "falls" and k - later <= horizon:
                label = FAR ** ((k - later) / horizon)
            elif k - later >= horizon:
                label = 0.0
            if label != UNKNOWN:
                break
        expected.append((of, at, label))
    assert out == expected


def test_a_row_holds_what_a_transition_does() -> None:
    rows = np.stack([LAYOUT.pack(step(1)._replace(ahead=0.25)), LAYOUT.pack(step(2, terminated=True))])
    batch = LAYOUT.unpack(rows)
    assert rows.shape == (2, LAYOUT.width) and LAYOUT.width == TransitionLayout(1, 1).width + 1
    assert batch.ahead.tolist() == [0.25, UNKNOWN] and batch.terminated.tolist() == [False, True]
    assert TransitionLayout(1, 1).unpack(rows[:, :-1]).ahead == UNKNOWN
    assert layout_of("ensemble", 3, 2).ahead and not layout_of("live", 3, 2).ahead


def cliff(count: int, seed: int) -> np.ndarray:
    """States and actions in [-1, 1]; what is ahead is 0.8 where s + a > 0.5, else 0; a third of it is unknown."""
    rng = np.random.default_rng(seed)
    state, action = rng.uniform(-1, 1, (2, count, 1))
    ahead = np.where(state + action > 0.5, 0.8, 0.0)[:, 0]
    ahead[rng.random(count) < 1 / 3] = UNKNOWN
    made = Transition(state, action, np.zeros(count), state + 0.1 * action, np.zeros(count, bool), ahead)
    return np.stack([LAYOUT.pack(Transition(*row)) for row in zip(*made, strict=True)])


def fitted(rows: np.ndarray, seed: int = 0, config: RiskConfig = SMALL) -> RiskTrainer:
    trainer = RiskTrainer(config, LAYOUT, seed)
    while trainer.fresh is None:
        trainer.step(rows, len(rows))
    return trainer


@pytest.fixture(scope="module")
def network() -> EnsembleNetwork:
    ensemble = Ensemble(EnsembleConfig(members=2, elites=1, hidden=(8,)), LAYOUT, seed=0).export()
    return replace(ensemble, to_go=fitted(cliff(3000, 0)).fresh)


def test_it_is_learnt_from_what_is_known_and_kept_in_the_file(network: EnsembleNetwork, tmp_path: Path) -> None:
    states, actions = np.full((3, 1), 0.3), np.array([[-0.8], [-0.4], [0.9]])
    risk = network.risk_to_go(states, actions).risk
    assert risk[:2].max() < 0.1 and risk[2] == pytest.approx(0.8, abs=0.1), risk
    network.save(tmp_path / "n.npz")
    loaded = EnsembleNetwork.load(tmp_path / "n.npz")
    assert np.array_equal(loaded.risk_to_go(states, actions).risk, risk)


def test_served_it_is_what_torch_computes_of_standardised_inputs_and_the_greatest_of_the_members() -> None:
    rows = cliff(2000, 3)
    rows[:, :2] = rows[:, :2] * (5.0, 0.1) + (100.0, 3.0)
    trainer = fitted(rows)
    assert trainer.fresh is not None
    x = torch.from_numpy(((rows[:50, :2] - trainer._mean) / trainer._scale).astype(np.float32))
    for i, (weight, bias) in enumerate(zip(trainer._weights, trainer._biases, strict=True)):
        x = torch.baddbmm(bias, torch.nn.functional.silu(x) if i else x.expand(3, *x.shape), weight)
    served = trainer.fresh.ahead(rows[:50, :1], rows[:50, 1:2])
    np.testing.assert_allclose(served, x[..., 0].sigmoid().detach().numpy(), atol=1e-3)
    assert served.shape == (3, 50) and served.std(axis=0).min() > 0
    whole = Ensemble(EnsembleConfig(), LAYOUT, 0).export()
    risk = replace(whole, to_go=trainer.fresh).risk_to_go(rows[:50, :1], rows[:50, 1:2])
    assert np.array_equal(risk.risk, served.max(axis=0)) and np.array_equal(risk.each, served)


def test_a_fit_begins_anew_with_a_quarter_more_and_repeats_by_its_seed() -> None:
    rows, trainer, again, other = cliff(800, 0), *(RiskTrainer(SMALL, LAYOUT, seed) for seed in (1, 1, 2))
    assert not trainer.due(99) and trainer.due(100)
    losses = [[one.step(rows, 100) for _ in range(SMALL.steps)] for one in (trainer, again, other)]
    assert losses[0] == losses[1] != losses[2]
    assert np.mean(losses[0][-20:]) < 0.5 * losses[0][0]
    assert not trainer.due(125), "what came of the last one is not in use yet"
    trainer.fresh = None
    assert not trainer.due(124) and trainer.due(125)
    assert trainer.step(rows, 125) > 2 * np.mean(losses[0][-20:]), "from new weights"
    assert trainer.due(125), "it is under way"


def test_its_error_is_in_deviations_of_what_came_and_of_what_is_known_only(network: EnsembleNetwork) -> None:
    rows, scale = cliff(500, 1), np.ones(1)
    error = network.errors(LAYOUT.unpack(rows), scale).ahead
    assert 0.0 < error < 0.5, "1: as good as their mean"
    known = rows[rows[:, -1] != UNKNOWN]
    assert network.errors(LAYOUT.unpack(known), scale).ahead == pytest.approx(error)
    unknown = rows[rows[:, -1] == UNKNOWN]
    assert np.isnan(network.errors(LAYOUT.unpack(unknown), scale).ahead)
    assert np.isnan(network.errors(LAYOUT.unpack(known[known[:, -1] == 0]), scale).ahead), "nothing came yet"


def test_what_was_newly_learnt_of_it_is_refused_where_it_is_worse() -> None:
    """Between two fits nothing is wrong with what is learnt from but the labels."""
    config = FittingConfig(preset="ensemble", initial_steps=20)
    learner = TaskLearner(config, Begin("toy", LAYOUT))
    learner.add(cliff(2400, 0))
    while learner.steps < 20:
        learner.step()
    good = learner.publish()
    assert isinstance(good, ModelVersion) and good.error.ahead < 0.7
    assert isinstance(good.network, EnsembleNetwork) and good.network.to_go is not None
    learner.add(cliff(800, 1))
    labels = learner.replay.rows[:, -1]
    labels[:] = np.where(labels == UNKNOWN, UNKNOWN, 0.8 - labels)
    learner.step()
    while not learner.publishable():
        learner.step()
    outcome = learner.publish()
    assert isinstance(outcome, RolledBack) and outcome.error > 1.05 * outcome.best and learner.rollbacks == 1
    for _ in range(200):
        learner.step()
    after = learner.publish()
    assert isinstance(after, ModelVersion) and isinstance(after.network, EnsembleNetwork), "the network itself goes on"
    assert after.network.to_go is good.network.to_go


def test_it_does_not_hold_up_the_dynamics() -> None:
    """A fast robot brings enough for several fits before the network has made its first steps."""
    config = FittingConfig(preset="ensemble", initial_steps=40)
    learner, turns = TaskLearner(config, Begin("toy", LAYOUT)), 0
    while learner.steps < config.initial_steps:
        learner.add(cliff(100, turns))
        learner.step()
        turns += 1
    assert turns <= config.initial_steps + 25, "one fit of 250 steps, ten to a turn"


def test_what_is_not_finite_is_never_taken_into_use() -> None:
    """Nothing came yet, so there is no error to be judged by."""
    learner, rows = TaskLearner(FittingConfig(preset="ensemble", initial_steps=1), Begin("toy", LAYOUT)), cliff(1200, 0)
    rows[:, -1] = 0.0
    learner.add(rows)
    while learner.steps < 1:
        learner.step()
    assert learner._risk is not None and learner._risk.fresh is not None
    learner._risk.fresh.weights[0][:] = np.nan
    assert isinstance(learner.publish(), RolledBack)
    made = learner.publish()
    assert isinstance(made, ModelVersion) and isinstance(made.network, EnsembleNetwork) and made.network.to_go is None


def test_a_restarted_learner_goes_on_with_it(network: EnsembleNetwork) -> None:
    config = FittingConfig(preset="ensemble", initial_steps=1)
    begun = replace(Ensemble(EnsembleConfig(), LAYOUT, 0).export(), to_go=network.to_go)
    learner = TaskLearner(config, Begin("toy", LAYOUT, version=7, network=begun))
    learner.add(cliff(400, 0))
    learner.step()
    made = learner.publish()
    assert isinstance(made, ModelVersion) and isinstance(made.network, EnsembleNetwork)
    assert made.version == 8 and made.network.to_go is network.to_go


def test_where_it_was_not_learnt_there_is_no_model_for_the_rule(network: EnsembleNetwork, tmp_path: Path) -> None:
    plain = replace(network, to_go=None)
    assert np.isnan(plain.risk_to_go(np.zeros((2, 1)), np.zeros((2, 1))).risk).all()
    plain.save(tmp_path / "n.npz")
    assert EnsembleNetwork.load(tmp_path / "n.npz").to_go is None
    verdict = judge(robot(plain), np.array([0.9]), 0, RULE)
    assert verdict.reason is Reason.NO_MODEL and verdict.sent_as is Sent.PROPOSAL, "passed on, as configured"
    with pytest.raises(ValueError, match="how near"):
        RiskTrainer(SMALL, TransitionLayout(1, 1), seed=0)


@pytest.mark.parametrize("damage", ["nan", "inputs", "outputs", "members"])
def test_networks_of_it_that_do_not_fit_are_refused(network: EnsembleNetwork, tmp_path: Path, damage: str) -> None:
    assert network.to_go is not None
    weights, biases = (list(arrays) for arrays in (network.to_go.weights, network.to_go.biases))
    if damage == "nan":
        weights[1] = np.full_like(weights[1], np.nan)
    if damage == "inputs":
        weights[0] = weights[0][:, 1:]
    if damage == "outputs":
        weights[-1], biases[-1] = weights[-1].repeat(2, axis=2), biases[-1].repeat(2, axis=2)
    if damage == "members":
        biases[0] = biases[0][:1]
    replace(network, to_go=RiskNetwork(tuple(weights), tuple(biases))).save(tmp_path / "n.npz")
    with pytest.raises(ValueError, match="risk"):
        EnsembleNetwork.load(tmp_path / "n.npz")


def robot(network: EnsembleNetwork) -> RobotTwin:
    task = TaskTwin("toy", LAYOUT, reward_window=100)
    error = PredictionError(0.1, 0.1, np.zeros(1))
    task.adopt(ModelVersion("toy", 3, network, 100, 10, error, 0.1), RULE)
    twin = RobotTwin("r1", task, np.array([-0.5]), lambda action: np.clip(action, -1.0, 1.0))
    twin.observe(0, "toy", episode=1, step=0, observation=[0.3], action=[], reward=0.0, terminated=False)
    return twin


def test_the_rule_sends_the_nearest_action_after_which_the_robot_goes_on(network: EnsembleNetwork) -> None:
    twin = robot(network)
    trial = judge(twin, np.array([0.9]), 0, RULE)
    assert trial.reason is Reason.NO_MODEL and trial.risk > 0.5, "on trial its risk is noted and not acted on"
    twin.task.risk_limit.value = RULE.risk_limit
    vetoed, passed = judge(twin, np.array([0.9]), 0, MANY), judge(twin, np.array([-0.8]), 0, MANY)
    assert vetoed.reason is Reason.HIGH_RISK and vetoed.sent_risk <= 0.3 and vetoed.risk_limit == 0.3
    assert vetoed.sent_as is Sent.SAMPLED and -0.5 < vetoed.sent[0] < 0.3
    assert passed.accepted and passed.sent[0] == -0.8


def test_where_nothing_is_tried_the_proposal_is_sent(network: EnsembleNetwork) -> None:
    """No action is safe as such, not even the safe one."""
    twin = robot(network)
    twin.task.risk_limit.value = RULE.risk_limit
    verdict = judge(twin, np.array([0.9]), 0, RULE.model_copy(update={"risk_candidates": 0}))
    assert not verdict.accepted and verdict.sent_as is Sent.PROPOSAL and verdict.sent[0] == 0.9


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_who_does_not_explore_is_not_vetoed_where_noise_is_all_that_is_taken_away(
    network: EnsembleNetwork, mode: str
) -> None:
    twin, config = robot(network), RULE.model_copy(update={"replace_with": "noise_free", "mode": mode})
    twin.task.risk_limit.value = RULE.risk_limit
    (alone,) = judge_all([twin], [np.array([0.9])], 0, config)
    assert alone.accepted and alone.reason is Reason.ACCEPTED and alone.sent_as is Sent.PROPOSAL and alone.risk > 0.5
    (explores,) = judge_all([twin], [np.array([0.9])], 0, config, [np.array([0.7])])
    assert explores.reason is Reason.HIGH_RISK and explores.sent[0] == (0.7 if mode == "enforce" else 0.9)


@pytest.mark.parametrize(("others", "replaced"), [((0.1, 0.5), True), ((0.3, 0.1), False)])
def test_a_proposal_is_replaced_only_by_what_each_elite_holds_to_be_better(
    network: EnsembleNetwork, monkeypatch: pytest.MonkeyPatch, others: tuple[float, float], replaced: bool
) -> None:
    """Two elites give the proposal 0.2 and 0.6: each counts by its own risk of both, not by the worst of all."""
    twin = robot(network)
    twin.task.risk_limit.value = RULE.risk_limit
    proposal = np.array([0.9])

    def risk(states: np.ndarray, actions: np.ndarray, *_: object) -> Risk:
        own = (actions == proposal).all(axis=1)
        each = np.where(own, [[0.2], [0.6]], np.array(others)[:, None])
        return Risk(each.max(axis=0), each)

    monkeypatch.setattr(twin.task, "risk", risk)
    verdict = judge(twin, proposal, 0, RULE)
    assert not verdict.accepted and verdict.reason is Reason.HIGH_RISK and verdict.risk == 0.6
    assert (verdict.sent_as is not Sent.PROPOSAL) == replaced == (verdict.sent[0] != 0.9)


def test_its_limit_is_the_configured_one_whatever_came_of_the_steps(network: EnsembleNetwork) -> None:
    limits = {}
    for rule in ("risk", "risk_to_go"):
        twin, config = robot(network), RULE.model_copy(update={"rule": rule})
        twin.task.reconsider(config)
        for _ in range(config.trial_steps):
            twin.task.risk_limit.add(Judged(False, 0.9, 1.0), fell=False)
        twin.task.reconsider(config)
        limits[rule] = twin.task.limit(config)
    assert limits == {"risk": 0.9, "risk_to_go": 0.3}


def test_the_rule_needs_the_ensemble() -> None:
    with pytest.raises(ValueError, match="risk_to_go needs"):
        TwinConfig(robots=("cart",), rule="risk_to_go")
    assert TwinConfig(robots=("cart",), rule="risk_to_go", preset="ensemble").by_risk
