# SPDX-License-Identifier: Apache-2.0
"""The tasks as Gymnasium environments: the checkers pass, seeds repeat, and libraries train on them unchanged."""

import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ir_drl.environments
from ir_common.config import ConfigError
from ir_drl.environments import environment_id
from ir_drl.environments.task_env import TaskEnv
from ir_drl.policies import make_policy
from ir_sim.tasks import TASKS

WORLD = Path(__file__).resolve().parents[3] / "worlds" / "robot_field.sdf"
MODELS = sorted(TASKS)


def make(model: str, **settings: object):
    return gymnasium.make(environment_id(model), world=WORLD, **settings)


@pytest.mark.parametrize("model", MODELS)
def test_gymnasium_finds_nothing_wrong(model: str) -> None:
    environment = make(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|recommend|render).*")
        check_env(environment.unwrapped, skip_render_check=True)
    environment.close()


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_and_actions_give_the_same_run(model: str) -> None:
    def run(seed: int):
        environment = make(model)
        observation, _ = environment.reset(seed=seed)
        environment.action_space.seed(3)
        seen = [observation]
        for _ in range(40):
            observation, reward, terminated, truncated, _ = environment.step(environment.action_space.sample())
            seen.append(np.append(observation, reward))
            if terminated or truncated:
                seen.append(environment.reset()[0])
        return np.concatenate(seen)

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1)[:200], run(2)[:200])


def test_the_cart_reaches_a_goal_and_the_next_step_asks_for_a_reset() -> None:
    environment = make("cart").unwrapped
    policy, best = make_policy(environment.task), 0
    observation, _ = environment.reset(seed=5)
    policy.reset(1)
    for _ in range(environment.task.time_limit):
        observation, reward, terminated, truncated, info = environment.step(policy.act(observation))
        if terminated or truncated:
            break
    assert truncated and not terminated and info["cause"] == "goal" and reward > 9.0, best
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(environment.action_space.sample())


def test_a_cart_with_two_goals_goes_on_to_the_second() -> None:
    environment = make("cart", goals=2).unwrapped
    policy = make_policy(environment.task)
    observation, _ = environment.reset(seed=5)
    policy.reset(1)
    rewards, distances, cause = [], [observation[0]], ""
    while not cause:
        observation, reward, _, _, information = environment.step(policy.act(observation))
        rewards.append(reward)
        distances.append(observation[0])
        cause = information["cause"]
    reached = next(k for k, reward in enumerate(rewards) if reward > 9.0)
    assert cause == "goal" and reached < len(rewards) - 1 and rewards[-1] > 9.0
    assert distances[reached + 1] > distances[reached] + 0.5, "the observation is still of the goal that was reached"
    assert rewards[reached + 1] < 1.0, "the change of goal was taken for progress"


def test_no_goal_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="goals"):
        make("cart", goals=0)


def test_an_idle_hopper_falls() -> None:
    environment = make("hopper")
    environment.reset(seed=0)
    for _ in range(1000):
        *_, terminated, truncated, info = environment.step(np.zeros(3, np.float32))
        if terminated or truncated:
            break
    assert terminated and info["cause"] == "fall"


def test_a_late_action_moves_the_robot_less() -> None:
    speeds = []
    for latency in (0.0, 0.09):
        environment = gymnasium.make(environment_id("cart"), world=WORLD, latency=latency)
        environment.reset(seed=4)
        speeds.append(np.mean([environment.step(np.array([1.0, 0.0], np.float32))[0][2] for _ in range(2)]))
    assert speeds[1] < speeds[0]


def test_bad_input_is_refused_with_the_reason(tmp_path: Path) -> None:
    environment = make("cart").unwrapped
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="finite"):
        environment.step(np.array([np.nan, 0.0], np.float32))
    with pytest.raises(ConfigError, match="nowhere"):
        gymnasium.make(environment_id("cart"), world=tmp_path / "nowhere.sdf")


def test_stable_baselines3_trains_on_it_unchanged() -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    model = stable_baselines3.SAC(
        "MlpPolicy", make("hopper"), learning_starts=50, policy_kwargs={"net_arch": [16, 16]}, device="cpu", seed=1
    )
    model.learn(120)
    assert model.num_timesteps == 120


def test_every_task_has_both_environments() -> None:
    assert ir_drl.environments.environment_id("cart", ros=True) == "ir/RosCartNavigation-v0"
    for model in MODELS:
        for ros in (False, True):
            assert environment_id(model, ros) in gymnasium.registry


@pytest.mark.parametrize("model", ["cart", "spider", "hopper"])
def test_an_onlooker_sees_the_robot(model):
    env = gymnasium.make(environment_id(model), render_mode="rgb_array", world=WORLD)
    env.reset(seed=1)
    before = env.render()
    for _ in range(3):
        env.step(env.action_space.high)
    after = env.render()
    assert before.shape == after.shape == (360, 480, 3) and before.dtype == np.uint8
    assert (before != after).any(), "it moved"
    env.close()


def test_without_a_render_mode_there_is_no_picture_and_an_unknown_one_is_refused():
    env = TaskEnv("cart", WORLD)
    env.reset(seed=1)
    assert env.render() is None
    with pytest.raises(ConfigError, match="rgb_array only"):
        TaskEnv("cart", WORLD, render_mode="human")
