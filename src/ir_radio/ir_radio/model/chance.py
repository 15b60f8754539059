# SPDX-License-Identifier: Apache-2.0
"""Draws that belong to what they are about, whoever asks and when: so batch and live agree, and seeds repeat runs."""

from __future__ import annotations

import math

import numpy as np

from ir_radio.engine.cell_tables import MEASURED
from ir_radio.engine.compiled import jit


@jit
def uniform(seed, what, when):
    """The draw in (0, 1) that belongs to three integers (two rounds of SplitMix64)."""
    z = (
        np.uint64(seed)
        + np.uint64(what) * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(when) * np.uint64(0x9E3779B97F4A7C15)
    )
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (np.float64(z >> np.uint64(11)) + 0.5) * 2.0**-53


@jit
def fade(t, link, start):
    """Rayleigh block fading: at each era (coherence time) the power gain is drawn anew from Exp(1)."""
    cell, links = t.cell, t.links
    if cell[0].coherence == 0:
        return
    era = start // cell[0].coherence
    if links[link].era not in (era, MEASURED):
        links[link].era = era
        name = link + (links[link].station << 32)
        snr = links[link].snr * -math.log(uniform(cell[0].seed, name, era))
        efficiency = min(math.log2(1.0 + snr), cell[0].efficiency)
        links[link].faded = snr
        links[link].rate = cell[0].bandwidth * efficiency if snr >= cell[0].coverage else 0.0
