# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the twin: a task's network and what it learns from, which the node and offline training go on from."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line
from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.predict_network import ModelVersion, PredictionError, PredictNetwork
from ir_dynamics.transitions import Rows, TransitionLayout


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


def save(path: Path, model: ModelVersion, preset: str) -> None:
    """Writes a version; an interruption leaves the old file or the new one, never half of one.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    about = {
        "task": model.task, "preset": preset, "version": model.version, "transitions": model.transitions,
        "steps": model.steps, "reward_error": model.error.reward, "state_error": model.error.state,
        "state_errors": model.error.state_dimensions.tolist(),
    }  # fmt: skip
    with _whole(path) as file:
        model.network.save(file, about)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def rows_of(path: Path) -> Path:
    """Where the transitions are that a checkpoint's network learns from."""
    return path.with_suffix(".rows.npz")


def save_rows(path: Path, learnt: Rows, heldout: Rows) -> None:
    """Writes transitions [n, width] beside the checkpoint at ``path``, the oldest first; whole or not at all.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    with _whole(rows_of(path)) as file:
        np.savez(file, learnt=learnt, heldout=heldout)


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
    """Reads a version.

    Raises:
        ConfigError: the file is missing or damaged, or of another format, task, layout, preset or kind of network.
    """
    try:
        network = load_network(path)
        with np.load(path, allow_pickle=False) as content:
            about = json.loads(str(content["meta"]))["about"]
        named = about["task"], about["preset"]
        error = PredictionError(about["reward_error"], about["state_error"], np.array(about["state_errors"]))
        model = ModelVersion(
            task, int(about["version"]), network, int(about["transitions"]), int(about["steps"]), error, float("nan")
        )
    except DAMAGED as reason:
        raise ConfigError(
            f"{path}: is no undamaged checkpoint of this version ({first_line(reason)}); move it away and the twin "
            "starts anew"
        ) from None
    if named != (task, preset):
        raise ConfigError(
            f"{path}: checkpoint of task {named[0]} and preset {named[1]}, wanted are {task} and {preset}; "
            "give another folder, or the preset it was made with"
        )
    if (network.num_state, network.num_action) != (layout.num_state, layout.num_action):
        raise ConfigError(
            f"{path}: checkpoint has {network.num_state} states and {network.num_action} actions, {task} with "
            f"{preset} has {layout.num_state} and {layout.num_action}; move it away and the twin starts anew"
        )
    made, wanted = _kind(network), _kind_of(preset)
    if made != wanted:
        raise ConfigError(
            f"{path}: checkpoint of {made}, preset {preset} is of {wanted}; move it away and the twin starts anew"
        )
    return model


def _kind(network: PredictNetwork | EnsembleNetwork) -> str:
    """What two networks of a task have in common where one may go on from the other."""
    if isinstance(network, EnsembleNetwork):
        return _said([w.shape[2] for w in network.weights[:-1]], "silu", members=len(network.limits))
    return _said([w.shape[1] for w in network.weights[:-1]], network.activation, normalised=network.difference)


def _kind_of(preset: str) -> str:
    """The same of what a preset makes."""
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
    try:
        with np.load(file, allow_pickle=False) as content:
            kind = json.loads(str(content["meta"])).get("kind")
    except DAMAGED as error:
        raise ValueError(f"is not a predict network: {first_line(error)}") from None
    if not isinstance(file, str | Path):
        file.seek(0)
    return EnsembleNetwork.load(file) if kind == "ensemble" else PredictNetwork.load(file)
