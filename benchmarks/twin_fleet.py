# SPDX-License-Identifier: Apache-2.0
"""Falls and collisions of a fleet that explores, the twin off and enforcing, at three qualities of the radio.

The whole stack runs in the model's time, so a run repeats to the last digit.
The trained policies hardly ever fall; `exploration` adds noise to their actions, as of robots that still learn.
The twin has learnt from the same fleet beforehand, in sessions of its own at each quality, on other seeds.
In the runs that are measured it judges as practice left it and learns nothing, so that one network is behind all seeds.
The way that is judged (`config/twin/noise_free.yaml`: what is risky is sent without its noise) is held against no twin
at each exploration, and the other rules at the largest. The simple rule beside it is to explore less.
Runs that are done are kept, so that one which was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _kept_pieces import ROOT, kept_at, place_of
from _stack_runs import simulate
from harness import Axis, Goal, Options, Result, interval, main

from ir_lab.practise import read_practice, slices_of

NAME = "twin-fleet"
JOBS = 2
RADIOS = read_practice(ROOT / "config" / "practice.yaml").carriers
"""Those at which the networks practised that are shipped."""
QUALITIES: dict[str, dict[str, Any]] = {name: radio.carrier for name, radio in RADIOS.items()}
"""What the carrier of config/slices.yaml has otherwise. loaded: control waits in line with the sensors' traffic on a
narrow carrier; poor: a weak, fading signal and LTE's wait for a grant, so that some messages are late or lost."""
GUARANTEED = {name: radio.guaranteed for name, radio in RADIOS.items()}
"""Part of the slices' rates that is guaranteed then: more would not be admitted."""
ROBOTS = {"cart": "collisions", "spider": "falls", "hopper": "falls"}
EXPLORATIONS = (0.0, 0.1, 0.3)
JUDGED = "noise_free"
UNPRACTISED: dict[str, Any] = {"practised": "", "steps_per_transition": 1.0, "publish_period": 2.0}
"""Of the settings that are shipped: here the twin practises from nothing, as what is shipped with them did."""
RULES: dict[str, dict[str, Any]] = {
    JUDGED: yaml.safe_load((ROOT / "config" / "twin" / "noise_free.yaml").read_text()) | UNPRACTISED,
    "risk_to_go": yaml.safe_load((ROOT / "config" / "twin" / "risk_to_go.yaml").read_text()),
    "risk": yaml.safe_load((ROOT / "config" / "twin" / "risk.yaml").read_text()),
    "reward": {"rule": "reward", "preset": "live"},
}
"""Settings of the twin by rule."""
PRACTISED = {JUDGED: JUDGED, "risk_to_go": JUDGED, "risk": JUDGED, "reward": "reward"}
"""Rule under which the networks of a rule have practised: those of a preset are the same whoever judges by them."""
DURATION, QUICK_DURATION = 60, 4
"""Simulated seconds of a run and of a session of practice."""
PRACTICE = [(quality, twin) for twin in ("shadow", "enforce") for quality in QUALITIES]
PRACTICE_SEED, PRACTICE_EXPLORATION = 100, 0.3
LEARNING = {"practice": 50, "measured": 0}
"""Gradient steps of the twin's learner for a simulated second; 50 is the default of `./ir simulate`."""
FEWER = 0.6
"""Part of the falls and collisions that the twin should prevent where robots explore."""
PACKAGES = ("ir_common", "ir_sim", "ir_radio", "ir_dynamics", "ir_slicing", "ir_twin")
PARTS = ("ir_lab/ir_lab/model_time", "ir_drl/ir_drl/policies", "ir_drl/ir_drl/controller.py")
SOURCES = tuple(f"../../../{path}" for path in (*(f"{package}/{package}" for package in PACKAGES), *PARTS))


@dataclass(frozen=True)
class Case:
    """One run that is measured; `rule` is off where there is no twin."""

    quality: str
    exploration: float
    rule: str
    seed: int
    duration: int


