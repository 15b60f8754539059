# SPDX-License-Identifier: Apache-2.0
"""``./ir experiment FILE.yaml``: runs the variants of a file times its seeds, and compares them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ir_common.config import EXIT_CONFIG, ConfigError, load_yaml, validate
from ir_common.provenance import commit_of
from ir_lab.experiment import results
from ir_lab.experiment.comparison import compare
from ir_lab.experiment.plan import Experiment, Run, check_words
from ir_lab.experiment.runner import Outcome, Store, missing, on_cores, on_ray
from ir_twin.bringup.arguments import share

INTERRUPTED = 130
_SHOWN = 12
"""Numbers in the table of a file that names none."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "./ir experiment", description="Runs variants of the stack times seeds in the model's time, and compares them."
    )
    made.add_argument("file", type=Path, help="YAML file, or the name of one in config/experiments")
    made.add_argument(
        "--out", type=Path, help="folder for the results [experiments/NAME]; finished runs are kept there"
    )
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once [all cores]")
    made.add_argument("--seeds", type=int, help="so many seeds, in place of those of the file")
    made.add_argument("--ray", metavar="ADDRESS", help="address of a Ray cluster to run on (optional dependency)")
    return made


def main() -> None:
    """Reads the command line, runs the experiment and exits with its status."""
    chosen = parser().parse_args()
    try:
        sys.exit(run(chosen, Console()))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)


def find(file: Path) -> Path:
    """A file of the user's own, or one that comes with the stack."""
    if file.exists() or file.suffix or len(file.parts) > 1:
        return file
    installed = share() / "config" / "experiments"
    if not (found := installed / f"{file}.yaml").is_file():
        there = ", ".join(sorted(path.stem for path in installed.glob("*.yaml"))) or "none"
        raise ConfigError(f"experiment '{file}' is not there; give the path of a YAML file, or one of: {there}")
    return found


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Runs what is missing, then compares and writes; returns the exit status."""
    file = find(chosen.file)
    experiment = load_yaml(file, Experiment)
    if chosen.seeds is not None:
        experiment = validate(Experiment, experiment.model_dump() | {"seeds": chosen.seeds}, f"--seeds {chosen.seeds}")
    if chosen.jobs < 1:
        raise ConfigError(f"--jobs {chosen.jobs}: must be at least 1")
    runs, commit = experiment.runs(), commit_of(__file__)
    for one in {one.variant: one for one in runs}.values():
        check_words(one)
    folder = chosen.out or Path("experiments") / file.stem
    store = Store(folder / "runs", commit)
    todo = missing(runs, store)
    console.print(f"{len(runs)} runs, {len(runs) - len(todo)} of them finished before; results: {folder}")
    if todo:
        _perform(todo, store, on_ray(todo, chosen.ray) if chosen.ray else on_cores(todo, chosen.jobs), console)
    reports: dict[str, dict[int, dict[str, Any]]] = {}
    for one in runs:
        report = store.load(one)
        assert report is not None
        reports.setdefault(one.variant, {})[one.seed] = report
    reference = experiment.compare_with or next(iter(reports))
    table = compare(reports, reference)
    show = [path for path in experiment.show if path in table] or list(table)[:_SHOWN]
    about = {
        "experiment": file.stem, "about": experiment.about, "commit": commit, "seeds": list(experiment.all_seeds),
        "compare_with": reference, "variants": {v.name: v.model_dump() for v in experiment.all_variants()},
        "arguments": experiment.arguments,
    }  # fmt: skip
    written = results.write(folder, about, table, show)
    console.print(results.table_of(table, list(reports), reference, show))
    if absent := [path for path in experiment.show if path not in table]:
        console.print(f"no report has: {', '.join(absent)}")
    console.print("written: " + ", ".join(map(str, written)))
    return 0


def _perform(todo: Sequence[Run], store: Store, outcomes: Iterator[Outcome], console: Console) -> None:
    bar = Progress(
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("runs", total=len(todo))
        for one, report in outcomes:
            store.save(one, report)
            bar.advance(task)


if __name__ == "__main__":
    main()
