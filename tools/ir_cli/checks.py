# SPDX-License-Identifier: Apache-2.0
"""`./ir test` and `./ir lint`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .console import say
from .errors import UserError
from .layout import ProjectLayout
from .programs import hint
from .workspace import PLACES, Package, packages

FAILURE_LINES = 60  # of a failed test's report
LINES = 2  # packages that are tested at once: tests of nodes leave a core idle much of the time


@dataclass(frozen=True)
class Selection:
    """Which packages to test, and arguments for pytest."""

    packages: tuple[Package, ...]
    pytest: tuple[str, ...] = ()

    @classmethod
    def parse(cls, arguments: list[str], root: Path) -> Selection:
        """Split `PACKAGE … -- pytest arguments`.

        Raises:
            UserError: an unknown package.
        """
        cut = arguments.index("--") if "--" in arguments else len(arguments)
        names, pytest = arguments[:cut], tuple(arguments[cut + 1 :])
        known = {p.name: p for p in packages(root)}
        for name in names:
            if name.startswith("-"):
                raise UserError(f"{name}: arguments for pytest come after --, as in: ./ir test ir_sim -- {name}")
            if name not in known:
                raise UserError(f"no package {name}. {hint(name, known)}There are: {', '.join(known)}")
        chosen = [known[n] for n in names] or list(known.values())
        return cls(tuple(p for p in chosen if not p.uses_cmake), pytest)  # interface packages have no tests


@dataclass
class Results:
    """Counts of JUnit files."""

    passed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)  # test, report
    skips: list[tuple[str, str]] = field(default_factory=list)  # test, reason

    def add_file(self, file: Path) -> None:
        """Count the test cases of a file; an unreadable file is a failure."""
        try:
            root = ElementTree.parse(file).getroot()
        except (OSError, ElementTree.ParseError) as error:
            self.failures.append((str(file), f"unreadable result file: {error}"))
            return
        for case in root.iter("testcase"):
            self._add_case(case)

    def _add_case(self, case: ElementTree.Element) -> None:
        name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
        bad = [e for tag in ("failure", "error") for e in case.findall(tag)]
        skipped = case.find("skipped")
        if bad:
            text = "\n".join(filter(None, ((e.text or e.get("message") or "").strip() for e in bad)))
            self.failures.append((name, text))
        elif skipped is not None:
            self.skips.append((name, skip_reason(skipped)))
        else:
            self.passed += 1

    def closing_line(self) -> str:
        """The counts alone on a line, as tools read them."""
        return f"{self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped"

    def report(self) -> str:
        """Failures with their reports, skips with their reasons, and the counts."""
        lines = []
        for name, text in self.failures:
            shown = text.splitlines()
            cut = [f"… {len(shown) - FAILURE_LINES} more lines above"] if len(shown) > FAILURE_LINES else []
            lines += [f"FAILED {name}", *(f"    {x}" for x in [*cut, *shown[-FAILURE_LINES:]])]
        lines += [f"SKIPPED {name}: {reason}" for name, reason in self.skips]
        return "\n".join([*lines, self.closing_line()])


def skip_reason(skipped: ElementTree.Element) -> str:
    """Why a test was skipped; for a whole module pytest has that in the text, as ('file', line, 'Skipped: reason')."""
    inner = re.search(r"Skipped: (.*?)['\"]\)?$", (skipped.text or "").strip())
    return inner.group(1) if inner else skipped.get("message") or (skipped.text or "").strip()


def test(layout: ProjectLayout, selected: Selection, environ: Mapping[str, str]) -> int:
    """Run `colcon test`, two packages at once, each after those that it depends on; count from result files."""
    names = [p.name for p in selected.packages]
    if not names:
        print("0 passed, 0 failed, 0 skipped")
        return 0
    for name in names:
        for file in result_files(layout, [name]):
            file.unlink()
    status = subprocess.run(test_command(layout, selected), env=dict(environ), cwd=layout.root, check=False).returncode
    results = Results()
    for file in result_files(layout, names):
        results.add_file(file)
    if results.failures or status:
        say(f"ir: output of each package: {layout.log}/latest_test/PACKAGE/stdout_stderr.log")
    print(results.report(), flush=True)
    return 1 if status or results.failures else 0


def test_command(layout: ProjectLayout, selected: Selection) -> list[str]:
    """The colcon call that tests the selected packages."""
    # colcon takes a word with a dash for an option of its own unless a space stands before it
    pytest = [f" {a}" if a.startswith("-") else a for a in selected.pytest]
    command = [
        *(layout.python, "-m", "colcon", "--log-base", layout.log, "test", "--base-paths"),
        *(place for place in PLACES if (layout.root / place).is_dir()),
        *("--build-base", layout.build, "--install-base", layout.install, "--test-result-base", layout.build),
        *("--executor", "parallel", "--parallel-workers", str(LINES)),
        *("--event-handlers", "console_start_end+", "--return-code-on-test-failure"),
        *("--packages-select", *(p.name for p in selected.packages)),
        *(("--pytest-args", *pytest) if pytest else ()),
    ]
    return [str(c) for c in command]


def result_files(layout: ProjectLayout, names: Iterable[str]) -> list[Path]:
    """JUnit files of the packages."""
    return [f for n in names for f in sorted((layout.build / n).glob("pytest*.xml"))]


def lint(layout: ProjectLayout, fix: bool, environ: Mapping[str, str]) -> int:
    """Run ruff and mypy over the project; with fix, let ruff mend what it can first."""
    bin_folder = layout.venv / "bin"
    ruff = str(bin_folder / "ruff") if (bin_folder / "ruff").exists() else shutil.which("ruff") or "ruff"
    benches = layout.root / "benchmarks"
    modules = [str(p.folder / p.name) for p in packages(layout.root) if (p.folder / p.name / "__init__.py").exists()]
    paths = {p.folder for p in packages(layout.root)} | {layout.root / "tools", benches}
    steps = {
        "ruff check": [ruff, "check", *(["--fix"] if fix else []), "."],
        "ruff format": [ruff, "format", *([] if fix else ["--check"]), "."],
        "mypy": [str(layout.python), "-m", "mypy", *modules, str(layout.root / "tools" / "ir_cli"), str(benches)],
    }
    variables = dict(environ) | {"MYPYPATH": ":".join(sorted(map(str, paths)))}
    status = 0
    for name, step in steps.items():
        say(f"ir: {name}")
        status |= subprocess.run(step, env=variables, cwd=layout.root, check=False).returncode
    return 1 if status else 0