def run(options: Options) -> Result:
    """Practice first, then all runs, seed by seed, so that one which is stopped has whole seeds."""
    duration = QUICK_DURATION if options.quick else DURATION
    sessions = PRACTICE[:1] if options.quick else PRACTICE
    asked = cases(options.seed_list, duration, options.quick)
    practice = sorted({PRACTISED[case.rule] for case in asked if case.rule != "off"})
    # all places before anything runs: what they are named after must be the code that runs
    places = {rule: place_of(NAME, about_practice(rule, sessions, duration), SOURCES) for rule in practice}
    runs = [(case, place_of(NAME, about_case(case, sessions), SOURCES), folder_of(case, places)) for case in asked]
    with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as pool:
        given = [(rule, sessions, duration, place) for rule, place in places.items()]
        practised = dict(zip(places, pool.map(practise, given), strict=True))
        found = dict(zip(asked, pool.map(measure, runs), strict=True))
    by: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for case, one in found.items():
        by.setdefault((case.quality, case.exploration, case.rule), []).append(one)
    return result(by, practised, duration)


def folder_of(case: Case, places: dict[str, Path]) -> Path | None:
    """The checkpoints that a run begins with; None without a twin."""
    return checkpoints_of(places[PRACTISED[case.rule]]) if case.rule in PRACTISED else None


def cases(seeds: Iterable[int], duration: int, quick: bool) -> list[Case]:
    """Every run that is measured."""
    qualities = ["good"] if quick else list(QUALITIES)
    explorations = EXPLORATIONS[-1:] if quick else EXPLORATIONS
    return [
        Case(quality, exploration, rule, seed, duration)
        for seed in seeds
        for quality in qualities
        for exploration in explorations
        for rule in ("off", *RULES)
        if exploration == EXPLORATIONS[-1] or rule in ("off", JUDGED)
    ]


def practise(given: tuple[str, list[tuple[str, str]], int, Path]) -> list[int]:
    """The twin learns from the exploring fleet under a rule; returns the hopper's falls in each session."""
    rule, sessions, duration, place = given

    def made() -> list[int]:
        shutil.rmtree(checkpoints_of(place), ignore_errors=True)
        falls = []
        for number, (quality, twin) in enumerate(sessions):
            words = [f"twin:={twin}", f"learning_steps:={LEARNING['practice']}", f"duration:={duration}"]
            words += [f"seed:={PRACTICE_SEED + number}", f"exploration:={PRACTICE_EXPLORATION}"]
            report = simulated(quality, rule, words, checkpoints_of(place))
            falls.append(report["robots"]["hopper"]["falls"])
        return falls

    falls: list[int] = kept_at(place, f"{NAME} practice {rule}", made)
    return falls


def checkpoints_of(place: Path) -> Path:
    """The folder with what was learnt, beside the file of a practice."""
    return place.with_suffix(".checkpoints")


def about_practice(rule: str, sessions: list[tuple[str, str]], duration: int) -> dict[str, Any]:
    """All that practice rests on besides the code."""
    return {
        "settings": RULES[rule], "sessions": sessions, "duration": duration, "exploration": PRACTICE_EXPLORATION,
        "seed": PRACTICE_SEED, "learning": LEARNING["practice"], **world(),
    }  # fmt: skip


def about_case(case: Case, sessions: list[tuple[str, str]]) -> dict[str, Any]:
    """All that a run rests on besides the code."""
    rule = PRACTISED.get(case.rule)
    practice = about_practice(rule, sessions, case.duration) if rule else None
    settings = RULES.get(case.rule)
    return {**vars(case), "settings": settings, "practice": practice, "learning": LEARNING["measured"], **world()}


@cache
def world() -> dict[str, Any]:
    """What all runs have in common: carriers, and hashes of worlds, models, policies and slices."""
    files = [*(ROOT / "worlds").rglob("*.sdf"), *(ROOT / "src" / "ir_drl").rglob("*.npz"), ROOT / "config/slices.yaml"]
    hashes = {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in sorted(files)}
    return {"qualities": QUALITIES, "guaranteed": GUARANTEED, "files": hashes}


def measure(given: tuple[Case, Path, Path | None]) -> dict[str, Any]:
    """What is kept of one run, for which the twin is as practice left it; without a folder there is no twin."""
    case, place, practised = given

    def made() -> dict[str, Any]:
        words = [f"seed:={case.seed}", f"exploration:={case.exploration}", f"duration:={case.duration}"]
        words += [f"twin:={'enforce' if practised else 'off'}", f"learning_steps:={LEARNING['measured']}"]
        with tempfile.TemporaryDirectory() as name:
            checkpoints = Path(name) / "practised"
            if practised:
                shutil.copytree(practised, checkpoints)
            return shortened(simulated(case.quality, case.rule, words, checkpoints))

    one: dict[str, Any] = kept_at(place, f"{NAME} {' '.join(map(str, vars(case).values()))}", made)
    return one


