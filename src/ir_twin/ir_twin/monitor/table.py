# SPDX-License-Identifier: Apache-2.0
"""The live table of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ir_common.run_totals import FederationTotals, HostTotals, RunTotals


def render(totals: RunTotals, wall_seconds: float, warnings: Iterable[str] = ()) -> RenderableType:
    """Everything at a glance: robots, slices, federation, restarts, and the last warnings of the nodes."""
    pace = totals.host.pace  # since time began to run
    if not math.isfinite(pace):
        pace = totals.simulated_seconds / wall_seconds if wall_seconds > 0 else 0.0
    head = Text(
        f"simulated {totals.simulated_seconds:.1f} s   wall {wall_seconds:.1f} s   pace {pace:.2f}", style="bold"
    )
    lacks = [Text(line, style="red", overflow="ellipsis", no_wrap=True) for line in totals.host.lacks]
    parts: list[RenderableType] = [head, _host(totals.host), *lacks, _robots(totals)]
    if totals.slices:
        parts.append(_slices(totals))
    parts += [_agent(task, figures) for task, figures in totals.agents.items()]
    if totals.federation:
        parts.append(_federation(totals.federation))
    restarts = {name: count for name, count in totals.restarts().items() if count}
    notes = f"allocation changes {totals.allocation_changes}   nodes {len(totals.restarts())}"
    parts.append(Text(notes + "   restarts " + (", ".join(f"{n} ×{c}" for n, c in restarts.items()) or "none")))
    parts += [Text(line, style="yellow", overflow="ellipsis", no_wrap=True) for line in warnings]
    return Group(*parts)


def _host(host: HostTotals) -> Text:
    """Whose numbers these are, and how long the simulation stood still for them."""
    waits = f"   waited {host.message.waited:.1f} s" if host.message and host.message.waits else ""
    return Text(host.line + waits, style="red" if host.models is False else "dim", overflow="ellipsis", no_wrap=True)


def _robots(totals: RunTotals) -> Table:
    table = _table(
        "robot", "moved m", "reward", "falls", "collisions", "goals", "accepted", "vetoed", "verdict ms p50/p99"
    )
    for name, robot in totals.robots.items():
        counts, verdicts = robot.counts.totals(), robot.verdicts.totals()
        table.add_row(
            name,
            f"{counts['distance']:.1f}",
            f"{counts['reward']:.1f}",
            *(f"{counts[key]:.0f}" for key in ("falls", "collisions", "goals")),
            *(f"{verdicts[key]:.0f}" for key in ("accepted", "vetoed")),
            f"{_ms(robot.latency_p50)} / {_ms(robot.latency_p99)}",
        )
    return table


def _slices(totals: RunTotals) -> Table:
    table = _table(
        "slice", "blocks", "offered Mb/s", "delivered Mb/s", "delivered", "dropped", "queued", "delay ms p50/p99"
    )
    for name in sorted(totals.slices):
        one = totals.slices[name]
        counts = one.counts()
        dropped = sum(pair[0] for key, pair in counts.items() if key.startswith("dropped "))
        table.add_row(
            name,
            f"{one.resource_blocks:.1f}",
            f"{one.offered_rate / 1e6:.2f}",
            f"{one.delivered_rate / 1e6:.2f}",
            str(counts["delivered"][0]),
            Text(str(dropped), style="red" if dropped else ""),
            str(counts["queued"][0]),
            f"{_ms(one.delay.get('p50', math.nan))} / {_ms(one.delay.get('p99', math.nan))}",
        )
    return table


def _agent(task: str, figures: Mapping[str, float | str | None]) -> Text:
    """One line of an agent that learns live."""
    counts = {name: value for name, value in figures.items() if isinstance(value, float | int)}
    score = counts.get("return", math.nan)
    told = [
        f"version {counts.get('version', 0):.0f}", f"handed {counts.get('versions', 0):.0f}",
        f"taken back {counts.get('taken_back', 0):.0f}", f"return {score:.1f}" if math.isfinite(score) else "return –",
        f"falls {counts.get('falls', 0):.0f}", f"from the twin {counts.get('twin_share', 0.0):.0%}",
    ]  # fmt: skip
    return Text(f"agent {task} ({figures.get('algorithm', '')})   " + "   ".join(told))


def _federation(one: FederationTotals) -> Text:
    counts, refused = one.counts(), one.refused()
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items())) or "none"
    return Text(
        f"federation round {one.round}   agents {len(one.participants)} of {len(one.participants) + len(one.silent)}"
        f"   up {counts['bytes_up'] / 1e3:.1f} kB   down {counts['bytes_down'] / 1e3:.1f} kB   refused {told}"
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}" if math.isfinite(seconds) else "–"
