# SPDX-License-Identifier: Apache-2.0
"""Where things are: the project, the ROS distribution in use, and the environment made for it.

Two sources of ROS 2 are known. *Wheels* from PyPI need no installation. A *sourced installation* (`source
/opt/ros/jazzy/setup.bash`) is used instead wherever there is one; then only missing Python libraries are
added. Each has an environment folder of its own, so that going back and forth rebuilds nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError

DISTROS = ("jazzy", "kilted")


@dataclass(frozen=True)
class ProjectLayout:
    """Paths of one environment.

    Attributes:
        root: the project.
        distro: ROS distribution, one of DISTROS.
        underlay: prefixes of the sourced ROS installation, nearest first; empty where wheels are used.
    """

    root: Path
    distro: str
    underlay: tuple[Path, ...] = ()

    @property
    def uses_wheels(self) -> bool:
        return not self.underlay

    @property
    def home(self) -> Path:
        return self.root / ".ir" / (self.distro if self.uses_wheels else f"{self.distro}-installed")

    @property
    def venv(self) -> Path:
        return self.home / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def build(self) -> Path:
        return self.home / "build"

    @property
    def install(self) -> Path:
        return self.home / "install"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def stamps(self) -> Path:
        return self.home / "stamps"

    @property
    def requirements(self) -> Path:
        return self.root / "requirements"

    def site_packages(self) -> Path:
        """The venv's folder of installed Python packages."""
        made = next(self.venv.glob("lib/python3.*"), None)  # may be by another Python than the one that runs this
        return (made or self.venv / "lib" / f"python{python_version()}") / "site-packages"


def python_version() -> str:
    """Major and minor version of this interpreter."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def base_python() -> str:
    """The interpreter to make venvs with: not one inside a venv, which may be the very one to be made again."""
    return getattr(sys, "_base_executable", None) or sys.executable


def foreign_prefixes(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Ament prefixes that were sourced by the user, that is, not put there by an `./ir` of any checkout."""
    entries = [Path(e) for e in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if e]
    return tuple(e for e in entries if ".ir" not in e.parts)


def find_layout(root: Path, environ: Mapping[str, str]) -> ProjectLayout:
    """Decide which ROS is used.

    Raises:
        UserError: unknown distribution, or an installation that is sourced but cannot serve.
    """
    wanted = environ.get("IR_ROS_DISTRO", "")
    if wanted and wanted not in DISTROS:
        raise UserError(f"IR_ROS_DISTRO={wanted}: unknown ROS distribution; use one of: {', '.join(DISTROS)}")
    prefixes = foreign_prefixes(environ)
    if not prefixes:
        return ProjectLayout(root, wanted or DISTROS[0])
    sourced = environ.get("ROS_DISTRO", "")
    other = "or start ./ir from a shell in which no ROS is sourced (it then uses wheels)"
    if sourced not in DISTROS:
        raise UserError(
            f"the sourced ROS installation is '{sourced}' (ROS_DISTRO); source {' or '.join(DISTROS)}, {other}"
        )
    if wanted and wanted != sourced:
        raise UserError(f"IR_ROS_DISTRO={wanted}, but {sourced} is sourced; unset IR_ROS_DISTRO, {other}")
    versions = rclpy_pythons(prefixes)
    if not versions:
        where = os.pathsep.join(map(str, prefixes))
        raise UserError(f"no rclpy in AMENT_PREFIX_PATH={where}; source the setup.bash of a complete ROS, {other}")
    if python_version() not in versions:
        raise UserError(
            f"ROS {sourced} is sourced, which is for Python {' '.join(sorted(versions))}; this is {python_version()}; "
            f"start it as python{sorted(versions)[0]} ./ir, {other}"
        )
    return ProjectLayout(root, sourced, prefixes)


def rclpy_pythons(prefixes: tuple[Path, ...]) -> set[str]:
    """Python versions for which the prefixes hold an rclpy."""
    found = (p for prefix in prefixes for p in prefix.glob("lib/python3.*/*-packages/rclpy"))
    return {p.parents[1].name.removeprefix("python") for p in found}
