# SPDX-License-Identifier: Apache-2.0
"""How the inner loops are compiled by Numba, and kept compiled.

Numba's cache watches only the file of the function that it caches; a change of a function that it calls, in another
file, would go unnoticed. So the cache lies in a folder named after the contents of all files that are compiled, or
whose constants are: those in which the word jit stands.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import config, njit, typeof
from numba.core.registry import cpu_target

_PACKAGE = Path(__file__).parent


def sources(package: Path) -> list[Path]:
    """The files of a package that hold compiled functions, or constants of such."""
    return [file for file in sorted(package.rglob("*.py")) if b"jit" in file.read_bytes()]


def digest(package: Path) -> str:
    """Names the contents of these files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources(package))).hexdigest()[:16]


def cache_folder(package: Path, given: str, home: Path) -> Path:
    """Where the compiled loops of a package are kept.

    That is below NUMBA_CACHE_DIR where it is set, else beside the package, which a build fills. A package that this
    user cannot write to has them in the user's own cache, as Numba reads no cache that it cannot write: a copy of what
    the build made.

    Args:
        package: folder of the package.
        given: NUMBA_CACHE_DIR; empty: it is not set.
        home: of the user's caches.
    """
    name = f"compiled-{digest(package)}"
    if given:
        return Path(given) / package.name / name
    beside = package / "__pycache__" / name
    if _writable(beside):
        return beside
    own = home / package.name / name
    if beside.is_dir() and not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(beside, copy := Path(tempfile.mkdtemp(dir=own.parent)), dirs_exist_ok=True)
        copy.rename(own) if not own.exists() else shutil.rmtree(copy)
    return own


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FOLDER = cache_folder(_PACKAGE, config.CACHE_DIR, _CACHES)
"""Where the compiled loops are kept; Numba leaves out what another version of it, or another processor, has made."""


def _mark() -> Path:
    """The file that says that all loops are there, for this Numba, Python and processor, and these times of files.

    Numba makes anew what it made of a file that was written since, even if with the same contents.
    """
    made_for = numba.__version__, sys.implementation.cache_tag, cpu_target.target_context.codegen().magic_tuple()
    written = [file.stat().st_mtime_ns for file in sources(_PACKAGE)]
    return FOLDER / f"complete-{hashlib.sha256(repr((made_for, written)).encode()).hexdigest()[:16]}"


def is_complete() -> bool:
    """Is everything compiled that a live run calls?"""
    return _mark().exists()


def mark_complete() -> None:
    """Writes down that it is."""
    _mark().touch()


def jit(function: Callable[..., Any], fastmath: bool = False) -> Any:
    """Compiles a function that allocates nothing: no reference counting, which would double the time of a loop.

    With `fastmath` sums are added in any order, so that several terms are computed at once.
    """
    code = function.__code__
    # Numba keeps a cache for each path; a package that is installed by links has more than one
    function.__code__ = code.replace(co_filename=str(Path(code.co_filename).resolve()))
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)
    try:
        return njit(cache=True, error_model="numpy", _nrt=False, fastmath=fastmath)(function)
    finally:
        config.CACHE_DIR = before


def entry(function: Any, *arguments: Any) -> Callable[..., Any]:
    """The code of a compiled function for arguments of these types, to be called with such arguments only.

    Numba finds out the types of all arguments at every call of the function itself, which takes 3 us for the tables of
    a cell: ten times as long as the call. The code trusts its caller: an array of another type is read as if it were of
    the right one.
    """
    types = tuple(map(typeof, arguments))
    function.compile(types)
    code: Callable[..., Any] = function.overloads[types].entry_point
    return code
