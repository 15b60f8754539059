# SPDX-License-Identifier: Apache-2.0
"""Command line of `./ir`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from . import checks, docs, doctor, environment, import_graph, preflight, programs
from .console import say
from .errors import UserError
from .layout import ProjectLayout, find_layout

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C

HELP = """\
Robots driven from the edge, through a sliced radio, past a digital twin that can say no.

usage: ./ir COMMAND [arguments]

  up [name:=value …]               bring up the stack; ./ir up --help lists the arguments
  demo twin|slices|link            a story of one minute on the live page, with two numbers at its end
  simulate [name:=value …]         the same stack in the model's time: one process, the same report every time
  experiment FILE [--seeds N …]    variants of such runs times seeds, compared
  run PACKAGE EXECUTABLE [args]    run one program of a package
  radio FILE                       put any ROS 2 system behind the radio, as the file says
  radio-map FILE [--out PNG …]     draw how good the radio is over the floor
  slice VERB [arguments]           list, create, modify, delete or watch network slices
  bag record|play|info|replay …    record topics into a rosbag2 bag, play it, compute a run again
  test [PACKAGE …] [-- pytest …]   run the tests, of all packages or of some
  bench [NAME [--quick] [--seeds N] [--out DIR]]
                                   run a benchmark; without a name: list them
  shell [args]                     open a shell with the environment set
  lint [--fix]                     check style and types
  docs [--serve]                   make the documentation site, and the pages of evidence
  graph                            draw who imports whom: docs/pictures/imports.svg
  setup                            make the environment and do nothing else
  doctor                           what this machine lacks, and how to mend it

The first use of anything but doctor and docs makes the environment in .ir/ (a few minutes, 2 GB). It needs Python 3.10
or later with venv, a C++ compiler and a network. A sourced ROS 2 Jazzy or Kilted is used instead of wheels.

environment variables
  IR_ROS_DISTRO=kilted             another ROS distribution than jazzy
  ROS_AUTOMATIC_DISCOVERY_RANGE    default LOCALHOST: nothing is sent to the network
  IR_NAMESPACE                     namespace of the stack that slice, run and shell are to reach; up has an argument
  PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, …
                                   pip's own; point one at CPU builds of PyTorch, as PyPI's bring several GB of CUDA
"""


def main(arguments: list[str]) -> int:
    """Run a command; return the exit status. A mistake of the user's is one clear message, not a traceback."""
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), _ended)
    try:
        return _dispatch(arguments)
    except UserError as error:
        say(f"ir: {error}")
        return error.status
    except KeyboardInterrupt:
        say("\nir: interrupted; run the same command again, it goes on where it stopped")
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except OSError as error:
        say(f"ir: {error.filename or ''}: {error.strerror}; is the disk full, or .ir/ owned by another user?")
        return 1


def _ended(number: int, _frame: object) -> NoReturn:
    """Leave through the clean-up code when told to end."""
    raise SystemExit(128 + number)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise UserError(
            f"no command {command}. {programs.hint(command, COMMANDS)}There are: {', '.join(COMMANDS)}; see ./ir --help"
        )
    return COMMANDS[command](find_layout(ROOT, os.environ), rest)


def _up(layout: ProjectLayout, rest: list[str]) -> int:
    return _run(layout, ["ir_twin", "up", *rest])


def _demo(layout: ProjectLayout, rest: list[str]) -> int:
    return _run(layout, ["ir_lab", "demo", *rest])


def _require_logs() -> None:
    """Stops before a program of ROS that could not make its log; the bringup looks for itself."""
    finding = preflight.check_logs(os.environ)
    if finding.level != "ok":
        raise UserError(f"{finding.detail}; {finding.mend}")


def _radio(layout: ProjectLayout, rest: list[str]) -> int:
    if not rest or rest[0] in ("-h", "--help"):
        print("usage: ./ir radio FILE [--ros-args …]; what stands in the file: docs/guide/radio_only.md")
        return 0
    _require_logs()
    return _run(layout, ["ir_radio", "radio", *rest])


def _radio_map(layout: ProjectLayout, rest: list[str]) -> int:
    return _run(layout, ["ir_radio", "radio_map", *rest])


def _simulate(layout: ProjectLayout, rest: list[str]) -> int:
    return _run(layout, ["ir_lab", "simulate", *rest])


def _experiment(layout: ProjectLayout, rest: list[str]) -> int:
    return _run(layout, ["ir_lab", "experiment", *rest])


