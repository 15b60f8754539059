# SPDX-License-Identifier: Apache-2.0
"""The agents' engine without ROS: slices come and go, requests, learning by a given budget, rounds in model time."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_radio.books.cell_report import FlowCounters, FlowRow, LinkRow, Report, SliceRow
from ir_radio.books.histogram import Delay
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.learning.agent_weights import TRAINED, AgentWeights, load, save
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.correction import CORRECTION_STATE
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.compression import encode_plain
from ir_slicing.learning.federation.messages import Global, Update
from ir_slicing.learning.federation.update_keys import TAG, load_keys, make_master
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.background_work import BackgroundFitting, Duty
from ir_slicing.live.live_forecaster import LiveForecaster
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.live.need_config import NeedConfig
from ir_slicing.live.need_requests import NeedRequests
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.live.slice_sight import states_of
from ir_slicing.live.slice_sight_config import SliceSightConfig
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerEngine

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SLICES = ("video", "spider", "cart", "control")
BOUNDS = dict.fromkeys(SLICES, 0.05)
PERIOD = 200_000_000
CARRIER = 216.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of untrained weights with an open gate, whatever those of the package are."""
    agent = DDPG(DDPGConfig(hidden=(64, 64)), 1, 0, CORRECTION_STATE)
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    save(path, AgentWeights((64, 64), agent.architecture, agent.weights()[0]))
    return path


def make(**parameters):
    return AgentsEngine(SliceAgentsConfig(**({"warm_up": 8, "twin": False} | parameters)))


def report(number, blocks=40.0):
    """The ``number``-th report: of one device in each slice, whose load wanders."""
    rows, flows = [], []
    for index, name in enumerate(SLICES):
        size = sum(100_000 + 20_000 * ((k + index) % 5) for k in range(number))
        books = FlowCounters(10 * number, size, 10 * number, size)
        rows.append(
            SliceRow(name, "embb", blocks, 4e7, 4e6, 4e6, 0.5, books, Delay(), Delay(10, 2e-3, 2e-3, 4e-3, 4e-3))
        )
        flows.append(FlowRow(name, "cart", f"topic_{index}", "uplink", books, Delay()))
    return Report(PERIOD * number, 0.2, tuple(rows), tuple(flows), (LinkRow("cart", 5.0, 20.0, 1e6),))


def test_agents_come_and_go_with_their_slices_and_keep_to_those_that_are_hosted():
    engine = make(slices=("cart", "video"))
    assert engine.set_slices(BOUNDS) == ["video", "cart"] and set(engine.agents) == {"cart", "video"}
    agent = engine.agents["cart"]
    assert engine.set_slices({"cart": 0.2, "control": 0.1}) == [] and list(engine.agents) == ["cart"]
    assert engine.agents["cart"] is agent and agent.sight.max_latency == 0.2


def test_each_agent_asks_once_its_counters_have_differences_and_sees_only_its_own_slice():
    engine, alone = make(), make(slices=("cart",))
    for one in (engine, alone):
        one.set_slices(BOUNDS)
        assert one.report(report(1), CARRIER) == [] == one.report(report(2), CARRIER)
    asked = engine.report(report(3), CARRIER)
    assert [(r.slice, r.time) for r in asked] == [(name, 3 * PERIOD) for name in SLICES]
    assert all(0.25 <= r.resource_blocks <= CARRIER for r in asked)
    assert alone.report(report(3), CARRIER) == [r for r in asked if r.slice == "cart"]


def test_it_learns_as_much_as_it_is_told_to_and_the_same_each_time():
    def run(updates):
        engine = make()
        engine.set_slices(BOUNDS)
        made = 0
        for number in range(1, 30):
            engine.report(report(number), CARRIER)
            made += engine.learn(updates)
        return made, np.stack([agent._agent.weights()[0] for agent in engine.agents.values()])

    (some, first), (again, second), (none, still) = run(4), run(4), run(0)
    assert some == again > 0 and none == 0
    assert np.array_equal(first, second) and not np.array_equal(first, still)
    assert (still == load(TRAINED).values).all()
    frozen = make(learn=False)
    frozen.set_slices(BOUNDS)
    assert frozen.learn(10) == 0


def test_forecasters_are_fitted_in_turn_when_they_have_seen_enough():
    engine = make(twin=True, window=6, history=50, epochs=1)
    engine.set_slices({"cart": 0.05, "video": 0.05})
    assert engine.fit(3) == 0, "nothing is seen yet"
    for number in range(1, 80):
        engine.report(report(number), CARRIER)
    assert engine.fit(1) == 1 and engine.fit(3) == 1, "each once"
    assert all(np.isfinite(forecaster.gain) or forecaster.refused for forecaster in engine.forecasters)


