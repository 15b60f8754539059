# SPDX-License-Identifier: Apache-2.0
"""Pictures of one recorded run: the bag itself, the radio, the slices, the twin, and which node tells which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from draw import save
from matplotlib import pyplot
from matplotlib.colors import LogNorm
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from ir_bag.reader import BagReader
from ir_bag.ros_types import message_class
from ir_common.verdict_kinds import VETOES

SECOND = 1e9
BIN = 1.0  #: s of the bag's picture
WINDOW = 20.0  #: s at the end of a run that the twin's picture shows
HIDDEN = ("/parameter_events", "/rosout", "/ir/node_status", "/clock", "/tf", "/diagnostics")
PLACES = {
    "/simulator": (0.0, 2.7), "/robots": (0.0, 0.5), "/radio": (2.0, 1.5), "/slicing/manager": (2.0, 3.2),
    "/edge/twin": (4.0, 0.7), "controllers": (4.0, 2.6), "/dashboard": (2.0, -0.1),
}  # fmt: skip
"""Where a node stands in the picture of the stack; others are left out."""
BEND = 0.2  #: of the arrows in it, of their length


class Run:
    """A bag, with its times from its first /clock on in s."""

    def __init__(self, folder: Path) -> None:
        self.reader = BagReader(folder)
        self.begin = next(self.reader.messages(["/clock"])).time
        self.seconds = (self.reader.summary.end - self.begin) / SECOND

    def messages(self, *topics: str) -> Iterator[tuple[str, float, Any]]:
        """Topic, time (s) and message, in the order of time."""
        classes = {topic: message_class(self.reader.summary.topics[topic].type) for topic in topics}
        for message in self.reader.messages(topics):
            yield (
                message.topic,
                (message.time - self.begin) / SECOND,
                deserialize_message(message.data, classes[message.topic]),
            )


def bag(run: Run, path: Path) -> None:
    """Messages a second of each topic over time."""
    times = defaultdict(list)
    for message in run.reader.messages():
        times[message.topic].append((message.time - run.begin) / SECOND)
    names = sorted(times, key=lambda name: (name.startswith("/edge"), name))
    edges = np.arange(0.0, run.seconds + BIN, BIN)
    rates = np.array([np.histogram(times[name], edges)[0] / BIN for name in names])
    figure, axes = pyplot.subplots(figsize=(10, 0.155 * len(names) + 0.9), layout="constrained")
    shown = axes.pcolormesh(
        edges, np.arange(len(names) + 1), np.where(rates > 0, rates, np.nan), norm=LogNorm(2, 200), cmap="viridis"
    )
    axes.set_yticks(np.arange(len(names)) + 0.5, [f"{n}  {len(times[n]):,}" for n in names], fontsize=7)
    axes.invert_yaxis()
    axes.set(
        xlabel="s", title=f"a bag of {run.seconds:.0f} s: topics, their messages, and when they came", facecolor="0.93"
    )
    figure.colorbar(shown, label="messages / s", shrink=0.6, format="%g")
    save(figure, path)


def radio(run: Run, path: Path) -> None:
    """Rates and delays of each slice."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for _, time, report in run.messages("/radio/report"):
        for one in report.slices:
            values = [time, one.offered_rate / 1e6, one.delivered_rate / 1e6, 1e3 * one.recent_delay.p99]
            rows[one.slice].append(values)
    figure, (rates, delays) = pyplot.subplots(2, 1, figsize=(8, 5.2), sharex=True, layout="constrained")
    for name, values in sorted(rows.items()):
        time, offered, delivered, p99 = np.array(values).T
        (line,) = rates.plot(time, delivered, label=name, linewidth=1.4)
        rates.plot(time, offered, color=line.get_color(), linewidth=0.7, linestyle=":")
        delays.semilogy(time, p99, color=line.get_color(), linewidth=1.2, marker=".", markersize=3)
    rates.set(ylabel="Mb/s", title="what each slice carried (dotted: was offered), and its delay")
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    delays.set(xlabel="s", ylabel="p99 delay, ms")
    save(figure, path)


