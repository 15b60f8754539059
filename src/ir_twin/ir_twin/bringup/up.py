# SPDX-License-Identifier: Apache-2.0
"""``./ir up``: brings the stack up without a ROS launcher."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal, get_args, get_origin

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_twin.bringup.arguments import BringupArguments, parse
from ir_twin.bringup.description import describe
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
    for name, field in BringupArguments.model_fields.items():
        choices = f"({'|'.join(get_args(field.annotation))})" if get_origin(field.annotation) is Literal else ""
        default = field.get_default(call_default_factory=True)
        shown = str(default).lower() if isinstance(default, bool) else default
        remarks = [remark for remark in (choices, f"[{shown}]" if default not in (None, (), {}) else "") if remark]
        lines.append(" ".join([f"  {name + ':=':<19}{field.description}", *remarks]))
    return "\n".join(lines)


def _run(words: list[str]) -> int:
    arguments = parse(words)
    directory = run_directory()
    stack = describe(arguments, directory)
    supervisor = Supervisor(stack.nodes, directory, lambda line: print(line, file=sys.stderr, flush=True))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    print("\n".join([f"logs: {directory}", *stack.notes]), file=sys.stderr, flush=True)
    return supervisor.run()


def run_directory() -> Path:
    """A new folder for one run's logs and parameter files, where ROS keeps its logs."""
    home = Path(os.environ.get("ROS_LOG_DIR") or Path(os.environ.get("ROS_HOME", "~/.ros")).expanduser() / "log")
    directory = home / f"ir-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    directory.mkdir(parents=True)
    return directory


if __name__ == "__main__":
    main()
