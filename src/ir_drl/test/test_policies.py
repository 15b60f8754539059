# SPDX-License-Identifier: Apache-2.0
"""What each policy does for single observations."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ir_drl.environments  # noqa: F401  (registers them)
from ir_drl.policies import (
    TRAINED,
    CartPolicy,
    NetworkPolicy,
    RandomPolicy,
    SpiderPolicy,
    episode_seed,
    make_policy,
    save_policy,
)
from ir_sim.tasks import make_task

CART, SPIDER, HOPPER = make_task("cart"), make_task("spider"), make_task("hopper")


def cart_sees(distance=5.0, bearing=0.0, **ranges):
    sectors = np.full(12, CART.max_range)
    for degrees, reach in ranges.items():
        sectors[int(degrees.removeprefix("at_")) // 30] = reach
    return np.concatenate([[distance, bearing, 0.0, 0.0], sectors])


def spider_sees(bearing):
    observation = np.zeros(len(SPIDER.observation_names))
    observation[SPIDER.observation_names.index("goal_bearing")] = bearing
    return observation


def test_each_robot_gets_its_policy(tmp_path):
    for task, scripted in ((CART, CartPolicy), (SPIDER, SpiderPolicy), (HOPPER, RandomPolicy)):
        assert isinstance(make_policy(task), NetworkPolicy)
        assert isinstance(make_policy(task, Path("scripted")), scripted)
    save_policy(tmp_path / "p.npz", CART, [(np.zeros((2, 16)), np.zeros(2))], "tanh")
    assert isinstance(make_policy(CART, tmp_path / "p.npz"), NetworkPolicy)


def test_trained_policies_come_with_what_made_them():
    files = sorted(TRAINED.glob("*.npz"))
    assert (
        {file.stem for file in files}
        == {file.stem for file in TRAINED.glob("*.json")}
        == {task.name for task in (CART, SPIDER, HOPPER)}
    )
    for file in files:
        about = json.loads(file.with_suffix(".json").read_text())
        assert about["task"] == file.stem and about["command"].startswith("./ir run ir_drl train ") and about["commit"]
        assert file.stat().st_size < 500_000


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_the_trained_hopper_hops_for_a_whole_episode(delay):
    """However late its commands are, in control steps. One leap before a fall is 1 to 2 m."""
    environment = gymnasium.make("ir/HopperHop-v0", conditions={"delay": (delay, delay)})
    policy, (observation, _) = make_policy(HOPPER), environment.reset(seed=7)
    travelled, ended, in_force = 0.0, False, None
    while not ended:
        action = policy.act(observation, in_force)
        observation, _, fallen, truncated, told = environment.step(action.astype(np.float32))
        travelled += observation[5] * HOPPER.control_period
        ended, in_force = fallen or truncated, told["action"]
    assert told["cause"] == "time_limit" and travelled > 5.0


@pytest.mark.parametrize("name", ["CartNavigation", "SpiderPatrol"])
def test_trained_robots_go_from_goal_to_goal(name):
    environment = gymnasium.make(f"ir/{name}-v0", goals=3)
    policy = make_policy(environment.unwrapped.task)
    for seed in range(3):
        (observation, _), ended = environment.reset(seed=seed), False
        while not ended:
            observation, _, fallen, truncated, told = environment.step(policy.act(observation).astype(np.float32))
            ended = fallen or truncated
        assert told["cause"] == "goal"


def test_cart_drives_straight_at_a_goal_ahead():
    speed, turn = CartPolicy(CART).act(cart_sees())
    assert speed > 0.5 and turn == pytest.approx(0.0)


def test_cart_turns_towards_the_goal():
    for bearing in (0.8, -0.8, 2.5):
        _, turn = CartPolicy(CART).act(cart_sees(bearing=bearing))
        assert np.sign(turn) == np.sign(bearing)


def test_cart_slows_down_before_the_goal():
    far, near = CartPolicy(CART).act(cart_sees(5.0))[0], CartPolicy(CART).act(cart_sees(0.35))[0]
    assert 0.0 < near < far


def test_cart_goes_round_what_is_ahead_on_the_open_side():
    assert CartPolicy(CART).act(cart_sees(at_0=0.9, at_330=0.9))[1] > 0.1
    assert CartPolicy(CART).act(cart_sees(at_0=0.9, at_30=0.9))[1] < -0.1


def test_cart_does_not_drive_on_what_is_close():
    for reach in (0.22, 0.3):
        speed, turn = CartPolicy(CART).act(cart_sees(at_0=reach))
        assert speed < 0.05 and turn != 0.0


def test_enclosed_cart_turns_on_the_spot():
    speed, turn = CartPolicy(CART).act(cart_sees(**{f"at_{30 * k}": 0.3 for k in range(12)}))
    assert speed == 0.0 and turn != 0.0


def test_cart_passes_what_is_behind_a_near_goal():
    """A goal 0.8 m ahead with a wall at 1.6 m: nothing to go round."""
    speed, turn = CartPolicy(CART).act(cart_sees(0.8, at_0=1.6, at_30=1.8, at_330=1.8))
    assert speed > 0.1 and turn == pytest.approx(0.0)


@given(
    st.floats(0.0, 20.0), st.floats(-np.pi, np.pi), st.floats(-1, 1), st.floats(-2, 2),
    st.lists(st.floats(0.0, 8.0), min_size=12, max_size=12), st.integers(1, 4),
)  # fmt: skip
def test_cart_actions_are_finite_and_within_bounds(distance, bearing, v, w, ranges, steps):
    policy = CartPolicy(CART)
    for _ in range(steps):
        action = policy.act(np.array([distance, bearing, v, w, *ranges]))
        assert np.all(np.isfinite(action)) and np.array_equal(action, CART.clip(action))


def test_cart_forgets_at_reset():
    policy = CartPolicy(CART)
    fresh = policy.act(cart_sees(bearing=0.5))
    for _ in range(5):
        policy.act(cart_sees(at_0=0.5, at_30=0.5, at_60=0.7))
    policy.reset(0)
    assert np.array_equal(policy.act(cart_sees(bearing=0.5)), fresh)


def walk(bearing, steps=200):
    policy = SpiderPolicy(SPIDER)
    policy.reset(0)
    return np.array([policy.act(spider_sees(bearing)) for _ in range(steps)])


def test_spider_begins_standing_and_stays_within_bounds():
    actions = walk(0.3)
    assert np.all(actions[0][0::2] == 0.0)
    assert np.all(actions >= SPIDER.action_low) and np.all(actions <= SPIDER.action_high)


def test_spider_always_stands_on_three_legs_of_a_tripod():
    for action in walk(0.0):
        knees = zip(SPIDER.action_names[1::2], action[1::2], strict=True)
        down = {name.removesuffix("_knee") for name, angle in knees if angle == 0}
        tripod = {"left_front", "left_rear", "right_middle"}
        assert tripod <= down or {"right_front", "right_rear", "left_middle"} <= down


def test_spider_pushes_back_with_the_feet_on_the_ground():
    """Ahead: standing left hips turn counter-clockwise, right ones clockwise; a turn to the left shortens the left."""
    actions = walk(0.0)
    left, right = SPIDER.action_names.index("left_front_hip"), SPIDER.action_names.index("right_front_hip")
    for hip, sign in ((left, 1.0), (right, -1.0)):
        moves = np.diff(actions[50:, hip])
        stands = (actions[50:-1, hip + 1] == 0.0) & (actions[51:, hip + 1] == 0.0)
        assert np.all(sign * moves[stands] > 0.0)
    turning = walk(0.4)
    assert np.ptp(turning[50:, left]) < np.ptp(actions[50:, left])
    assert np.ptp(turning[50:, right]) > np.ptp(turning[50:, left])


def test_random_policy_repeats_by_seed():
    policy = RandomPolicy(HOPPER)
    runs = []
    for seed in (7, 7, 8):
        policy.reset(seed)
        runs.append(np.array([policy.act(np.zeros(11)) for _ in range(50)]))
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    assert np.all(np.abs(runs[0]) <= 1.0) and np.abs(runs[0]).max() > 0.9


def test_episode_seeds_differ_and_repeat():
    seeds = {episode_seed(s, r, e) for s in range(3) for r in ("hopper", "hopper_2") for e in range(20)}
    assert len(seeds) == 120
    assert episode_seed(1, "hopper", 5) == episode_seed(1, "hopper", 5)