def simulated(quality: str, rule: str, words: list[str], checkpoints: Path) -> dict[str, Any]:
    """The report of one run of the whole stack at a quality of the radio."""
    slices = slices_of(RADIOS[quality])
    with tempfile.TemporaryDirectory() as name:
        files = {"slices": Path(name) / "slices.yaml"}
        files["slices"].write_text(yaml.safe_dump(slices))
        if rule in RULES:
            checkpoints.mkdir(parents=True, exist_ok=True)
            files["twin_settings"] = Path(name) / "twin.yaml"
            files["twin_settings"].write_text(yaml.safe_dump({**RULES[rule], "checkpoints": str(checkpoints)}))
        return simulate([*words, *(f"{argument}:={file}" for argument, file in files.items())])[0]


def shortened(report: dict[str, Any]) -> dict[str, Any]:
    """Mishaps, reward and verdicts of each robot, and how the radio carried control."""
    made: dict[str, Any] = {}
    for robot, kind in ROBOTS.items():
        one = report["robots"][robot]
        verdicts = {name: one["verdicts"][name] for name in ("proposals", "vetoed", "untested")}
        made[robot] = {"mishaps": one[kind], "reward": round(one["reward"], 1), **verdicts}
    control = report["slices"]["control"]
    made["control"] = {
        "delay_p50_seconds": control["delay_seconds"]["p50"],
        "delay_p99_seconds": control["delay_seconds"]["p99"],
        "delivered_share": control["delivered"]["messages"] / max(control["offered"]["messages"], 1),
    }
    return made


def mishaps(one: dict[str, Any]) -> int:
    """Falls and collisions of the fleet in a run."""
    return int(sum(one[robot]["mishaps"] for robot in ROBOTS))


def result(
    by: dict[tuple[str, float, str], list[dict[str, Any]]], practised: dict[str, list[int]], duration: int
) -> Result:
    """The result's form."""
    places = list(dict.fromkeys((quality, exploration) for quality, exploration, _ in by))
    series = {}
    for rule in ("off", *RULES):
        columns = [[mishaps(one) for one in by.get((*place, rule), [])] for place in places]
        found = [interval(np.array(column, float)[:, None]) if column else None for column in columns]
        name = "no twin" if rule == "off" else f"twin, rule {rule}"
        series[name] = {key: [one[key][0] if one else np.nan for one in found] for key in ("mean", "ci95")}
    return Result(
        Axis("radio, exploration", "", [f"{quality}, {exploration:g}" for quality, exploration in places]),
        f"falls and collisions of the fleet in {duration} s",
        series,
        {
            "simulated seconds": duration,
            "rules": RULES,
            "practice": {
                "sessions": PRACTICE,
                "exploration": PRACTICE_EXPLORATION,
                "rule under which a rule's networks practised": PRACTISED,
                "hopper's falls by rule and session": practised,
            },
            "gradient steps a simulated second": LEARNING,
            "carriers": QUALITIES,
            "guaranteed": GUARANTEED,
        },
        {},
        [goal(*place, by) for place in places],
        {
            f"{quality}, exploration {exploration:g}, {'no twin' if rule == 'off' else rule}": table(found)
            for (quality, exploration, rule), found in by.items()
        },
        draw,
    )


def goal(quality: str, exploration: float, by: dict[tuple[str, float, str], list[dict[str, Any]]]) -> Goal:
    """What is promised of the rule that is judged: with exploration 60 % fewer mishaps, and not one more without."""
    off, enforced = (sum(map(mishaps, by[quality, exploration, rule])) for rule in ("off", JUDGED))
    most = int((1.0 - FEWER) * off + 1e-9) if exploration else off
    asked = f"at most {most}: {FEWER:.0%} fewer than the {off} without" if exploration else f"at most {off}, as without"
    what = f"{quality} radio, exploration {exploration:g}: falls and collisions with the twin"
    return Goal(what, asked, enforced, enforced <= most)


def table(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Each number over the seeds, as lists."""
    return {part: {name: [one[part][name] for one in found] for name in numbers} for part, numbers in found[0].items()}


def draw(axes: Any) -> None:
    """Nine labels side by side."""
    axes.tick_params(axis="x", labelsize=7)


if __name__ == "__main__":
    main(NAME, run, seeds=10, quick_seeds=1)
