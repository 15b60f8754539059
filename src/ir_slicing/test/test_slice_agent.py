# SPDX-License-Identifier: Apache-2.0
"""The agent of one live slice: needs, requests, learning, updates; and its forecaster."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_slicing.learning.agent_weights import AgentWeights, load, save
from ir_slicing.learning.agents.ddpg import DDPG, STATE, DDPGConfig
from ir_slicing.learning.correction import CORRECTION_STATE
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.compression import decode
from ir_slicing.learning.federation.messages import Global, Update
from ir_slicing.live.live_forecaster import LiveForecaster
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.live.slice_agent import SliceAgent
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_sight import states_of
from ir_slicing.live.slice_view import SliceView

VIEW = SliceView(
    time=1.0, devices=("cart/scan", "cart_2/scan"), offered=(1e6, 2e6), packet=(1e4, 1e4),
    block_rate=(1e6, 0.5e6), queued=0.0, allocated=50.0, delay=0.005, delivered=10, dropped=0, slices=4,
    carrier=200.0,
)  # fmt: skip


def scaled(factor):
    return tuple(factor * one for one in VIEW.offered)


def fresh(hidden=(8,), seed=0, state=CORRECTION_STATE):
    agent = DDPG(DDPGConfig(hidden=hidden), 1, seed, state)
    return AgentWeights(hidden, agent.architecture, agent.weights()[0])


def make(weights=None, forecaster=None, bound=0.1, personal=0, **config):
    forecaster = forecaster or LiveForecaster(LiveForecasterConfig(), 0, train=False)
    config = SliceAgentConfig(**({"warm_up": 8, "noise": 0.0} | config))
    return SliceAgent("cart", bound, config, weights or fresh(), forecaster, 0, personal)


def relative(**config):
    """An agent in the paper's form."""
    return make(fresh(state=STATE), action="relative", **config)


def learn(agent, steps=20):
    """Some experience, and gradient steps on it."""
    for k in range(steps):
        agent.step(replace(VIEW, time=1.0 + 0.2 * k, offered=scaled(1 + 0.1 * (k % 3))))
    return agent.learn()


def test_need_by_hand():
    """One queue: 1 + 4 blocks are busy, for 10 and 20 ms a message; one delay term for 99 of 100."""
    service = (1.0 * 0.01 + 4.0 * 0.02) / 5.0
    agent = make()
    expected = 5.0 + math.log(100.0) * service / 0.1
    assert agent.sight.need(VIEW, VIEW.offered) == pytest.approx(expected)
    idle = agent.sight.need(VIEW, (0.0, 0.0))
    assert idle == 0.25, "an idle slice keeps the least share"


def test_need_counts_what_is_late_and_leaves_unknown_links_to_the_mean():
    agent = make()
    base = agent.sight.need(VIEW, VIEW.offered)
    bound = 0.1 * 3e6  # what may wait
    assert agent.sight.need(replace(VIEW, queued=bound), VIEW.offered) == pytest.approx(base)
    late = agent.sight.need(replace(VIEW, queued=bound + 1e6), VIEW.offered)
    assert late == pytest.approx(base + 1e6 / 0.1 / 0.75e6)
    known = replace(VIEW, block_rate=(1e6, 0.0))
    assert agent.sight.need(known, VIEW.offered) < base
    assert agent.sight.need(replace(VIEW, block_rate=(0.0, 0.0)), VIEW.offered) == 0.25


def test_request_is_a_bounded_change_of_what_is_held():
    agent = relative(max_change=0.5)
    first = agent.step(VIEW)
    assert 50.0 / 1.5 <= first <= 50.0 * 1.5
    second = agent.step(replace(VIEW, time=1.2, allocated=30.0))
    assert 30.0 / 1.5 <= second <= 30.0 * 1.5
    assert agent.step(replace(VIEW, time=1.4, allocated=0.0)) >= 0.25


def test_state_is_the_last_period_and_its_low_pass():
    """d/w of the last period alone, d^/w of the low-passed rates without a forecaster, w over the equal share."""
    agent = relative(demand_time_constant=1.0)
    sight = agent.sight
    first = states_of(agent.config, [sight.observe(VIEW)])[0]
    assert first[0] == first[1] == pytest.approx(math.log(sight.need(VIEW, VIEW.offered) / 50.0))
    assert first[2] == pytest.approx(0.0), "a quarter of the carrier's 200 blocks"
    more = replace(VIEW, time=1.2, offered=scaled(2.0))
    state, passed = states_of(agent.config, [sight.observe(more)])[0], 1.0 - math.exp(-0.2)
    assert state[0] == pytest.approx(math.log(sight.need(more, more.offered) / 50.0))
    assert state[1] == pytest.approx(math.log(sight.need(more, scaled(1.0 + passed)) / 50.0))


