# SPDX-License-Identifier: Apache-2.0
"""Rayleigh block fading of the links of a cell, compiled."""

from __future__ import annotations

import math

from ir_radio.cell_tables import MEASURED, Tables
from ir_radio.compiled import jit
from ir_radio.engine.access_timing import step_at
from ir_radio.model.chance import uniform


@jit
def fade(t: Tables, link: int, start: int) -> None:
    """Applies Rayleigh fading to a link: at each era (coherence time) its power gain is drawn anew from Exp(1).

    A carrier of several sub-bands has a gain for each. Blocks are spread over all of them, so the link has the ratio
    that would carry as much without fading: the mean of log2(1 + SNR) over the sub-bands counts (mutual information).

    Args:
        t: tables of the cell; `faded` and `rate` of the link are written.
        link: its row.
        start: of the mini-slot that is served, ns.
    """
    cell, links = t.cell, t.links
    if links[link].barred > 0:
        bar(t, link, start)
    if cell[0].coherence == 0 or links[link].barred > 0:
        return
    era = start // cell[0].coherence
    if links[link].era not in (era, MEASURED):
        links[link].era = era
        name = link + (links[link].station << 32)
        snr, subbands = links[link].snr, cell[0].subbands
        if subbands == 1:
            links[link].faded = snr * -math.log(uniform(cell[0].seed, name, era))
        else:
            bits = 0.0
            for k in range(subbands):
                bits += math.log1p(snr * -math.log(uniform(cell[0].seed, name + (k << 48), era)))
            links[link].faded = math.expm1(bits / subbands)
        _adapt(t, link)


@jit
def bar(t: Tables, link: int, start: int) -> None:
    """A link that is interrupted has no rate until that is over; then that of its quality again."""
    cell, links = t.cell, t.links
    if start < links[link].barred:
        links[link].rate = 0.0
    elif links[link].era == MEASURED:
        links[link].barred = 0
    else:
        links[link].barred, links[link].era = 0, -1
        if cell[0].coherence == 0:
            links[link].faded = links[link].snr
            _adapt(t, link)


@jit
def _adapt(t: Tables, link: int) -> None:
    """The rate of a link at its ratio with fading."""
    cell, links = t.cell, t.links
    snr = links[link].faded
    if cell[0].access:
        efficiency = cell[0].ladder[step_at(t, 10.0 * math.log10(snr)), 1]
    else:
        efficiency = min(math.log2(1.0 + snr), cell[0].efficiency)
    links[link].rate = cell[0].bandwidth * efficiency if snr >= cell[0].coverage else 0.0
