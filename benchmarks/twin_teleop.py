# SPDX-License-Identifier: Apache-2.0
"""A clumsy driver, the robot kept from walls by nobody, by the twin, by a ray rule and by the desk's guard.

The cart is driven over good, loaded and poor radio in the model's time, through the live page's own driving desk.
The driver steers for the goal that he saw 0.3 s ago, with a shaky hand and at full speed; he looks away at times, heeds
what is in his way every other time, and backs off and goes round when he notices that he stands.
The ray rule is the simple one: stop when the nearest ray ahead is closer than stopping distance + delay x speed.
The guard slows so that the robot can stop, and steers it past what is in its way.
The twin enforces its rule about risk, with networks that practised on the same driver, other seeds, at each quality.
Way made good is metres nearer to the goals, less those that are lost where the robot is put back after a collision;
beside it stands what was driven towards the goals without that loss, the same stretch again and again included.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import math
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _kept_pieces import ROOT, kept_at, place_of
from harness import Axis, Goal, Options, Result, interval, main
from twin_fleet import GUARANTEED, QUALITIES, SOURCES, world

from ir_dashboard.driving import Desk, Limits, Sight
from ir_dashboard.driving_guard import DrivingGuard, OnTheWay, Velocity, body_of
from ir_lab.clumsy_driver import PERIOD, REACTION, ClumsyDriver
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.ros_samples import StateSample
from ir_lab.model_time.simulate_arguments import parse
from ir_sim.readings import Reading, Scan

NAME = "twin-teleop"
ROBOT, DRIVER = "cart", "driver"
ARMS = ("nobody", "twin", "ray rule", "guard")
SHIPPED = "guard"
DURATION, QUICK_DURATION = 60.0, 5.0
PRACTICE = [(quality, twin) for twin in ("shadow", "enforce") for quality in QUALITIES]
PRACTICE_SEED = 100
RULE: dict[str, Any] = yaml.safe_load((ROOT / "config" / "twin" / "risk.yaml").read_text())
FEWER, WAY = 0.95, 0.9
"""Share of the collisions that are to be prevented, and of the way that is to be left."""
OWN = ("../../../ir_dashboard/ir_dashboard/driving.py", "../../../ir_dashboard/ir_dashboard/driving_guard.py",
       "../../../ir_lab/ir_lab/clumsy_driver.py", "../../../../benchmarks/twin_teleop.py")  # fmt: skip


class RayRule(DrivingGuard):
    """Stops where the nearest ray ahead is closer than the way to a standstill and what is driven in the delay."""

    def limit(self, wish: Velocity, sent: OnTheWay, delay: float, late: float, now: float) -> Velocity:
        """See `DrivingGuard.limit`; ahead are the rays that a straight way of the robot's width meets."""
        if not len(self._points) or wish[0] == 0.0:
            return wish
        x, y = np.sign(wish[0]) * self._points[:, 0], self._points[:, 1]
        ahead = x[(x > 0) & (np.abs(y) < self._body.radius + self._margin)]
        nearest = float(ahead.min()) - self._body.radius - self._margin if len(ahead) else math.inf
        needed = wish[0] ** 2 / (2 * self._body.deceleration) + (now - self._seen + delay) * abs(wish[0])
        return wish if nearest > needed else (0.0, wish[1])


@dataclass(frozen=True)
class Case:
    """One drive that is measured."""

    quality: str
    arm: str
    seed: int
    duration: float


def run(options: Options) -> Result:
    """Practice of the twin first, then all drives, seed by seed."""
    duration = QUICK_DURATION if options.quick else DURATION
    sessions = PRACTICE[:1] if options.quick else PRACTICE
    asked = [
        Case(quality, arm, seed, duration)
        for seed in options.seed_list
        for quality in (list(QUALITIES)[:1] if options.quick else QUALITIES)
        for arm in ARMS
    ]
    about = {"sessions": sessions, "duration": duration, "rule": RULE, **world()}
    place = place_of(NAME, about, (*SOURCES, *OWN))
    places = [place_of(NAME, {**vars(case), **about}, (*SOURCES, *OWN)) for case in asked]
    checkpoints = practised(sessions, duration, place)
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for case, kept in zip(asked, places, strict=True):
        one = kept_at(kept, f"{NAME} {case}", partial(drive, case, checkpoints))
        found.setdefault((case.quality, case.arm), []).append(one)
    return result(found, duration)


def practised(sessions: list[tuple[str, str]], duration: float, place: Path) -> Path:
    """The folder of what the twin has learnt from the driver."""
    folder = place.with_suffix(".checkpoints")

    def made() -> list[dict[str, float]]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return [
            drive(Case(quality, "twin", PRACTICE_SEED + number, duration), folder, twin)
            for number, (quality, twin) in enumerate(sessions)
        ]

    kept_at(place, f"{NAME} practice", made)
    return folder


def drive(case: Case, checkpoints: Path, practice: str = "") -> dict[str, float]:
    """What came of one drive; `practice`: mode of a twin that learns from it."""
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoints if practice else Path(name) / "practised"
        if case.arm == "twin" and not practice:
            shutil.copytree(checkpoints, folder)
        words = [f"slices:={slices_of(case.quality, Path(name))}", f"robots:={ROBOT}"]
        words += [f"seed:={case.seed}", f"duration:={case.duration + 1}", "rendering:=false"]
        words += [f"learning_steps:={50 if practice else 0}"]
        if case.arm == "twin":
            settings = Path(name) / "twin.yaml"
            settings.write_text(yaml.safe_dump({**RULE, "checkpoints": str(folder)}))
            words += [f"twin:={practice or 'enforce'}", f"twin_settings:={settings}"]
        else:
            words += ["twin:=off"]
        return Drive(ModelRun(parse(words, driven=ROBOT)), case).to_end()


