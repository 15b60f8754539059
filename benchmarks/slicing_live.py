# SPDX-License-Identifier: Apache-2.0
"""Slices in the model's time, by who divides the carrier: reports in which slices missed their latency bounds.

Cell, slice manager and agents are those of the stack, without topics: decisions on a report come at its instant, and
others where the manager's timer happens to be.
Three scenarios: one slice's load jumps (step), two slices have bursts in turn (bursts), robots drive through places
where their links are poor, one after the other (shadow); what is offered fits the carrier in all of them.
Slice forecasters have seen 52 s when the counting begins, and go on learning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from _kept_pieces import kept
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_slicing.learning.agent_weights import TRAINED, digest, load
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.rehearsal import PERIOD, Rehearsal, RehearsalPeriod, RehearsalScenario
from ir_slicing.live.slice_agent_config import SliceAgentConfig, SliceAgentsConfig
from ir_slicing.live.slice_view import SliceView

Floats = NDArray[np.float64]
Ask = Callable[[Rehearsal, list[SliceView | None]], Floats | None]

POLICIES = ("static", "proportional", "forecast", "learned", "oracle")
ROBOTS = {"near": 8.0, "middle": 12.0, "far": 16.0}
"""Distance of the robots, m."""
SLICES = {
    "camera": {"rate": 8e6, "max_latency": 0.1, "offered": 6e6, "size": 6000},
    "sensors": {"rate": 4e6, "max_latency": 0.05, "offered": 3e6, "size": 2000},
    "mapping": {"rate": 4e6, "max_latency": 0.05, "offered": 2e6, "size": 4000},
    "control": {"rate": 1e6, "max_latency": 0.02, "offered": 0.3e6, "size": 500},
}
"""Guaranteed rate bit/s, bound s, offered bit/s over all robots, message B."""
CARRIER = Carrier(bandwidth=5e6, resource_blocks=25, tx_power=0.0)
STEP, BURST, SHADOWED = 12e6, (1.5e6, 10e6), 4e6
"""bit/s: of mapping after the step; of camera and mapping outside and inside bursts; of mapping under shadows."""
FARTHER, DEEP = 5.0, 4.0
"""Under shadows: times the distances of the robots, and times as far as it is that one seems in the shadow (12 dB)."""
CARRIED = {"camera": "near", "mapping": "middle", "sensors": "far", "control": "*"}
"""Under shadows: the robot whose slice it is; in the other scenarios each slice carries all robots."""
CHANGED = {"step": ("mapping",), "bursts": ("camera", "mapping"), "shadow": tuple(SLICES)}
"""Slices of each scenario whose load, or links, change; the rest are the others."""
LENGTH = {"step": 50, "bursts": 150, "shadow": 150}
"""Reports that count."""
ORACLE_MARGIN = 1.15
HELD = 5
"""Reports in a row within the bound that count as recovered."""
SOURCES = (
    "agents", "federation", "forecaster", "satisfaction.py", "../allocation", "../live", "../manager",
    "../orchestration", "../../../ir_radio/ir_radio/engine", "../../../ir_radio/ir_radio/model",
)  # fmt: skip
STATED = {"recovery": 0.39, "missed": 0.0575, "others": 0.0, "others' delay": 0.280}
"""Of one line without learning in the step, measured before."""


def wave(period: float, shift: float, reports: int) -> Floats:
    """[report] share of each report in which a square wave of that period (reports) is high."""
    fine = np.arange(20 * reports) / 20
    return ((fine + shift) % period < period / 2).reshape(reports, 20).mean(axis=1)


def scenario(name: str, seed: int, before: int) -> RehearsalScenario:
    """The setting of one run; ``before`` reports do not count."""
    rng = np.random.default_rng([seed, len(name)])
    reports = before + LENGTH[name]
    offered = np.tile([float(one["offered"]) for one in SLICES.values()], (reports, 1))
    drives: dict[str, Floats] = {}
    camera, mapping = (list(SLICES).index(one) for one in ("camera", "mapping"))
    if name == "step":
        offered[before:, mapping] = STEP
        offered[before, mapping] = (SLICES["mapping"]["offered"] + STEP) / 2  # it comes in the middle of a report
    elif name == "bursts":
        period = rng.uniform(8.0, 20.0)
        high = wave(period, rng.uniform(0.0, period), reports)
        offered[:, camera] = BURST[0] + (BURST[1] - BURST[0]) * high
        offered[:, mapping] = BURST[0] + (BURST[1] - BURST[0]) * (1.0 - high)
    else:
        offered[:, mapping] = SHADOWED
        period = rng.uniform(30.0, 45.0)  # of the round that each robot drives, reports; ten of them in the shadow
        for k, (robot, distance) in enumerate(ROBOTS.items()):
            place = (np.arange(reports) + period * k / len(ROBOTS) + rng.uniform(-2.0, 2.0)) % period
            drives[robot] = FARTHER * distance * DEEP ** np.clip(np.minimum(place - 5.0, 15.0 - place) / 1.5, 0.0, 1.0)
    specs = tuple(
        SliceSpec(
            name=one, type="urllc" if one == "control" else "embb", rate=made["rate"], reliability=0.99,
            max_latency=made["max_latency"], priority=int(one != "control"), queue_limit=2_000_000,
            flows=(FlowSpec(robots=(CARRIED[one] if drives else "*",), topic=one, direction="uplink"),),
        )
        for one, made in SLICES.items()
    )  # fmt: skip
    sizes = tuple(int(one["size"]) for one in SLICES.values())
    return RehearsalScenario(CARRIER, specs, ROBOTS, sizes, offered, float(rng.uniform(0.0, PERIOD)), seed, drives)


# --- who asks ---


def silent(run: Rehearsal, views: list[SliceView | None]) -> Floats | None:
    """Nobody asks: the manager decides alone."""
    return None


@dataclass
class Agents:
    """The slices' agents, which learn one update a report."""

    engine: AgentsEngine

    def __call__(self, run: Rehearsal, views: list[SliceView | None]) -> Floats | None:
        """RB [slice] that they ask for."""
        if run.report is None:
            return None
        asked = {one.slice: one.resource_blocks for one in self.engine.report(run.report, CARRIER.resource_blocks)}
        self.engine.learn(1)
        self.engine.fit(len(SLICES))
        return np.array([asked[name] for name in SLICES]) if asked.keys() == SLICES.keys() else None


