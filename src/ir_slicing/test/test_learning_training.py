# SPDX-License-Identifier: Apache-2.0
"""Algorithm 1 end to end on a small cell: agents beat chance, the history repeats, and forecasts reach the agents."""

import numpy as np
import pytest

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.forecaster.fitting import Forecaster, Scale
from ir_slicing.learning.forecaster.quantiles import Spread
from ir_slicing.learning.need_forecast import LEVELS, forecast_needs
from ir_slicing.learning.policy_training import PolicyTrainingConfig, asking, evaluate, foreseeing, train
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SliceProfile, SlicingEnvironment

PROFILES = (SliceProfile(name="a", kind="rate"), SliceProfile(name="b", kind="delay", max_delay=0.2))
CONFIG = EnvironmentConfig(slices=PROFILES, fading_samples=2)


def cell(steps=200, envs=4, seed=1, foresee=True, devices=6):
    traffic = generate(TrafficConfig(devices=devices, rates=(1.2e6, 6e5), burst_rate=0.0), steps, envs, seed)
    blind = SlicingEnvironment(CONFIG, traffic, seed)
    if not foresee:
        return blind
    needs = np.stack([blind.need_at(min(step + 1, steps - 1)).blocks for step in range(steps)])
    return SlicingEnvironment(CONFIG, traffic, seed, needs)


def test_agents_that_learn_are_better_than_equal_shares_and_below_the_bound():
    """Random actions earn 0.5 here; equal shares are what the agents begin with."""
    agent = DDPG(DDPGConfig(hidden=(32, 32), warm_up=128, actor_delay=50, epsilon_steps=150), 2, 0)
    history = train(cell(), agent, PolicyTrainingConfig(steps=450, period=10), 0)
    test = cell(steps=60, seed=2)
    earned = {
        "learnt": evaluate(test, asking(agent)).reward.mean(),
        "equal": evaluate(test, rules.equal).reward.mean(),
        "bound": evaluate(test, foreseeing(rules.clairvoyant)).reward.mean(),
    }
    assert earned["equal"] + 0.05 < earned["learnt"] <= earned["bound"] + 1e-9
    assert np.mean(history.reward[-50:]) > np.mean(history.reward[:50]) + 0.1
    assert history.traffic[-1] > 0 and (np.diff(history.traffic) >= 0).all()


def test_same_seeds_same_history():
    def run():
        agent = DDPG(DDPGConfig(hidden=(8,), warm_up=16, batch=16), 2, 3)
        history = train(cell(40, 2), agent, PolicyTrainingConfig(steps=30, period=5, absent=0.3), 4)
        return history.reward, agent.weights()

    first, second = run(), run()
    assert first[0] == second[0] and (first[1] == second[1]).all()


def test_dqn_trains_without_federation_only():
    agent = DQN(DQNConfig(hidden=(8,), warm_up=16, batch=16), 2, 0)
    with pytest.raises(ValueError, match="federated to false"):
        train(cell(20, 1), agent, PolicyTrainingConfig(steps=5), 0)
    history = train(cell(20, 1), agent, PolicyTrainingConfig(steps=30, federated=False), 0)
    assert np.isnan(history.loss[0]) and np.isfinite(history.loss[-1]) and history.traffic[-1] == 0


class Doubling:
    """Stands for a network: forecasts twice the last value."""

    def eval(self):
        """As of a network."""

    def __call__(self, window):
        return 2.0 * window[:, :1, -1]


def test_forecast_needs_by_hand():
    env = cell(steps=12, envs=1, foresee=False)
    scale = Scale(np.zeros(6, np.float32), np.ones(6, np.float32))
    errors = np.linspace(0.5, 1.5, 101)[:, None]  # of the actual over the forecast
    forecaster = Forecaster(
        Doubling(), scale, window=4, horizons=(1,), day=4, history=[], slice_spread=Spread.of(np.ones((101, 1)), errors)
    )
    told = forecast_needs(env, [forecaster, forecaster], rates_from=2)
    got = told.blocks
    assert got.shape == (12, 1, 2) and told.quantiles.shape == (12, 1, 2, len(LEVELS))
    assert got[2] == pytest.approx(env.need_at(2).blocks)  # no window yet
    assert told.quantiles[2, 0, :, 0] == pytest.approx(got[2, 0])
    rates = (env.block_rate(6) + env.block_rate(7))[0] / 2
    expected = (env.needed_rate(2.0 * env.traffic[7].astype(float))[0] / rates).sum(axis=-1)
    assert got[7, 0] == pytest.approx(expected, rel=1e-5)
    assert told.quantiles[7, 0, :, LEVELS.index(0.5)] == pytest.approx(got[7, 0], rel=0.02)
    assert (np.diff(told.quantiles[7, 0]) > 0.0).all()
    with pytest.raises(ValueError, match="a forecaster with horizon 1"):
        forecast_needs(env, [forecaster])
