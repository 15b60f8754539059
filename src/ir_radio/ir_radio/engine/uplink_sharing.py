# SPDX-License-Identifier: Apache-2.0
"""What a sender whose power is limited makes of resource blocks, compiled (3GPP TS 38.213, 7.1.1; TS 38.321, 5.4.6).

Up to its headroom every block has the power that power control aims at, and the rate of the link. Beyond it the blocks
share the power: k times as many have 1 / k of the SNR each, and a lower MCS. The MCS i goes, at its SNR threshold s_i,
up to M_i = headroom x SNR / s_i blocks, so M blocks carry at most max_i min(M, M_i) e_i with the efficiencies e_i; what
exceeds the M_i that is taken is of no use.
"""

from __future__ import annotations

import math

from ir_radio.cell_tables import Tables
from ir_radio.compiled import jit
from ir_radio.engine.access_timing import step_at


@jit
def most_blocks(t: Tables, link: int, step: int) -> float:
    """Blocks on which a link reaches the step of MCS at once; at least its headroom for the step that it has."""
    cell, links = t.cell, t.links
    least = cell[0].coverage
    if step > 0:
        least = max(least, 10.0 ** (0.1 * cell[0].ladder[step, 0]))
    return links[link].headroom * links[link].faded / least * (1.0 - 1e-9)  # on the safe side of the threshold


@jit
def useful(t: Tables, link: int, blocks: float) -> tuple[float, float]:
    """Of so many blocks: (those that a link makes use of, the rate of each, bit/s)."""
    links = t.links
    rate = links[link].rate
    if blocks <= links[link].headroom or rate <= 0.0:
        return blocks, rate
    used, best = min(blocks, links[link].headroom), rate
    for step in range(step_at(t, 10.0 * math.log10(links[link].faded)), -1, -1):
        count = min(blocks, most_blocks(t, link, step))
        each = t.cell[0].bandwidth * t.cell[0].ladder[step, 1]
        if count * each > used * best:
            used, best = count, each
    return used, best


@jit
def needed(t: Tables, link: int, bits: float, time: float) -> float:
    """Fewest blocks, a real number, in which a link sends so many bits within `time`, s; or those that carry most."""
    links = t.links
    need = bits / (links[link].rate * time)
    if need <= links[link].headroom:
        return need
    for step in range(step_at(t, 10.0 * math.log10(links[link].faded)), -1, -1):
        need = bits / (t.cell[0].bandwidth * t.cell[0].ladder[step, 1] * time)
        if need <= most_blocks(t, link, step):
            return need
    used, _ = useful(t, link, float(t.cell[0].blocks))
    return used
