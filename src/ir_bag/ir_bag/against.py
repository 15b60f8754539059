# SPDX-License-Identifier: Apache-2.0
"""Whether a run computed again went through the very counts of the report that the run left (`./ir up report:=FILE`).

The report was written at some moment of the run; the journals usually reach a little further.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ir_common.verdict_kinds import verdict_counts

_COUNTS = ("offered", "delivered", "queued", "dropped")

Statements = dict[tuple[str, int, int], dict[str, Any]]


def differences(report: dict[str, Any], said: Statements) -> list[str]:
    """What of a run's report the repeated run did not have at any moment, one line each; empty: all of it is there."""
    found = [_slices(report.get("slices") or {}, said)]
    found += [_robot(name, row.get("verdicts") or {}, said) for name, row in (report.get("robots") or {}).items()]
    found.append(_changes(report.get("allocation_changes") or 0, said))
    return [line for line in found if line]


def _slices(slices: dict[str, Any], said: Statements) -> str:
    moments = [content["slices"] for (topic, _, _), content in said.items() if topic == "/radio/report"]
    wanted = _counts(slices)
    if not slices or any(_counts(moment) == wanted for moment in moments):
        return ""
    offered = {name: row["offered"]["messages"] for name, row in slices.items()}
    return f"slices: none of {len(moments)} repeated reports has the counts of the run's (messages offered: {offered})"


def _counts(slices: dict[str, Any]) -> dict[str, Any]:
    return {name: {count: row.get(count) for count in _COUNTS} for name, row in slices.items()}


def _robot(name: str, verdicts: dict[str, Any], said: Statements) -> str:
    proposals = int(verdicts.get("proposals", 0))
    reasons = Counter(
        content["reason"]
        for (topic, _, sequence), content in said.items()
        if topic.endswith(f"/{name}/verdict") and sequence <= proposals
    )
    repeated = verdict_counts(reasons)
    wanted = {kind: int(verdicts.get(kind, 0)) for kind in repeated}
    return "" if repeated == wanted else f"{name}: verdicts are {repeated} again, {wanted} in the run's report"


def _changes(count: int, said: Statements) -> str:
    repeated = max((key for topic, _, key in said if topic == "/slicing/allocation"), default=0)
    return "" if count <= repeated else f"allocation changes: {repeated} again, {count} in the run's report"
