# SPDX-License-Identifier: Apache-2.0
"""Twins that are told the journal of others say the same, to the last bit."""

import json
import math
from dataclasses import astuple

import numpy as np
import pytest

from ir_common.journal import Journaled
from ir_dynamics.dynamics_config import PRESETS
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.transitions import layout_of
from ir_sim.tasks import make_task
from ir_twin.fleet_twins import FleetTwins
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import TwinConfig, VetoConfig
from ir_twin.twin_journal import TwinJournal, TwinReplay

DRIFT = 2.0
"""Of every number of a state in one step, and as the networks foresee it."""


@pytest.mark.parametrize("preset", ["live", "ensemble"])
def test_repeated_twins_give_the_same_verdicts(preset):
    """With the states of either preset; the network is the same kind."""
    task = make_task("hopper", None)
    n, m = len(task.observation_names), len(task.action_names)
    layout = layout_of(preset, n, m)
    config = TwinConfig(
        robots=("hopper", "other:hopper"), mode="enforce", reward_window=500, threshold=0.0, max_veto_share=1.0
    )
    shared = TaskTwin(task.name, layout, config.reward_window)
    twins = [RobotTwin(name, shared, task.safe_action, task.clip) for name in ("hopper", "other")]
    fleet = FleetTwins([shared], twins)
    journal = TwinJournal(config, fleet, dict.fromkeys(fleet.robots, task))
    calls = Journaled(fleet, journal)
    calls.apply("settings", config)
    rng = np.random.default_rng(5)
    trainer = PredictTrainer(PRESETS["live"], layout, 7)
    verdicts, expected, sent = [], 0, {"hopper": [], "other": []}
    for step in range(400):
        now = (step + 1) * 8_000_000
        if step % 50 == 20:
            nothing = PredictionError(math.nan, math.nan, np.full(n, math.nan))
            network = trainer.export()
            network.output_mean[:n] = DRIFT
            model = ModelVersion(task.name, step // 50 + 1, network, step, step, nothing, 0.0)
            calls.apply("adopt", task.name, model)
            trainer = PredictTrainer(PRESETS["live"], layout, step)
        if step == 200:
            config = config.model_copy(update={"max_consecutive_vetoes": 2})
            calls.apply("settings", config)
            calls.apply("reconsider", task.name)
        actions: list[np.ndarray | None] = []
        for twin in twins:
            actions.append(None if step == 111 else rng.normal(size=m) * 2)
            late = task.clip(sent[twin.robot][max(step - 3, step // 90 * 90)]) if step % 90 else []
            content = {
                "episode": step // 90, "step": step % 90, "observation": DRIFT * (step % 90) + rng.normal(size=n),
                "action": late, "reward": float(rng.normal()), "terminated": step % 90 == 89, "truncated": False,
            }  # fmt: skip
            calls.apply("observe", twin.robot, now, task.name, content)
            if twin.delay.steps:
                expected += calls.apply("expect", twin.robot) is not None
            if step % 2:
                verdicts += calls.apply("judge", [(twin.robot, actions[-1])], now)
        if not step % 2:
            verdicts += calls.apply("judge", list(zip(fleet.robots, actions, strict=True)), now)
        for twin, verdict in zip(twins, verdicts[-2:], strict=True):
            sent[twin.robot].append(verdict.sent)
    assert expected > 100  # commands are two control steps late, and the drift is foreseen
    (_, begin), *entries = map(json.loads, journal.take()[1].splitlines())
    if preset == "live":
        begin["tasks"] = {task.name: [n, m]}  # as bags hold it that were recorded before states had a memory
    replay = TwinReplay(**begin)
    said = [content for call, *arguments in entries for _, _, content in replay.apply(call, *arguments)]
    assert len({verdict.reason for verdict in verdicts}) >= 4  # accepted, vetoed, invalid, no model
    for verdict, content in zip(verdicts, said, strict=True):
        found = dict(content)
        assert found.pop("reason") == int(verdict.reason)
        assert found.pop("sent") == verdict.sent.tolist()
        for name, value in found.items():
            np.testing.assert_equal(value, getattr(verdict, name), name)
    counts = replay.totals()["robots"]["hopper"]["verdicts"]
    assert counts["proposals"] == 400 and counts["vetoed"] > 0 and counts["invalid"] == 1


def test_the_lines_are_those_of_earlier_journals():
    """Bags hold them: what is written today is read by what was written before, and the other way round."""
    task = make_task("cart", None)
    config = TwinConfig(robots=("cart",), mode="off", edge_namespace="/edge", reward_window=700)
    layout = layout_of("live", len(task.observation_names), len(task.action_names))
    shared = TaskTwin(task.name, layout, config.reward_window)
    fleet = FleetTwins([shared], [RobotTwin("cart", shared, task.safe_action, task.clip)])
    journal = TwinJournal(config, fleet, {"cart": task})
    calls = Journaled(fleet, journal)
    content = {"episode": 1, "step": 0, "observation": np.zeros(2), "action": [], "reward": 0.5, "terminated": False}
    calls.apply("observe", "cart", 7, task.name, content)
    calls.apply("expect", "cart")
    calls.apply("settings", config)
    calls.apply("reconsider", task.name)
    calls.apply("judge", [("cart", np.array([0.5, -1.0])), ("cart", None)], 9)
    begin, observe, expect, settings, reconsider, judge = journal.take()[1].splitlines()
    low, high = task.action_low.tolist(), task.action_high.tolist()
    robot = {"task": task.name, "safe": task.safe_action.tolist(), "low": low, "high": high}
    assert json.loads(begin) == [
        "begin",
        {
            "edge_namespace": "/edge", "reward_window": 700,
            "tasks": {task.name: [*astuple(layout)]}, "robots": {"cart": robot},
        },
    ]  # fmt: skip
    assert observe == (
        '["observe","cart",7,"cart_navigation",{"episode":1,"step":0,"observation":[0.0,0.0],"action":[],'
        '"reward":0.5,"terminated":false}]'
    )
    assert expect == '["expect","cart"]' and reconsider == '["reconsider","cart_navigation"]'
    assert settings.startswith('["settings",{"mode":"off","threshold":"auto",')
    assert set(json.loads(settings)[1]) == set(VetoConfig.model_fields), "nothing of the node or its learner"
    assert judge == '["judge",[["cart",[0.5,-1.0]],["cart",null]],9]'
    with pytest.raises(ValueError, match="no call apply"):
        fleet.apply("apply", "expect")
