# SPDX-License-Identifier: Apache-2.0
"""Mini-slots per second of the batch engine beside the same model written naively on SimPy (`pip install simpy`).

8 eMBB robots, 1 URLLC robot, 12 sub-carriers, scheduler "puncturing", linear loss. Both sides count everything from the
seed on: drawing traffic and fading, computing, air, books. Processor time counts, so that others on the machine do not.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator
from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from simpy import Environment, Event, Interrupt, PreemptiveResource

from ir_radio.coexistence.batch_run import simulate
from ir_radio.coexistence.scenario import SLOT, CoexistenceScenario, scenario
from ir_radio.model import blocklength


class Naive:
    """The model as one writes it first: a process for each source and job, a preemptive resource, lists. Seconds."""

    def __init__(self, scene: CoexistenceScenario, slots: int, seed: int) -> None:
        self.scene, self.slots, self.rng = scene, slots, np.random.default_rng(seed)
        self.env = Environment()
        self.computing = PreemptiveResource(self.env)
        self.fresh: deque[float] = deque()
        self.carried: deque[float] = deque()
        self.backlog: list[deque[list[float]]] = [deque() for _ in range(scene.embb_robots)]
        self.urllc_delays: list[float] = []
        self.embb_delays: list[float] = []
        self.arrived = self.dropped = 0
        for process in (self.urllc(), self.embb(), self.air()):
            self.env.process(process)
        self.env.run(slots * 1e-3)

    def urllc(self) -> Generator[Event, Any, None]:
        while True:
            yield self.env.timeout(self.rng.exponential(1 / self.scene.batch_rate))
            for _ in range(self.rng.poisson(self.scene.batch_packets)):
                self.arrived += 1
                self.env.process(self.packet(self.env.now))

    def packet(self, born: float) -> Generator[Event, Any, None]:
        with self.computing.request(priority=0) as turn:
            yield turn
            yield self.env.timeout(self.scene.packet_bits / self.scene.computing_rate)
        self.fresh.append(born)

    def embb(self) -> Generator[Event, Any, None]:
        while True:
            yield self.env.timeout(self.rng.exponential(self.scene.embb_job_bits / self.scene.embb_rate))
            bits = self.rng.exponential(self.scene.embb_job_bits)
            self.env.process(self.job(self.env.now, bits, int(self.rng.integers(self.scene.embb_robots))))

    def job(self, born: float, bits: float, user: int) -> Generator[Event, Any, None]:
        left = bits / self.scene.computing_rate
        while left > 0:
            with self.computing.request(priority=1) as turn:  # SimPy puts an interrupted job behind the waiting ones
                yield turn
                began = self.env.now
                try:
                    yield self.env.timeout(left)
                    left = 0
                except Interrupt:
                    left -= self.env.now - began
        self.backlog[user].append([born, bits])

    def fade(self) -> tuple[np.ndarray, np.ndarray]:
        scene = self.scene
        shape = (scene.embb_robots, scene.sub_carriers)
        ratio = 10 ** ((scene.embb_power - scene.noise_power) / 10) * self.rng.exponential(size=shape)
        rates = np.minimum(np.log2(1 + ratio), scene.max_efficiency) * scene.blocklength * scene.minislots
        ratio = 10 ** ((scene.urllc_power - scene.noise_power) / 10) * self.rng.exponential(size=scene.sub_carriers)
        return rates, blocklength.error(ratio, scene.blocklength, scene.packet_bits)

    def air(self) -> Generator[Event, Any, None]:
        scene, pointer = self.scene, 0
        for slot in range(self.slots):
            if slot % scene.coherence_slots == 0:
                rates, errors = self.fade()
                usable = [c for c in range(scene.sub_carriers) if errors[c] <= scene.epsilon]
            waiting = [sum(bits for _, bits in queue) for queue in self.backlog]
            plan: list[int | None] = []
            for c in range(scene.sub_carriers):
                user = max(range(scene.embb_robots), key=lambda u: waiting[u] * rates[u][c])
                plan.append(user if waiting[user] > 0 else None)
                if waiting[user] > 0:
                    waiting[user] -= rates[user][c]
            hits = [0] * scene.embb_robots
            for _ in range(scene.minislots):
                new, self.fresh = self.fresh, deque()
                room, old = min(scene.packets_per_minislot, len(usable)), self.carried
                going = [new.popleft() for _ in range(min(room, len(new)))]
                going += [old.popleft() for _ in range(min(room - len(going), len(old)))]
                self.dropped += len(old)
                self.carried = new
                where = [usable[(pointer + i) % len(usable)] for i in range(len(going))]
                pointer += len(going)
                yield self.env.timeout(SLOT * 1e-9 / scene.minislots)
                for born, c in zip(going, where, strict=True):
                    if (owner := plan[c]) is not None:
                        hits[owner] += 1
                    if self.rng.random() >= errors[c]:
                        self.urllc_delays.append(self.env.now - born)
            self.deliver(plan, hits, rates)

    def deliver(self, plan: list[int | None], hits: list[int], rates: np.ndarray) -> None:
        for user, queue in enumerate(self.backlog):
            mine = [c for c, owner in enumerate(plan) if owner == user]
            if not mine:
                continue
            bits = sum(rates[user][c] for c in mine) * (1 - hits[user] / (len(mine) * self.scene.minislots))
            while queue and bits > 0:
                part = min(bits, queue[0][1])
                bits -= part
                queue[0][1] -= part
                if queue[0][1] <= 0:
                    self.embb_delays.append(self.env.now - queue.popleft()[0])


def run(options: Options) -> Result:
    """Engine and SimPy in turns, so that both see the same state of the machine."""
    scene, slots = scenario(), 20_000
    repeats, naive_slots = (3, 2_000) if options.quick else (10, 10_000)
    simulate(scene, 100, 0)  # compiles, or loads what was compiled
    speeds: dict[str, list[list[float]]] = {"batch engine": [], "SimPy": []}
    delays: dict[str, list[tuple[float, float]]] = {"batch engine": [], "SimPy": []}
    walls = []
    for seed in options.seed_list:
        wall, began = time.perf_counter(), time.process_time()
        for repeat in range(repeats):
            out = simulate(scene, slots, 100 * seed + repeat)
        speeds["batch engine"].append([repeats * slots * scene.minislots / (time.process_time() - began)])
        walls.append(repeats * slots * scene.minislots / (time.perf_counter() - wall))
        done = out.job_end > 0
        embb = np.mean(out.job_end[done] - out.draw.jobs[done]) * 1e-9
        delays["batch engine"].append((1e3 * out.urllc_delay, 1e3 * float(embb)))
        began = time.process_time()
        naive = Naive(scene, naive_slots, seed)
        speeds["SimPy"].append([naive_slots * scene.minislots / (time.process_time() - began)])
        delays["SimPy"].append((1e3 * float(np.mean(naive.urllc_delays)), 1e3 * float(np.mean(naive.embb_delays))))
    longs = []
    for seed in range(1 if options.quick else 3):
        began = time.process_time()
        simulate(scene, 10 * slots, seed)
        longs.append(10 * slots * scene.minislots / (time.process_time() - began))
    long_run = float(np.median(longs))
    median = {name: float(np.median(values)) for name, values in speeds.items()}
    ratio = float(np.median(np.array(speeds["batch engine"]) / np.array(speeds["SimPy"])))
    return Result(
        Axis("eMBB robots", "", [scene.embb_robots]), "mini-slots per second",
        {n: interval(v) for n, v in speeds.items()},
        {"scenario": scene.model_dump(),
         "slots": {"batch engine": f"{repeats} runs of {slots}", "SimPy": naive_slots}, "time": "processor",
         "fitted": []},
        goals=[
            Goal("mini-slots per second on one core, median", "6000000", round(median["batch engine"]),
                 median["batch engine"] >= 6e6),
            Goal(f"the same in one run of {10 * slots} slots, median", "6000000", round(long_run), long_run >= 6e6),
            Goal("times SimPy, median", "400", round(ratio), ratio >= 400),
        ],
        tables={
            f"mini-slots per second in runs of {10 * slots} slots": [round(x) for x in longs],
            "mini-slots per second of wall time, batch engine": [round(w) for w in walls],
            "load of the machine at the end, processes": round(os.getloadavg()[0], 1),
            "mean delay of URLLC and of eMBB, ms (the models agree)": {n: interval(v) for n, v in delays.items()},
        },
        draw=lambda axes: axes.set_yscale("log"),
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-speed", run, seeds=5)
