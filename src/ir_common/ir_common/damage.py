# SPDX-License-Identifier: Apache-2.0
"""Files that are cut off, altered or of another make: what reading them raises, and how it is told."""

from __future__ import annotations

import lzma
import pickle
import tokenize
import zipfile
import zlib

DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError, lzma.LZMAError, pickle.UnpicklingError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy, torch, zipfile and what reads the content raise of a damaged archive."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
