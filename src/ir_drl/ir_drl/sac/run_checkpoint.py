# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training run: one file from which it goes on exactly as if it had not been interrupted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ir_common.atomic_file import replacing
from ir_common.config import ConfigError, validate
from ir_drl.sac.training_config import TrainingConfig, difference
from ir_dynamics.checkpoint_envelope import CheckpointEnvelope, reading_checkpoint
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import TransitionLayout

FORMAT, KIND = 2, "sac"
FIRST_FORMAT = {"format": "ir_drl.sac", "version": 1}
"""What the files of the first format say of themselves. Theirs are rows in another order, see `_from_first_format`."""
ADVICE = "use an older one or train anew"


def save(path: Path, task: str, content: dict[str, Any]) -> None:
    """Writes a checkpoint; an interruption leaves the old file or the new one, never half of one.

    Args:
        path: file.
        task: what the agent is trained for; `load` refuses the checkpoint for any other.
        content: tensors and plain values under string keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(asdict(CheckpointEnvelope(FORMAT, KIND, task)) | {"content": content}, file)


def load(path: Path, task: str, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Reads the content of a checkpoint.

    Raises:
        ConfigError: the file is missing, damaged, no checkpoint, of another format, or of another task.
    """
    with reading_checkpoint(path, ADVICE) as file:
        if altered := zipfile.ZipFile(file).testzip():  # torch.load would take altered numbers as they are
            raise zipfile.BadZipFile(f"{altered} was altered")
        file.seek(0)
        whole = torch.load(file, map_location=device, weights_only=True)
        if not isinstance(whole, dict) or not isinstance(whole.get("content"), dict):
            raise ConfigError(f"{path}: is no checkpoint of this trainer; give one that it wrote")
        if all(whole.get(key) == value for key, value in FIRST_FORMAT.items()):
            whole |= {"format": FORMAT, "kind": KIND, "content": _from_first_format(whole["content"])}
    CheckpointEnvelope(FORMAT, KIND, task).check(path, whole, "give one of this kind and task, or train anew")
    return dict(whole["content"])


def buffer_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """What a checkpoint has of a replay buffer."""
    state = buffer.state()
    return state | {"rows": torch.from_numpy(state["rows"])}


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What goes wrong in the block is said as a checkpoint that does not fit the run.

    Raises:
        ConfigError: it went wrong.
    """
    try:
        yield
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: checkpoint does not fit this run ({error}); {ADVICE}") from None


def check_same(
    path: Path, content: dict[str, Any], task: str, config: TrainingConfig, layout: TransitionLayout
) -> None:
    """Refuses a checkpoint of a run that was configured otherwise, but for its number of epochs.

    Raises:
        ConfigError: it was; says in what.
    """
    saved = validate(type(config), json.loads(content["config"]), str(path))
    widths = content["layout"]
    if widths != [layout.num_state, layout.num_action]:
        raise ConfigError(
            f"{path}: checkpoint has {widths[0]} observations and {widths[1]} actions, task {task} has "
            f"{layout.num_state} and {layout.num_action}"
        )
    before, now = (one.model_dump(mode="json", exclude={"epochs"}) for one in (saved, config))
    if found := difference(before, now):
        key, one, other = found
        raise ConfigError(
            f"{path}: checkpoint was made with {key} = {one}, asked for is {other}; give the same or train anew"
        )


def _from_first_format(content: dict[str, Any]) -> dict[str, Any]:
    """The same content as it is written now. Rows of the first format end with next state, reward, terminated."""
    n, m = content["layout"]
    order = np.r_[: n + m, 2 * n + m, n + m : 2 * n + m, 2 * n + m + 1]

    def converted(buffer: dict[str, Any]) -> dict[str, Any]:
        rows, capacity = buffer["rows"], buffer["capacity"]
        added = buffer["next"] + capacity * (len(rows) == capacity)
        return {"rows": rows[:, order], "added": added, "capacity": capacity}

    reaches = content.pop("reaches")
    content |= {"replay": converted(content["replay"]), "n_step_replay": reaches and converted(reaches)}
    if "buffer" in content["hooks"]:
        content["hooks"]["buffer"] = converted(content["hooks"]["buffer"])
    return content
