# SPDX-License-Identifier: Apache-2.0
"""The controller without ROS: good input reaches the policy, bad input gives the safe action and is counted."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_drl.controller import Controller, Input
from ir_drl.policies import NetworkPolicy, make_policy
from ir_drl.policy_checks import check
from ir_sim.tasks import make_task

TASK = make_task("hopper")
GOOD = np.zeros(11)


class Recorder:
    """A policy that says what it was asked."""

    def __init__(self, action=(0.5, 0.5, 0.5)):
        self.seeds, self.action = [], np.array(action)

    def reset(self, seed):
        self.seeds.append(seed)

    def act(self, observation):
        return self.action


def make(policy=None, robot="hopper", exploration=0.0):
    return Controller(TASK, policy or Recorder(), robot, seed=3, input_timeout=0.5, exploration=exploration)


def actions(controller, count=40, episode=1):
    return np.array([controller.decide(given(episode=episode), 10.0).action for _ in range(count)])


def given(observation=GOOD, stamp=10.0, task="hopper_hop", episode=1, terminated=False):
    return Input(stamp, task, episode, np.asarray(observation), terminated)


def test_good_input_gives_the_policy_s_action_within_bounds():
    decision = make(Recorder((0.5, 7.0, -7.0))).decide(given(), 10.1)
    assert decision.action.tolist() == [0.5, 1.0, -1.0] and decision.fault == ""


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"observation": [np.nan, *GOOD[1:]]}, "not_finite"),
        ({"observation": [*GOOD[1:], np.inf]}, "not_finite"),
        ({"observation": GOOD[:5]}, "width"),
        ({"observation": []}, "width"),
        ({"task": "cart_navigation"}, "task"),
        ({"stamp": 9.0}, "late"),
    ],
)
def test_bad_input_gives_the_safe_action_and_is_counted(bad, kind):
    controller = make()
    for count in (1, 2):
        decision = controller.decide(given(**bad), 10.0)
        assert np.array_equal(decision.action, TASK.safe_action)
        assert controller.faults == {kind: count} and f"{kind}: {count} times" in decision.fault
    assert controller.decide(given(), 10.0).fault == ""


def test_fault_names_the_bad_entry():
    bad = GOOD.copy()
    bad[1] = np.nan
    assert "not finite: pitch" in make().decide(given(bad), 10.0).fault


def test_policy_that_fails_gives_the_safe_action():
    controller = make(Recorder((np.nan, 0.0, 0.0)))
    assert np.array_equal(controller.decide(given(), 10.0).action, TASK.safe_action)
    assert controller.faults == {"policy": 1}


def test_stale_input_is_counted():
    controller = make()
    assert np.array_equal(controller.stale().action, TASK.safe_action)
    assert controller.faults == {"stale": 1}


def answered(controller, *steps, now=10.0):
    """Of states of these steps of episode 1: whether each was answered."""
    return [controller.on_state(given(), step, now) is not None for step in steps]


def test_states_are_answered_while_nothing_is_expected():
    assert answered(make(), 0, 1, 2, 5) == [True] * 4


def test_what_is_expected_is_answered_in_the_place_of_its_state():
    """It is waited for once it came for the state before, and no longer than a control step where it stays away."""
    controller = make()
    assert answered(controller, 1) == [True]
    for step in (1, 2):
        assert controller.on_expected(given(), step, 10.0).action.tolist() == [0.5, 0.5, 0.5]
        assert answered(controller, step + 1) == [False]
    assert controller.heard == (1, 3)
    assert answered(controller, 4, 5) == [True, True], "it did not come for step 3"


def test_what_is_expected_may_come_before_its_state():
    controller = make()
    controller.on_state(given(), 1, 10.0)
    controller.on_expected(given(), 2, 10.0)
    assert answered(controller, 2, 3, 4) == [False, False, True]
    controller.on_expected(given(episode=2), 4, 10.0)
    assert answered(controller, 5) == [True], "of another episode"


def test_bad_input_is_answered_with_the_safe_action_whichever_way_it_comes():
    controller = make()
    for decide in (controller.on_state, controller.on_expected):
        decision = decide(given(GOOD[:5]), 1, 10.0)
        assert np.array_equal(decision.action, TASK.safe_action) and "width" in decision.fault


def test_the_safe_action_is_due_after_a_timeout_and_after_each_further_one():
    controller = make()
    assert controller.check(99.0) is None, "nothing was commanded yet, so there is nothing to stop"
    controller.on_state(given(), 1, 10.0)
    due = [controller.check(10.0 + 0.125 * k) is not None for k in range(1, 14)]
    assert due == [k in (4, 8, 12) for k in range(1, 14)]
    assert controller.faults == {"stale": 3}
    assert controller.check(20.1) is not None and controller.check(20.2) is None, "not for every one that was missed"
    assert controller.check(20.5) is not None, "the wait goes on as it began"
    controller.on_expected(given(stamp=20.6), 1, 20.6)
    assert controller.check(21.0) is None and controller.check(21.1) is not None


def test_a_robot_that_lies_where_it_fell_is_commanded_once():
    """The safe action answers its last state; nothing more is due until the next episode, however late that is."""
    controller = make()
    controller.on_state(given(), 1, 10.0)
    assert np.array_equal(controller.on_state(given(stamp=10.1, terminated=True), 2, 10.1).action, TASK.safe_action)
    assert [controller.check(10.0 + 0.1 * k) for k in range(1, 100)] == [None] * 99 and not controller.faults
    controller.on_state(given(stamp=20.0, episode=2), 0, 20.0)
    assert controller.check(20.4) is None and controller.check(20.5).kind == "stale"


@pytest.mark.parametrize("base", [0.0, 1.7e9])
def test_a_timer_that_fires_exactly_in_time_is_not_too_early(base):
    """As a node's does; a float of today's time in seconds has a grain of 0.24 us."""
    for k in range(50):
        controller, now = make(), base + 0.1 * k
        controller.on_state(given(stamp=now), 1, now)
        for n in (1, 2, 3):
            assert controller.check((round(now * 1e9) + n * 500_000_000) * 1e-9) is not None


def test_bad_input_does_not_put_the_timeout_off():
    controller = make()
    controller.on_state(given(), 1, 10.0)
    for k in range(4):
        controller.on_state(given(GOOD * np.nan, stamp=10.0 + 0.1 * k), 2 + k, 10.0 + 0.1 * k)
    assert controller.check(10.5).fault and controller.faults == {"not_finite": 4, "stale": 1}


def test_time_that_goes_back_begins_a_new_wait():
    controller = make()
    controller.on_state(given(stamp=5.0), 1, 5.0)
    assert controller.check(1.0) is None
    assert controller.check(1.4) is None and controller.check(1.5) is not None


def test_disabled_it_decides_nothing_and_the_policy_begins_anew_after():
    policy = Recorder()
    controller = make(policy)
    controller.on_state(given(), 1, 10.0)
    controller.enable(True, 10.4)
    controller.enable(False, 10.4)
    assert answered(controller, 2) == [False] and controller.on_expected(given(), 2, 10.4) is None
    assert [controller.check(10.4 + 0.1 * k) for k in range(12)] == [None] * 12 and not controller.faults
    controller.enable(True, 12.0)
    assert controller.check(12.4) is None and controller.check(12.5) is not None, "the wait begins with the switch"
    assert controller.on_expected(given(stamp=12.6), 9, 12.6) is not None
    assert len(policy.seeds) == 2


def test_it_can_begin_disabled():
    controller = Controller(TASK, Recorder(), "hopper", 3, 0.5, enabled=False)
    assert answered(controller, 1) == [False]
    controller.enable(True, 10.0)
    assert controller.check(20.0) is None and answered(controller, 2) == [True]


def test_new_episode_resets_the_policy_with_its_own_seed():
    policy = Recorder()
    controller = make(policy)
    for episode in (1, 1, 2, 2, 1):
        controller.decide(given(episode=episode), 10.0)
    assert len(policy.seeds) == 3 and policy.seeds[0] == policy.seeds[2] != policy.seeds[1]
    controller.restart()
    controller.decide(given(), 10.0)
    assert len(policy.seeds) == 4


def test_end_of_an_episode_gives_the_safe_action_without_a_fault():
    decision = make().decide(given(terminated=True), 10.0)
    assert np.array_equal(decision.action, TASK.safe_action) and decision.fault == ""


def test_random_controller_repeats_by_seed():
    runs = []
    for _ in range(2):
        controller = make(make_policy(TASK, Path("scripted")))
        runs.append([controller.decide(given(episode=e), 10.0).action for e in (1, 1, 2, 2)])
    assert np.array_equal(runs[0], runs[1]) and len({tuple(action) for action in runs[0]}) == 4


def test_exploration_is_normal_noise_in_halves_of_the_range_within_bounds():
    cart = make_task("cart")
    middle = (cart.action_low + cart.action_high) / 2
    observation = np.zeros(len(cart.observation_names))
    drawn = {}
    for exploration in (0.2, 2.0):
        controller = Controller(cart, Recorder(middle), "cart", 3, 0.5, exploration)
        decisions = [controller.decide(given(observation, task=cart.name), 10.0) for _ in range(1500)]
        drawn[exploration] = (np.array([d.action for d in decisions]) - middle) / (cart.action_high - middle)
    small, large = drawn.values()
    assert np.allclose(small.mean(0), 0.0, atol=0.02) and np.allclose(small.std(0), 0.2, rtol=0.08)
    assert np.allclose((np.abs(small) < 0.2).mean(0), 0.683, atol=0.05)
    assert abs(np.corrcoef(small.T)[0, 1]) < 0.1 and abs(np.corrcoef(small[1:, 0], small[:-1, 0])[0, 1]) < 0.1
    assert np.abs(large).max() == pytest.approx(1.0) and np.allclose((np.abs(large) > 0.999).mean(0), 0.617, atol=0.05)


def test_exploration_repeats_and_differs_by_robot_and_episode():
    first = actions(make(exploration=0.1))
    assert np.array_equal(first, actions(make(exploration=0.1)))
    for other in (actions(make(exploration=0.1), episode=2), actions(make(robot="hopper_2", exploration=0.1))):
        assert not np.isclose(first, other).all(axis=1).any()


def test_without_exploration_actions_are_the_policy_s_to_the_bit():
    controller = make(exploration=0.5)
    assert not np.array_equal(actions(controller, 1)[0], controller.policy.action)
    controller.exploration = 0.0
    assert actions(controller).tobytes() == np.tile(controller.policy.action, (40, 1)).tobytes()


def test_the_safe_action_is_never_explored():
    controller = make(exploration=2.0)
    actions(controller)
    bad = (given(GOOD[:5]), given(GOOD * np.nan), given(stamp=1.0), given(terminated=True))
    for decision in (controller.stale(), *(controller.decide(state, 10.0) for state in bad)):
        assert decision.action.tobytes() == TASK.safe_action.tobytes()
    controller.policy.action = np.full(3, np.nan)
    assert controller.decide(given(), 10.0).action.tobytes() == TASK.safe_action.tobytes()


def test_preflight_names_the_wrong_policy_file(tmp_path, worlds):
    class Arguments:
        world = worlds / "robot_field.sdf"
        robots = ("cart", "legs:spider")
        policies: ClassVar[dict] = {}

    check(Arguments())
    (tmp_path / "p.npz").write_text("no archive", encoding="utf-8")
    Arguments.policies = {"legs": tmp_path / "p.npz"}
    with pytest.raises(ConfigError, match="p.npz"):
        check(Arguments())
    Arguments.policies = {"hopper": tmp_path / "p.npz"}
    with pytest.raises(ConfigError, match="unknown robot 'hopper'; robots are: cart, legs"):
        check(Arguments())


class Remembering(NetworkPolicy):
    """A network of a memory of two that tells what it saw, and proposes 0.1, 0.2, …."""

    def __init__(self):
        super().__init__(TASK, [(np.zeros((3, 11 + 9)), np.zeros(3))], "relu", memory=2)
        self.seen, self._count = [], 0

    def answer(self, extended):
        self.seen.append(extended[11::3].tolist())  # of each action the first number
        self._count += 1
        return np.full(3, self._count / 10)


def ask(controller, step, in_force=None, episode=1):
    action = None if in_force is None else np.full(3, in_force)
    return controller.on_state(Input(10.0, "hopper_hop", episode, GOOD, action=action), step, 10.0)


def test_a_policy_with_memory_is_told_what_is_in_force_and_what_it_proposed():
    policy = Remembering()
    controller = make(policy)
    ask(controller, 0)
    ask(controller, 1, 0.0)
    ask(controller, 2, 0.1)
    assert policy.seen == [[0.0, 0.0, 0.0], [0.0, 0.1, 0.0], pytest.approx([0.1, 0.2, 0.1])]


def test_a_state_that_was_lost_counts_as_a_step_with_the_same_proposal():
    policy = Remembering()
    controller = make(policy)
    ask(controller, 0)
    ask(controller, 2, 0.1)
    ask(controller, 3, 0.1)
    assert policy.seen[1:] == [pytest.approx([0.1, 0.1, 0.1]), pytest.approx([0.1, 0.2, 0.1])]


def test_an_episode_begins_without_memory_and_without_a_word_on_the_action_in_force():
    policy = Remembering()
    controller = make(policy)
    for step in range(3):
        ask(controller, step, 0.5)
    controller.on_state(Input(10.0, "hopper_hop", 2, GOOD, action=np.empty(0)), 0, 10.0)
    assert policy.seen[-1] == [0.0, 0.0, 0.0]


def test_what_exploration_made_of_a_proposal_is_remembered():
    policy = Remembering()
    controller = make(policy, exploration=0.3)
    first = ask(controller, 0).action[0]
    ask(controller, 1, 0.0)
    assert first != 0.1 and policy.seen[1] == pytest.approx([0.0, first, 0.0])


def test_a_policy_with_memory_is_asked_about_the_state_as_it_came_and_not_about_a_forecast():
    policy = Remembering()
    controller = make(policy)
    state = Input(10.0, "hopper_hop", 1, GOOD)
    assert controller.on_state(state, 0, 10.0) is not None
    assert controller.on_expected(state, 0, 10.0) is None
    assert controller.on_state(state, 1, 10.0) is not None, "it does not wait for a forecast"
