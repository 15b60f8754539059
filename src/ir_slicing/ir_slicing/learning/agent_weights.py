# SPDX-License-Identifier: Apache-2.0
"""Trained weights of the slices' agents as a file: an NPZ archive.

`hidden` [layers] int: sizes of the hidden layers; `architecture` str: of the networks (`agents.batched`);
`weights` [n] float32: of one slice, actor then critic (`agents.ddpg.DDPG.weights`); `gate` float, optional.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError

TRAINED = Path(__file__).parent / "weights" / "ddpg.npz"
"""The weights that come with the package."""


@dataclass(frozen=True)
class AgentWeights:
    """Weights of one slice's networks.

    Attributes:
        hidden: sizes of the hidden layers.
        architecture: what the networks call themselves.
        values: [n] float32.
        gate: 1: agents correct the rule; 0: they leave it as it is, since in rehearsals that they were not trained on
            the rule alone did better.
    """

    hidden: tuple[int, ...]
    architecture: str
    values: NDArray[np.float32]
    gate: float = 1.0


def digest(weights: AgentWeights) -> str:
    """SHA-256 of the numbers, so that what is written about them can be told from what is written about others."""
    return hashlib.sha256(np.ascontiguousarray(weights.values, "<f4").tobytes()).hexdigest()


def save(path: Path, weights: AgentWeights) -> None:
    """Writes the file."""
    np.savez_compressed(
        path, hidden=np.array(weights.hidden), architecture=np.array(weights.architecture), weights=weights.values,
        gate=np.array(weights.gate),
    )  # fmt: skip


def load(path: Path) -> AgentWeights:
    """Reads the file.

    Raises:
        ConfigError: it is missing, no such archive, or holds something that is not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            hidden = tuple(int(size) for size in archive["hidden"])
            architecture = str(archive["architecture"])
            values = np.asarray(archive["weights"], np.float32)
            gate = float(archive["gate"]) if "gate" in archive else 1.0
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror or 'no NPZ archive'}); give agents' weights"
        ) from None
    except (KeyError, ValueError, zipfile.BadZipFile):
        raise ConfigError(
            f"{path}: holds no agents' weights (an NPZ archive with hidden, architecture and weights)"
        ) from None
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ConfigError(f"{path}: weights of the shape {values.shape} or not finite; one finite row is needed")
    if gate not in (0.0, 1.0):
        raise ConfigError(f"{path}: gate is {gate:g}; 0 or 1 is needed")
    return AgentWeights(hidden, architecture, values, gate)
