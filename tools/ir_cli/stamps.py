# SPDX-License-Identifier: Apache-2.0
"""What has been done already: a stamp holds the hash of a step's inputs, and is written once the step has finished."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


class Stamps:
    """Stamps of one environment, a small file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fresh(self, step: str, key: str) -> bool:
        """Whether the step was finished with these very inputs."""
        return self.read(step) == key

    def read(self, step: str) -> str | None:
        """Hash of the inputs with which the step was last finished."""
        try:
            return (self.folder / step).read_text(encoding="ascii")
        except OSError:
            return None

    def write(self, step: str, key: str) -> None:
        """Note that the step is finished (in one move: a half-written stamp cannot be seen)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{step}.part"
        part.write_text(key, encoding="ascii")
        os.replace(part, self.folder / step)

    def clear(self, step: str) -> None:
        """Forget the step: it is about to be done again."""
        (self.folder / step).unlink(missing_ok=True)

    def steps(self, prefix: str) -> list[str]:
        """Names of the finished steps that start with prefix."""
        return sorted(p.name for p in self.folder.glob(f"{prefix}*"))


def hash_of(parts: Iterable[str | bytes | Path]) -> str:
    """Hash of texts, and of names and contents of files."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            data = os.fsencode(part) + b"\0" + part.read_bytes()
        else:
            data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