@dataclass
class Oracle:
    """Knows the mean rates and the links of the coming report period, but not when messages come in it."""

    made: RehearsalScenario

    def __call__(self, run: Rehearsal, views: list[SliceView | None]) -> Floats | None:
        """RB [slice]: a margin on what is needed."""
        if run.over or any(view is None for view in views):
            return None
        distances = {robot: run_of[run.reports] for robot, run_of in self.made.drives.items()}
        asked = []
        for m, (sight, view) in enumerate(zip(run.sights, views, strict=True)):
            assert view is not None
            places = [distances.get(device.split("/")[0], ROBOTS[device.split("/")[0]]) for device in view.devices]
            rates = channel.block_rate(CARRIER, channel.snr(CARRIER, np.hypot(places, CARRIER.position[2])))
            coming = np.full(len(places), self.made.offered[run.reports, m] / len(places))
            asked.append(ORACLE_MARGIN * sight.need(replace(view, block_rate=tuple(rates.tolist())), coming.tolist()))
        return np.minimum(asked, CARRIER.resource_blocks)


def asking(policy: str, made: RehearsalScenario) -> Ask:
    """Who asks under a policy."""
    if policy == "oracle":
        return Oracle(made)
    if policy == "learned":
        engine = AgentsEngine(SliceAgentsConfig())  # forecasters start as those of the policy forecast
        engine.set_slices({name: one["max_latency"] for name, one in SLICES.items()})
        return Agents(engine)
    return silent


def measure(name: str, policy: str, seed: int, before: int) -> list[RehearsalPeriod]:
    """The periods that count of one run."""
    torch.set_num_threads(1)  # more would make sums whose order depends on the host
    made = scenario(name, seed, before)
    follows = policy if policy in ("static", "proportional", "forecast") else "learned"
    run = Rehearsal(made, follows, SliceAgentConfig(), twin=policy == "forecast")  # type: ignore[arg-type]
    ask, asked, periods = asking(policy, made), None, []
    while not run.over:
        views, period = run.next(asked)
        periods.append(period)
        asked = ask(run, views)
    return periods[before:]


# --- what came of it ---


def recovery(met: NDArray[np.bool_]) -> float:
    """s from a step in the middle of the first report until the bound is met `HELD` times in a row; all if never.

    The first report is half from before the step. A slice that never missed recovered at once.
    """
    late = met[1:]
    first = next((i for i in range(len(late) - HELD + 1) if late[i : i + HELD].all()), len(late))
    return 0.0 if first == 0 else (first + 1.5) * PERIOD


def piece(name: str, policy: str, seed: int, before: int) -> dict[str, float]:
    """What is kept of one run."""
    periods = measure(name, policy, seed, before)
    met = np.array([one.met for one in periods])  # [report, slice]
    delay = np.array([one.delay / one.bound for one in periods])
    changed = np.array([one in CHANGED[name] for one in SLICES])
    made = {"missed": float(1.0 - met[:, changed].mean()), "all": float(1.0 - met.mean())}
    if not changed.all():
        made |= {"others": float(1.0 - met[:, ~changed].mean()), "others' delay": float(np.nanmean(delay[:, ~changed]))}
    if name == "step":
        made["recovery"] = recovery(met[:, changed][:, 0])
    return made


