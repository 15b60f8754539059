# SPDX-License-Identifier: Apache-2.0
"""What all checkpoints have in common: they say what they are, and are refused in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line


@dataclass(frozen=True)
class CheckpointEnvelope:
    """What a checkpoint says of itself, under keys of these names.

    Attributes:
        format: number of the format of its file; counts up with each that older programs cannot read.
        kind: what is kept in it, such as ``sac`` or ``ensemble``.
        task: of which task it is.
    """

    format: int
    kind: str
    task: str

    def check(self, path: Path, found: Mapping[str, Any], advice: str) -> None:
        """Compares what a file says of itself with what is wanted.

        Args:
            path: of the file.
            found: what it says.
            advice: what to do where it is another one.

        Raises:
            ConfigError: it is another one; says in what.
        """
        for name, wanted in asdict(self).items():
            if found.get(name) != wanted:
                raise ConfigError(
                    f"{path}: checkpoint is of {name} {found.get(name)!r}, wanted is {wanted!r}; {advice}"
                )


@contextmanager
def reading_checkpoint(path: Path, advice: str) -> Iterator[BinaryIO]:
    """Opens a checkpoint; what its reading raises in the block is said as damage.

    Raises:
        ConfigError: the file is missing or cannot be read, or is damaged; ends with ``advice``.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"{path}: checkpoint cannot be read ({error.strerror or error}); give the path of one"
        ) from None
    try:
        with file:
            yield file
    except ConfigError:
        raise
    except DAMAGED as error:
        raise ConfigError(f"{path}: is no undamaged checkpoint ({first_line(error)[:120]}); {advice}") from None
