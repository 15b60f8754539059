# SPDX-License-Identifier: Apache-2.0
"""`./ir doctor`: what is there, what is missing, and the command that mends it. Changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import environment, preflight
from .layout import DISTROS, ProjectLayout
from .preflight import Finding
from .workspace import packages

MARKS = {"ok": "ok", "missing": "MISSING", "warning": "warning", "note": "note"}


def doctor(layout: ProjectLayout) -> int:
    """Print all findings; exit status 1 if something required is missing."""
    findings = [*preflight.required(layout), check_ros(layout), check_environment(layout), *preflight.advised(layout)]
    width = max(len(f.what) for f in findings)
    for finding in findings:
        print(f"{MARKS[finding.level]:>8}  {finding.what:<{width}}  {finding.detail}")
        mend = preflight.mend_text(finding)
        if mend and finding.level != "ok":
            print(f"{'':>8}  {'':<{width}}  → {mend}")
    missing = [f.what for f in findings if f.level == "missing"]
    print(conclusion(findings))
    return 1 if missing else 0


def conclusion(findings: list[Finding]) -> str:
    """The last line: whether the stack can run, and one command for all that Debian has."""
    missing = [f for f in findings if f.level == "missing"]
    wanted = list(dict.fromkeys(name for f in missing for name in f.debian))
    if not missing:
        return "Nothing that is required is missing."
    command = f" Run: sudo apt-get install {' '.join(wanted)}" if wanted and shutil.which("apt-get") else ""
    return f"Missing: {', '.join(f.what for f in missing)}.{command}"


def check_ros(layout: ProjectLayout) -> Finding:
    """Which ROS is used."""
    if layout.uses_wheels:
        others = ", ".join(d for d in DISTROS if d != layout.distro)
        return Finding(
            "ROS 2",
            "ok",
            f"{layout.distro}, wheels from PyPI (no installation is sourced; IR_ROS_DISTRO selects {others})",
        )
    program = shutil.which("ros2")
    detail = f"{layout.distro}, the sourced installation {layout.underlay[-1]}"
    return Finding("ROS 2", "ok", f"{detail}, {program}" if program else f"{detail}; it has no ros2 command")


def check_environment(layout: ProjectLayout) -> Finding:
    """State of the environment: ready, out of date in some steps, or not there."""
    steps = environment.stale(layout)
    where = _relative(layout.home, layout.root)
    if not steps:
        return Finding("environment", "ok", f"{where} is ready, {len(packages(layout.root))} packages built")
    if "venv" in steps:
        state = "is half-made" if layout.venv.exists() else "is not made yet"
        return Finding(
            "environment", "note", f"{where} {state}", "the first use makes it (minutes); ./ir setup does only that"
        )
    built = [s.removeprefix("build-") for s in steps if s.startswith("build-")]
    parts = [s for s in steps if s in ("wheels", "base", "loops")] + ([f"build of {', '.join(built)}"] if built else [])
    return Finding(
        "environment",
        "note",
        f"{where} is out of date: {'; '.join(parts) or 'variables'}",
        "the next use brings it up to date",
    )


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
