# SPDX-License-Identifier: Apache-2.0
"""Figures of slices, their manager, agents, federation and forecasts, for `test_same_figures`."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from figures import COMPUTED, LEARNT, area, numbers, short

from ir_common.config import ConfigError
from ir_common.journal import Journaled
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_slicing.allocation.demand import Load
from ir_slicing.allocation.division import Request, divide
from ir_slicing.learning.agent_weights import AgentWeights
from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.correction import CORRECTION_STATE
from ir_slicing.learning.device_traffic import Source, TrafficConfig, generate
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.large_federation import FederationRun, run_in_process
from ir_slicing.learning.forecaster.baselines import seasonal_naive
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.learning.need_forecast import forecast_needs
from ir_slicing.learning.policy_training import PolicyTrainingConfig, asking, evaluate, foreseeing, train
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SlicingEnvironment
from ir_slicing.live.live_forecaster import LiveForecaster, LiveForecasterConfig
from ir_slicing.live.live_training import LiveTrainingConfig, train_live
from ir_slicing.live.load_steps import judge, load_step, recovery, rehearse
from ir_slicing.live.scenes import KINDS, scene
from ir_slicing.live.slice_agent import SliceAgent
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_view import SliceView
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_journal import keep
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.admission import Registry, SliceRefused

SLICES = Path(__file__).resolve().parents[2] / "config" / "slices.yaml"
SECOND = 1_000_000_000


def spec(name: str, rate: float, kind: str = "embb", **changes: Any) -> SliceSpec:
    return SliceSpec(name=name, type=kind, rate=rate, **({"max_latency": 0.1, "reliability": 0.9} | changes))


@area(COMPUTED)
def slicing_manager() -> dict[str, Any]:
    """Reports, requests of operators and of agents, links that change, lifetimes, and a restart from the file."""
    made: dict[str, Any] = {}
    for policy in ("proportional", "learned", "static"):
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.yaml"
            config = ManagerConfig(slices_file=SLICES, policy=policy, state_file=state, demand_time_constant=0.5)
            manager, calls = keep(config, 0)
            rng, decided, reasons = np.random.default_rng(3), [], Counter[str]()
            for step in range(150):
                now = SECOND + step * SECOND // 5
                names = list(manager.registry.slices)
                loads = {
                    name: Load(float(rng.uniform(0, 6e7)), float(rng.uniform(0, 1e6)), bool(rng.random() < 0.3))
                    for name in names
                }  # fmt: skip
                links = {"cart": float(rng.uniform(1e5, 1e6)), "spider": math.nan, "hopper": 8e5}
                calls.apply("report", now, loads, links)
                for name in names[: 3 - (step // 40) % 2]:
                    reasons[calls.apply("take", now / SECOND, name, float(rng.uniform(-1, 60)))] += 1
                operate(manager, calls, now, step, reasons)
                calls.apply("tick", now)
                if calls.apply("allocate"):
                    decided.append(manager.allocation.blocks)
            manager.save()
            again = SliceManager(config, now)
            events = manager.trail.take()
            made[policy] = {
                "decided": [len(decided), short([n for one in decided for n in one.values()]), manager.allocation],
                "reasons": dict(reasons),
                "trail": dict(Counter(f"{event.action} {event.accepted}" for event in events)),
                "said": numbers("\n".join(event.reason for event in events)),
                "standing": [manager.requests.standing(name) for name in manager.registry.slices],
                "refused": [dict(manager.requests.refused), dict(manager.trail.refused)],
                "again": [list(again.registry.slices), again.allocation.sequence, again.room()],
                "journal": calls.journal.take()[1].count("\n"),
            }
    return made


def operate(manager: SliceManager, calls: Journaled, now: int, step: int, reasons: Counter[str]) -> None:
    """What an operator asks for in a step; what is refused is counted by its class."""
    new = {"lifetime": 4.0, "max_latency": 0.05}
    asked: dict[int, tuple[Any, ...]] = {
        20: ("create", now, "test", "extra", spec("extra", 2e6, **new)),
        25: ("create", now, "test", "huge", spec("huge", 1e9)),
        30: ("modify", now, "test", "extra", spec("extra", 1e6, **new)),
        50: ("set_active", now, "test", "cart", False),
        60: ("set_active", now, "test", "cart", True),
        70: ("delete", now, "test", "nobody"),
        80: ("set_template", now, "test", "mine", spec("mine", 3e6)),
        100: ("configure", manager.config.model_copy(update={"hysteresis": 0.4, "reserve": 0.3})),
        120: ("delete", now, "test", "mine_2"),
    }
    try:
        if step == 90:
            calls.apply("create", now, "test", "mine", manager.registry.from_template("mine", "mine_2"))
        elif step in asked:
            calls.apply(*asked[step])
    except (SliceRefused, ConfigError) as error:
        reasons[type(error).__name__] += 1


@area(COMPUTED)
def slicing_admission() -> dict[str, Any]:
    registry = Registry(Carrier(bandwidth=10e6, resource_blocks=50), [spec("video", 45e6)], urllc_margin=0.25)
    rng, answers = np.random.default_rng(4), []
    for number in range(60):
        name, rate = f"s{rng.integers(5)}", float(rng.uniform(1e5, 3e7))
        flow = FlowSpec(robots=("cart*",), topic=f"t{rng.integers(6)}", direction="uplink")
        changes: dict[str, Any] = {"flows": (flow,), "share": 0.3 if number % 7 == 3 else None}
        one = spec(name, rate, "urllc" if number % 3 else "embb", max_latency=0.1 / (1 + number % 150), **changes)
        try:
            what = (registry.create, registry.modify)[number % 4 == 3]
            what(one, number, lambda made: 5e5 + 1e5 * len(made.name))
            answers.append("")
        except SliceRefused as error:
            answers.append(str(error))
        if number % 9 == 8:
            registry.slices.pop(next(iter(registry.slices)), None)
    requests = [Request(str(k), 3.0 + k, 1.0 + k / 2, float(7 * k % 11), k % 2) for k in range(6)]
    return {
        "admitted": [sum(not answer for answer in answers), list(registry.slices), numbers("\n".join(answers))],
        "divided": [divide(requests, carrier) for carrier in (5.0, 25.0, 60.3)],
    }


def cell(config: EnvironmentConfig, steps: int, seed: int, envs: int = 2, devices: int = 5) -> SlicingEnvironment:
    traffic = generate(TrafficConfig(devices=devices), steps, envs, seed)
    return SlicingEnvironment(config, traffic, seed)


@area(COMPUTED)
def slicing_environment() -> dict[str, Any]:
    made = {}
    for name, changes in (
        ("plain", {}), ("printed", {"action": "printed", "overload": "scaled", "fading_samples": 1, "max_share": 0.4}),
    ):  # fmt: skip
        world, rng = cell(EnvironmentConfig(**changes), 40, 1), np.random.default_rng(2)
        state, states, rewards = world.reset(), [], []
        for _ in range(30):
            state, outcome, _ = world.step(rng.uniform(-1.3, 1.3, world.blocks.shape))
            states.append(state)
            rewards.append([outcome.reward, outcome.utilisation, outcome.satisfaction])
        reserved = np.arange(1.0, 1.0 + world.slices)
        policies = {
            "equal": rules.equal, "proportional": rules.proportional,
            "nvs": lambda env: rules.nvs(env, reserved), "best": foreseeing(rules.clairvoyant),  # noqa: B023
        }  # fmt: skip
        earned = {rule: float(evaluate(world, policy, 8).reward.mean()) for rule, policy in policies.items()}
        made[name] = [short(world.traffic), short(states), short(rewards), world.blocks[0], earned]
    source = Source(TrafficConfig(devices=6), 60, np.random.default_rng(5))
    return made | {"best": short(source.best(np.array([20, 30]), (1, 3)))}


@area(LEARNT)
def slicing_agents() -> dict[str, Any]:
    small = {"hidden": (12, 12), "warm_up": 32, "batch": 16, "epsilon_steps": 40}
    made: dict[str, Any] = {}
    for name, training in (
        ("federated", {"period": 5, "absent": 0.3, "personal_layers": 1}),
        ("trimmed", {"period": 7, "server": ServerConfig(aggregation="trimmed_mean", norm_bound=2.0)}),
        ("alone", {"federated": False}),
    ):
        world, agent = cell(EnvironmentConfig(), 60, 3), DDPG(DDPGConfig(**small, actor_delay=5), 6, 1)
        history = train(world, agent, PolicyTrainingConfig(steps=80, episode=15, **training), 2)
        made[name] = [short(history.reward), short(history.loss), history.traffic[-1], short(agent.weights()),
                      float(evaluate(world, asking(agent), 20).reward.mean()), agent.architecture]  # fmt: skip
    world, agent = cell(EnvironmentConfig(), 60, 3), DQN(DQNConfig(**small), 6, 1)
    history = train(world, agent, PolicyTrainingConfig(steps=60, federated=False), 2)
    made["dqn"] = [short(history.reward), short(history.loss), float(evaluate(world, asking(agent), 20).reward.mean())]
    server, many = run_in_process(FederationRun(slices=3, rounds=2, steps=12, devices=4, seed=3))
    made["many"] = [many, short(server.weights), dict(server.refused), server.received_bytes]
    return made


@area(LEARNT)
def slicing_forecasts() -> dict[str, Any]:
    traffic = generate(TrafficConfig(devices=6, day=24), 260, 1, 6)[:, 0, 0]
    last, horizons = np.arange(210, 250), (1, 3)
    small = {"window": 8, "horizons": horizons, "features": 8, "embedding": 4, "heads": 2}
    made: dict[str, Any] = {"naive": short(seasonal_naive(traffic, last, horizons, 24))}
    for name, changes in (("whole", {}), ("softmax", {"head": "softmax"}), ("printed", {"graph": "printed"}),
                          ("attention", {"linear": False})):  # fmt: skip
        made_of = FitConfig(day=24, epochs=2, graph_epochs=1, seed=1)
        forecaster = fit_forecaster(traffic, ForecasterConfig(**small, **changes), made_of)
        made[name] = [forecaster.history, short(forecaster.predict(traffic, last))]
    world = cell(EnvironmentConfig(), 30, 6, envs=1, devices=6)
    one = fit_forecaster(traffic, ForecasterConfig(**{**small, "horizons": (1,)}), made_of)
    needs = forecast_needs(world, [one] * world.slices, rates_from=8)
    return made | {"needs": short(needs.blocks), "quantiles": short(needs.quantiles)}


@area(LEARNT)
def slicing_live() -> dict[str, Any]:
    """Agents of live slices with a server, and rehearsals of load steps."""
    start = DDPG(DDPGConfig(hidden=(8,)), 1, 4, CORRECTION_STATE)
    weights = AgentWeights((8,), start.architecture, start.weights()[0])
    names = ("cart", "video")
    forecaster = LiveForecasterConfig()
    agents = [
        SliceAgent(name, 0.1, SliceAgentConfig(warm_up=8), weights, LiveForecaster(forecaster, 0, train=False), k)
        for k, name in enumerate(names)
    ]
    server = AveragingServer(ServerConfig(), weights.values, weights.architecture, names)
    rng, asked, told, held = np.random.default_rng(7), list[float](), list[float](), [50.0, 50.0]
    for step in range(60):
        for k, agent in enumerate(agents):
            view = SliceView(
                time=1.0 + 0.2 * step, devices=("a/x", "b/x"),
                offered=tuple(rng.uniform(0, 4e6, 2).tolist()), packet=(1e4, 1e4),
                block_rate=(1e6, 0.5e6), queued=float(rng.uniform(0, 1e6)), allocated=held[k], slices=2,
                delay=float(rng.uniform(0, 0.2)), delivered=int(rng.integers(0, 20)), dropped=int(rng.integers(0, 3)),
                carrier=200.0,
            )  # fmt: skip
            asked.append(agent.step(view))
            held[k] = min(asked[-1], 80.0)
            told.append(agent.sight.reward(view))
            agent.learn()
        if step % 20 == 19:
            for agent in agents:
                data = agent.update(server.round)
                told.append(float(len(data or b"")))
                server.receive(data or b"")
            change = server.close().to_bytes()
            told += [float(agent.apply(change)) for agent in agents]
    made: dict[str, Any] = {"agents": [short(asked), short(told), dict(server.refused), short(server.weights)]}
    carrier, config = Carrier(), SliceAgentConfig()
    agent = DDPG(DDPGConfig(hidden=(8,)), 1, 5, CORRECTION_STATE)
    jump = load_step(carrier, 2, after=8)
    for policy in ("proportional", "static", "learned"):
        periods = rehearse(jump, policy, config, agent if policy == "learned" else None)
        blocks, delays = [one.blocks for one in periods], [one.delay for one in periods]
        met = np.array([one.met for one in periods])
        made[policy] = [short(blocks), short(delays), int(met.sum()), recovery(met[:, 0])]
    made["judged"] = judge(carrier, "proportional", config, None, range(2), after=8)
    scenes = {kind: scene(carrier, kind, 3, 20) for kind in KINDS}
    made["scenes"] = {kind: [short(one.offered), short(list(one.drives.values()))] for kind, one in scenes.items()}
    made_of = LiveTrainingConfig(scenes=1, reports=30, period=5)
    trained = train_live(carrier, config, made_of, DDPGConfig(hidden=(8,), warm_up=8, actor_delay=2), 3)
    return made | {"trained": short(trained.values)}
