# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RenderCollection

import ir_lab.environments
from ir_common.config import ConfigError
from ir_drl.environments.task_env import TaskEnv
from ir_drl.policies import make_policy
from ir_lab.environments.stack_env import StackEnv
from ir_sim.tasks import make_task

ALONE = ("robots:=hopper", "twin:=off")


def drive(env, steps, seed=3):
    """The trained hopper through the stack: rewards, and ends of episodes."""
    policy = make_policy(make_task("hopper"), Path("trained"))
    observation, _ = env.reset(seed=seed)
    policy.reset(1)
    rewards, ends = [], []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(policy.act(observation))
        rewards.append(reward)
        if terminated or truncated:
            ends.append(info["cause"])
            observation, _ = env.reset()
            policy.reset(1)
    return rewards, ends


def test_the_checker_is_content_with_the_registered_environment():
    made = gymnasium.make("ir/StackCartNavigation-v0", words=("robots:=cart", "twin:=off"), render_mode="rgb_array")
    check_env(made.unwrapped)
    assert ir_lab.environments.stack_environment_id("cart") == "ir/StackCartNavigation-v0"


def test_a_policy_hops_through_the_radio_and_a_seed_repeats():
    env = StackEnv("hopper", ALONE)
    rewards, ends = drive(env, 400)
    near, fallen = drive(TaskEnv("hopper"), 400)
    assert ends == fallen == []
    assert sum(rewards) == pytest.approx(sum(near), rel=0.1), "as without a radio: this one is hardly felt"
    assert drive(env, 400) == (rewards, ends)
    report = env.report()
    assert report["slices"]["control"]["balanced"]
    assert report["robots"]["hopper"]["reward"] == pytest.approx(sum(rewards), abs=20)  # and the step before the first
    env.close()


def test_falls_end_episodes_and_the_next_begins_after_the_robot_was_put_back():
    env = StackEnv("hopper", ALONE)
    env.reset(seed=1)
    for _ in range(400):
        observation, _, terminated, truncated, info = env.step(env.action_space.high)
        if terminated or truncated:
            break
    assert terminated and info["cause"] == "fall"
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step(env.action_space.high)
    observation, info = env.reset()
    assert observation[0] > 1.0, "it stands again"


def test_other_robots_and_the_twin_run_beside():
    env = StackEnv("cart", ("twin:=enforce",))
    env.reset(seed=2)
    for _ in range(40):
        env.step(np.array([0.3, 0.0], np.float32))
    robots = env.report()["robots"]
    assert robots["hopper"]["steps"] > 400 and robots["cart"]["verdicts"]["proposals"] == 40


def test_pictures_are_collected_as_for_a_video():
    env = RenderCollection(StackEnv("hopper", ALONE, render_mode="rgb_array"))
    env.reset(seed=1)
    env.step(np.zeros(3, np.float32))
    pictures = env.render()
    assert len(pictures) == 2 and all(picture.shape == (360, 480, 3) and picture.std() > 5 for picture in pictures)
    assert env.metadata["render_fps"] == 125


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("hopper", ("robots:=cart",)), "no robot"),
        (("hopper", ("sim:=gz",)), "sim:=gz"),
        (("hopper", ("twn:=off",)), "twin:="),
    ],
)
def test_what_is_wrong_is_told(arguments, text):
    with pytest.raises(ConfigError, match=text):
        StackEnv(*arguments)


def test_an_unknown_render_mode_is_told():
    with pytest.raises(ConfigError, match="rgb_array only"):
        StackEnv("hopper", ALONE, render_mode="ascii")
