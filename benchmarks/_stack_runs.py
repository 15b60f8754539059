# SPDX-License-Identifier: Apache-2.0
"""Runs in the model's time for the benchmarks of the stack."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

BASE = ("rendering:=false",)


def fleet(count: int) -> str:
    """The argument for so many robots, of the three models in turn."""
    models = ("cart", "spider", "hopper")
    return "robots:=" + ",".join(f"{models[k % 3]}_{k // 3 + 1}:{models[k % 3]}" for k in range(count))


def simulate(words: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The report of a run, and the processor time that it took, s, without the making of its parts."""
    run = ModelRun(parse([*BASE, *words]))
    began = time.process_time()
    report = run.to_end()
    return report, time.process_time() - began


def fingerprint(report: dict[str, Any]) -> str:
    """A hash of every number and word of a report."""
    return hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that only compute, as long as the block runs."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
