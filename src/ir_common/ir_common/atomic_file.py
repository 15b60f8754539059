# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced in one step: a reader, or the next start, finds the old one or the whole new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Gives a file to write to, which takes the place of ``path`` when the block ends.

    What was written is on the disk before the old file goes. After an exception or an interruption the old file is as
    it was.

    Raises:
        OSError: the folder is missing, or cannot be written to.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is on the disk too
    finally:
        os.close(folder)


def replace_text(path: Path, text: str) -> None:
    """Replaces a file by a text in UTF-8. See `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())
