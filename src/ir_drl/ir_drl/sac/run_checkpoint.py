# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one file from which training goes on exactly as if it had not been interrupted."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line

FORMAT, VERSION = "ir_drl.sac", 1


def save(path: Path, task: str, content: dict[str, Any]) -> None:
    """Writes a checkpoint; an interruption leaves the old file or the new one, never half of one.

    Args:
        path: file.
        task: what the agent is trained for; `load` refuses the checkpoint for any other.
        content: tensors and plain values under string keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, "task": task, "content": content}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(path: Path, task: str, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Reads the content of a checkpoint.

    Raises:
        ConfigError: the file is missing, damaged, no checkpoint, of another version, or of another task.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"{path}: checkpoint cannot be read ({error.strerror or error}); give the path of one"
        ) from None
    try:
        with file:
            if altered := zipfile.ZipFile(file).testzip():  # torch.load would take altered numbers as they are
                raise zipfile.BadZipFile(f"{altered} was altered")
            file.seek(0)
            whole = torch.load(file, map_location=device, weights_only=True)
    except DAMAGED as error:
        raise ConfigError(
            f"{path}: is no undamaged checkpoint ({first_line(error)[:120]}); use an older one or train anew"
        ) from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT or not isinstance(whole.get("content"), dict):
        raise ConfigError(f"{path}: is no checkpoint of this trainer; give one that it wrote")
    if whole.get("version") != VERSION:
        raise ConfigError(f"{path}: version is {whole.get('version')}, this program reads {VERSION}; train anew")
    if whole.get("task") != task:
        raise ConfigError(f"{path}: checkpoint is of task {whole.get('task')!r}, asked for is {task!r}; give one of it")
    return dict(whole["content"])
