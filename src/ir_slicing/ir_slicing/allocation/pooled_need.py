# SPDX-License-Identifier: Apache-2.0
"""Need of a slice in resource blocks (RB) when its devices share one server, as they do in the cell.

The blocks of a slice serve the messages of all its devices one after the other. With d_u bit/s offered by device u, L_u
bit a message and r_u bit/s of one block on its link, u keeps rho_u = d_u / r_u blocks busy, and a message of it one
block for s_u = L_u / r_u seconds. One queue with w blocks has the mean delay tau = s / (w - rho) (MAFL section II-A,
tau = 1 / (mu - lambda), with mu = w / s and lambda = rho / s), so for a delay tau_max / k

    w = rho + k s / tau_max,    rho = sum_u rho_u,    s = sum_u rho_u s_u / rho

s is the mean over the work that waits, in which large messages count for more than in the mean over messages: that is
whom one waits behind. A term k s_u / tau_max for each device, as if each had a server of its own, asks for
more the more devices there are.

The delay of a queue with random arrivals and service times is exponentially distributed: it exceeds tau_max with
probability exp(-k). So k = ln(1 / (1 - q)) keeps the bound for the fraction q of the messages (`quantile_factor`).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

HIGHEST = 0.9999
"""No more than that can be asked for, fraction: beyond it, the tail of the model says nothing of the radio."""


@functools.lru_cache(maxsize=256)
def quantile_factor(reliability: float) -> float:
    """k = ln(1 / (1 - q)): tau_max over the mean delay with which the fraction q of the messages is in time."""
    return -math.log1p(-min(reliability, HIGHEST))


def pooled_need(offered: ArrayLike, packet: ArrayLike, block_rate: ArrayLike, tolerated: float, factor: float) -> float:
    """RB with which the mean delay of a slice's messages is 1 / ``factor`` of the tolerated one.

    Args:
        offered: [device] bit/s.
        packet: [device] bit: size of its messages.
        block_rate: [device] bit/s of one RB on its link, positive.
        tolerated: s: tau_max.
        factor: k, dimensionless.
    """
    rate = np.asarray(block_rate, np.float64)
    return float(pooled_needs(offered, packet, rate, np.zeros(len(rate), np.int64), [tolerated], [factor])[0])


def pooled_needs(
    offered: ArrayLike, packet: ArrayLike, block_rate: ArrayLike, owner: NDArray[np.int64], tolerated: ArrayLike,
    factor: ArrayLike,
) -> NDArray[np.float64]:  # fmt: skip
    """`pooled_need` of many slices, whose devices stand in one row: [slice] RB.

    Args:
        offered: [device] bit/s.
        packet: [device] bit.
        block_rate: [device] bit/s, positive.
        owner: [device]: its slice.
        tolerated: [slice] s.
        factor: [slice].
    """
    rate, slices = np.asarray(block_rate, np.float64), len(np.asarray(tolerated))
    busy = np.asarray(offered, np.float64) / rate
    load = np.bincount(owner, busy, slices)
    work = np.bincount(owner, busy * np.asarray(packet, np.float64) / rate, slices)
    waiting = np.divide(np.asarray(factor) * work, load, out=np.zeros(slices), where=load > 0.0)
    return np.asarray(load + waiting / np.asarray(tolerated))
