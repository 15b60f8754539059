# SPDX-License-Identifier: Apache-2.0
"""The slicing environment as Gymnasium's and PettingZoo's tasks, by their own checkers."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ir_slicing.learning.tasks as tasks
from ir_slicing.learning.device_traffic import TrafficConfig
from ir_slicing.learning.slicing_environment import SLICES, EnvironmentConfig
from ir_slicing.learning.tasks.slicing_env import SlicingEnv
from ir_slicing.learning.tasks.slicing_episodes import EpisodesConfig

SMALL = EpisodesConfig(
    environment=EnvironmentConfig(slices=SLICES[:3]), traffic=TrafficConfig(devices=4, rates=(9e5, 3e5, 4e5)), steps=20
)
NEEDS_PETTINGZOO = "pettingzoo is not installed (requirements/multiagent.txt)"


@pytest.mark.filterwarnings("ignore:.*Box observation space (minimum|maximum) value is.*")
def test_gymnasiums_checker_passes():
    check_env(gymnasium.make(tasks.SLICING, episodes=SMALL).unwrapped)


def test_an_episode_is_cut_and_its_reward_is_the_mean_of_the_slices():
    env = SlicingEnv(SMALL)
    state, info = env.reset(seed=5)
    assert state.shape == (9,) and list(info) == [one.name for one in SLICES[:3]]
    for step in range(20):
        state, reward, terminated, truncated, info = env.step(np.zeros(3, np.float32))
        expected = np.mean([0.5 * one["utilisation"] + 0.5 * one["satisfaction"] for one in info.values()])
        assert reward == pytest.approx(expected) and not terminated and truncated == (step == 19)
        assert sum(one["blocks"] for one in info.values()) <= SMALL.environment.blocks + 1e-9
    assert (env.reset(seed=5)[0] == env.reset(seed=5)[0]).all() and (env.reset()[0] != env.reset(seed=5)[0]).any()


def test_asking_for_more_gives_more_blocks():
    env = SlicingEnv(SMALL)
    _, before = env.reset(seed=1)
    _, _, _, _, after = env.step(np.array([1.0, -1.0, 0.0], np.float32))
    names = list(before)
    assert after[names[0]]["blocks"] > before[names[0]]["blocks"]
    assert after[names[1]]["blocks"] < before[names[1]]["blocks"]


def test_rates_that_do_not_fit_the_slices_are_refused():
    with pytest.raises(ValueError, match="give one each"):
        SlicingEnv(SMALL.model_copy(update={"traffic": TrafficConfig(rates=(1e5,))}))


def test_load_makes_needs_larger():
    light, heavy = (SlicingEnv(SMALL.model_copy(update={"load": (x, x)})).reset(seed=2)[1] for x in (0.5, 1.5))
    assert all(heavy[name]["need"] > 1.5 * light[name]["need"] for name in light)


def test_pettingzoos_checkers_pass(capsys):
    pytest.importorskip("pettingzoo", reason=NEEDS_PETTINGZOO)
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    from ir_slicing.learning.tasks.slicing_parallel import SlicingParallelEnv

    parallel_api_test(SlicingParallelEnv(SMALL), num_cycles=50)
    parallel_seed_test(lambda: SlicingParallelEnv(SMALL), num_cycles=30)


def test_each_agent_has_the_reward_of_its_slice():
    pytest.importorskip("pettingzoo", reason=NEEDS_PETTINGZOO)
    from ir_slicing.learning.tasks.slicing_parallel import SlicingParallelEnv

    many = SlicingParallelEnv(SMALL)
    many.reset(seed=3)
    names = many.possible_agents
    actions = {name: np.array([a], np.float32) for name, a in zip(names, (1.0, 0.0, -1.0), strict=True)}
    seen, rewards, _, _, _ = many.step(actions)
    assert list(seen) == names and many.state() == pytest.approx(np.concatenate([seen[name] for name in names]))
    environment = many.episodes.environment
    expected = environment.outcome(environment.need, environment.blocks).reward[0]
    assert [rewards[name] for name in names] == pytest.approx(expected.tolist())
