# SPDX-License-Identifier: Apache-2.0
"""How the inner loops are compiled by Numba, and kept compiled.

Numba's cache watches only the file of the function that it caches; a change of a function that it calls, in another
file, would go unnoticed. So the cache lies in a folder named after the contents of all files that are compiled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit, typeof

_PACKAGE = Path(__file__).parent


def digest(package: Path) -> str:
    """Names the contents of all files of a package that hold compiled functions."""
    sources = [file.read_bytes() for file in sorted(package.rglob("*.py"))]
    return hashlib.sha256(b"".join(source for source in sources if b"jit" in source)).hexdigest()[:16]


_FOLDER = str(_PACKAGE / "__pycache__" / f"compiled-{digest(_PACKAGE)}")


def jit(function: Callable[..., Any]) -> Any:
    """Compiles a function that allocates nothing: no reference counting, which would double the time of a loop.

    Where NUMBA_CACHE_DIR is set, that is used. Where the package cannot be written to, Numba finds a folder.
    """
    code = function.__code__
    # Numba keeps a cache for each path; a package that is installed by links has more than one
    function.__code__ = code.replace(co_filename=str(Path(code.co_filename).resolve()))
    before = config.CACHE_DIR
    config.CACHE_DIR = before or _FOLDER
    try:
        return njit(cache=True, error_model="numpy", _nrt=False)(function)
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
