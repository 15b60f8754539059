# SPDX-License-Identifier: Apache-2.0
"""Where the files are that worlds and robots name: model://, package://, file://, Gazebo Fuel's, and plain paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ir_common.config import ConfigError
from ir_sim.sdf.elements import Element, parse

#: Search paths of Gazebo and ROS, in the order in which they are looked at.
VARIABLES = ("GZ_SIM_RESOURCE_PATH", "SDF_PATH", "IGN_GAZEBO_RESOURCE_PATH", "GAZEBO_MODEL_PATH", "ROS_PACKAGE_PATH")
_FUEL = re.compile(r"/1\.0/(?P<owner>[^/]+)/models/(?P<name>[^/]+)(?:/(?P<version>\d+|tip))?(?:/files/(?P<file>.+))?/?")


class MissingResource(ConfigError):
    """A file or folder that a world names is not on this machine."""


def model_folders(file: Path) -> list[Path]:
    """Folders in which the models that a world file names are looked for."""
    listed = [Path(folder) for name in VARIABLES for folder in os.environ.get(name, "").split(os.pathsep) if folder]
    return [file.parent / "models", *listed]


def find(uri: Element) -> Path:
    """The file or folder that a <uri> names.

    Raises:
        ConfigError: it is not there, with what was looked for where.
    """
    text = uri.text.strip()
    if not text:
        raise uri.error("is empty")
    candidates = list(_candidates(text, uri.file))
    found = next((path for path in candidates if path.exists()), None)
    if found is not None:
        return found
    if text.startswith(("http://", "https://")):
        raise _missing(uri, f"{text!r} is not in the cache of Gazebo Fuel; get it by: gz fuel download -u '{text}'")
    looked = ", ".join(dict.fromkeys(str(path) for path in candidates[:6]))
    raise _missing(uri, f"no {text!r}; looked for {looked or 'nothing'}; set {VARIABLES[0]} to the folders of models")


def _missing(uri: Element, what: str) -> MissingResource:
    return MissingResource(str(uri.error(what)))


def _candidates(uri: str, file: Path) -> Iterator[Path]:
    scheme, separator, rest = uri.partition("://")
    if not separator:
        yield file.parent / Path(uri).expanduser()
        yield from (folder / uri for folder in model_folders(file))
    elif scheme == "file":
        path = Path(unquote(rest))
        yield path if path.is_absolute() else file.parent / path
        yield from (folder / path for folder in model_folders(file))
    elif scheme in ("http", "https"):
        yield from _fuel(uri)
    elif scheme in ("model", "package"):
        rest = unquote(rest)
        prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
        installed = [Path(prefix) / "share" / rest for prefix in prefixes]
        listed = [folder / rest for folder in model_folders(file)]
        yield from [*installed, *listed] if scheme == "package" else [*listed, *installed]
        # models of one collection, and the packages of one source tree, name each other
        package, _, inner = rest.partition("/")
        for folder in file.parents:
            yield folder / rest
            if folder.name == package or _package_name(folder) == package:
                yield folder / inner


def package_folder(package: str, file: Path) -> Path | None:
    """The folder of a package that a file names, as `package://` finds it; None: it is not on this machine."""
    for folder in _candidates(f"package://{package}/package.xml", file):
        if folder.is_file() and _package_name(folder.parent) == package:
            return folder.parent
    return None


def _package_name(folder: Path) -> str:
    manifest = folder / "package.xml"
    if not manifest.is_file():
        return ""
    found = re.search(r"<name>\s*([^<\s]+)\s*</name>", manifest.read_text(encoding="utf-8", errors="replace"))
    return found[1] if found else ""


def _fuel(uri: str) -> Iterator[Path]:
    """Places of a model or its file in the local cache of Gazebo Fuel, the newest version first."""
    parts = urlsplit(uri)
    match = _FUEL.fullmatch(unquote(parts.path))
    if match is None:
        return
    cache = Path(os.environ.get("GZ_FUEL_CACHE_PATH") or Path.home() / ".gz" / "fuel")
    for owner, name in ((match["owner"].lower(), match["name"].lower()), (match["owner"], match["name"])):
        folder = cache / parts.netloc / owner / "models" / name
        known = [path for path in folder.glob("*") if path.name.isdigit()]
        for version in sorted(known, key=lambda path: int(path.name), reverse=True):
            if match["version"] in (None, "tip", version.name):
                yield version / (match["file"] or "")


def model_file(folder: Path) -> Path | None:
    """The file of a model's folder: model.config's for the newest SDFormat, model.sdf, or a URDF."""
    config = folder / "model.config"
    if config.is_file():
        try:
            named = [element for element in parse(config).all("sdf") if element.text]
        except ConfigError:
            named = []
        for element in sorted(named, key=lambda e: _numbers(e.attributes.get("version", "0")), reverse=True):
            if (folder / element.text).is_file():
                return folder / element.text
    candidates = [folder / "model.sdf", *sorted(folder.glob("*.urdf")), *sorted(folder.glob("*.urdf.xacro"))]
    return next((path for path in candidates if path.is_file()), None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".") if word.isdigit())
