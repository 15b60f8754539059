# SPDX-License-Identifier: Apache-2.0
"""Normal random fields over space: the same value at the same place, whoever comes there and whenever.

A field of correlation exp(-x / d) over the distance x (Gudmundson, Electron. Lett. 27(23), 1991) is a sum of waves
whose numbers are drawn from the spectrum of that correlation, a Cauchy distribution (Rahimi & Recht 2007).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio.compiled import jit

Floats = NDArray[np.float64]
WAVES = 128
"""Of a field: its correlation is exact on average over fields, its values are close to normal."""


class RandomField:
    """A field of mean 0 and variance 1.

    Args:
        distance: over which it decorrelates to 1/e, m.
        rng: source of chance.
    """

    def __init__(self, distance: float, rng: np.random.Generator) -> None:
        cauchy = rng.standard_normal((3, WAVES)) / np.abs(rng.standard_normal(WAVES))
        self.waves, self.phases = cauchy / distance, rng.uniform(0.0, 2.0 * np.pi, WAVES)

    def at(self, positions: ArrayLike) -> Floats:
        """Values at positions [..., 3], m; [...]."""
        angles = np.asarray(positions, np.float64) @ self.waves + self.phases
        return np.asarray(np.sqrt(2.0 / WAVES) * np.cos(angles).sum(axis=-1))


class FieldStack:
    """Several fields, asked at one place at once.

    Args:
        fields: at least one.
    """

    def __init__(self, fields: Iterable[RandomField]) -> None:
        fields = list(fields)
        self._fields = fields
        turns = 0.5 / np.pi
        self._waves = np.ascontiguousarray(np.stack([field.waves for field in fields]) * turns)  # [fields, 3, waves]
        self._phases = np.stack([field.phases for field in fields]) * turns
        self.near(np.zeros(3))  # compiled now, not at the first pose

    def near(self, position: Floats) -> Floats:
        """Values at one position [3], m; [fields]. Equal to those of `at` to 1e-9."""
        values = np.empty(len(self._fields))
        _sum_waves(self._waves, self._phases, position[0], position[1], position[2], values)
        return values

    def at(self, positions: ArrayLike) -> Floats:
        """Values at positions [..., 3], m; [fields, ...]."""
        return np.stack([field.at(positions) for field in self._fields])


@partial(jit, fastmath=True)
def _sum_waves(waves: Floats, phases: Floats, x: float, y: float, z: float, values: Floats) -> None:
    """Writes sqrt(2 / waves) times the sum of cos(2 pi angle) of each field.

    The cosine is its series around the middle of a turn up to the 22nd power, which is exact to 1e-11 there and has no
    branches, so that several are computed at once.
    """
    for f in range(len(values)):
        total = 0.0
        for w in range(WAVES):
            turn = x * waves[f, 0, w] + y * waves[f, 1, w] + z * waves[f, 2, w] + phases[f, w]
            turn = 6.283185307179586 * (turn - np.floor(turn + 0.5))
            s = turn * turn
            c = -8.896791392450574e-22 * s + 4.110317623312165e-19
            c = c * s - 1.5619206968586225e-16
            c = c * s + 4.779477332387385e-14
            c = c * s - 1.1470745597729725e-11
            c = c * s + 2.08767569878681e-9
            c = c * s - 2.755731922398589e-7
            c = c * s + 2.48015873015873e-5
            c = c * s - 1.388888888888889e-3
            c = c * s + 4.1666666666666664e-2
            c = c * s - 0.5
            total += c * s + 1.0
        values[f] = total * np.sqrt(2.0 / WAVES)