def _slice(layout: ProjectLayout, rest: list[str]) -> int:
    _require_logs()
    return _run(layout, ["ros2slice", "slice", *rest])


def _bag(layout: ProjectLayout, rest: list[str]) -> int:
    verbs = ("record", "play", "info", "replay")
    if not rest or rest[0] in ("-h", "--help"):
        print("usage: ./ir bag " + "|".join(verbs) + " [arguments]; each has a --help of its own")
        return 0
    if rest[0] not in verbs:
        raise UserError(f"./ir bag has no {rest[0]}. {programs.hint(rest[0], verbs)}There are: {', '.join(verbs)}")
    if rest[0] in ("record", "play"):
        _require_logs()
    return _run(layout, ["ir_bag", *rest])


def _run(layout: ProjectLayout, rest: list[str]) -> int:
    if rest and rest[0] in ("-h", "--help"):
        print("usage: ./ir run PACKAGE EXECUTABLE [args]")
        return 0
    environ = environment.ensure(layout, os.environ)
    package, executable = [*rest, "", ""][:2]
    if not executable:
        raise UserError(f"usage: ./ir run PACKAGE EXECUTABLE [args]. {programs.choices(package, environ)}")
    program = programs.find_executable(package, executable, environ)
    programs.replace_process([str(program), *rest[2:]], environ)


def _shell(layout: ProjectLayout, rest: list[str]) -> int:
    programs.shell(layout, rest, environment.ensure(layout, os.environ))


def _bench(layout: ProjectLayout, rest: list[str]) -> int:
    if not rest or rest[0] in ("-h", "--help"):
        print("usage: ./ir bench NAME [--quick] [--seeds N] [--out DIR]")
        programs.list_benchmarks(layout.root)
        return 0
    if rest[0].replace("_", "-") not in programs.benchmarks(layout.root):
        programs.bench(layout, rest, {})  # says what there is, before anything is set up
    programs.bench(layout, rest, environment.ensure(layout, os.environ))


def _test(layout: ProjectLayout, rest: list[str]) -> int:
    if rest and rest[0] in ("-h", "--help"):
        print("usage: ./ir test [PACKAGE …] [-- pytest arguments]")
        return 0
    selected = checks.Selection.parse(rest, layout.root)
    return checks.test(layout, selected, environment.ensure(layout, os.environ))


def _lint(layout: ProjectLayout, rest: list[str]) -> int:
    if set(rest) - {"--fix"}:
        raise UserError("usage: ./ir lint [--fix]")
    return checks.lint(layout, "--fix" in rest, environment.ensure(layout, os.environ))


def _docs(layout: ProjectLayout, rest: list[str]) -> int:
    if rest and rest[0] in ("-h", "--help"):
        print(docs.USAGE)
        return 0
    if set(rest) - {"--serve"}:
        raise UserError(docs.USAGE)
    return docs.docs(layout, "--serve" in rest, os.environ)


def _graph(layout: ProjectLayout, rest: list[str]) -> int:
    if rest:
        raise UserError("usage: ./ir graph")
    graph = import_graph.package_edges(import_graph.workspace_modules(layout.root))
    picture = layout.root / "docs" / "pictures" / "imports.svg"
    picture.write_text(import_graph.draw(graph), encoding="utf-8")
    for name in sorted(graph, key=lambda name: (-import_graph.FLOORS[name], name)):
        print(f"{import_graph.FLOORS[name]}  {name:<14} {', '.join(sorted(graph[name]))}".rstrip())
    say(f"ir: {picture}")
    return 0


def _setup(layout: ProjectLayout, rest: list[str]) -> int:
    if rest:
        raise UserError("usage: ./ir setup")
    environment.ensure(layout, os.environ)
    return 0


def _doctor(layout: ProjectLayout, rest: list[str]) -> int:
    if rest:
        raise UserError("usage: ./ir doctor")
    return doctor.doctor(layout)


COMMANDS = {
    "up": _up,
    "demo": _demo,
    "simulate": _simulate,
    "experiment": _experiment,
    "run": _run,
    "radio": _radio,
    "radio-map": _radio_map,
    "slice": _slice,
    "bag": _bag,
    "test": _test,
    "bench": _bench,
    "shell": _shell,
    "lint": _lint,
    "docs": _docs,
    "graph": _graph,
    "setup": _setup,
    "doctor": _doctor,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
