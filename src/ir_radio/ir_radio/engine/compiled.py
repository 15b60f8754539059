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

from numba import config, njit

_PACKAGE = Path(__file__).parents[1]


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
