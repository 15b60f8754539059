# SPDX-License-Identifier: Apache-2.0
"""``./ir simulate``: the whole stack in the model's time, with a progress bar, the table and the report."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ir_common.atomic_file import replace_text
from ir_common.config import EXIT_CONFIG, ConfigError
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import DEFAULT_DURATION, OwnArguments, SimulateArguments, parse
from ir_twin.bringup import up
from ir_twin.monitor.table import render

INTERRUPTED = 130
_REFRESH = 0.5  # s of wall time


def main() -> None:
    """Reads ``name:=value`` arguments, makes the run and exits with its status."""
    words = sys.argv[1:]
    if any(word in ("-h", "--help", "help") for word in words):
        print(usage())
        return
    try:
        sys.exit(simulate(parse(words)))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)


def usage() -> str:
    """The help text."""
    own = "\n".join(
        f"  {name + ':=':<19}{field.description} [{'' if field.default is None else field.default}]"
        for name, field in OwnArguments.model_fields.items()
    )
    lines = up.usage().splitlines()
    head = [
        "usage: ./ir simulate [name:=value …]",
        "",
        "Runs the stack in the model's time: one process, the same report every time, as fast as the host can.",
        f"Without duration:= it ends after {DEFAULT_DURATION:g} simulated seconds. Live page and pace have no",
        "effect; sim:=gz, external:= and side:= are refused.",
        "",
        own,
        "",
        "Arguments of ./ir up:",
    ]
    return "\n".join([*head, *lines[4:]])


def simulate(arguments: SimulateArguments) -> int:
    """Makes one run; returns the exit status."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=130)
    run, began = ModelRun(arguments), time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    task = bar.add_task("simulated", total=arguments.duration)

    def shown() -> RenderableType:
        return Group(render(run.totals, time.monotonic() - began), bar)

    interrupted = False
    with Live(console=console, auto_refresh=False, transient=True) as live:
        drawn = began
        try:
            for now in run.run():
                if time.monotonic() - drawn > _REFRESH:
                    drawn = time.monotonic()
                    bar.update(task, completed=now)
                    if console.is_terminal:
                        live.update(shown(), refresh=True)
        except KeyboardInterrupt:
            interrupted = True
    wall = time.monotonic() - began
    console.print(render(run.totals, wall))
    console.print(
        f"{run.totals.simulated_seconds:g} s in {wall:.1f} s: {run.totals.simulated_seconds / wall:.1f} times real time"
    )
    if interrupted:
        console.print("interrupted: no report is written of a run that was not finished")
        return INTERRUPTED
    if arguments.stack.report:
        replace_text(Path(arguments.stack.report), json.dumps(run.report(), indent=2) + "\n")
        console.print(f"report: {arguments.stack.report}")
    return 0


if __name__ == "__main__":
    main()
