# SPDX-License-Identifier: Apache-2.0
"""Files that stay whole when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

RESERVE = 1 << 20
"""Bytes held back, so that a bag can be ended in good order on a full disk."""


class WholeFile:
    """A file to append to. What is written is held until `flush`, which writes all of it or nothing.

    Args:
        path: of a new file.

    Raises:
        OSError: the file exists or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._end = 0
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        """Holds `data`."""
        self._held += data
        return len(data)

    def tell(self) -> int:
        """Size with what is held."""
        return self._end + len(self._held)

    def flush(self) -> None:
        """Writes what is held.

        Raises:
            OSError: it does not fit; the file is as it was, and what was to be written is still held.
        """
        view, end = memoryview(self._held), self._end
        try:
            while view:
                written = os.pwrite(self._descriptor, view, end)
                end, view = end + written, view[written:]
        except OSError:
            view.release()
            os.ftruncate(self._descriptor, self._end)
            raise
        view.release()
        self._end = end
        self._held.clear()

    def forget(self) -> None:
        """Gives up what is held."""
        self._held.clear()

    def close(self) -> None:
        """Closes the file; what is held is given up."""
        os.close(self._descriptor)


class Reserve:
    """Disk space that is held for the end: a file of its own, removed when the space is needed.

    Args:
        folder: where; there is none when even this does not fit.
    """

    def __init__(self, folder: Path, size: int = RESERVE) -> None:
        self._path = folder / ".reserve"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()

    def release(self) -> None:
        """Gives the space free."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Reserve:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
