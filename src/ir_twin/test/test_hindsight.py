# SPDX-License-Identifier: Apache-2.0
"""How near a terminal state turned out to be: labels, the head that learns them, and the rule that asks it."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ir_twin.config import EnsembleConfig, LearnerConfig, TwinConfig, VetoConfig
from ir_twin.ensemble import Ensemble
from ir_twin.ensemble_network import EnsembleNetwork, Risk
from ir_twin.foresight import Judged
from ir_twin.hindsight import FAR, Hindsight
from ir_twin.learner import TaskLearner
from ir_twin.learner_process import Begin, RolledBack
from ir_twin.predict_network import ModelVersion, PredictionError
from ir_twin.transitions import UNKNOWN, Layout, Transition, TransitionMaker, layout_of
from ir_twin.twin import RobotTwin, TaskTwin
from ir_twin.veto import Reason, Sent

torch.set_num_threads(1)
LAYOUT = Layout(1, 1, ahead=True)
PERIOD = 0.1
RULE = VetoConfig(mode="enforce", rule="risk_to_go", risk_limit=0.3, max_consecutive_vetoes=0, trial_steps=50)
MANY = RULE.model_copy(update={"risk_candidates": 200, "risk_spread": 0.6})


def step(number: float, terminated: bool = False) -> Transition:
    return Transition(np.array([number]), np.zeros(1), 0.0, np.array([number + 1]), terminated)


class Robot:
    """A robot whose states come or are lost; the number of a transition is that of the state it begins in."""

    def __init__(self, horizon: float) -> None:
        self.hindsight, self.maker = Hindsight(horizon, PERIOD), TransitionMaker(Layout(1, 1))

    def tell(self, number: int, episode: int = 1, terminated: bool = False, truncated: bool = False, bad: bool = False):
        transition = self.maker.feed(
            episode=episode, step=number, observation=[math.nan if bad else number], action=[0.0] if number else [],
            reward=0.0, terminated=terminated, truncated=truncated,
        )  # fmt: skip
        return [(int(t.state[0]), pytest.approx(t.ahead)) for t in self.hindsight.follow(transition, self.maker)]


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
    hindsight, given_step, chain = Hindsight(0.0, PERIOD), step(0), TransitionMaker(Layout(1, 1))
    assert hindsight.follow(given_step, chain) == [given_step] and hindsight.follow(None, chain) == []


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
    out += [(robot.maker.episode, int(t.state[0]), t.ahead) for t in robot.hindsight.end()]
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
    assert rows.shape == (2, LAYOUT.width) and LAYOUT.width == Layout(1, 1).width + 1
    assert batch.ahead.tolist() == [0.25, UNKNOWN] and batch.terminated.tolist() == [False, True]
    assert Layout(1, 1).unpack(rows[:, :-1]).ahead == UNKNOWN
    assert layout_of("ensemble", 3, 2).ahead and not layout_of("live", 3, 2).ahead


def cliff(count: int, seed: int) -> np.ndarray:
    """States and actions in [-1, 1]; what is ahead is 0.8 where s + a > 0.5, else 0; a third of it is unknown."""
    rng = np.random.default_rng(seed)
    state, action = rng.uniform(-1, 1, (2, count, 1))
    ahead = np.where(state + action > 0.5, 0.8, 0.0)[:, 0]
    ahead[rng.random(count) < 1 / 3] = UNKNOWN
    made = Transition(state, action, np.zeros(count), state + 0.1 * action, np.zeros(count, bool), ahead)
    return np.stack([LAYOUT.pack(Transition(*row)) for row in zip(*made, strict=True)])


@pytest.fixture(scope="module")
def network() -> EnsembleNetwork:
    config = EnsembleConfig(members=3, elites=2, hidden=(32, 32), ahead=True, max_steps=600, patience=100)
    ensemble = Ensemble(config, LAYOUT, seed=0)
    ensemble.fit(cliff(3000, 0))
    return ensemble.export()


def test_the_ensemble_learns_it_from_what_is_known_and_keeps_it_in_its_file(network: EnsembleNetwork, tmp_path) -> None:
    states, actions = np.full((3, 1), 0.3), np.array([[-0.8], [-0.4], [0.9]])
    risk = network.risk_to_go(states, actions).risk
    assert risk[:2].max() < 0.1 and risk[2] == pytest.approx(0.8, abs=0.1), risk
    network.save(tmp_path / "n.npz")
    loaded = EnsembleNetwork.load(tmp_path / "n.npz")
    assert np.array_equal(loaded.risk_to_go(states, actions).risk, risk)


def test_served_it_is_what_the_members_learnt_and_the_greatest_of_them(network: EnsembleNetwork) -> None:
    outlook = network.outlook(np.full((5, 1), 0.2), np.linspace(-1, 1, 5)[:, None])
    assert outlook.ahead.shape == (2, 5) and (outlook.ahead != outlook.termination).any()
    risk = network.risk_to_go(np.full((5, 1), 0.2), np.linspace(-1, 1, 5)[:, None]).risk
    assert np.array_equal(risk, outlook.ahead.max(axis=0))


def test_its_error_is_in_deviations_of_what_came_and_of_what_is_known_only(network: EnsembleNetwork) -> None:
    rows, scale = cliff(500, 1), np.ones(1)
    error = network.errors(LAYOUT.unpack(rows), scale).ahead
    assert 0.0 < error < 0.5, "1: as good as their mean"
    known = rows[rows[:, -1] != UNKNOWN]
    assert network.errors(LAYOUT.unpack(known), scale).ahead == pytest.approx(error)
    unknown = rows[rows[:, -1] == UNKNOWN]
    assert np.isnan(network.errors(LAYOUT.unpack(unknown), scale).ahead)
    assert np.isnan(network.errors(LAYOUT.unpack(known[known[:, -1] == 0]), scale).ahead), "nothing came yet"


def test_a_version_that_is_wrong_about_it_alone_is_rolled_back() -> None:
    """Between two versions nothing is wrong with what is learnt from but the labels."""
    config = LearnerConfig(preset="ensemble", initial_steps=20, min_transitions=64)
    learner = TaskLearner(config, Begin("toy", 1, 1))
    learner.add(cliff(800, 0))
    for _ in range(200):
        learner.step()
    good = learner.publish()
    assert isinstance(good, ModelVersion) and good.error.ahead < 0.7
    labels = learner.replay.rows[:, -1]
    labels[:] = np.where(labels == UNKNOWN, UNKNOWN, 0.8 - labels)
    for _ in range(100):
        learner.step()
    outcome = learner.publish()
    assert isinstance(outcome, RolledBack) and outcome.error > 1.05 * outcome.best


def test_a_network_that_has_not_learnt_it_says_so(network: EnsembleNetwork) -> None:
    plain = Ensemble(EnsembleConfig(members=2, elites=1, hidden=(8,)), Layout(1, 1), seed=0).export()
    assert not plain.ahead and network.ahead
    assert np.isnan(plain.risk_to_go(np.zeros((2, 1)), np.zeros((2, 1))).risk).all()
    with pytest.raises(ValueError, match="how near"):
        Ensemble(EnsembleConfig(ahead=True), Layout(1, 1), seed=0)


def robot(network: EnsembleNetwork) -> RobotTwin:
    task = TaskTwin("toy", LAYOUT, reward_window=100)
    error = PredictionError(0.1, 0.1, np.zeros(1))
    task.adopt(ModelVersion("toy", 3, network, 100, 10, error, 0.1), RULE)
    twin = RobotTwin("r1", task, np.array([-0.5]), lambda action: np.clip(action, -1.0, 1.0))
    twin.observe(0, "toy", episode=1, step=0, observation=[0.3], action=[], reward=0.0, terminated=False)
    return twin


def test_the_rule_sends_the_nearest_action_after_which_the_robot_goes_on(network: EnsembleNetwork) -> None:
    twin = robot(network)
    trial = twin.judge(np.array([0.9]), 0, RULE)
    assert trial.reason is Reason.NO_MODEL and trial.risk > 0.5, "on trial its risk is noted and not acted on"
    twin.task.risk_limit.value = RULE.risk_limit
    vetoed, passed = twin.judge(np.array([0.9]), 0, MANY), twin.judge(np.array([-0.8]), 0, MANY)
    assert vetoed.reason is Reason.HIGH_RISK and vetoed.sent_risk <= 0.3 and vetoed.risk_limit == 0.3
    assert vetoed.sent_as is Sent.SAMPLED and -0.5 < vetoed.sent[0] < 0.3
    assert passed.accepted and passed.sent[0] == -0.8


def test_where_nothing_is_tried_the_proposal_is_sent(network: EnsembleNetwork) -> None:
    """No action is safe as such, not even the safe one."""
    twin = robot(network)
    twin.task.risk_limit.value = RULE.risk_limit
    verdict = twin.judge(np.array([0.9]), 0, RULE.model_copy(update={"risk_candidates": 0}))
    assert not verdict.accepted and verdict.sent_as is Sent.PROPOSAL and verdict.sent[0] == 0.9


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
        return Risk(each.max(axis=0), np.zeros(len(actions)), each)

    monkeypatch.setattr(twin.task, "risk", risk)
    verdict = twin.judge(proposal, 0, RULE)
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