def slices(run: Run, path: Path, events: list[tuple[float, str]]) -> None:
    """How the carrier was divided, and what was done by hand."""
    times, shares, names = [], [], []
    for _, time, allocation in run.messages("/slicing/allocation"):
        times.append(time)
        shares.append(dict(zip(allocation.slices, allocation.resource_blocks, strict=True)))
        names += [name for name in allocation.slices if name not in names]
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    heights = np.array([[share.get(name, 0.0) for share in shares] for name in names])
    axes.stackplot(
        [*times, run.seconds], np.column_stack([heights, heights[:, -1]]), labels=names, step="post", alpha=0.85
    )
    for time, words in events:
        axes.axvline(time, color="black", linewidth=0.8)
        axes.annotate(
            words,
            (time, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
        )
    figure.legend(loc="outside lower center", ncols=4)
    axes.set(xlabel="s", ylabel="resource blocks", xlim=(0, run.seconds))
    axes.set_title("the carrier, divided by measured demand", pad=18)
    save(figure, path)


def twin(run: Run, path: Path, robots: tuple[str, ...] = ("cart", "spider", "hopper")) -> None:
    """Rewards as predicted and as they came, and what was vetoed."""
    figure, rows = pyplot.subplots(len(robots), 1, figsize=(8, 5.6), sharex=True, layout="constrained")
    for name, axes in zip(robots, rows, strict=True):
        seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for topic, time, message in run.messages(f"/edge/{name}/verdict", f"/edge/{name}/state"):
            if time < run.seconds - WINDOW:
                continue
            if topic.endswith("state"):
                seen["got"].append((time, message.reward))
                continue
            seen["predicted"].append((time, message.predicted_reward))
            if not message.accepted and message.reason in VETOES:
                seen["vetoed"].append((time, message.predicted_reward))
        axes.plot(*np.array(seen["got"]).T, linewidth=0.9, label="reward that the robot got")
        axes.plot(*np.array(seen["predicted"]).T, linewidth=0.7, label="predicted for the proposal")
        if seen["vetoed"]:
            axes.plot(*np.array(seen["vetoed"]).T, "v", color="tab:red", markersize=3, label="vetoed")
        axes.set(ylabel=f"{name}, reward", xlim=(run.seconds - WINDOW, run.seconds))
    figure.legend(*rows[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    rows[0].set_title("what the twin predicted for each proposal, and what came")
    rows[-1].set(xlabel="s")
    save(figure, path)


def edges(node: Node) -> list[tuple[str, str, str]]:
    """The ROS graph as it is: (topic, node that publishes, node that listens)."""
    found = []
    for topic, _ in node.get_topic_names_and_types():
        ends = [
            {f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in look(topic)}
            for look in (node.get_publishers_info_by_topic, node.get_subscriptions_info_by_topic)
        ]
        found += [(topic, a, b) for a in ends[0] for b in ends[1]]
    return found


def graph(run: Run, found: list[tuple[str, str, str]], path: Path) -> None:
    """Which node tells which how much: the ROS graph, with the bag's counts."""
    topics: dict[tuple[str, str], set[str]] = defaultdict(set)
    for topic, *ends in found:
        a, b = map(_place, ends)
        if a and b and a != b and topic not in HIDDEN and not topic.endswith("/journal"):
            topics[a, b].add(topic)
    figure, axes = pyplot.subplots(figsize=(10, 6), layout="constrained")
    for (a, b), names in topics.items():
        start, end = np.array(PLACES[a]), np.array(PLACES[b])
        rate = sum(run.reader.summary.counts.get(name, 0) for name in names) / run.seconds
        grey = "/dashboard" in (a, b)
        arrow = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={BEND}", "shrinkA": 40, "shrinkB": 40}
        arrow |= {"color": "0.8" if grey else "tab:blue", "linewidth": 0.6 + 0.8 * np.log10(1 + rate)}
        axes.annotate("", end, start, arrowprops=arrow)
        if not grey:
            at = (start + end) / 2 + BEND / 2 * np.array([end[1] - start[1], start[0] - end[0]])
            words = f"{len(names)} topic{'s' * (len(names) > 1)}\n{rate:,.0f} / s"
            axes.text(
                *at, words, fontsize=8, ha="center", va="center", bbox={"facecolor": "white", "linewidth": 0, "pad": 1}
            )
    for name, place in PLACES.items():
        box = {"boxstyle": "round,pad=0.6", "facecolor": "#e8f0fa"}
        axes.text(*place, name.removeprefix("/"), ha="center", va="center", bbox=box)
    for x, words in ((0.0, "robot side"), (2.0, "radio and slices"), (4.0, "edge side")):
        axes.text(x, 3.75, words, ha="center", weight="bold")
    axes.set(xlim=(-0.7, 4.7), ylim=(-0.4, 3.9))
    axes.axis("off")
    save(figure, path)


def _place(node: str) -> str:
    """The node's name in the picture; empty: it is not in it."""
    shown = "controllers" if node.endswith("/controller") else node
    return shown if shown in PLACES else ""
