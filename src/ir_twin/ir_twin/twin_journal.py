# SPDX-License-Identifier: Apache-2.0
"""The journal of a fleet's robot twins, and twins that repeat one."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from ir_common.journal import Journal
from ir_common.verdict_kinds import verdict_counts
from ir_dynamics.model_checkpoint import load_network
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.transitions import TransitionLayout
from ir_sim.tasks import Task
from ir_twin.fleet_twins import FleetTwins
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import TwinConfig, VetoConfig
from ir_twin.verdict import Proposed

_VETO = set(VetoConfig.model_fields)


class TwinJournal(Journal):
    """The calls of `FleetTwins` as lines: states, proposals, versions of the networks, settings.

    Args:
        config: of the node.
        twins: whose calls are written down.
        tasks: of each robot, by its name.
    """

    def __init__(self, config: TwinConfig, twins: FleetTwins, tasks: Mapping[str, Task]) -> None:
        begin = {
            "edge_namespace": config.edge_namespace,
            "reward_window": config.reward_window,
            "tasks": {name: astuple(task.layout) for name, task in twins.tasks.items()},
            "robots": {
                name: {
                    "task": twin.task.name, "safe": twin.safe_action,
                    "low": tasks[name].action_low, "high": tasks[name].action_high,
                }
                for name, twin in twins.robots.items()
            },
        }  # fmt: skip
        super().__init__("twin", begin)

    def add(self, *entry: Any) -> None:
        """Adds one call; a network goes in as the text of its file, settings as those of the veto alone."""
        call, *arguments = entry
        if call == "adopt":
            task, model = arguments
            arguments = [task, _text(model)]
        elif call == "judge":
            arguments = [[fields if fields[-1] is not None else fields[:2] for fields in arguments[0]], arguments[1]]
        elif call == "settings":
            arguments = [arguments[0].model_dump(include=_VETO)]
        super().add(call, *arguments)


class TwinReplay:
    """Twins that are told the calls of a journal; their verdicts are those of the recorded twins.

    Args are those of the first line: of a task its widths, of a robot ``task``, ``safe``, ``low`` and ``high``.
    """

    def __init__(
        self, edge_namespace: str, reward_window: int, tasks: dict[str, list[Any]], robots: dict[str, dict[str, Any]]
    ) -> None:
        self._namespace = edge_namespace
        shared = {name: TaskTwin(name, TransitionLayout(*layout), reward_window) for name, layout in tasks.items()}
        self._twins = FleetTwins(
            shared.values(),
            [
                RobotTwin(name, shared[row["task"]], np.array(row["safe"]), _clip(row["low"], row["high"]))
                for name, row in robots.items()
            ],
        )

    def apply(self, call: str, *arguments: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Makes a call; yields what the recorded node said after it: (topic, key, content)."""
        if call == "settings":
            self._twins.apply(call, VetoConfig.model_validate(arguments[0]))
        elif call == "adopt":
            self._twins.apply(call, arguments[0], _model(arguments[0], *arguments[1]))
        elif call == "judge":
            yield from self._judged(*arguments)
        else:
            self._twins.apply(call, *arguments)

    def _judged(self, proposals: list[list[Any]], now: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
        given = [
            Proposed(robot, *(None if action is None else np.array(action) for action in actions))
            for robot, *actions in proposals  # one, or with the noise-free one two
        ]
        for (robot, *_), verdict in zip(given, self._twins.apply("judge", given, now), strict=True):
            said = {
                "reason": int(verdict.reason),
                "accepted": verdict.accepted,
                "sent_safe_action": verdict.sent_safe_action,
                "predicted_reward": verdict.predicted_reward,
                "threshold": verdict.threshold,
                "sent": verdict.sent.tolist(),
                "model_version": verdict.model_version,
            }
            yield f"{self._namespace}/{robot}/verdict", self._twins.robots[robot].proposals, said

    def totals(self) -> dict[str, Any]:
        """The twins' part of the run's report."""
        return {
            "robots": {
                name: {"verdicts": verdict_counts(twin.counts) | {"model_version": twin.task.version}}
                for name, twin in self._twins.robots.items()
            }
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
