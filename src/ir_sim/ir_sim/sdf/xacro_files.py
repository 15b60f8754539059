# SPDX-License-Identifier: Apache-2.0
"""Robots and worlds written in xacro, expanded to the URDF or SDFormat that they stand for."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from ir_common.config import ConfigError
from ir_sim.sdf import resources
from ir_sim.sdf.elements import Element, parse
from ir_sim.sdf.resources import MissingResource

_PREFIXES = "AMENT_PREFIX_PATH"
_NO_PACKAGE = re.compile(r"package '([^']+)' not found")  # of ament_index_python, through xacro
_NO_ARGUMENT = re.compile(r"Undefined substitution argument (\w+)")


def read_file(path: Path) -> Element:
    """The root of an SDFormat or URDF file, or of what a xacro file stands for.

    Raises:
        ConfigError: it cannot be read, is not well-formed, or xacro cannot expand it.
    """
    return _expanded(path) if path.suffix == ".xacro" else parse(path)


def _expanded(path: Path) -> Element:
    """The root of what a xacro file stands for.

    A package that it finds things in is looked for as `package://` is: also in source trees that nobody built.

    Raises:
        ConfigError: xacro is not installed, or cannot expand the file; says which argument the file wants.
        MissingResource: a package is not on this machine.
    """
    try:
        import xacro
    except ImportError:
        raise ConfigError(f"{path}: xacro is not installed; pip install xacro, or give the file made from it") from None
    with tempfile.TemporaryDirectory(prefix="ir_xacro_") as name:
        text = _expand(path, Path(name), lambda: str(xacro.process_file(str(path)).toprettyxml()))
    return parse(path, text.encode())


def _expand(path: Path, prefix: Path, process: Callable[[], str]) -> str:
    """The text that `process` makes, with each package that it lacks made known to it in a prefix of its own."""
    found: dict[str, Path] = {}
    before = os.environ.get(_PREFIXES)
    os.environ[_PREFIXES] = os.pathsep.join(filter(None, (before, str(prefix))))
    try:
        while True:
            try:
                text = process()
                break
            except Exception as error:  # whatever the macros do
                lacking = _NO_PACKAGE.search(str(error))
                if lacking is None or lacking[1] in found:
                    raise _told(path, error) from None
                found[lacking[1]] = _provide(path, lacking[1], prefix)
    finally:
        if before is None:
            del os.environ[_PREFIXES]
        else:
            os.environ[_PREFIXES] = before
    for package, folder in found.items():
        text = text.replace(str(prefix / "share" / package), str(folder))
    return text


def _provide(path: Path, package: str, prefix: Path) -> Path:
    """Puts a package's folder into a prefix, as if it were installed there."""
    folder = resources.package_folder(package, path)
    if folder is None:
        raise MissingResource(f"{path}: needs the package {package}; source a workspace that has it, or set "
                              f"ROS_PACKAGE_PATH to the folder that it is in")  # fmt: skip
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / package).touch()
    (prefix / "share" / package).symlink_to(folder)
    return folder


def _told(path: Path, error: Exception) -> ConfigError:
    if lacking := _NO_ARGUMENT.search(str(error)):
        return ConfigError(
            f"{path}: its argument {lacking[1]!r} has no default; expand it yourself and give what that makes: "
            f"xacro {path.name} {lacking[1]}:=VALUE > FILE"
        )
    return ConfigError(f"{path}: xacro cannot expand it ({type(error).__name__}: {error})")
