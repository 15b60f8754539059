# SPDX-License-Identifier: Apache-2.0
"""What is special about the wheels and the pins in requirements/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .layout import ProjectLayout

# Distributions that the interpreter sees outside of the venv: those of the system and of the sourced ROS.
LIST_SYSTEM = """
import importlib.metadata, json, sys
outside = [d for d in importlib.metadata.distributions() if not str(d.locate_file("")).startswith(sys.prefix)]
print(json.dumps({d.name: d.version for d in reversed(outside)}))  # of two, the one that is imported
"""
# Kept in whatever version a ROS installation has them: its own tools, and what its packages are compiled for.
KEPT = {"cmake", "empy", "lark", "ninja", "numpy", "pytest", "pyyaml", "setuptools"}


def pins(file: Path) -> list[str]:
    """Names in a requirements file that are meant for this Python."""
    return [re.split(r"[=;]", x)[0].strip() for x in pin_lines(file.read_text(encoding="utf-8").splitlines())]


def pin_lines(lines: list[str]) -> list[str]:
    """Those lines of a requirements file that pin something for this Python."""
    old = sys.version_info < (3, 11)
    lines = [line.strip() for line in lines]
    return [x for x in lines if x and x[0] != "#" and not (">=" in x and old) and not ("<" in x and not old)]


def lines_of(name: str, file: Path) -> list[str]:
    """Lines that pin a distribution."""
    return [x for x in file.read_text(encoding="utf-8").splitlines() if re.split(r"[=;]", x)[0].strip() == name]


def drop_unfinished(site: Path) -> None:
    """Make pip forget packages whose installation was cut short: those without the RECORD that it writes last."""
    for info in site.glob("*.dist-info"):
        if not (info / "RECORD").exists():
            shutil.rmtree(info)


def normal(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(lines: list[str], present: Mapping[str, str]) -> list[str]:
    """Requirements that are not met yet: not there, or of an older major version and not one of KEPT.

    Args:
        present: version by normal name.
    """

    def met(line: str) -> bool:
        match = re.match(r"([\w.-]+)==(\d+)", line)
        name = normal(match[1]) if match else ""
        if not match or name not in present:
            return False
        return name in KEPT or int(re.match(r"\d*", present[name])[0] or 0) >= int(match[2])  # type: ignore[index]

    return [line for line in lines if not met(line)]


def missing_requirements(
    layout: ProjectLayout, wanted: list[Path], constraints: Path, environ: Mapping[str, str]
) -> tuple[list[Path], Path]:
    """Requirements that a ROS installation's Python does not have, and constraints that leave its NumPy as it is.

    The messages of the installation are compiled for that NumPy.
    """
    run = subprocess.run([layout.python, "-c", LIST_SYSTEM], env=dict(environ), check=True, capture_output=True)
    present = {normal(name): version for name, version in json.loads(run.stdout).items()}
    folder = layout.home / "requirements"
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*wanted, constraints]:
        lines = lacking(file.read_text(encoding="utf-8").splitlines(), present)
        if file == constraints and "numpy" in present:
            lines.append(f"numpy=={present['numpy']}")
        (folder / file.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [folder / f.name for f in wanted], folder / constraints.name


def interpreter(python: Path) -> tuple[str, str]:
    """Version (3.X) and folder of C headers of an interpreter."""
    code = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_paths()['include'], sep='\\n')"
    environ = os.environ | {"_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    run = subprocess.run([python, "-c", code], env=environ, check=True, capture_output=True, text=True)
    version, include = run.stdout.splitlines()
    return version, include


def correct_cmake_files(venv: Path, version: str, include: str) -> int:
    """Replace paths of the machine that built the wheels in their CMake files; return the number of files changed.

    Args:
        version: of the venv's Python, as in 3.11.
        include: its folder of C headers.
    """
    tag = f"cp{version.replace('.', '')}"
    theirs = f"/opt/python/{tag}-{tag}"
    changed = 0
    for file in (venv / "share").rglob("*.cmake"):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        new = text.replace(f"{theirs}/include/python{version}", include).replace(theirs, str(venv))
        if new != text:
            file.write_text(new, encoding="utf-8", errors="surrogateescape")
            changed += 1
    return changed
