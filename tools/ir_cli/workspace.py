# SPDX-License-Identifier: Apache-2.0
"""The packages of the workspace, and what in them makes a new build necessary."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .stamps import hash_of

PLACES = ("src", "tests")  # folders in which colcon looks for packages
VENDOR = "vendor"  # packages of ROS that a place may lack; built there alone, and unseen by a plain colcon build
SHARED = ("launch", "worlds", "config", "docker")  # folders at the root from which a package's setup.py may install
_MANIFESTS = {"package.xml", "setup.py", "setup.cfg", "CMakeLists.txt"}
_INTERFACES = {".msg", ".srv", ".action", ".idl", ".cmake", ".in", ".em"}
_UNSEEN = {"test", "__pycache__", "node_modules"}


@dataclass(frozen=True)
class Package:
    """A colcon package."""

    name: str
    folder: Path

    @property
    def uses_cmake(self) -> bool:
        return (self.folder / "CMakeLists.txt").exists()

    def key(self, root: Path, base: str) -> str:
        """Hash of what a build depends on.

        Contents count for manifests and interface definitions. Of the rest only the names do: the build installs
        links, so that edits of Python code, launch files and worlds take effect by themselves.
        """
        return hash_of([base, *self._inputs(root)])

    def _inputs(self, root: Path) -> Iterator[str | Path]:
        for path in files(self.folder):
            if path.name in _MANIFESTS or path.suffix in _INTERFACES:
                yield path
            else:
                yield str(path)
        setup = self.folder / "setup.py"
        text = setup.read_text(encoding="utf-8") if setup.exists() else ""
        for place in SHARED:
            if place in text:
                yield from map(str, files(root / place))


def files(folder: Path) -> Iterator[Path]:
    """Files below the folder in a fixed order, without tests, caches and hidden ones."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _UNSEEN and f[0] != "." and not f.endswith(".egg-info"))
        yield from (Path(path, n) for n in sorted(names) if n[0] != "." and not n.endswith(".pyc"))


def to_build(root: Path, underlay: Iterable[Path]) -> list[Package]:
    """The packages of the workspace, and those of VENDOR that none of the underlay's prefixes has."""
    vendored = [Package(p.parent.name, p.parent) for p in sorted(root.glob(f"{VENDOR}/*/package.xml"))]
    lacking = [p for p in vendored if not any((u / "share" / p.name / "package.xml").exists() for u in underlay)]
    return packages(root) + lacking


def packages(root: Path) -> list[Package]:
    """All packages of the workspace, by name.

    Raises:
        UserError: a package.xml without a name, or two packages of the same name.
    """
    found: dict[str, Package] = {}
    for place in PLACES:
        for manifest in _manifests(root / place):
            match = re.search(r"<name>\s*([^<\s]+)\s*</name>", manifest.read_text(encoding="utf-8"))
            if match is None:
                raise UserError(f"{manifest}: no <name> in it")
            name = match.group(1)
            if name in found:
                raise UserError(
                    f"two packages are named {name}: {found[name].folder} and {manifest.parent}; rename one"
                )
            found[name] = Package(name, manifest.parent)
    return sorted(found.values(), key=lambda p: p.name)


def _manifests(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders.sort()
        if "package.xml" in names or "COLCON_IGNORE" in names:
            folders.clear()
        if "package.xml" in names and "COLCON_IGNORE" not in names:
            yield Path(path, "package.xml")
