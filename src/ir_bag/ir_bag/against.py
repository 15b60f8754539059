# SPDX-License-Identifier: Apache-2.0
"""Whether a run computed again went through the very counts of the report that the run left (`./ir up report:=FILE`).

The report was written at some moment of the run; the journals usually reach a little further.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_COUNTS = ("offered", "delivered", "queued", "dropped")
_ACCEPTED, _INVALID, _UNTESTED = 0, 2, (3, 4, 5, 6)  # reasons of ir_interfaces/msg/Verdict; others are vetoes

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
    reasons = [
        content["reason"]
        for (topic, _, sequence), content in said.items()
        if topic.endswith(f"/{name}/verdict") and sequence <= proposals
    ]
    kinds: dict[str, Callable[[int], bool]] = {
        "accepted": lambda reason: reason == _ACCEPTED,
        "invalid": lambda reason: reason == _INVALID,
        "untested": lambda reason: reason in _UNTESTED,
    }
    repeated = {"proposals": len(reasons)} | {kind: sum(map(test, reasons)) for kind, test in kinds.items()}
    repeated["vetoed"] = len(reasons) - sum(repeated[kind] for kind in kinds)
    wanted = {kind: int(verdicts.get(kind, 0)) for kind in repeated}
    return "" if repeated == wanted else f"{name}: verdicts are {repeated} again, {wanted} in the run's report"


def _changes(count: int, said: Statements) -> str:
    repeated = max((key for topic, _, key in said if topic == "/slicing/allocation"), default=0)
    return "" if count <= repeated else f"allocation changes: {repeated} again, {count} in the run's report"
