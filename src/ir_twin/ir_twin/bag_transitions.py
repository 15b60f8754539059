# SPDX-License-Identifier: Apache-2.0
"""The transitions that a rosbag2 bag (sqlite3 or MCAP, whole or cut off) holds of each task, without ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ir_bag.cdr import CdrDecoder
from ir_bag.contents import Topic
from ir_bag.definitions import Definitions
from ir_bag.reader import BagReader
from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import FittingConfig
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import Rows, TransitionLayout, TransitionMaker, layout_of
from ir_sim.tasks import TASKS, Task

STATE = "ir_interfaces/msg/TaskState"
_USED = {"task", "episode", "step", "observation", "action", "reward", "terminated", "truncated"}


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


class _Chain:
    """The successive states of one robot, and the transitions that they make.

    Args:
        topic: of the states.
        recorded: of the robot's task.
        config: of the learner that is to have the transitions.
    """

    def __init__(self, topic: str, recorded: Recorded, config: FittingConfig) -> None:
        self.topic, self.layout, self.task = topic, recorded.layout, recorded.task
        self.maker = TransitionMaker(self.layout)
        horizon = config.risk_horizon if self.layout.ahead else 0.0
        self._labels = TerminationLabels(horizon, self.task.control_period)
        self.rows: list[Rows] = []

    def take(self, state: dict[str, Any]) -> None:
        """Takes the content of one TaskState."""
        transition = self.maker.feed(**{name: state[name] for name in _USED - {"task"}})
        self.rows.extend(map(self.layout.pack, self._labels.follow(transition, self.maker)))

    def end(self) -> None:
        """Takes that no state follows."""
        self.rows.extend(map(self.layout.pack, self._labels.end()))


def read_transitions(
    path: Path,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    config: FittingConfig | None = None,
) -> dict[str, Recorded]:
    """Reads the transitions of every task in a bag.

    Where the state of one robot was recorded on both sides of the radio, the topic with more messages is taken. What is
    whole of a bag that was cut off is read.

    Args:
        path: folder of the bag, or one file of it.
        skip_bad: refused messages are counted, not an error.
        progress: told (messages done, messages in all).
        config: of the fit that is to have them: its preset and `risk_horizon`.

    Returns:
        By name of the task.

    Raises:
        ConfigError: no bag that can be read, no topic with states, an unknown task, a bad message, or no transition.
    """
    try:
        reader = BagReader(path)
    except ConfigError as error:
        raise _unreadable(path, error) from None
    found = _read(path, reader, skip_bad, progress, config or FittingConfig())
    if not any(len(recorded.rows) for recorded in found.values()):
        raise ConfigError(f"{path}: its states make no transition: no two are successive steps of an episode")
    return {name: recorded for name, recorded in found.items() if len(recorded.rows)}


def _unreadable(path: Path, reason: object) -> ConfigError:
    return ConfigError(f"{path}: is no bag that can be read ({reason}); give the folder of a rosbag2")


def _read(
    path: Path, reader: BagReader, skip_bad: bool, progress: Callable[[int, int], None], config: FittingConfig
) -> dict[str, Recorded]:
    tasks = {task.name: task for task in (kind() for kind in TASKS.values())}
    topics = _chosen(path, reader)
    total = sum(reader.summary.counts[topic.name] for topic in topics)
    found: dict[str, Recorded] = {}
    chains: dict[tuple[str, str], _Chain] = {}
    for done, (topic, time, state) in enumerate(_states(path, reader, topics)):
        if state["task"] not in tasks:
            raise ConfigError(f"{path}: {topic} is of task {state['task']!r}; known: {', '.join(tasks)}")
        task = tasks[state["task"]]
        layout = layout_of(config.preset, len(task.observation_names), len(task.action_names))
        recorded = found.setdefault(task.name, Recorded(task, layout))
        chain = chains.get((task.name, topic))
        if chain is None:
            chain = chains[task.name, topic] = _Chain(topic, recorded, config)
            recorded.topics.append(topic)
        chain.take(state)
        if chain.maker.rejected and not skip_bad:
            raise ConfigError(
                f"{path}: {topic} at {time / 1e9:.3f} s: NaN, infinity or wrong width "
                f"({len(state['observation'])} and {len(state['action'])} numbers, {task.name} has "
                f"{layout.num_observation} and {layout.num_action}); --skip-bad leaves such messages out"
            )
        progress(done + 1, total)
    for chain in chains.values():
        chain.end()
    for name, recorded in found.items():
        mine = [chain for chain in chains.values() if chain.task.name == name]
        packed = [row for chain in mine for row in chain.rows]
        recorded.rows = np.stack(packed) if packed else np.empty((0, recorded.layout.width), np.float32)
        recorded.gaps = sum(chain.maker.gaps for chain in mine)
        recorded.refused = sum(chain.maker.rejected for chain in mine)
    return found


def _states(path: Path, reader: BagReader, topics: list[Topic]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(topic, time of reception in ns, content) of every state, in the order of time."""
    try:
        decoders = {topic.name: _decoder(topic) for topic in topics}
        for message in reader.messages(decoders.keys()):
            yield message.topic, message.time, decoders[message.topic].decode(message.data)
    except (ConfigError, ValueError) as error:
        raise _unreadable(path, error) from None


def _decoder(topic: Topic) -> CdrDecoder:
    """Reads the messages of a topic by the definition in the bag or, where that has none, by the installed one.

    Raises:
        ValueError: there is neither, or it lacks a field that is needed.
    """
    text = topic.definition if topic.definition_format == "ros2msg" else ""
    if not text:
        installed = Definitions().find(STATE)
        if installed is None:
            raise ValueError(f"it has no definition of {STATE}, and none is installed")
        text = installed.text
    decoder = CdrDecoder(STATE, text)
    if missing := _USED - set(decoder.fields):
        raise ValueError(f"its {STATE} is of another version of the stack: it lacks {', '.join(sorted(missing))}")
    return decoder


def _chosen(path: Path, reader: BagReader) -> list[Topic]:
    """One topic with states for each robot; its `expected_state` is the twin's own prediction."""
    robots: dict[str, Topic] = {}
    counts, topics = reader.summary.counts, reader.summary.topics
    for topic in topics.values():
        namespace, _, last = topic.name.rpartition("/")
        if topic.type == STATE and counts.get(topic.name) and last == "state":
            robot = namespace.rpartition("/")[2]
            if robot not in robots or counts[topic.name] > counts[robots[robot].name]:
                robots[robot] = topic
    if not topics and reader.summary.problems:
        raise _unreadable(path, "; ".join(reader.summary.problems))
    if not robots:
        raise ConfigError(
            f"{path}: no messages of type {STATE} on topics /<robot>/state or /edge/<robot>/state; record these "
            f"(there are: {', '.join(sorted(topics)) or 'none'})"
        )
    return list(robots.values())
