# SPDX-License-Identifier: Apache-2.0
"""`ir bag replay`: computes a recorded run again in radio, twin and slicing, and compares with what was recorded."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy, as in the nodes: sums depend on it

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ir_bag import bag_console
from ir_bag.against import differences
from ir_bag.reader import BagReader
from ir_bag.recomputation import Recomputation, StatementComparison, installed_engines
from ir_bag.ros_statements import journal_segments, recorded_statements
from ir_common.config import ConfigError
from ir_common.stack_namespace import normalised


def parser() -> argparse.ArgumentParser:
    """The arguments of `ir bag replay`."""
    made = argparse.ArgumentParser(
        prog="ir bag replay", description="Compute a recorded run again, from the journals of its nodes, and compare."
    )
    made.add_argument("bag", type=Path, help="folder of the bag, or one file of it")
    made.add_argument("--namespace", default="", metavar="NAME", help="of the stack, where the bag holds several")
    made.add_argument("--report", type=Path, metavar="FILE", help="write the run's report there, as JSON")
    made.add_argument(
        "--against", type=Path, metavar="FILE", help="also compare with the report that the run left (report:=FILE)"
    )
    return made


def main() -> None:
    """Entry point of the executable ``replay``."""
    bag_console.run(lambda: replay(sys.argv[1:]))


def replay(arguments: list[str]) -> int:
    """Computes a recorded run again and prints how it compares with the recorded statements.

    Returns:
        The exit status: 0 when every statement came out as recorded, 1 when one did not.

    Raises:
        ConfigError: the bag cannot be read, or has no whole journal.
    """
    options = parser().parse_args(arguments)
    bag, namespace = BagReader(options.bag), normalised(options.namespace)
    run = Recomputation(installed_engines())
    for segment in journal_segments(bag, namespace):
        run.read(segment)
    checks = run.compare(recorded_statements(bag, namespace))
    report = document(run, checks)
    if options.against:
        report["against"] = differences(_read_report(options.against), run.statements)
    if options.report:
        _write_report(options.report, report)
    _show(run, checks)
    for line in report.get("against", ()):
        print(line)
    if options.against and not report["against"]:
        print(f"{options.against}: as in the run, to the last count")
    return 0 if report["equal"] and not report.get("against") else 1


def _write_report(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); give another file") from None


def _read_report(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("is no report")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the report of a run") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is no report of a run ({error}); give the file of report:=FILE") from None
    return content


def document(run: Recomputation, checks: dict[str, StatementComparison]) -> dict[str, Any]:
    """The recomputed report and the comparison of each topic, ready for JSON."""
    return {
        **run.totals(),
        "equal": not any(check.different for check in checks.values()) and any(c.equal for c in checks.values()),
        "compared": {topic: vars(check) for topic, check in sorted(checks.items())},
        "journals": {
            topic: {"engine": journal.engine_name, "lines": journal.lines, "starts": journal.starts}
            for topic, journal in sorted(run.journals.items())
        },
    }


def _show(run: Recomputation, checks: dict[str, StatementComparison]) -> None:
    for topic, journal in sorted(run.journals.items()):
        again = f", {journal.starts} starts" if journal.starts > 1 else ""
        print(f"{topic}: {journal.lines} calls repeated{again}")
    for topic, check in sorted(checks.items()):
        words = [f"{check.equal} as recorded"]
        words += [f"{check.different} DIFFERENT, the first: {check.first_difference}"] if check.different else []
        words += [f"{check.early} from before the recording"] if check.early else []
        words += [f"{check.missing} not in the bag"] if check.missing else []
        words += [f"{check.beyond} beyond the journals"] if check.beyond else []
        print(f"{topic}: {', '.join(words)}")


if __name__ == "__main__":
    main()
