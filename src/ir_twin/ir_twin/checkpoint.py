# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the twin: one file a task, which the node goes on from and which offline training makes."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ir_common.config import ConfigError
from ir_twin.ensemble_network import EnsembleNetwork
from ir_twin.predict_network import ModelVersion, PredictionError, PredictNetwork
from ir_twin.transitions import Layout


def file_of(folder: str | Path, task: str) -> Path:
    """Where a task's checkpoint is in a folder of checkpoints."""
    return Path(folder) / f"{task}.npz"


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
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            model.network.save(file, about)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(path: Path, task: str, layout: Layout, preset: str) -> ModelVersion:
    """Reads a version.

    Raises:
        ConfigError: the file is missing or damaged, or of another format, task, layout or preset.
    """
    try:
        network = load_network(path)
        with np.load(path, allow_pickle=False) as content:
            about = json.loads(str(content["meta"]))["about"]
        said = about["task"], about["preset"]
        error = PredictionError(about["reward_error"], about["state_error"], np.array(about["state_errors"]))
        model = ModelVersion(
            task, int(about["version"]), network, int(about["transitions"]), int(about["steps"]), error, float("nan")
        )
    except (ValueError, KeyError, TypeError) as reason:
        raise ConfigError(
            f"{path}: is no undamaged checkpoint of this version ({reason}); move it away and the twin starts anew"
        ) from None
    if said != (task, preset):
        raise ConfigError(
            f"{path}: checkpoint of task {said[0]} and preset {said[1]}, wanted are {task} and {preset}; "
            "give another folder, or the preset it was made with"
        )
    if (network.num_state, network.num_action) != (layout.num_state, layout.num_action):
        raise ConfigError(
            f"{path}: checkpoint has {network.num_state} states and {network.num_action} actions, task {task} has "
            f"{layout.num_state} and {layout.num_action}; move it away and the twin starts anew"
        )
    return model


def load_network(file: str | Path | BinaryIO) -> PredictNetwork | EnsembleNetwork:
    """Reads a network's file of either kind.

    Raises:
        ValueError: the file is missing, truncated, of another format, or its shapes do not fit together.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            kind = json.loads(str(content["meta"])).get("kind")
    except (OSError, EOFError, KeyError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"is not a predict network: {error}") from None
    if not isinstance(file, str | Path):
        file.seek(0)
    return EnsembleNetwork.load(file) if kind == "ensemble" else PredictNetwork.load(file)