def test_a_bad_model_is_told_once_and_changes_nothing():
    engine = make()
    engine.set_slices({"cart": 0.05})
    assert not engine.model(b"nonsense")
    assert engine.refusals() == [
        "slice 'cart': global weights of another architecture or round, or not finite; its own stay (1 so far)"
    ]
    assert engine.refusals() == [] and engine.agents["cart"].round == 0


def test_another_architecture_takes_no_part():
    engine = make()
    engine.set_slices(BOUNDS)
    reply = engine.federation(0, True, "00000000")
    assert "give both the same weights_file" in reply.refused and not reply.updates and not reply.behind


def test_weights_that_fit_no_networks_are_a_configuration_error(tmp_path):
    whole = load(TRAINED)
    np.savez(tmp_path / "w.npz", hidden=np.array(whole.hidden), architecture=np.array("0"), weights=whole.values)
    with pytest.raises(ConfigError, match="do not fit networks"):
        make(weights_file=tmp_path / "w.npz")


def stack(seconds, **keys):
    """Manager and agents in model time, one gradient step for each agent and report; what was decided, and weights."""
    config = {"policy": "learned", "federation_period": 2.0, "federation_timeout": 0.5, **keys}
    manager, agents = ManagerEngine(ManagerConfig(slices_file=CONFIG, **config), 1), make(noise=0.1, **keys)
    decided = [manager.start()]
    for number in range(1, 5 * seconds):
        now, row = PERIOD * number, report(number, 30.0 + number % 7)
        manager.report(row)
        for asked in agents.report(row, CARRIER):
            assert not manager.request(now, asked.time / 1e9, asked.slice, asked.resource_blocks)
        agents.learn(len(SLICES))
        decision = manager.tick(now)
        decided.append(decision)
        if decision.slices is not None:
            agents.set_slices({one.entry.spec.name: one.entry.spec.max_latency for one in decision.slices})
        if decision.model is not None:
            agents.model(decision.model)
        if decision.federation is not None:
            state = decision.federation
            reply = agents.federation(state.round, state.collecting, state.architecture, state.participants)
            for data in (*reply.updates, *(agents.whole(manager.federation.whole()) if reply.behind else ())):
                assert not manager.federation.receive(data)
    blocks = [one.allocation.blocks for one in decided if one.allocation is not None]
    return blocks, manager.federation.state, manager.federation.server.weights, agents


def test_manager_and_agents_in_model_time_federate_and_repeat_to_the_last_bit():
    (first, state, weights, agents), (second, _, again, _) = stack(12), stack(12)
    assert first == second and len(first) > 2 and np.array_equal(weights, again)
    assert state.round >= 3 and set(state.participants) == set(SLICES) and not state.silent
    assert not np.array_equal(weights, load(TRAINED).values)
    assert all(agent.round == state.round for agent in agents.agents.values())


def test_agents_with_keys_federate_and_one_without_says_so_and_keeps_what_it_learnt(tmp_path):
    path = make_master(tmp_path / "keys.json")
    _, state, _, _ = stack(6, keys_file=path)
    assert state.round >= 1 and set(state.participants) == set(SLICES) and not state.refused
    (tmp_path / "cart.json").write_text(json.dumps({"slices": {"cart": load_keys(path).key("cart").hex()}}))
    engine = make(keys_file=tmp_path / "cart.json")
    engine.set_slices(BOUNDS)
    for number in range(1, 15):
        engine.report(report(number), CARRIER)
        engine.learn(4)
    reply = engine.federation(0, True, state.architecture)
    assert [Update.from_bytes(data[:-TAG]).slice for data in reply.updates] == ["cart"]
    assert any("no key to sign its updates with" in line for line in engine.refusals())


def test_what_agents_learnt_is_in_their_weights_after_a_round_that_lost_their_updates():
    """The server closes the round without them; whether state or model comes first, nothing is forgotten."""
    server = AveragingServer(ServerConfig(), load(TRAINED).values, load(TRAINED).architecture, ("nobody",))
    for model_first in (True, False):
        engine = make()
        engine.set_slices({"cart": 0.05})
        for number in range(1, 25):
            engine.report(report(number), CARRIER)
            engine.learn(1)
        agent = engine.agents["cart"]
        assert len(engine.federation(0, True, server.architecture).updates) == 1
        learnt = agent._agent.weights()[0]
        change = Global(1, 0, server.architecture, encode_plain(np.full(len(learnt), 0.5, np.float32))).to_bytes()
        calls = [lambda: engine.model(change), lambda: engine.federation(1, False, server.architecture, ())]  # noqa: B023
        for call in calls if model_first else reversed(calls):
            call()
        assert agent.round == 1 and agent._agent.weights()[0] == pytest.approx(learnt + 0.5, abs=1e-6)


