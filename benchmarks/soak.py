# SPDX-License-Identifier: Apache-2.0
"""The default stack for an hour: memory of every process, restarts, pace; then fifty of its processes killed by chance.

Memory is what a process alone holds (USS), every ten seconds.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from _live_stack import LiveStack, live
from harness import Axis, Goal, Options, Result, main

MINUTES, QUICK_MINUTES = 60.0, 2.0
SETTLED = 1 / 6  #: of the time after which memory is to be flat: ten minutes of an hour
GROWTH_GOAL, PACE_GOAL = 0.05, 0.2
KILLS, QUICK_KILLS = 50, 3
LOOK, KILL_EVERY = 10.0, 4.0  #: s
MIB = 2**20


def processes(stack: LiveStack) -> Iterator[tuple[str, psutil.Process]]:
    """The nodes that run now and what they started, such as the twin's learner, by name; not what runs once only."""
    nodes: dict[int, str] = {}
    for process in psutil.Process(stack.process.pid).children(recursive=True):  # parents come before their children
        try:
            words, parent = process.cmdline(), process.ppid()
        except psutil.Error:
            continue
        named = dict(word.split(":=", 1) for word in words if word.startswith(("__node:=", "__ns:=")))
        if "__node" in named:
            nodes[process.pid] = f"{named.get('__ns', '').rstrip('/')}/{named['__node']}"
            yield nodes[process.pid], process
        elif parent in nodes and "-m" in words:
            yield f"{nodes[parent]} {words[words.index('-m') + 1].rpartition('.')[2]}", process


def soak(options: Options, minutes: float, folder: Path) -> tuple[dict[str, list[float]], list[float], dict[str, int]]:
    """Memory of each node, MiB, at each look; the pace of each minute; restarts."""
    memory: dict[str, list[float]] = defaultdict(list)
    with live([f"seed:={options.first_seed}"], folder) as stack:
        end = time.monotonic() + 60.0 * minutes
        while time.monotonic() < end:
            time.sleep(LOOK)
            if stack.process.poll() is not None:
                stack.end(1.0)
                raise SystemExit("the stack ended by itself")
            for name, process in processes(stack):
                try:
                    memory[name].append(process.memory_full_info().uss / MIB)
                except psutil.Error:
                    continue
        table = stack.table()
    report = stack.end(1.0)
    steps = [(b.simulated - a.simulated) / (b.wall - a.wall) for a, b in itertools.pairwise(table)]
    return dict(memory), steps, report["restarts"]


def killed(options: Options, count: int, folder: Path) -> tuple[int, bool, list[str]]:
    """Kills (SIGKILL) so many nodes by chance: how many were killed, whether the books balance, nodes that are gone."""
    chance, done = random.Random(options.first_seed), 0
    with live([f"seed:={options.first_seed}"], folder) as stack:
        while not stack.table():
            time.sleep(0.5)
        expected = {name for name, _ in processes(stack)}
        while done < count and stack.process.poll() is None:
            candidates = [(n, p) for n, p in processes(stack) if n not in ("/monitor", "/simulator")]
            if candidates:
                name, process = chance.choice(sorted(candidates, key=lambda one: one[0]))
                process.kill()
                done += 1
                print(f"killed {done} of {count}: {name}", flush=True)
            time.sleep(KILL_EVERY)
        deadline = time.monotonic() + 60.0
        while (missing := expected - {name for name, _ in processes(stack)}) and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(LOOK)
    report = stack.end(1.0)
    return done, all(one["balanced"] for one in report["slices"].values()), sorted(missing)


def run(options: Options) -> Result:
    """One long run and one with kills."""
    minutes = QUICK_MINUTES if options.quick else MINUTES
    with tempfile.TemporaryDirectory() as name:
        memory, pace, restarts = soak(options, minutes, Path(name) / "soak")
        done, balanced, missing = killed(options, QUICK_KILLS if options.quick else KILLS, Path(name) / "kills")
    growth = {}
    for node, values in memory.items():
        settled = values[int(SETTLED * len(values)) :]
        tail = max(len(settled) // 5, 1)
        growth[node] = float(np.median(settled[-tail:]) / np.median(settled[:tail]) - 1.0)
    worst = max(growth, key=lambda node: growth[node])
    fifth = max(len(pace) // 5, 1)
    change = float(np.median(pace[-fifth:]) / np.median(pace[fifth : 2 * fifth]) - 1.0)
    count = min(len(values) for values in memory.values())
    return Result(
        Axis("wall time", "min", [round(k * LOOK / 60, 3) for k in range(count)]),
        "memory of a process alone, MiB",
        {node: {"mean": values[:count], "ci95": [0.0] * count} for node, values in sorted(memory.items())},
        {"minutes": minutes, "settled after, minutes": round(minutes * SETTLED, 2), "kills": done},
        {},
        [
            Goal("memory of any process after it has settled, growth", f"<= {GROWTH_GOAL:g}",
                 f"{growth[worst]:.3f} ({worst})", growth[worst] <= GROWTH_GOAL),
            Goal("restarts of processes that nobody killed", "0", sum(restarts.values()), not sum(restarts.values())),
            Goal("pace at the end beside the second fifth", f"within {PACE_GOAL:g}", round(change, 3),
                 abs(change) <= PACE_GOAL),
            Goal("after the kills the radio's books balance", "yes", "yes" if balanced else "no", balanced),
            Goal("after the kills every node runs again", "yes", "yes" if not missing else ", ".join(missing),
                 not missing),
        ],
        {"growth": growth, "pace": pace},
    )  # fmt: skip


if __name__ == "__main__":
    main("soak", run, seeds=1, quick_seeds=1)