def test_a_request_corrects_that_of_the_policy_forecast_and_an_untrained_agent_leaves_it():
    agent = make(max_correction=0.5, base_margin=1.2)
    asked = agent.step(VIEW)
    base = 1.2 * max(agent.sight.needed, *agent.sight.expected)
    assert agent.sight.base == pytest.approx(base) and base / 1.5 <= asked <= base * 1.5
    assert agent.sight.ask(-1.0, VIEW) == pytest.approx(base / 1.5)
    assert agent.sight.ask(0.0, VIEW) == pytest.approx(base)
    weights = fresh()
    closed = make(AgentWeights(weights.hidden, weights.architecture, weights.values + np.float32(1.0), 0.0), noise=0.5)
    assert closed.step(VIEW) == pytest.approx(closed.sight.base), "behind a closed gate the rule decides, without noise"


def test_state_of_a_correction_by_hand():
    """Need and forecast over the base, tails over the forecast, need over what was forecast of it, blocks over need."""
    agent = make(base_margin=2.0)
    agent.step(VIEW)
    more = replace(VIEW, time=1.2, offered=scaled(2.0), dropped=1)
    seen = agent.sight.observe(more)
    needed, ahead, _, _, before, held, base, misses = seen
    assert needed == pytest.approx(agent.sight.need(more, more.offered)) and base == pytest.approx(2.0 * needed)
    assert (
        before == pytest.approx(agent.sight.need(VIEW, VIEW.offered)) and held == 50.0 and misses == pytest.approx(0.1)
    )
    state = states_of(agent.config, [seen])[0]
    low, high = agent.sight.forecaster.spread
    assert 0.0 < low < 1.0 < high, "the low pass was wrong by half"
    expected = [needed / base, ahead / base, low, high, needed / before, 50.0 / needed]
    assert state == pytest.approx([*map(math.log, expected), misses])


@pytest.mark.parametrize(
    ("changes", "less"),
    [({}, 0.0), ({"delay": 0.2}, 2.0), ({"dropped": 1}, 2.0), ({"others_missed": 0.5}, 1.5), ({"delay": 0.05}, 0.0)],
)
def test_missed_bounds_are_taken_off_the_reward(changes, less):
    """The slice's own, and the others' by their share; beside that it is (14)."""
    view = replace(VIEW, **changes)
    plain, made = (make(missed_weight=a, others_weight=b).sight for a, b in ((0.0, 0.0), (2.0, 3.0)))
    assert plain.reward(view) - made.reward(view) == pytest.approx(less)


def test_reward_pays_for_what_was_granted_of_the_request():
    """(14): half the satisfaction, half min(w/d, d/w) with w = min(asked, allocated)."""
    sight = make().sight
    sight.observe(VIEW)
    for asked, allocated in ((20.0, 50.0), (50.0, 20.0)):
        sight.asked = asked
        view = replace(VIEW, allocated=allocated, delay=0.0)
        assert sight.reward(view) == pytest.approx(0.5 * min(20.0 / sight.needed, sight.needed / 20.0) + 0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, 0.99, 1.0),
        ({"delay": 0.1}, 0.49, 0.51),
        ({"delay": 0.5}, 0.0, 1e-6),
        ({"dropped": 10}, 0.49, 0.5),
        ({"delivered": 0, "delay": math.nan}, 1.0, 1.0),
        ({"delivered": 0, "delay": math.nan, "queued": 1e5}, 0.0, 0.0),
        ({"delivered": 0, "delay": math.nan, "dropped": 3}, 0.0, 0.0),
    ],
)
def test_satisfaction(changes, low, high):
    sight = make(utilisation_weight=0.0, utility_weight=1.0, missed_weight=0.0).sight
    assert low <= sight.reward(replace(VIEW, **changes)) <= high


