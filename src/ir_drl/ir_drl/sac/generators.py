# SPDX-License-Identifier: Apache-2.0
"""One seed, split into independent generators with names."""

from __future__ import annotations

import json
import zlib

import numpy as np


class Generators:
    """Independent random generators of one seed; a name always gets the same sequence, whatever other names there are.

    Args:
        seed: 0 or greater.
        names: one generator for each.
    """

    def __init__(self, seed: int, *names: str) -> None:
        self._all = {name: generator(seed, name) for name in names}

    def __getitem__(self, name: str) -> np.random.Generator:
        return self._all[name]

    def state(self) -> str:
        """Where all generators stand, as JSON."""
        return json.dumps({name: rng.bit_generator.state for name, rng in self._all.items()})

    def load(self, state: str) -> None:
        """Sets the generators to where they stood; raises ValueError if the names differ."""
        states = json.loads(state)
        if set(states) != set(self._all):
            raise ValueError(f"random generators are {', '.join(states)}, expected {', '.join(self._all)}")
        for name, rng in self._all.items():
            rng.bit_generator.state = states[name]


def generator(seed: int, name: str) -> np.random.Generator:
    """The generator that `Generators` gives ``name``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)))