def run(options: Options) -> Result:
    """All policies on the same arrivals, seed by seed."""
    before = 60 if options.quick else 260
    about = {"slices": SLICES, "carrier": CARRIER.model_dump(), "robots": ROBOTS, "before": before, "length": LENGTH,
             "loads": [STEP, BURST, SHADOWED, FARTHER, DEEP, CARRIED]}  # fmt: skip
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for seed in options.seed_list:
        for name in CHANGED:
            for policy in POLICIES:
                agents = load(TRAINED)
                weights = [digest(agents), agents.gate] if policy == "learned" else ""
                made = kept(
                    "slicing-live", about | {"piece": f"{name} {policy} {seed}", "weights": weights}, SOURCES,
                    lambda name=name, policy=policy, seed=seed: piece(name, policy, seed, before),  # type: ignore[misc]
                )  # fmt: skip
                for key, value in made.items():
                    found.setdefault(name, {}).setdefault(policy, {}).setdefault(key, []).append(value)
    return summary(found, about)


Means = dict[str, dict[str, dict[str, float]]]


def of_policy(policy: str, mean: Means) -> list[Goal]:
    """What is promised of forecast and learned."""
    goals = []
    for name in CHANGED:
        mine, other = mean[name][policy], mean[name]["proportional"]
        if policy == "learned":
            base = mean[name]["forecast"]
            goals.append(Goal(f"{name}: reports missed, learned", f"at most forecast's {base['missed']:.2%}",
                              f"{mine['missed']:.2%}", mine["missed"] <= base["missed"]))  # fmt: skip
        else:
            goals.append(Goal(f"{name}: reports missed, forecast", f"less than proportional's {other['missed']:.2%}",
                              f"{mine['missed']:.2%}", mine["missed"] < other["missed"]))  # fmt: skip
        if "others" in mine:
            goals.append(Goal(f"{name}: reports missed by the other slices, {policy}",
                              f"at most proportional's {other['others']:.3%}", f"{mine['others']:.3%}",
                              mine["others"] <= other["others"]))  # fmt: skip
    at = {one: mean["bursts"][one]["missed"] for one in POLICIES}
    avoided = (at["proportional"] - at[policy]) / max(at["proportional"] - at["oracle"], 1e-9)
    goals.append(Goal(f"bursts: of the misses that the oracle avoids, {policy}", "at least 90 %", f"{avoided:.1%}",
                      avoided >= 0.9))  # fmt: skip
    step = mean["step"][policy]
    got = ", ".join(f"{key} {step[key]:.4g}" for key in STATED)
    goals.append(Goal(f"step: recovery (s), misses, others' misses, others' delay (of the bound), {policy}",
                      "at most " + ", ".join(f"{key} {value:g}" for key, value in STATED.items()), got,
                      all(step[key] <= value for key, value in STATED.items())))  # fmt: skip
    return goals


def summary(found: dict[str, dict[str, dict[str, list[float]]]], about: dict[str, Any]) -> Result:
    """The result's form."""
    mean: Means = {
        name: {policy: {key: float(np.mean(v)) for key, v in rows.items()} for policy, rows in of.items()}
        for name, of in found.items()
    }
    table = {
        name: {
            f"{policy}, {key}": interval(np.array(values)[:, None])
            for policy, rows in of.items() for key, values in rows.items()
        }
        for name, of in found.items()
    }  # fmt: skip
    shares = {
        policy: interval(100.0 * np.array([found[name][policy]["missed"] for name in CHANGED]).T) for policy in POLICIES
    }
    return Result(
        Axis("scenario", "", list(CHANGED)),
        "reports in which slices whose load or links change missed their bound (%)",
        shares,
        about | {"report period (s)": PERIOD, "the agents' gate": "open" if load(TRAINED).gate else "closed",
                 "held (reports)": HELD, "oracle's margin": ORACLE_MARGIN,
                 "changed": CHANGED, "fitted": "margins of forecast and oracle, on seeds 2000 to 2011"},
        {},
        [*of_policy("forecast", mean), *of_policy("learned", mean)],
        {f"{name}: misses as shares of reports, delay (p99) as share of the bound, recovery in s": rows
         for name, rows in table.items()},
        lambda axes: axes.set_yscale("symlog", linthresh=1.0),
    )  # fmt: skip


if __name__ == "__main__":
    main("slicing-live", run, seeds=20, quick_seeds=1)
