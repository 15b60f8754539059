# SPDX-License-Identifier: Apache-2.0
"""Slices as tables for people and as plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]


def slices_table(slices: Sequence[Row]) -> Table:
    """Slices, or templates, in the form of `ros_verbs.listing`."""
    columns = (
        "slice",
        "type",
        "template",
        "blocks",
        "Mb/s",
        "within ms",
        "reliability",
        "priority",
        "lifetime s",
        "carries",
    )
    table = _table(*columns, left=(0, 1, 2, 9))
    for one in slices:
        spec = one["spec"]
        table.add_row(
            spec["name"],
            spec["type"],
            spec["template_name"] or "–",
            figure(one.get("resource_blocks"), 1),
            f"{spec['rate'] / 1e6:g}",
            f"{spec['max_latency'] * 1e3:g}",
            f"{spec['reliability']:g}",
            str(spec["priority"]),
            f"{spec['lifetime']:g}" if spec["lifetime"] else "–",
            carried(spec["flows"]),
        )
    return table


def carried(flows: Sequence[Row]) -> str:
    """The flows of a slice in a few words: topics with ↑ for the uplink and ↓ for the downlink."""
    arrows = {"uplink": "↑", "downlink": "↓"}
    return ", ".join(dict.fromkeys(arrows[flow["direction"]] + flow["topic"] for flow in flows)) or "nothing"


def traffic_table(rows: Sequence[Row]) -> Table:
    """What the slices do, in the form of `ros_verbs.traffic`; a delay beyond the bound is red."""
    columns = (
        "slice",
        "type",
        "blocks",
        "used %",
        "offered Mb/s",
        "delivered",
        "of",
        "p50 ms",
        "p99 ms",
        "of",
        "queued",
        "dropped",
    )
    table = _table(*columns, left=(0, 1))
    for one in rows:
        p99, bound = one["delay_p99"], one["max_latency"]
        late = p99 is not None and bound is not None and p99 > bound
        table.add_row(
            one["name"],
            one["type"],
            figure(one["resource_blocks"], 1),
            figure(one["utilisation"], 0, 100),
            figure(one["offered_rate"], 3, 1e-6),
            figure(one["delivered_rate"], 3, 1e-6),
            figure(one["rate"], 2, 1e-6),
            figure(one["delay_p50"], 2, 1e3),
            Text(figure(p99, 2, 1e3), style="red" if late else ""),
            figure(bound, 1, 1e3),
            str(one["queued"]),
            Text(str(one["dropped"]), style="red" if one["dropped"] else ""),
        )
    return table


def number(value: float) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return float(value) if math.isfinite(value) else None


def figure(value: float | None, digits: int, scale: float = 1.0) -> str:
    """A figure for people; – where there is none."""
    return "–" if value is None else f"{value * scale:.{digits}f}"


def _table(*columns: str, left: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index in left else "right", no_wrap=index != len(columns) - 1)
    return table
