# SPDX-License-Identifier: Apache-2.0
"""Policies kept in files: a small fully connected network in one .npz archive of plain arrays.

Keys of the archive:

- ``version``: int, 1, or 2 where there is a memory.
- ``memory`` (version 2): int K, 1 to 64: the last K proposed actions, oldest first, and the action in force follow the
  observation (`ActionMemory`).
- ``task``: string, the task that it was made for, such as hopper_hop.
- ``activation``: string, of the hidden layers: tanh or relu.
- ``weight_k``, ``bias_k`` for k = 0, 1, …: [out, in] and [out] numbers of layer k.

With h_0 the observation, extended by the memory, and h_k+1 = activation(W_k h_k + b_k), the action is
mid + half * tanh(W_n h_n + b_n), where mid and half are the middle and half the width of the task's action bounds (the
squashed mean of a SAC actor).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ir_common.atomic_file import replacing
from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line
from ir_sim.action_memory import ActionMemory
from ir_sim.tasks.base import Array, Task

VERSION, WITH_MEMORY = 1, 2
MAX_MEMORY = 64
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}
MAX_LAYERS = 16
MAX_BYTES = 64 * 1024 * 1024

Layer = tuple[Array, Array]


class NetworkPolicy:
    """A fully connected network that maps observations, and where it has a memory its last actions, to actions.

    Args:
        task: gives the action bounds.
        layers: (weights [out, in], biases [out]) from first to last.
        activation: of the hidden layers, a key of `ACTIVATIONS`.
        memory: K, actions that it remembers.

    Attributes:
        memory: of this episode.
        layers: as given.
    """

    def __init__(self, task: Task, layers: Sequence[Layer], activation: str, memory: int = 0) -> None:
        self.memory = ActionMemory(task, memory)
        self.layers, self._activation = layers, ACTIVATIONS[activation]
        self._middle = (task.action_high + task.action_low) / 2.0
        self._half = (task.action_high - task.action_low) / 2.0

    def reset(self, seed: int) -> None:
        """Begins an episode: the memory is empty. Nothing is drawn."""
        self.memory.begin()

    def act(self, observation: Array, in_force: Array | None = None) -> Array:
        """The action [n_act] for an observation [n_obs], units by the task; it is remembered as proposed.

        Args:
            in_force: [n_act], the action in force in the control step that ended with the observation. None: the last
                one that was proposed.
        """
        action = self.answer(self.memory.extend(observation, in_force))
        self.memory.propose(action)
        return action

    def answer(self, extended: Array) -> Array:
        """The action [n_act] for an observation that is extended already, as by an environment with a memory."""
        return self.squashed(self.head(extended))

    def head(self, extended: Array) -> Array:
        """What the last layer gives for an extended observation, before it is squashed [out]."""
        hidden = extended
        for weight, bias in self.layers[:-1]:
            hidden = self._activation(weight @ hidden + bias)
        weight, bias = self.layers[-1]
        return weight @ hidden + bias

    def squashed(self, unbounded: Array) -> Array:
        """The action [n_act], units by the task, within its bounds, of any numbers [n_act]."""
        return self._middle + self._half * np.tanh(unbounded)


def save_policy(path: Path, task: Task, layers: Sequence[Layer], activation: str, memory: int = 0) -> None:
    """Writes a policy file that `load_policy` reads; an interruption leaves the old one or the new one."""
    with replacing(path) as file:
        np.savez(file, **policy_arrays(task, layers, activation, memory))


def policy_arrays(task: Task, layers: Sequence[Layer], activation: str, memory: int = 0) -> dict[str, Any]:
    """What a policy file holds, by key."""
    arrays: dict[str, Any] = {"version": VERSION, "task": task.name, "activation": activation}
    if memory:
        arrays |= {"version": WITH_MEMORY, "memory": memory}
    for k, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{k}": weight, f"bias_{k}": bias}
    return arrays


def load_policy(path: Path, task: Task) -> NetworkPolicy:
    """Reads the policy file ``path`` for ``task``.

    Raises:
        ConfigError: the file is missing, damaged, of another version or task, or its shapes do not fit the task.
    """
    content = parse_policy(path, _read(path), task)
    return NetworkPolicy(task, *content)


def parse_policy(
    path: Path, arrays: Mapping[str, np.ndarray], task: Task, per_action: int = 1
) -> tuple[list[Layer], str, int]:
    """Layers, activation and memory that the arrays of a policy hold.

    Args:
        path: where they are from, for messages.
        arrays: by key, see `policy_arrays`.
        task: that the policy is to be for.
        per_action: numbers that the last layer gives for each action.

    Raises:
        ConfigError: as `load_policy`.
    """
    version = _scalar(path, arrays, "version", "iu")
    if version not in (VERSION, WITH_MEMORY):
        raise ConfigError(
            f"{path}: version is {version}, this program reads versions {VERSION} and {WITH_MEMORY}; "
            "save the policy anew"
        )
    made_for = _scalar(path, arrays, "task", "U")
    if made_for != task.name:
        raise ConfigError(
            f"{path}: is for task {made_for!r}, the robot's task is {task.name!r}; give a policy for that"
        )
    activation = str(_scalar(path, arrays, "activation", "U"))
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{path}: activation {activation!r} is not known; expected one of {', '.join(ACTIVATIONS)}")
    memory = int(_scalar(path, arrays, "memory", "iu")) if version == WITH_MEMORY else 0
    if version == WITH_MEMORY and not 1 <= memory <= MAX_MEMORY:
        raise ConfigError(f"{path}: memory is {memory}, expected 1 to {MAX_MEMORY} actions")
    return _layers(path, arrays, task, memory, per_action), activation, memory


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_BYTES:
                raise ConfigError(f"{path}: holds {size} bytes, a policy file at most {MAX_BYTES}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as data:
                return {key: data[key] for key in data.files}
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: policy file cannot be read ({error.strerror or error})") from None
    except DAMAGED as error:
        raise ConfigError(
            f"{path}: is no undamaged .npz archive of plain arrays ({first_line(error)}); write it with save_policy"
        ) from None


def _scalar(path: Path, arrays: Mapping[str, np.ndarray], key: str, kinds: str) -> Any:
    if key not in arrays:
        raise ConfigError(f"{path}: key '{key}' is missing; expected version, task, activation, weight_0, bias_0, …")
    if arrays[key].shape != () or arrays[key].dtype.kind not in kinds:
        raise ConfigError(f"{path}: key '{key}' must be one {'string' if kinds == 'U' else 'whole number'}")
    return arrays[key].item()


def _layers(path: Path, arrays: Mapping[str, np.ndarray], task: Task, memory: int, per_action: int) -> list[Layer]:
    keys = set(arrays) - {"version", "task", "activation"} - ({"memory"} if memory else set())
    count = len(keys) // 2
    expected = [f"{part}_{k}" for k in range(count) for part in ("weight", "bias")]
    if not 1 <= count <= MAX_LAYERS or keys != set(expected):
        raise ConfigError(
            f"{path}: layers must be weight_0, bias_0, weight_1, … without gaps, 1 to {MAX_LAYERS} of them; "
            f"found {', '.join(sorted(keys)) or 'none'}"
        )
    inputs, outputs = len(task.observation_names), per_action * len(task.action_names)
    layers: list[Layer] = []
    width = inputs + ActionMemory(task, memory).width
    remembered = f", and {memory} actions are remembered" if memory else ""
    for k in range(count):
        weight, bias = arrays[f"weight_{k}"], arrays[f"bias_{k}"]
        rows = outputs if k == count - 1 else (weight.shape[0] if weight.ndim == 2 and len(weight) else "any")
        if weight.shape != (rows, width):
            raise ConfigError(
                f"{path}: weight_{k} has shape {weight.shape}, expected ({rows}, {width}): "
                f"task {task.name} has {inputs} observations and {len(task.action_names)} actions{remembered}"
            )
        if bias.shape != (rows,):
            raise ConfigError(f"{path}: bias_{k} has shape {bias.shape}, expected ({rows},)")
        for key, array in ((f"weight_{k}", weight), (f"bias_{k}", bias)):
            if array.dtype.kind not in "fiu" or not np.all(np.isfinite(array)):
                raise ConfigError(f"{path}: {key} must hold finite real numbers only")
        layers.append((weight.astype(np.float64), bias.astype(np.float64)))
        width = len(weight)
    return layers
