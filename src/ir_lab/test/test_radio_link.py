# SPDX-License-Identifier: Apache-2.0
"""An environment that counts its own steps and shows which action governed each, behind links of known delay."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_lab.environments import RadioLink
from ir_radio.model.carrier import Carrier

PERIOD = 0.02


class Counting(gymnasium.Env):
    """Observes [number of the step, first number of the action that governed it]."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1e6, 1e6, (1,), np.float64)
    control_period = PERIOD

    def __init__(self, length=10**6):
        self.count, self.length = 0, length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(2), {}

    def step(self, action):
        self.count += 1
        return np.array([self.count, action[0]], float), float(action[0]), False, self.count >= self.length, {}


class Nameless(Counting):
    """Does not say how long a control step is."""

    control_period = None


def carrier(latency: float = 0.0, **changes) -> Carrier:
    return Carrier(scheduling_latency=latency, **changes)


def roll(env, steps, seed=1):
    """Sends the number of each step as its action; returns what was seen and which action governed each step."""
    observation, _ = env.reset(seed=seed)
    seen, governed = [observation[0]], []
    for k in range(steps):
        observation, reward, _, _, _ = env.step(np.array([k + 1.0]))
        seen.append(observation[0])
        governed.append(reward)
    return seen, governed


def test_a_fast_link_changes_nothing():
    seen, governed = roll(RadioLink(Counting(), carrier()), 20)
    assert seen == list(range(21))
    assert governed == list(range(1, 21))


@pytest.mark.parametrize(("latency", "old", "late"), [(0.4, 0, 0), (0.6, 0, 1), (1.5, 1, 2), (2.5, 2, 3)])
def test_delays_cost_whole_control_steps(latency, old, late):
    """In control steps. What is there and back within the period costs nothing; later the agent acts at its end."""
    env = RadioLink(Counting(), carrier(latency * PERIOD), max_latency=1.0)
    seen, governed = roll(env, 20)
    assert seen[10:] == [k - old for k in range(10, 21)]
    assert governed[10:] == [k + 1 - late for k in range(10, 20)]


def test_out_of_coverage_the_agent_keeps_what_it_knew_and_the_robot_idles():
    env = RadioLink(Counting(), carrier(min_snr=60.0), distance=200.0)
    seen, governed = roll(env, 10)
    assert seen == [0.0] * 11 and governed == [0.0] * 10
    *_, info = env.step(np.zeros(1))
    assert info["link"]["lost"] == (10, 11)
    assert info["link"]["observation_age"] == 10


def test_the_end_is_told():
    env = RadioLink(Counting(length=3), carrier(5 * PERIOD), max_latency=1.0)
    env.reset(seed=1)
    for _ in range(2):
        env.step(np.zeros(1))
    observation, _, _, truncated, _ = env.step(np.zeros(1))
    assert truncated and observation[0] == 3


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 4.0), st.integers(0, 3), st.integers(0, 2**31 - 1))
def test_nothing_comes_back_in_time_and_a_seed_repeats(latency, memory, seed):
    def run():
        env = RadioLink(Counting(), carrier(latency * PERIOD, fading="rayleigh"), distance=60.0, memory=memory,
                        max_latency=0.05)  # fmt: skip
        return roll(env, 30, seed)

    seen, governed = run()
    assert seen == sorted(seen) and all(s <= k for k, s in enumerate(seen))
    assert governed == sorted(governed), "an action that was overtaken is not carried out"
    assert (seen, governed) == run()


def test_memory_follows_the_observation():
    env = RadioLink(Counting(), carrier(0.6 * PERIOD), memory=2, max_latency=1.0)
    env.reset(seed=1)
    for k in range(6):
        observation, *_ = env.step(np.array([k + 1.0]))
    assert observation.tolist() == [6.0, 5.0, 5.0, 6.0, 5.0], "state (2), the last two sent, the one in force"


def test_the_checkers_are_content():
    check_env(RadioLink(gymnasium.make("Pendulum-v1").unwrapped, "nr", control_period=0.05), skip_render_check=True)
    vector = gymnasium.vector.SyncVectorEnv([lambda: RadioLink(Counting(), carrier()) for _ in range(3)])
    observations, _ = vector.reset(seed=3)
    assert observations.shape == (3, 2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RadioLink(gymnasium.make("CartPole-v1"), control_period=0.02), "actions must be vectors"),
        (lambda: RadioLink(Nameless()), "give control_period"),
        (lambda: RadioLink(Counting(), "6g"), "unknown access profile"),
    ],
)
def test_what_does_not_go_is_told(make, text):
    with pytest.raises(ValueError, match=text):
        make()