class Drive:
    """One drive: the run, the desk that the page has, and the driver before it."""

    def __init__(self, stack: ModelRun, case: Case) -> None:
        self._stack, self._case = stack, case
        task = stack.tasks[ROBOT]
        body = body_of(stack.world.robots[ROBOT].description)
        assert body is not None
        guards: dict[str, type[DrivingGuard]] = {"guard": DrivingGuard, "ray rule": RayRule}
        sight = Sight() if case.arm == SHIPPED else Sight(1e6, 2e6)
        make = guards.get(case.arm)
        limits = Limits.of(task.action_low, task.action_high)
        self._desk = Desk({ROBOT: limits}, 0.3, self, sight, {ROBOT: make(body, limits.turning)} if make else {})
        self._driver = ClumsyDriver(case.seed)
        self.driven = self.lost = 0.0
        self._last = (-1, math.nan, False)
        stack.listen(ROBOT, self._on_state)
        stack.sensed(ROBOT, "scan", self._on_scan)

    def send(self, robot: str, velocity: Velocity) -> None:
        """See `ir_dashboard.driving.Actuator`."""
        self._stack.propose(robot, np.array(velocity))

    def hold(self, robot: str, held: bool) -> None:
        """Nobody else drives here."""

    def _on_state(self, sample: StateSample, expected: bool) -> None:
        step, now = sample.step, self._stack.seconds
        if expected:
            return
        self._desk.echo(ROBOT, tuple(step.action.tolist()), now)
        self._driver.see(step.observation, now)
        distance = float(step.observation[0])
        episode, before, collided = self._last
        if step.episode == episode:
            self.driven += before - distance
        elif collided:  # put back to its start, the goal as before
            self.lost += distance - before
        self._last = (step.episode, distance, step.terminated)

    def _on_scan(self, reading: Reading) -> None:
        scan = reading.value
        assert isinstance(scan, Scan)
        bearings = scan.low + scan.step * np.arange(len(scan.ranges), dtype=np.float64)
        self._desk.saw(ROBOT, bearings, scan.ranges, self._stack.seconds)

    def to_end(self) -> dict[str, float]:
        """Drives to the end."""
        stack, desk, held = self._stack, self._desk, 0
        desk.take(ROBOT, DRIVER, 0.0)
        for k in range(1, round(self._case.duration / PERIOD) + 1):
            while stack.go_on(k * PERIOD):
                pass
            desk.command(ROBOT, DRIVER, *self._driver.stick(k * PERIOD), k * PERIOD)
            held += bool(desk.seats[ROBOT].limited)
        robot = stack.report()["robots"][ROBOT]
        stack.close()
        trip = desk.seats[ROBOT].trip
        return {
            "collisions": robot["collisions"], "way": round(self.driven - self.lost, 2),
            "driven": round(self.driven, 2), "distance": round(robot["distance_metres"], 2),
            "goals": robot["goals"], "vetoed": robot["verdicts"]["vetoed"], "limited": held,
            "round_trip_p50": round(trip.quantile(0.5) or math.nan, 4),
            "round_trip_p99": round(trip.quantile(0.99) or math.nan, 4),
        }  # fmt: skip


def slices_of(quality: str, folder: Path) -> Path:
    """The slices file of a quality of the radio, as of twin-fleet."""
    slices = yaml.safe_load((ROOT / "config" / "slices.yaml").read_text())
    slices["carrier"] |= QUALITIES[quality]
    for template in slices["templates"]:
        template["rate"] *= GUARANTEED[quality]
    file = folder / "slices.yaml"
    file.write_text(yaml.safe_dump(slices))
    return file


def result(found: dict[tuple[str, str], list[dict[str, float]]], duration: float) -> Result:
    """The result's form."""
    qualities = list(dict.fromkeys(quality for quality, _ in found))

    def total(arm: str, what: str) -> float:
        return float(sum(one[what] for quality in qualities for one in found[quality, arm]))

    goals = []
    for arm in ARMS[1:]:
        shipped = " (shipped)" if arm == SHIPPED else ""
        off, on = total("nobody", "collisions"), total(arm, "collisions")
        goals.append(Goal(f"{arm}{shipped}: collisions, all radios", f"at most {(1 - FEWER) * off:g}: "
                          f"{FEWER:.0%} fewer than the {off:g} without", on, on <= (1 - FEWER) * off))  # fmt: skip
        for what, text in (("way", "way made good"), ("driven", "driven towards goals, losses left out")):
            way = total(arm, what) / total("nobody", what)
            goals.append(Goal(f"{arm}{shipped}: {text}, of that without", f">= {WAY:g}", round(way, 3), way >= WAY))
    return Result(
        Axis("radio", "", qualities),
        f"collisions in {duration:g} s",
        {arm: interval(np.array([[one["collisions"] for one in found[q, arm]] for q in qualities]).T) for arm in ARMS},
        {"simulated seconds": duration, "practice": PRACTICE, "rule of the twin": RULE, "reaction_seconds": REACTION,
         "carriers": QUALITIES, "guaranteed": GUARANTEED},
        {},
        goals,
        {f"{q}, {arm}": {name: [one[name] for one in each] for name in each[0]} for (q, arm), each in found.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main(NAME, run, seeds=10, quick_seeds=1)
