# SPDX-License-Identifier: Apache-2.0
"""One run of a scenario: traffic and fading from a seed, through the computing, over the air, into figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_radio.coexistence import batch_air, batch_computing
from ir_radio.coexistence.kept_memory import keep_memory
from ir_radio.coexistence.scenario import SLOT, CoexistenceScenario
from ir_radio.model import blocklength
from ir_radio.model.arrivals import compound_poisson, poisson

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_PIECE = 48_000
"""Ratios that are worked out at a time: fresh memory costs more than what is computed in it."""

DROPPED_IN_COMPUTING = -4
"""End of a packet that euad's computing dropped."""


@dataclass(frozen=True)
class Draw:
    """Everything random of a run; the same for all schedulers, shares, M and rules (common random numbers).

    Attributes:
        packets: [n] int64, ns: arrivals of URLLC packets; luck: [n] float64 in [0, 1).
        jobs: [m] int64, ns: arrivals of eMBB jobs; users, bits: [m] int64.
        rates: [eras, users, sub-carriers] int64, bit per slot; errors: [eras, sub-carriers] float64.
        slots: length of the run.
    """

    packets: Ints
    luck: Floats
    jobs: Ints
    users: Ints
    bits: Ints
    rates: Ints
    errors: Floats
    slots: int


@dataclass(frozen=True)
class BatchResult:
    """What a run came to. Ends are ns, or a negative fate of `air` and `computing`.

    Attributes:
        packet_end: [n]; DROPPED_IN_COMPUTING, DROPPED (outage on the air), LOST (not decoded), QUEUED.
        job_end, job_left: [m]; DROPPED, QUEUED; bits not delivered.
        at_air: [k] int64, ns, sorted: when the packets that the computing let through came to the air.
        failed_minislots: mini-slots in which packets were dropped.
    """

    scene: CoexistenceScenario
    draw: Draw
    at_air: Ints
    packet_end: Ints
    job_end: Ints
    job_left: Ints
    failed_minislots: int

    @property
    def urllc_delay(self) -> float:
        """Mean from arrival to delivery of delivered packets, s; NaN where there is none."""
        return _mean_delay(self.draw.packets, self.packet_end)

    @property
    def outage(self) -> float:
        """Share of the packets that came to the air which it dropped."""
        came = np.sum((self.packet_end != DROPPED_IN_COMPUTING) & (self.packet_end != batch_air.QUEUED))
        return float(np.sum(self.packet_end == batch_computing.DROPPED) / came) if came else 0.0

    @property
    def dropped(self) -> float:
        """Share of all packets that ended that was not delivered: computing, air or decoding."""
        ended = self.packet_end[self.packet_end != batch_air.QUEUED]
        return float(np.mean(ended < 0)) if len(ended) else 0.0

    @property
    def outage_of_minislots(self) -> float:
        """Mini-slots with a drop per mini-slot in which packets became ready."""
        offered = batch_air.offered_minislots(self.at_air, self.scene, self.draw.slots)
        return self.failed_minislots / offered if offered else 0.0

    def embb_delay(self, user: int) -> float:
        """Mean from arrival to delivery of the delivered jobs of a user, s; NaN where there is none."""
        own = self.draw.users == user
        return _mean_delay(self.draw.jobs[own], self.job_end[own])

    def embb_rate(self, user: int) -> float:
        """Delivered bits of a user per second of the run."""
        own = self.draw.users == user
        return float(np.sum(self.draw.bits[own] - self.job_left[own]) / (self.draw.slots * SLOT * 1e-9))


def _mean_delay(arrival: Ints, end: Ints) -> float:
    done = end > 0
    return float(np.mean(end[done] - arrival[done]) * 1e-9) if done.any() else float("nan")


