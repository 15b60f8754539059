# SPDX-License-Identifier: Apache-2.0
"""Transitions from a rosbag2 (sqlite3 or MCAP), with no ROS installation needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import FittingConfig
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import Rows, TransitionLayout, TransitionMaker, layout_of
from ir_sim.tasks import TASKS, Task

STATE = "ir_interfaces/msg/TaskState"


@dataclass
class Recorded:
    """What a bag holds of one task."""

    task: Task
    layout: TransitionLayout
    topics: list[str] = field(default_factory=list)
    rows: Rows = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """[n, width] transitions, robot by robot, each in order of time."""
    gaps: int = 0
    """Breaks in the sequence: lost messages."""
    refused: int = 0
    """Messages with NaN, infinity or wrong widths."""


def read_transitions(
    path: Path,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    config: FittingConfig | None = None,
) -> dict[str, Recorded]:
    """Reads the transitions of every task in a bag.

    Where the state of one robot was recorded on both sides of the radio, the topic with more messages is taken.

    Args:
        path: folder of the bag, or one .mcap file.
        skip_bad: refused messages are counted, not an error.
        progress: told (messages done, messages in all).
        config: of the fit that is to have them: its preset and `risk_horizon`.

    Returns:
        By name of the task.

    Raises:
        ConfigError: no bag that can be read, no topic with states, an unknown task, a bad message, or no transition.
    """
    try:
        with AnyReader([path], default_typestore=_types()) as reader:
            found = _read(path, reader, skip_bad, progress, config or FittingConfig())
    except ConfigError:
        raise
    except Exception as error:  # rosbags lets through what its parsers, sqlite3, struct and zstd raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path}: is no bag that can be read ({reason}); give the folder of a rosbag2") from None
    if not any(len(recorded.rows) for recorded in found.values()):
        raise ConfigError(f"{path}: its states make no transition: no two are successive steps of an episode")
    return {name: recorded for name, recorded in found.items() if len(recorded.rows)}


def _read(
    path: Path, reader: AnyReader, skip_bad: bool, progress: Callable[[int, int], None], config: FittingConfig
) -> dict[str, Recorded]:
    tasks = {task.name: task for task in (kind() for kind in TASKS.values())}
    connections = _chosen(path, reader)
    total = sum(connection.msgcount for connection in connections)
    found: dict[str, Recorded] = {}
    makers: dict[tuple[str, str], TransitionMaker] = {}
    labels: dict[tuple[str, str], TerminationLabels] = {}
    kept: dict[tuple[str, str], list[Rows]] = {}
    for done, (connection, time, data) in enumerate(reader.messages(connections)):
        message: Any = reader.deserialize(data, connection.msgtype)
        if message.task not in tasks:
            raise ConfigError(f"{path}: {connection.topic} is of task {message.task!r}; known: {', '.join(tasks)}")
        task = tasks[message.task]
        layout = layout_of(config.preset, len(task.observation_names), len(task.action_names))
        recorded = found.setdefault(task.name, Recorded(task, layout))
        key = task.name, connection.topic
        if key not in makers:
            makers[key] = TransitionMaker(layout)
            labels[key] = TerminationLabels(config.risk_horizon if layout.ahead else 0.0, task.control_period)
            recorded.topics.append(connection.topic)
        transition = makers[key].feed(
            episode=message.episode, step=message.step, observation=message.observation, action=message.action,
            reward=message.reward, terminated=message.terminated, truncated=message.truncated,
        )  # fmt: skip
        if makers[key].rejected and not skip_bad:
            raise ConfigError(
                f"{path}: {connection.topic} at {time / 1e9:.3f} s: NaN, infinity or wrong width "
                f"({len(message.observation)} and {len(message.action)} numbers, {task.name} has "
                f"{layout.num_observation} and {layout.num_action}); --skip-bad leaves such messages out"
            )
        labelled = labels[key].follow(transition, makers[key])
        kept.setdefault(key, []).extend(map(layout.pack, labelled))
        progress(done + 1, total)
    for key, label in labels.items():
        kept[key].extend(map(found[key[0]].layout.pack, label.end()))
    for name, recorded in found.items():
        packed = [row for (task_name, _), rows in kept.items() if task_name == name for row in rows]
        recorded.rows = np.stack(packed) if packed else np.empty((0, recorded.layout.width), np.float32)
        mine = [maker for (task_name, _), maker in makers.items() if task_name == name]
        recorded.gaps, recorded.refused = sum(m.gaps for m in mine), sum(m.rejected for m in mine)
    return found


def _chosen(path: Path, reader: AnyReader) -> list[Any]:
    """One connection with states for each robot; its `expected_state` is the twin's own prediction."""
    robots: dict[str, Any] = {}
    for connection in reader.connections:
        namespace, _, topic = connection.topic.rpartition("/")
        if connection.msgtype == STATE and connection.msgcount and topic == "state":
            robot = namespace.rpartition("/")[2]
            if robot not in robots or connection.msgcount > robots[robot].msgcount:
                robots[robot] = connection
    if not robots:
        topics = ", ".join(sorted(connection.topic for connection in reader.connections)) or "none"
        raise ConfigError(
            f"{path}: no messages of type {STATE} on topics /<robot>/state or /edge/<robot>/state; record these "
            f"(there are: {topics})"
        )
    return list(robots.values())


def _types() -> Any:
    """Standard types, and ours for a bag that does not carry their definitions."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in _share():
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), f"ir_interfaces/msg/{file.stem}"))
    return store


def _share() -> Iterator[Path]:
    """The message files of ir_interfaces where it is installed."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        files = sorted((Path(prefix) / "share" / "ir_interfaces" / "msg").glob("TaskState.msg"))
        if files:
            yield from files
            return
