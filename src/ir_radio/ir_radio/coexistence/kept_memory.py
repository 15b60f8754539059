# SPDX-License-Identifier: Apache-2.0
"""Memory that batch runs leave is kept for the next one.

A run takes some 10 MB per 20,000 slots and leaves it when its result goes. glibc gives that back, and the kernel clears
it page by page for the next run: a third of the time of one in a process that does nothing else. Where other memory has
been in use, as in the bench, glibc may have kept it anyway.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools

_KEPT = 128 << 20
"""Bytes of memory not in use, at the most, that the process keeps."""
_LARGEST = 32 << 20
"""Bytes up to which a piece is taken from what is kept; glibc takes no greater limit."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_memory() -> bool:
    """Has this process keep memory, up to 128 MB, which batch runs have left; true where the C library takes it.

    It is for the whole process, and done once. Only glibc knows it; elsewhere runs are as right, but slower.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST))
    return False