def test_agents_that_missed_a_round_ask_for_the_whole_weights_once_updates_are_called_for():
    _, state, weights, _ = stack(6)
    manager = ManagerEngine(ManagerConfig(slices_file=CONFIG, policy="learned"), 1)
    manager.federation.server.weights, manager.federation.server.round = weights, state.round
    late = make()
    late.set_slices({"cart": 0.05})
    assert not late.federation(state.round, False, state.architecture).behind, "its change may be on its way"
    assert late.federation(state.round, True, state.architecture).behind
    for number in range(1, 15):
        late.report(report(number), CARRIER)
    (data,) = late.whole(manager.federation.whole())
    assert Update.from_bytes(data).round == late.agents["cart"].round == state.round


def test_background_fitting_works_in_a_thread_and_within_its_duty():
    forecasters = [LiveForecaster(LiveForecasterConfig(window=6, history=50, epochs=1), 0) for _ in range(2)]
    work = BackgroundFitting(1e-4)
    work.offer(forecasters)
    for k in range(70):
        for one in forecasters:
            offered = np.array([1e6, 2e6]) * (1 + k % 4)
            one.push(("a", "b"), offered, offered)
    work.offer(forecasters)

    def done(forecaster):
        return np.isfinite(forecaster.gain) or bool(forecaster.refused)

    until = time.monotonic() + 60.0
    while not done(forecasters[0]) and time.monotonic() < until:
        time.sleep(0.01)
    assert done(forecasters[0])
    work.offer(forecasters)
    assert forecasters[1].ready and not done(forecasters[1]), "a ten-thousandth of a core, for both together"


def test_duty_holds_work_to_its_share():
    duty = Duty(0.5)
    assert duty.allows()
    duty.spent(100.0)
    assert not duty.allows()


def test_a_report_of_a_hundred_slices_costs_less_than_their_networks_do_one_by_one():
    """Of processor time, in one run: acting is batched, and the rest of a report is cheaper than that."""
    names = [f"slice_{k}" for k in range(100)]

    def made(number):
        rows, flows = [], []
        for name in names:
            books = FlowCounters(10 * number, 100_000 * number, 10 * number, 100_000 * number)
            delay = Delay(10, 2e-3, 2e-3, 4e-3, 4e-3)
            rows.append(SliceRow(name, "embb", 2.0, 4e7, 4e6, 4e6, 0.5, books, Delay(), delay))
            flows.append(FlowRow(name, "cart", name, "uplink", books, Delay()))
        return Report(PERIOD * number, 0.2, tuple(rows), tuple(flows), (LinkRow("cart", 5.0, 20.0, 1e6),))

    engine = make(replay=100)
    engine.set_slices(dict.fromkeys(names, 0.05))
    batched, apart = [], []
    for number in range(1, 25):
        one = made(number)
        began = time.thread_time()
        asked = engine.report(one, CARRIER)
        batched.append(time.thread_time() - began)
        began = time.thread_time()
        for agent in engine.agents.values():
            agent._agent.act(np.zeros((1, 1, CORRECTION_STATE)))
        apart.append(time.thread_time() - began)
    assert len(asked) == 100
    assert np.median(batched[5:]) < np.median(apart[5:])


def test_behind_a_closed_gate_agents_ask_for_what_the_policy_forecast_does(weights, tmp_path):
    save(tmp_path / "closed.npz", replace(load(weights), gate=0.0))
    agents = make(weights_file=tmp_path / "closed.npz", noise=0.5)
    rule = NeedRequests(NeedConfig(twin=False), SliceSightConfig())
    agents.set_slices(BOUNDS)
    rule.set_slices(
        {n: SliceSpec(name=n, type="embb", rate=1e6, max_latency=b, reliability=0.99) for n, b in BOUNDS.items()}
    )
    for number in range(1, 12):
        asked = agents.report(report(number), CARRIER)
        agents.learn(4)
        assert [one.resource_blocks for one in rule.report(report(number), CARRIER)] == pytest.approx(
            [one.resource_blocks for one in asked]
        )
    assert len(asked) == 4


def test_the_batch_acts_as_each_agent_alone_does_and_with_what_it_learnt_last(weights):
    engine = make(noise=0.0, weights_file=weights)
    engine.set_slices(BOUNDS)
    for number in range(1, 20):
        asked = engine.report(report(number), CARRIER)
        engine.learn(1)
        for one in asked:
            agent = engine.agents[one.slice]
            seen, action, _ = agent._before
            assert action == pytest.approx(agent._agent.act(states_of(agent.config, [seen])[None])[0, 0], abs=0.05)
    before = [one.resource_blocks for one in engine.report(report(20), CARRIER)]
    for agent in engine.agents.values():
        agent._load(agent._agent.weights() + 0.3)
    after = [one.resource_blocks for one in engine.report(report(21), CARRIER)]
    assert all(abs(a - b) > 1.0 for a, b in zip(before, after, strict=True))
    for name, agent in engine.agents.items():
        seen, action, _ = agent._before
        assert action == pytest.approx(agent._agent.act(states_of(agent.config, [seen])[None])[0, 0], abs=1e-6), name
