# SPDX-License-Identifier: Apache-2.0
"""Runs an experiment on all cores, or on a Ray cluster; a run that was finished before is not made again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ir_common.config import ConfigError
from ir_lab.experiment.plan import Run
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

Outcome = tuple[Run, dict[str, Any]]


def perform(run: Run) -> dict[str, Any]:
    """Makes one run in this process; returns its report."""
    arguments = parse([*run.words, f"seed:={run.seed}"], run.faults)
    return ModelRun(arguments).to_end()


class Store:
    """Reports of finished runs, a file each.

    Args:
        folder: where they are; made where it is missing.
        commit: of the code; reports of another one do not count.

    Raises:
        ConfigError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, commit: str) -> None:
        self._folder, self._commit = folder, commit
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be made ({error.strerror}); give another folder with --out") from None
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"{folder}: cannot be written to; give another folder with --out")

    def _file(self, run: Run) -> Path:
        return self._folder / f"{run.variant}-{run.seed}.json"

    def load(self, run: Run) -> dict[str, Any] | None:
        """The report of a run that was finished with the same code and arguments, or None."""
        try:
            stored = json.loads(self._file(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        wanted = isinstance(stored, dict) and stored.get("key") == run.key(self._commit)
        return stored["report"] if wanted else None

    def save(self, run: Run, report: dict[str, Any]) -> None:
        """Keeps a report, whole or not at all."""
        file = self._file(run)
        part = file.with_suffix(".part")
        part.write_text(json.dumps({"key": run.key(self._commit), "report": report}) + "\n", encoding="utf-8")
        part.replace(file)


def on_cores(runs: Sequence[Run], jobs: int) -> Iterator[Outcome]:
    """Makes runs in so many processes at once; gives each report as it is there."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(perform, run): run for run in runs}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            for future in pending:
                future.cancel()
            raise


def on_ray(runs: Sequence[Run], address: str) -> Iterator[Outcome]:
    """Makes runs on a Ray cluster that is there already.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers at the address.
    """
    try:
        import ray  # optional
    except ImportError:
        raise ConfigError("--ray: Ray is not installed; pip install ray, or leave --ray out") from None
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--ray {address}: no cluster there ({error}); start one, or leave --ray out") from None
    remote = ray.remote(num_cpus=1, max_calls=1)(perform)
    pending = {remote.remote(run): run for run in runs}
    while pending:
        done, _ = ray.wait(list(pending))
        for reference in done:
            yield pending.pop(reference), ray.get(reference)


def missing(runs: Sequence[Run], store: Store) -> list[Run]:
    """The runs that are yet to be made."""
    return [run for run in runs if store.load(run) is None]
