# SPDX-License-Identifier: Apache-2.0
"""Falls and collisions of the live fleet, the twin off and enforcing, at three qualities of the radio.

The fleet explores: its trained policies hardly ever fall, but robots that still learn try other actions, too. The twin
has learnt from the same fleet beforehand, in sessions of its own at each quality, and learns on in every run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ament_index_python.packages import get_package_prefix
from harness import Axis, Goal, Options, Result, interval, main

ROOT = Path(__file__).resolve().parents[1]
TWINS = ("off", "enforce")
QUALITIES: dict[str, dict[str, Any]] = {
    "good": {},
    "loaded": {"bandwidth": 1.08e6, "resource_blocks": 6, "air": {"scheduler": "fifo"}},
    "poor": {"tx_power": -22.0, "fading": "rayleigh", "shadowing": 4.0, "scheduling_latency": 0.004},
}
"""What the carrier of config/slices.yaml has otherwise. loaded: control waits in line with the sensors' traffic on a
narrow carrier; poor: a weak, fading signal and LTE's wait for a grant, so that some messages are late or lost."""
GUARANTEED = {"good": 1.0, "loaded": 0.025, "poor": 0.02}
"""Part of the slices' rates that is guaranteed then: more would not be admitted."""
ROBOTS = {"cart": "collisions", "spider": "falls", "hopper": "falls"}
DURATION, QUICK_DURATION = 60, 4
"""Simulated seconds of a run."""
EXPLORATION = 0.3
PRACTICE = [(quality, twin) for twin in ("shadow", "enforce") for quality in QUALITIES]
"""Quality and twin of the sessions, each of a run's duration, in which the twin learns before anything is measured."""
PRACTICE_SEED = 100


def run(options: Options) -> Result:
    """Every quality, twin and seed in turn, so that a slow hour meets all of them alike."""
    duration = QUICK_DURATION if options.quick else DURATION
    qualities = ["good"] if options.quick else list(QUALITIES)
    runs = [(quality, twin) for quality in qualities for twin in TWINS]
    reports: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in runs}
    calm: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in runs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        practised = practise(folder, PRACTICE[:1] if options.quick else PRACTICE, duration)
        for seed in options.seed_list:
            for quality, twin in runs:
                reports[quality, twin].append(measure(folder, quality, twin, seed, duration, EXPLORATION))
        if not options.quick:
            for quality, twin in runs:
                calm[quality, twin].append(measure(folder, quality, twin, options.seed_list[0], duration, 0.0))
    counts = {key: [mishaps(report) for report in reports[key]] for key in runs}
    series = {
        f"twin {twin}": interval([[sum(counts[q, twin][s]) for q in qualities] for s in range(options.seeds)])
        for twin in TWINS
    }
    return Result(
        x=Axis("radio", "", qualities),
        y=f"falls and collisions of the fleet in {duration} s",
        series=series,
        parameters={
            "duration_seconds": duration,
            "twin_settings": "risk_to_go.yaml",
            "exploration": EXPLORATION,
            "practice": {"sessions": PRACTICE, "hopper_falls": practised},
            "carriers": {quality: QUALITIES[quality] for quality in qualities},
            "guaranteed": GUARANTEED,
        },
        goals=[_goal(quality, counts) for quality in qualities],
        tables={
            f"{quality}, twin {twin}{without}": _table(of[quality, twin])
            for of, without in ((reports, ""), (calm, ", without exploration"))
            for quality, twin in runs
            if of[quality, twin]
        },
    )


def practise(folder: Path, sessions: list[tuple[str, str]], duration: float) -> list[int]:
    """The twin learns from the exploring fleet; returns the hopper's falls in each session."""
    falls = []
    for session, (quality, twin) in enumerate(sessions):
        report = live(folder, folder / "practised", quality, twin, PRACTICE_SEED + session, duration, EXPLORATION)
        falls.append(report["robots"]["hopper"]["falls"])
        print(f"practice {session + 1}, {quality}, {twin}: hopper falls {falls[-1]}", flush=True)
    return falls


def measure(folder: Path, quality: str, twin: str, seed: int, duration: float, exploration: float) -> dict[str, Any]:
    """The report of one run, for which the twin is as it was after practice."""
    shutil.rmtree(folder / "measured", ignore_errors=True)
    shutil.copytree(folder / "practised", folder / "measured")
    report = live(folder, folder / "measured", quality, twin, seed, duration, exploration)
    said = dict(zip(ROBOTS, mishaps(report), strict=True))
    print(f"{quality:7s} twin {twin:8s} seed {seed} exploration {exploration:g}: {said}", flush=True)
    return report


def mishaps(report: dict[str, Any]) -> list[int]:
    """Collisions or falls of each robot."""
    return [report["robots"][robot][kind] for robot, kind in ROBOTS.items()]


def live(
    folder: Path, checkpoints: Path, quality: str, twin: str, seed: int, duration: float, exploration: float
) -> dict[str, Any]:
    """The report of one run of the whole stack."""
    settings = (ROOT / "config" / "twin" / "risk_to_go.yaml").read_text()
    (folder / "twin.yaml").write_text(f"{settings}checkpoints: {checkpoints}\n")
    checkpoints.mkdir(exist_ok=True)
    slices = yaml.safe_load((ROOT / "config" / "slices.yaml").read_text())
    slices["carrier"] |= QUALITIES[quality]
    for template in slices["templates"]:
        template["rate"] *= GUARANTEED[quality]
    (folder / "slices.yaml").write_text(yaml.safe_dump(slices))
    words = {
        "slices": folder / "slices.yaml", "twin": twin, "twin_settings": folder / "twin.yaml",
        "seed": seed, "exploration": exploration,
        "duration": duration, "report": folder / "report.json", "dashboard": "off", "rendering": "false",
    }  # fmt: skip
    up = Path(get_package_prefix("ir_twin")) / "lib" / "ir_twin" / "up"
    environment = os.environ | {"ROS_DOMAIN_ID": str(20 + seed % 60)}
    command = [str(up), *(f"{name}:={value}" for name, value in words.items())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120 + 5 * duration)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)}: ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return dict(json.loads((folder / "report.json").read_text()))


def _goal(quality: str, counts: dict[tuple[str, str], list[list[int]]]) -> Goal:
    off, enforced = (int(np.sum(counts[quality, twin])) for twin in TWINS)
    return Goal(
        f"{quality}: falls and collisions with the twin", f"under {off}, those without", enforced, enforced < off
    )


def _table(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each seed: mishaps, way and verdicts of each robot, and how the radio carried control."""
    table: dict[str, Any] = {}
    for robot, kind in ROBOTS.items():
        of_robot = [report["robots"][robot] for report in reports]
        table[robot] = {
            kind: [one[kind] for one in of_robot],
            "reward": [round(one["reward"], 1) for one in of_robot],
            "vetoed": [one["verdicts"]["vetoed"] for one in of_robot],
            "proposals": [one["verdicts"]["proposals"] for one in of_robot],
            "verdict_p99_seconds": [one["verdicts"]["latency_seconds"]["p99"] for one in of_robot],
        }
    control = [report["slices"]["control"] for report in reports]
    table["control"] = {
        "delay_p50_seconds": [one["delay_seconds"]["p50"] for one in control],
        "delay_p99_seconds": [one["delay_seconds"]["p99"] for one in control],
        "delivered_share": [one["delivered"]["messages"] / max(one["offered"]["messages"], 1) for one in control],
    }
    return table


if __name__ == "__main__":
    main("twin-fleet", run, seeds=5, quick_seeds=1)
