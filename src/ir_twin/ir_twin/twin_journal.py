# SPDX-License-Identifier: Apache-2.0
"""The journal of the robots' twins, and twins that repeat one."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from ir_common.journal import Journal
from ir_dynamics.model_checkpoint import load_network
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.transitions import TransitionLayout
from ir_sim.tasks import Task
from ir_twin.robot_twin import RobotTwin, TaskTwin
from ir_twin.twin_config import TwinConfig, VetoConfig
from ir_twin.veto import Reason

_VETO = set(VetoConfig.model_fields)


class TwinJournal(Journal):
    """Everything that the twins of a node are told: states, proposals, versions of the networks, settings.

    Args:
        config: of the node.
        robots: each twin with its task.
    """

    def __init__(self, config: TwinConfig, robots: list[tuple[RobotTwin, Task]]) -> None:
        tasks = {twin.task.name: twin.task.layout for twin, _ in robots}
        begin = {
            "edge_namespace": config.edge_namespace,
            "reward_window": config.reward_window,
            "tasks": {name: astuple(layout) for name, layout in tasks.items()},
            "robots": {
                twin.robot: {
                    "task": twin.task.name, "safe": twin.safe_action, "low": task.action_low, "high": task.action_high
                }
                for twin, task in robots
            },
        }  # fmt: skip
        super().__init__("twin", begin)
        self._config: VetoConfig | None = None
        for task in {id(twin.task): twin.task for twin, _ in robots}.values():
            if task.model is not None:
                self._settings(config)
                self.add("adopt", task.name, _text(task.model))
            self._watch_task(task)
        for twin, _ in robots:
            self._watch_robot(twin)

    def _settings(self, config: VetoConfig) -> None:
        if config is not self._config:
            self._config = config
            self.add("settings", config.model_dump(include=_VETO))

    def _watch_robot(self, twin: RobotTwin) -> None:
        observe, expect = twin.observe, twin.expect

        def watched_observe(stamp: int, task: str, **content: Any) -> Any:
            self.add("observe", twin.robot, stamp, task, content)
            return observe(stamp, task, **content)

        def watched_expect() -> Any:
            self.add("expect", twin.robot)
            return expect()

        twin.observe, twin.expect = watched_observe, watched_expect  # type: ignore[method-assign]

    def _watch_task(self, task: TaskTwin) -> None:
        adopt, reconsider, judge = task.adopt, task.reconsider, task.judge
        inside: list[bool] = []

        def watched_adopt(model: ModelVersion, config: VetoConfig) -> str | None:
            self._settings(config)
            self.add("adopt", task.name, _text(model))
            inside.append(True)
            try:
                return adopt(model, config)
            finally:
                inside.clear()

        def watched_reconsider(config: VetoConfig) -> str | None:
            if not inside:
                self._settings(config)
                self.add("reconsider", task.name)
            return reconsider(config)

        def watched_judge(robots: Sequence[RobotTwin], actions: Sequence[Any], now: int, config: VetoConfig) -> Any:
            self._settings(config)
            self.add("judge", [[twin.robot, action] for twin, action in zip(robots, actions, strict=True)], now)
            return judge(robots, actions, now, config)

        task.adopt, task.reconsider = watched_adopt, watched_reconsider  # type: ignore[method-assign]
        task.judge = watched_judge  # type: ignore[method-assign]


class TwinReplay:
    """Twins that are told the calls of a journal; their verdicts are those of the recorded twins."""

    def __init__(
        self, edge_namespace: str, reward_window: int, tasks: dict[str, list[Any]], robots: dict[str, dict[str, Any]]
    ) -> None:
        self._namespace, self._config = edge_namespace, VetoConfig()
        self.tasks = {name: TaskTwin(name, TransitionLayout(*layout), reward_window) for name, layout in tasks.items()}
        self.robots = {
            name: RobotTwin(name, self.tasks[row["task"]], np.array(row["safe"]), _clip(row["low"], row["high"]))
            for name, row in robots.items()
        }

    def apply(self, call: str, *arguments: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Makes a call; yields what the recorded node said after it: (topic, key, content)."""
        if call == "settings":
            self._config = VetoConfig.model_validate(arguments[0])
        elif call == "observe":
            robot, stamp, task, content = arguments
            self.robots[robot].observe(stamp, task, **content)
        elif call == "expect":
            self.robots[arguments[0]].expect()
        elif call == "adopt":
            self.tasks[arguments[0]].adopt(_model(arguments[0], *arguments[1]), self._config)
        elif call == "reconsider":
            self.tasks[arguments[0]].reconsider(self._config)
        elif call == "judge":
            yield from self._judged(*arguments)
        else:
            raise ValueError(f"a twin has no call {call}")

    def _judged(
        self, proposals: list[tuple[str, list[float] | None]], now: int
    ) -> Iterator[tuple[str, int, dict[str, Any]]]:
        twins = [self.robots[robot] for robot, _ in proposals]
        actions = [None if action is None else np.array(action) for _, action in proposals]
        for twin, verdict in zip(twins, twins[0].task.judge(twins, actions, now, self._config), strict=True):
            said = {
                "reason": int(verdict.reason),
                "accepted": verdict.accepted,
                "sent_safe_action": verdict.sent_safe_action,
                "predicted_reward": verdict.predicted_reward,
                "threshold": verdict.threshold,
                "sent": verdict.sent.tolist(),
                "model_version": verdict.model_version,
            }
            yield f"{self._namespace}/{twin.robot}/verdict", twin.proposals, said

    def totals(self) -> dict[str, Any]:
        """The twins' part of the run's report."""
        return {"robots": {name: {"verdicts": _counts(twin)} for name, twin in self.robots.items()}}


def _counts(twin: RobotTwin) -> dict[str, int]:
    counts = twin.counts
    untested = sum(counts[r] for r in (Reason.NO_MODEL, Reason.STALE_STATE, Reason.NO_PREDICTION, Reason.UNTESTED))
    accepted, invalid = counts[Reason.ACCEPTED], counts[Reason.INVALID_COMMAND]
    vetoed = twin.proposals - accepted - invalid - untested
    return {
        "proposals": twin.proposals,
        "accepted": accepted,
        "vetoed": vetoed,
        "invalid": invalid,
        "untested": untested,
        "model_version": twin.task.version,
    }


def _clip(low: list[float], high: list[float]) -> Callable[[Any], Any]:
    return lambda action: np.clip(action, np.array(low), np.array(high))


def _text(model: ModelVersion) -> list[Any]:
    """Version, transitions, steps and the network's file, as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        model.network.save(path)
        data = path.read_bytes()
    return [model.version, model.transitions, model.steps, base64.b64encode(data).decode()]


def _model(task: str, version: int, transitions: int, steps: int, text: str) -> ModelVersion:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        path.write_bytes(base64.b64decode(text))
        network = load_network(path)
    nothing = float("nan")
    error = PredictionError(nothing, nothing, np.full(network.num_state, nothing))
    return ModelVersion(task, version, network, transitions, steps, error, nothing)