def test_it_learns_and_its_update_holds_the_change():
    weights = fresh()
    agent = make(weights, noise=0.3)
    assert agent.update(0) is None, "nothing is learnt yet"
    assert learn(agent)
    data = agent.update(0)
    message = Update.from_bytes(data)
    assert (message.round, message.slice, message.samples, message.architecture) == (
        0,
        "cart",
        19,
        weights.architecture,
    )
    assert len(data) < 4 * len(weights.values)
    assert agent.update(0) is None, "one update a round"
    assert agent.update(1) is None, "of another round than its weights"
    server = AveragingServer(ServerConfig(), weights.values, weights.architecture, ("cart",))
    assert server.receive(data) == ""
    assert agent.apply(server.close().to_bytes()) and agent.round == 1


def test_personal_layers_are_sent_as_unchanged_and_stay_over_a_round():
    weights = fresh()
    shared = DDPG(DDPGConfig(hidden=(8,)), 1, 0, CORRECTION_STATE).shared(1)
    agent = make(weights, noise=0.3, keep=1.0, personal=1)
    moved = weights.values + np.float32(0.5)
    assert agent.apply(Global(0, 0, weights.architecture, b"F" + moved.tobytes()).to_bytes())
    assert np.array_equal(agent._agent.weights()[0], moved), "who learnt nothing takes all of it"
    assert learn(agent)
    own = agent._agent.weights()[0]
    change = decode(Update.from_bytes(agent.update(0)).payload, len(own))
    assert np.abs(own - moved)[~shared].max() > 0.0, "they are learnt"
    assert (change[~shared] == 0.0).all() and np.abs(change[shared]).max() > 0.0
    new = np.full_like(own, 7.0)
    assert agent.apply(Global(1, 1, weights.architecture, b"F" + new.tobytes()).to_bytes())
    after = agent._agent.weights()[0]
    assert np.array_equal(after[~shared], own[~shared])
    assert after[shared] == pytest.approx(7.0, abs=0.01), "with what the message could not hold"


def test_more_personal_layers_than_there_are_is_a_configuration_error():
    with pytest.raises(ConfigError, match="3 personal layers; the networks have 2; give fewer"):
        make(personal=3)


def test_model_of_another_architecture_or_round_is_refused_and_counted():
    weights, other = fresh(state=STATE), fresh((16,))
    agent = relative()
    before = agent.step(VIEW)
    server = AveragingServer(ServerConfig(), weights.values, weights.architecture, ())
    server.close()
    assert not agent.apply(server.close().to_bytes()), "a change of a round that it missed"
    assert not agent.apply(AveragingServer(ServerConfig(), other.values, other.architecture, ()).whole().to_bytes())
    assert not agent.apply(b"nonsense")
    bad = np.full_like(weights.values, np.nan)
    assert not agent.apply(Global(5, 5, weights.architecture, b"F" + bad.tobytes()).to_bytes())
    assert agent.refused == {"model": 4} and agent.round == 0
    agent.sight.asked = None
    assert agent.step(replace(VIEW, time=1.2)) == pytest.approx(before), "it goes on with the last good weights"


def test_weights_of_other_networks_are_a_configuration_error(tmp_path):
    weights = fresh()
    with pytest.raises(ConfigError, match="do not fit"):
        make(AgentWeights((16,), weights.architecture, weights.values))
    with pytest.raises(ConfigError, match="do not fit .* the action relative"):
        make(weights, action="relative")
    path = tmp_path / "w.npz"
    save(path, weights)
    assert np.array_equal(load(path).values, weights.values) and load(path).hidden == (8,) and load(path).gate == 1.0
    save(path, replace(weights, gate=0.5))
    with pytest.raises(ConfigError, match="gate is 0.5; 0 or 1 is needed"):
        load(path)
    save(path, replace(weights, gate=0.0))
    assert load(path).gate == 0.0
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConfigError, match=r"w.npz: "):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.npz")


class WrongForecaster(LiveForecaster):
    answer = np.zeros(3)

    def forecast(self):
        return self.answer[None]


@pytest.mark.parametrize("answer", [np.zeros(3), np.array([1.0, np.nan]), np.array([1.0, -1.0])])
def test_forecast_of_the_wrong_width_is_refused_and_counted(answer):
    forecaster = WrongForecaster(LiveForecasterConfig(), 0, train=False)
    forecaster.answer = answer
    agent, plain = make(forecaster=forecaster), make()
    assert agent.step(VIEW) == plain.step(VIEW), "the present stands in"
    assert agent.refused == {"forecast": 1}
