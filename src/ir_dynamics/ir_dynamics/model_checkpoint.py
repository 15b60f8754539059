# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a task's network and of what it learns from, which the twin node and offline training go on from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ir_common.atomic_file import replacing
from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line
from ir_dynamics.checkpoint_envelope import CheckpointEnvelope, reading_checkpoint
from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.network_file import FORMAT, read_meta
from ir_dynamics.predict_network import PredictionError, PredictNetwork
from ir_dynamics.transitions import Rows, TransitionLayout

STARTS_ANEW = "move it away and the twin starts anew"


def file_of(folder: str | Path, task: str) -> Path:
    """Where a task's checkpoint is in a folder of checkpoints."""
    return Path(folder) / f"{task}.npz"


def probe(folder: Path) -> None:
    """Makes a folder for checkpoints where there is none.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{folder}: checkpoints cannot be written there ({reason}); give another folder") from None


def save(path: Path, model: ModelVersion, preset: str, half: bool = False) -> None:
    """Writes a version of a task's network; an interruption leaves the old file or the new one, never a part of one.

    Args:
        path: of the file.
        model: what is written.
        preset: of the network.
        half: layers in half precision, compressed: for what is shipped.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    about = {
        "task": model.task, "preset": preset, "version": model.version, "transitions": model.transitions,
        "steps": model.steps, "reward_error": model.error.reward, "state_error": model.error.state,
        "state_errors": model.error.state_dimensions.tolist(),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        model.network.save(file, about, half)


def rows_of(path: Path) -> Path:
    """Where the transitions are that a checkpoint's network learns from."""
    return path.with_suffix(".rows.npz")


def save_rows(path: Path, learnt: Rows, heldout: Rows, compressed: bool = False) -> None:
    """Writes transitions [n, width] beside the checkpoint at ``path``, the oldest first; whole or not at all.

    ``compressed`` takes longer and suits what is shipped: of successive transitions a state is written once.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(rows_of(path)) as file:
        (np.savez_compressed if compressed else np.savez)(file, learnt=learnt, heldout=heldout)


def load_rows(path: Path, layout: TransitionLayout) -> tuple[Rows, Rows]:
    """Reads what `save_rows` wrote: what was learnt from and what was held out; empty where there is nothing.

    Raises:
        ConfigError: the file is damaged, or of another layout.
    """
    file = rows_of(path)
    if not file.exists():
        nothing = np.empty((0, layout.width), np.float32)
        return nothing, nothing
    try:
        with np.load(file, allow_pickle=False) as content:
            found = content["learnt"], content["heldout"]
    except DAMAGED as error:
        raise ConfigError(f"{file}: is damaged ({first_line(error)}); remove it, and the twin gathers anew") from None
    for rows in found:
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != layout.width or not np.isfinite(rows).all():
            raise ConfigError(
                f"{file}: holds no transitions of width {layout.width} ({rows.dtype}, shape {rows.shape}); remove it, "
                "and the twin gathers anew"
            )
    return found


def load(path: Path, task: str, layout: TransitionLayout, preset: str) -> ModelVersion:
    """Reads the version that `save` wrote, if it is of this task, layout and preset.

    Raises:
        ConfigError: the file is missing or damaged, or of another format, task, layout, preset or kind of network.
    """
    with reading_checkpoint(path, STARTS_ANEW) as file:
        meta = read_meta(file)
        about = meta["about"]
        found = meta | {"task": about["task"]}
        if about["preset"] != preset:
            raise ConfigError(
                f"{path}: checkpoint is of preset {about['preset']}, wanted is {preset}; give another folder, or "
                "the preset it was made with"
            )
        kind = "ensemble" if preset == "ensemble" else "predict"
        CheckpointEnvelope(FORMAT, kind, task).check(path, found, STARTS_ANEW)
        network = load_network(file)
        error = PredictionError(about["reward_error"], about["state_error"], np.array(about["state_errors"]))
        model = ModelVersion(
            task, int(about["version"]), network, int(about["transitions"]), int(about["steps"]), error, float("nan")
        )
    if (network.num_state, network.num_action) != (layout.num_state, layout.num_action):
        raise ConfigError(
            f"{path}: checkpoint has {network.num_state} states and {network.num_action} actions, {task} with "
            f"{preset} has {layout.num_state} and {layout.num_action}; {STARTS_ANEW}"
        )
    made, wanted = _shape(network), _shape_of(preset)
    if made != wanted:
        raise ConfigError(f"{path}: checkpoint of {made}, preset {preset} is of {wanted}; {STARTS_ANEW}")
    return model


def _shape(network: PredictNetwork | EnsembleNetwork) -> str:
    """Number and widths of layers, activation, normalisation: equal where one network may go on from the other."""
    if isinstance(network, EnsembleNetwork):
        return _said([w.shape[2] for w in network.weights[:-1]], "silu", members=len(network.limits))
    return _said([w.shape[1] for w in network.weights[:-1]], network.activation, normalised=network.difference)


def _shape_of(preset: str) -> str:
    """As `_shape`, of the network that a preset makes."""
    if preset == "ensemble":
        config = EnsembleConfig()
        return _said(config.hidden, "silu", members=config.members)
    single = PRESETS[preset]
    return _said(single.hidden, single.activation, normalised=single.normalise)


def _said(hidden: Sequence[int], activation: str, members: int = 0, normalised: bool = True) -> str:
    count = f"{members} networks" if members else "a network"
    layers = ", ".join(map(str, hidden)) or "no"
    return f"{count} of {layers} hidden neurons ({activation}, {'' if normalised else 'not '}normalised)"


def load_network(file: str | Path | BinaryIO) -> PredictNetwork | EnsembleNetwork:
    """Reads a network's file of either kind.

    Raises:
        ValueError: the file is missing, truncated, of another format, or its shapes do not fit together.
    """
    kind = read_meta(file).get("kind")
    return EnsembleNetwork.load(file) if kind == "ensemble" else PredictNetwork.load(file)
