# SPDX-License-Identifier: Apache-2.0
"""What the twin node decides, without a node: who is judged with whom, what is learnt from, said and recorded."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_common.verdict_kinds import Reason, Sent
from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import PRESETS
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError, PredictNetwork
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.transitions import Transition, TransitionLayout, layout_of
from ir_interfaces.msg import TwinStatus
from ir_sim.tasks import Task, make_task
from ir_twin.twin_config import TwinConfig
from ir_twin.twin_engine import LearnerPort, TwinEngine
from ir_twin.twin_journal import TwinReplay
from ir_twin.verdict import Proposed

SECOND = 1_000_000_000
CART, HOPPER = make_task("cart", None), make_task("hopper", None)
ROBOTS = {"cart": CART, "jumper": HOPPER, "cart_2": CART}


class Learner:
    """A learner that is given versions by hand."""

    def __init__(self) -> None:
        self.layouts: dict[str, TransitionLayout] = {}
        self.given: list[tuple[str, Transition]] = []
        self.resumed: list[ModelVersion] = []
        self.versions: list[ModelVersion] = []
        self.closed = False

    def declare(self, task: str, layout: TransitionLayout) -> None:
        self.layouts[task] = layout

    def resume(self, model: ModelVersion) -> None:
        self.resumed.append(model)

    def add(self, task: str, transition: Transition) -> None:
        self.given.append((task, transition))

    def poll(self) -> list[ModelVersion]:
        versions, self.versions = self.versions, []
        return versions

    def sent(self, task: str) -> int:
        return sum(name == task for name, _ in self.given)

    def rollbacks(self, task: str) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


def model(task: Task, version: int = 1) -> ModelVersion:
    """A network that predicts s' = s and the action's last number as reward."""
    n, m = len(task.observation_names), len(task.action_names)
    layer = np.zeros((n + m, n + 1), np.float32)
    layer[-1, -1] = 1.0
    mean, scale = np.zeros(n + m, np.float32), np.ones(n + m, np.float32)
    network = PredictNetwork(
        (layer,), (np.zeros(n + 1, np.float32),), "silu", True, mean, scale, mean[: n + 1], scale[: n + 1], math.inf
    )
    return ModelVersion(task.name, version, network, 100, 10, PredictionError(0.1, 0.2, np.zeros(n)), 0.1)


def make(**values: object) -> tuple[TwinEngine, Learner, list[str], list[str]]:
    learner, warnings, notes = Learner(), [], []
    port: LearnerPort = learner
    given = {"robots": tuple(ROBOTS), "mode": "enforce", "threshold": 0.0} | values
    config = TwinConfig.model_validate(given)
    return TwinEngine(config, ROBOTS, port, warnings.append, notes.append, recorded=True), learner, warnings, notes


def observe(engine: TwinEngine, step: int, stamp: int = SECOND, **changes: object) -> None:
    for robot, task in ROBOTS.items():
        content = {
            "episode": 0, "step": step, "observation": np.ones(len(task.observation_names)),
            "action": np.zeros(len(task.action_names)) if step else [], "reward": 0.5, "terminated": False,
            "truncated": False,
        }  # fmt: skip
        engine.observe(robot, stamp, task.name, **(content | changes))


def action(robot: str, last: float, noise_free: float | None = None) -> Proposed:
    width = len(ROBOTS[robot].action_names)
    return Proposed(robot, np.full(width, last), None if noise_free is None else np.full(width, noise_free))


def test_verdicts_come_in_the_order_of_the_proposals_and_one_pass_serves_a_task() -> None:
    engine, learner, _, notes = make()
    learner.versions = [model(CART), model(HOPPER, 3)]
    engine.exchange()
    assert len(notes) == 2 and notes[0].startswith("first model of cart_navigation: 100 transitions")
    observe(engine, 0)
    proposals = [action("cart", -0.2), action("jumper", 0.3), Proposed("cart_2", None), action("cart", 0.4)]
    verdicts = engine.judge(proposals, SECOND)
    reasons = [Reason.LOW_REWARD, Reason.ACCEPTED, Reason.INVALID_COMMAND, Reason.ACCEPTED]
    assert [verdict.reason for verdict in verdicts] == reasons
    assert [verdict.model_version for verdict in verdicts] == [1, 3, 1, 1]
    assert [round(v.predicted_reward, 6) for v in verdicts[:2]] == [-0.2, 0.3]
    assert engine.journal is not None
    calls = [json.loads(line) for line in engine.journal.take()[1].splitlines()]
    judged = [[robot for robot, *_ in entry[1]] for entry in calls if entry[0] == "judge"]
    assert judged == [["cart", "cart_2", "cart"], ["jumper"]]


def test_a_vetoed_exploration_is_replaced_by_what_the_controller_would_have_done_without_it() -> None:
    engine, learner, _, _ = make(replace_with="noise_free")
    learner.versions = [model(CART), model(HOPPER)]
    engine.exchange()
    observe(engine, 0)
    high = CART.action_high[-1]
    given = [action("cart", -0.2, 0.1), action("cart_2", 0.3, 0.1), action("jumper", -0.2, -0.4)]
    vetoed, passed, either = engine.judge(given, SECOND)
    assert (vetoed.reason, vetoed.sent_as) == (Reason.LOW_REWARD, Sent.NOISE_FREE) and not vetoed.accepted
    assert vetoed.sent.tolist() == [0.1, 0.1]
    assert passed.sent_as is Sent.PROPOSAL and passed.sent[-1] == 0.3
    assert either.sent_as is Sent.NOISE_FREE, "it is not asked whether that is better: the controller knows best"
    (beyond,) = engine.judge([action("cart", -0.2, 10.0 * high)], SECOND)
    assert beyond.sent[-1] == high
    for nothing in (None, math.nan):
        (verdict,) = engine.judge([action("cart", -0.2, nothing)], SECOND)
        assert verdict.reason is Reason.LOW_REWARD and verdict.sent_as is Sent.PROPOSAL, "nobody is corrected else"
    (invalid,) = engine.judge([Proposed("cart", None, np.full(2, 0.1))], SECOND)
    assert invalid.sent_as is Sent.SAFE
    engine.configure(engine.config.model_copy(update={"mode": "shadow"}))
    (shadow,) = engine.judge([action("cart", -0.2, 0.1)], SECOND)
    assert shadow.sent_as is Sent.PROPOSAL and not shadow.accepted


def test_a_repeated_journal_says_the_same() -> None:
    engine, learner, _, _ = make(max_veto_share=1.0)
    rng, verdicts = np.random.default_rng(2), []
    for step in range(150):
        observe(engine, step, step * SECOND // 10, reward=float(rng.normal()))
        verdicts += engine.judge([action(robot, rng.normal(), rng.normal()) for robot in ROBOTS], step * SECOND // 10)
        if step == 20:
            learner.versions = [model(CART), model(HOPPER)]
        engine.exchange()
        if step % 10 == 9:
            engine.reconsider()
        if step == 100:
            engine.configure(engine.config.model_copy(update={"mode": "shadow"}))
        if step == 60:
            engine.configure(engine.config.model_copy(update={"replace_with": "noise_free"}))
    assert engine.journal is not None
    (_, begin), *entries = map(json.loads, engine.journal.take()[1].splitlines())
    replay = TwinReplay(**begin)
    said = [content for call, *arguments in entries for _, _, content in replay.apply(call, *arguments)]
    found = sorted((one["reason"], one["accepted"], one["predicted_reward"]) for one in said)
    assert str(found) == str(sorted((int(v.reason), v.accepted, v.predicted_reward) for v in verdicts))
    assert {one["reason"] for one in said} >= {Reason.ACCEPTED, Reason.LOW_REWARD, Reason.NO_MODEL}


def test_the_learner_is_given_what_each_robot_did() -> None:
    engine, learner, _, _ = make(preset="ensemble", risk_horizon=10 * CART.control_period)
    assert set(learner.layouts) == {CART.name, HOPPER.name} and learner.layouts[CART.name].ahead
    for step in range(4):
        observe(engine, step, terminated=step == 3)
    carts = [transition.ahead for task, transition in learner.given if task == CART.name]
    assert len(carts) == 6 and carts[:3] == pytest.approx([0.05**0.2, 0.05**0.1, 1.0])
    assert engine.status("cart")["transitions"] == 6, "of its task"


def test_refused_states_are_said_once_in_five_seconds_for_each_robot() -> None:
    engine, _, warnings, _ = make()
    observe(engine, 0)
    for second in range(1, 7):
        observe(engine, 1, second * SECOND, reward=math.nan)
    told = [line.split(":")[0] for line in warnings]
    assert told == [*ROBOTS, *ROBOTS]
    assert warnings[3].startswith("cart: 6 states refused so far: NaN") and "'cart_navigation'" in warnings[3]
    assert engine.status("cart")["transitions_rejected"] == 6


def test_the_status_has_the_fields_of_its_message() -> None:
    engine, _, _, _ = make()
    engine.took("cart", 0.001)
    status = engine.status("cart")
    assert {"header", *status} == set(TwinStatus.get_fields_and_field_types())
    assert TwinStatus(**status).latency_p50 == pytest.approx(0.001, rel=0.03)
    assert math.isnan(engine.status("jumper")["latency_p50"])
    assert not engine.compensates("cart") and engine.expected("cart") is None, "no command is late"


def test_an_absurd_threshold_is_objected_to() -> None:
    engine, _, warnings, _ = make()
    for step in range(60):
        observe(engine, step)
    assert engine.threshold_objection(0.4) is None
    assert str(engine.threshold_objection(0.6)).startswith("cart_navigation: threshold 0.6 is above 100%")
    engine.configure(engine.config.model_copy(update={"threshold": 0.6}))
    engine.reconsider()
    assert [line.split(":")[0] for line in warnings] == [CART.name, HOPPER.name], "a standing objection is said once"


def test_with_a_practised_network_the_first_proposal_is_tested(tmp_path: Path) -> None:
    """The threshold rests on the transitions that practice held out; a checkpoint of an earlier run comes first."""
    layout = layout_of("live", len(CART.observation_names), len(CART.action_names))
    network = PredictTrainer(PRESETS["live"], layout, 1).export()
    path = model_checkpoint.file_of(tmp_path / "practised", CART.name)
    model_checkpoint.save(path, replace(model(CART), network=network), "live")
    rng = np.random.default_rng(0)
    held = rng.normal(size=(300, layout.width)).astype(np.float32)
    model_checkpoint.save_rows(path, held[:0], held, compressed=True)
    folders = {"practised": str(path.parent), "checkpoints": str(tmp_path / "mine")}
    engine, learner, _, _ = make(threshold="auto", **folders)
    assert [one.version for one in learner.resumed] == [1]
    rewards = held[:, layout.reward]
    assert engine.twins.tasks[CART.name].threshold.value <= np.quantile(rewards, 0.02)
    observe(engine, 0)
    verdicts = engine.judge([action("cart", 0.1), action("jumper", 0.1)], SECOND)
    assert verdicts[0].reason in (Reason.ACCEPTED, Reason.LOW_REWARD)
    assert verdicts[1].reason is Reason.NO_MODEL
    assert engine.journal is not None
    (_, begin), *entries = map(json.loads, engine.journal.take()[1].splitlines())
    replay = TwinReplay(**begin)
    said = [content for call, *arguments in entries for _, _, content in replay.apply(call, *arguments)]
    assert str([one["threshold"] for one in said]) == str([verdict.threshold for verdict in verdicts])
    newer = replace(model(CART, 9), network=network)
    model_checkpoint.save(model_checkpoint.file_of(tmp_path / "mine", CART.name), newer, "live")
    engine, learner, _, _ = make(threshold="auto", **folders)
    assert [one.version for one in learner.resumed] == [9]


def test_it_goes_on_from_checkpoints_and_refuses_damaged_ones(tmp_path: Path) -> None:
    path = model_checkpoint.file_of(tmp_path, CART.name)
    layout = layout_of("live", len(CART.observation_names), len(CART.action_names))
    version = replace(model(CART, 7), network=PredictTrainer(PRESETS["live"], layout, 1).export())
    model_checkpoint.save(path, version, "live")
    engine, learner, _, notes = make(checkpoints=str(tmp_path))
    assert [one.version for one in learner.resumed] == [7] == [engine.twins.tasks[CART.name].version]
    assert notes == [f"cart_navigation: goes on from version 7 of {path}"]
    engine.close()
    assert learner.closed
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="navigation"):
        make(checkpoints=str(tmp_path))
