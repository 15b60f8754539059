# SPDX-License-Identifier: Apache-2.0
"""The policy of an agent that learns while the robot drives: it draws its actions, and has a version."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ir_common.config import ConfigError
from ir_common.damage import DAMAGED, first_line
from ir_sim.network_policy import Layer, NetworkPolicy, parse_policy, policy_arrays
from ir_sim.tasks.base import Array, Task

ACTIVATION = "relu"
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
"""Limits of the actor's log standard deviations, before the squashing."""


class ExploringPolicy(NetworkPolicy):
    """The squashed Gaussian of a SAC actor: its middle is what `act` answers, and `explore` draws around it.

    Args:
        task: gives the action bounds.
        layers: (weights [out, in], biases [out]); the last gives the means [n_act], then the log std [n_act].
        memory: actions that it remembers.
        version: number of the policy.
    """

    def __init__(self, task: Task, layers: Sequence[Layer], memory: int, version: int) -> None:
        super().__init__(task, layers, ACTIVATION, memory)
        self.version, self._task = version, task

    def answer(self, extended: Array) -> Array:
        """See `NetworkPolicy`: without exploration."""
        return self.squashed(self.head(extended)[: len(self._half)])

    def explore(self, extended: Array, rng: np.random.Generator) -> Array:
        """An action [n_act] drawn from the policy for an extended observation, units by the task."""
        mean, log_std = np.split(self.head(extended), 2)
        std = np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX))
        return self.squashed(rng.normal(mean, std))

    def to_bytes(self) -> bytes:
        """The policy as `from_bytes` reads it: an .npz archive of plain arrays, in single precision."""
        arrays = policy_arrays(self._task, self.layers, ACTIVATION, self.memory.length)
        arrays |= {key: part.astype(np.float32) for key, part in arrays.items() if key.startswith(("weight", "bias"))}
        file = io.BytesIO()
        np.savez(file, **arrays, policy=self.version)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, task: Task) -> ExploringPolicy:
        """Reads what `to_bytes` wrote, for a task.

        Raises:
            ConfigError: it is damaged, or does not fit the task.
        """
        source = Path("policy on its way")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            version = int(arrays.pop("policy"))
        except (*DAMAGED, TypeError) as error:
            raise ConfigError(f"{source}: is damaged ({first_line(error)}); the policy before it stays") from None
        layers, _, memory = parse_policy(source, arrays, task, per_action=2)
        return cls(task, layers, memory, version)
