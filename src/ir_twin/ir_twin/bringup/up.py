# SPDX-License-Identifier: Apache-2.0
"""``./ir up``: brings the stack up without a ROS launcher."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_twin.bringup import start_checks
from ir_twin.bringup.arguments import BringupArguments, arguments_of, choices_of, default_of, parse
from ir_twin.bringup.description import StackDescription, describe
from ir_twin.bringup.supervisor import Supervisor


def main() -> None:
    """Reads ``name:=value`` arguments, runs the stack to its end and exits with its status."""
    words = sys.argv[1:]
    if any(word in ("-h", "--help", "help") for word in words):
        print(usage())
        return
    try:
        sys.exit(_run(words))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)


def usage() -> str:
    """The help text."""
    lines = [
        "usage: ./ir up [name:=value …]",
        "",
        "Brings up the simulated fleet, the radio, the twin and the edge.",
        "",
    ]
    for name, field in arguments_of().items():
        choices, default = choices_of(field), default_of(field)
        remarks = [f"({'|'.join(choices)})"] if choices else []
        remarks += [f"[{default}]"] if default else []
        lines.append(" ".join([f"  {name + ':=':<19}{field.description}", *remarks]))
    return "\n".join(lines)


def _run(words: list[str]) -> int:
    arguments = parse(words)
    directory = start_checks.run_directory()
    return run_stack(arguments, describe(arguments, directory), directory)


def run_stack(arguments: BringupArguments, stack: StackDescription, directory: Path) -> int:
    """Runs a stack to its end; returns its exit status.

    Args:
        arguments: that it was described by.
        stack: what runs.
        directory: for logs and parameter files, `start_checks.run_directory`.

    Raises:
        ConfigError: another stack runs here, or a process cannot be started.
    """
    start_checks.domain(os.environ)
    supervisor = Supervisor(stack.nodes, directory, lambda line: print(line, file=sys.stderr, flush=True))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    parts, names = {spec.part for spec in stack.nodes}, [spec.full_name for spec in stack.nodes]
    with start_checks.alone(parts, names, os.environ, arguments.namespace):
        print("\n".join([f"logs: {directory}", *stack.notes]), file=sys.stderr, flush=True)
        return supervisor.run()


if __name__ == "__main__":
    main()
