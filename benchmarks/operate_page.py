# SPDX-License-Identifier: Apache-2.0
"""What the live page costs: the dashboard's processor time, and whether viewers slow the stack or wait."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _operate import PATIENCE, page, socket_of, stack
from harness import Axis, Goal, Options, Result, interval, main
from websockets.asyncio.client import connect

VIEWERS = (0, 1, 10)
RATE = 20.0  #: Hz of the page
SHARE = 10.0  #: % of a core that one viewer may cost
SECONDS = 10.0  #: of a measurement
SETTLE = 2.0  #: s before it


class Viewer:
    """What a browser does with the socket, without drawing."""

    def __init__(self) -> None:
        self.pictures, self.first = 0, float("nan")

    async def watch(self, base: str, token: str) -> None:
        """Watches until it is cancelled."""
        began = time.perf_counter()
        async with connect(socket_of(base), max_size=None, compression=None) as link:
            await link.send(json.dumps({"token": token}))
            seen = 0
            async for message in link:
                if isinstance(message, str):
                    seen += 1
                    self.first = time.perf_counter() - began if seen == 1 else self.first
                    self.pictures += message.startswith('{"time"')
                    if seen % 5 == 0:
                        await link.send(json.dumps({"seen": seen}))


def simulated(base: str) -> float:
    """Simulated time, s."""
    with urllib.request.urlopen(f"{base}/api/v1/status", timeout=10) as answer:
        return float(json.load(answer).get("time") or 0.0)


def dashboard(process: int) -> psutil.Process:
    """The dashboard of the stack with this process id."""
    for child in psutil.Process(process).children(recursive=True):
        if any("ir_dashboard" in word for word in child.cmdline()):
            return child
    raise SystemExit("the stack has no dashboard")


async def measure(base: str, token: str, count: int, served: psutil.Process) -> dict[str, float]:
    """One measurement beside so many viewers."""
    viewers = [Viewer() for _ in range(count)]
    tasks = [asyncio.create_task(viewer.watch(base, token)) for viewer in viewers]
    await asyncio.sleep(SETTLE)
    pictures = sum(viewer.pictures for viewer in viewers)
    wall, spent, time_then = time.perf_counter(), sum(served.cpu_times()[:2]), await asyncio.to_thread(simulated, base)
    await asyncio.sleep(SECONDS)
    took, cost = time.perf_counter() - wall, sum(served.cpu_times()[:2]) - spent
    passed = await asyncio.to_thread(simulated, base) - time_then
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "share": 100 * cost / took,
        "pace": passed / took,
        "pictures": (sum(viewer.pictures for viewer in viewers) - pictures) / took / count if count else float("nan"),
        "first": max((1e3 * viewer.first for viewer in viewers), default=float("nan")),
    }


def one_seed(seed: int) -> list[dict[str, float]]:
    """All numbers of viewers beside one stack with three robots."""
    with tempfile.TemporaryDirectory() as name, stack([f"seed:={seed}"], Path(name)) as (address, process):
        base, token = page(address)
        deadline = time.monotonic() + PATIENCE
        while simulated(base) < 5.0 and time.monotonic() < deadline:
            time.sleep(0.2)
        served = dashboard(process.pid)
        return [asyncio.run(measure(base, token, count, served)) for count in VIEWERS]


def run(options: Options) -> Result:
    """Cost by number of viewers."""
    os.environ.setdefault("ROS_DOMAIN_ID", "98")
    found = [one_seed(seed) for seed in options.seed_list]

    def of(key: str) -> Any:
        return interval([[row[key] for row in rows] for rows in found])

    share, pace, pictures, first = map(of, ("share", "pace", "pictures", "first"))
    one, slowed = share["mean"][1], 100 * (pace["mean"][0] - pace["mean"][-1])
    each, waited = pictures["mean"][-1], float(np.nanmax(first["mean"]))
    goals = [
        Goal(f"a viewer at {RATE:g} Hz", f"under {SHARE:g} % of a core", f"{one:.1f} %", one < SHARE),
        Goal("ten viewers slow the simulation", "by at most 1 %", f"{slowed:.2f} %", slowed <= 1.0),
        Goal("pictures for each of ten", f"{RATE:g} Hz", f"{each:.1f} Hz", each > 0.95 * RATE),
        Goal("data of the first picture", "within 3 s", f"{waited:.0f} ms", waited < 3000),
    ]
    return Result(
        Axis("viewers", "", list(VIEWERS)),
        "% of one core",
        {"dashboard": share},
        {"robots": 3, "seconds": SECONDS, "update rate (Hz)": RATE},
        {},
        goals,
        {"simulated s per s": pace, "pictures a second and viewer": pictures, "first picture's data (ms)": first},
    )


if __name__ == "__main__":
    main("operate-page", run, seeds=3, quick_seeds=1)