def draw(scene: CoexistenceScenario, slots: int, seed: int) -> Draw:
    """Draws traffic and Rayleigh block fading, each from its own generator of the seed.

    With it a run begins, so from the first one on the process keeps the memory that runs leave (`keep_memory`).
    """
    keep_memory()
    batches, sizes, channel, luck = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4))
    packets = compound_poisson(scene.batch_rate, scene.batch_packets, 0, slots * SLOT, batches)
    jobs = poisson(scene.embb_rate / scene.embb_job_bits, 0, slots * SLOT, sizes)
    users = sizes.integers(0, scene.embb_robots, len(jobs))
    bits = np.ceil(sizes.exponential(scene.embb_job_bits, len(jobs))).astype(np.int64)
    eras = -(-slots // scene.coherence_slots)
    rates, errors = _rates(scene, eras, channel), _errors(scene, eras, channel)
    return Draw(packets, luck.random(len(packets)), jobs, users, np.maximum(bits, 1), rates, errors, slots)


def _ratios(count: int, mean: float, rng: np.random.Generator) -> Iterator[tuple[slice, Floats]]:
    """Signal-to-noise ratios, linear, under Rayleigh fading (power gains from Exp(1)), piece by piece in one memory."""
    memory = np.empty(min(count, _PIECE))
    for start in range(0, count, _PIECE):
        ratio = memory[: min(_PIECE, count - start)]
        rng.standard_exponential(out=ratio)
        ratio *= 10.0 ** (0.1 * mean)
        yield slice(start, start + len(ratio)), ratio


def _rates(scene: CoexistenceScenario, eras: int, rng: np.random.Generator) -> Ints:
    rates = np.empty((eras, scene.embb_robots, scene.sub_carriers), np.int64)
    for piece, ratio in _ratios(rates.size, scene.embb_power - scene.noise_power, rng):
        ratio += 1.0
        np.log2(ratio, out=ratio)
        np.minimum(ratio, scene.max_efficiency, out=ratio)
        ratio *= scene.blocklength * scene.minislots
        rates.reshape(-1)[piece] = ratio
    return rates


def _errors(scene: CoexistenceScenario, eras: int, rng: np.random.Generator) -> Floats:
    errors = np.empty((eras, scene.sub_carriers))
    for piece, ratio in _ratios(errors.size, scene.urllc_power - scene.noise_power, rng):
        errors.reshape(-1)[piece] = blocklength.error(ratio, scene.blocklength, scene.packet_bits)
    return errors


def work(bits: Ints | float, scene: CoexistenceScenario) -> Ints:
    """Time of the whole computing for some bits, ns, rounded up."""
    return np.ceil(np.asarray(bits) * (1e9 / scene.computing_rate)).astype(np.int64)


def process(scene: CoexistenceScenario, chance: Draw) -> tuple[Ints, Ints]:
    """The computing part of a run, which M and the rules of the air do not change: the ends of packets and jobs, ns."""
    packet_work = np.broadcast_to(work(scene.packet_bits, scene), len(chance.packets))
    return batch_computing.compute(
        (chance.packets, packet_work), (chance.jobs, work(chance.bits, scene)),
        scene.shared, scene.scheduler, int(scene.drop_after * 1e9),
    )  # fmt: skip


def radiate(scene: CoexistenceScenario, chance: Draw, ready: tuple[Ints, Ints]) -> BatchResult:
    """The air part of a run, after `process`."""
    whole = scene.scheduler != "euad"  # nothing else drops packets in computing
    through = slice(None) if whole else ready[0] >= 0
    at_air, luck = ready[0][through], chance.luck[through]
    packets = batch_air.make_packets(at_air, luck)
    jobs = batch_air.make_jobs(ready[1], chance.users, chance.bits)
    failed = batch_air.transmit(scene, packets, jobs, chance.rates, chance.errors, chance.slots)
    end = packets.end
    if not whole:
        end = np.full(len(ready[0]), DROPPED_IN_COMPUTING)
        end[through] = packets.end
    return BatchResult(scene, chance, at_air, end, jobs["end"], jobs["left"], failed)


def simulate(scene: CoexistenceScenario, slots: int, seed: int) -> BatchResult:
    """Draws and runs a scenario for `slots` slots of 1 ms."""
    chance = draw(scene, slots, seed)
    return radiate(scene, chance, process(scene, chance))
