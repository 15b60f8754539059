# SPDX-License-Identifier: Apache-2.0
"""Random scenes in which live agents are trained and judged: loads that jump, bursts in turn, robots in shadows.

Carrier, guarantees, bounds, messages and places are those of `load_steps.load_step`; what follows is other in kind.
None is a scenario of the benchmark `slicing-live`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_slicing.live.load_steps import SLICES, load_step
from ir_slicing.live.rehearsal import RehearsalScenario

Floats = NDArray[np.float64]
SceneKind = Literal["steps", "bursts", "mobility"]
KINDS: tuple[SceneKind, ...] = ("steps", "bursts", "mobility")
LOADS = (0.5, 1.5)
"""Between what factors of the load at which all that is offered takes three quarters of the carrier."""
FULL = 0.75
JUMPS = 0.02
"""Probability that a slice's load jumps in a report period."""
DEEP = 4.0
"""Times as far as it is that a robot seems in the deepest shadow (12 dB)."""


def scene(carrier: Carrier, kind: SceneKind, seed: int, reports: int) -> RehearsalScenario:
    """A random scene of so many reports; its load is `LOADS` of what fills `FULL` of the carrier at the most."""
    made = load_step(carrier, seed, reports)
    rng = np.random.default_rng([seed, 31, KINDS.index(kind)])
    level = {"steps": _steps, "bursts": _bursts, "mobility": _steady}[kind](rng, reports)
    drives = _drives(rng, made.distances, reports) if kind == "mobility" else {}
    rates = _block_rate(made.carrier, list(drives.values()) or [np.full(reports, d) for d in made.distances.values()])
    busy = (level / rates[:, None]).sum(axis=1).max()  # RB at the most, for a level of 1 bit/s a slice
    load = float(rng.uniform(*LOADS)) * FULL * made.carrier.resource_blocks / busy
    return replace(made, offered=level * load, drives=drives)


def _block_rate(carrier: Carrier, distances: list[Floats]) -> Floats:
    """[report] bit/s of one RB, over all robots."""
    there = np.hypot(np.array(distances), carrier.position[2])
    rates = channel.block_rate(carrier, channel.snr(carrier, there))
    return np.asarray(1.0 / np.mean(1.0 / np.maximum(rates, 1.0), axis=0))


def _shares(rng: np.random.Generator) -> Floats:
    """[slice] parts of the load; the last one is URLLC and small."""
    return np.asarray(np.append(rng.dirichlet(np.full(SLICES - 1, 2.0)), rng.uniform(0.01, 0.08)))


def _steps(rng: np.random.Generator, reports: int) -> Floats:
    now, out = _shares(rng), np.empty((reports, SLICES))
    for k in range(reports):
        now = np.where(rng.random(SLICES) < JUMPS, _shares(rng), now)
        out[k] = now
    return out


def _bursts(rng: np.random.Generator, reports: int) -> Floats:
    """Square waves of each slice, of its own period, duty and phase; some skip a beat now and then."""
    high, low = _shares(rng), rng.uniform(0.05, 0.6, SLICES)
    period, duty, phase = rng.uniform(6.0, 30.0, SLICES), rng.uniform(0.25, 0.6, SLICES), rng.random(SLICES)
    beats = np.arange(reports * 10)[:, None] / 10.0 / period + phase
    kept = rng.random((int(beats.max()) + 1, SLICES)) >= rng.choice([0.0, 0.2])
    on = (beats % 1.0 < duty) & kept[beats.astype(int), np.arange(SLICES)]
    return np.asarray(high * np.where(on, 1.0, low).reshape(reports, 10, SLICES).mean(axis=1))


def _steady(rng: np.random.Generator, reports: int) -> Floats:
    return np.tile(_shares(rng), (reports, 1))


def _drives(rng: np.random.Generator, distances: dict[str, float], reports: int) -> dict[str, Floats]:
    """[report] m of each robot, which drives a round with a shadow in it again and again."""
    out = {}
    for robot, distance in distances.items():
        round_, dark, soft = rng.uniform(20.0, 60.0), rng.uniform(4.0, 15.0), rng.uniform(1.0, 6.0)
        place = (np.arange(reports) + rng.uniform(0.0, round_)) % round_
        depth = np.clip(np.minimum(place, dark - place) / soft, 0.0, 1.0)
        out[robot] = distance * rng.uniform(2.0, DEEP) ** depth
    return out
