# SPDX-License-Identifier: Apache-2.0
"""Satisfaction of devices and utilisation of blocks: MAFL eqs. (2) to (5), on arrays of any shape."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Utilisation = Literal["efficient", "clipped", "printed"]


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64))))


def rate_satisfaction(rate: Floats, required: Floats, steepness: float) -> Floats:
    """Satisfaction with a rate, eq. (2): 1 / (1 + exp(-phi (r - r_min))), with phi = steepness / r_min.

    The steepness is relative to the requirement: the paper's phi is per bit/s, so that one number cannot serve a sensor
    of 20 kb/s and a camera of 200 kb/s; with 20 the satisfaction goes from 0.12 at 90 % of the rate to 0.88 at 110 %.

    Args:
        rate: [...] float, bit/s.
        required: [...] float, bit/s, positive.
        steepness: dimensionless.

    Returns:
        [...] float64, 0 to 1; 0.5 where the rate just equals the requirement.
    """
    return sigmoid(steepness * (rate / required - 1.0))


def delay(rate: Floats, arrivals: Floats) -> Floats:
    """Mean delay, MAFL section II-A: tau = 1 / (r - lambda), both in packets/s; s, infinite where r <= lambda."""
    spare = rate - arrivals
    return np.divide(1.0, spare, out=np.full(np.shape(spare), np.inf), where=spare > 0.0)


def delay_satisfaction(tau: Floats, tolerated: Floats, steepness: float) -> Floats:
    """Satisfaction with a delay, eq. (3): 1 / (1 + exp(-phi (tau_max - tau))), with phi = steepness / tau_max.

    Args:
        tau: [...] float, s; infinity is allowed and gives 0.
        tolerated: [...] float, s, positive.
        steepness: dimensionless, relative as in `rate_satisfaction`.
    """
    return sigmoid(steepness * (1.0 - tau / tolerated))


def rate_for_delay(offered: Floats, packet: Floats, tolerated: Floats, margin: float) -> Floats:
    """bit/s with which the mean delay is (1 - margin) of the tolerated one: r = d + L / (tau_max (1 - margin)).

    Args:
        offered: [...] float, bit/s: d.
        packet: [...] float, bit: L.
        tolerated: [...] float, s: tau_max.
        margin: `headroom` of the satisfaction that is wanted.
    """
    return offered + packet / (tolerated * (1.0 - margin))


def headroom(target: float, steepness: float) -> float:
    """x with sigmoid(steepness x) = target: how far from its bound, relative to it, a device must be."""
    return float(np.log(target / (1.0 - target)) / steepness)


def utilisation(blocks: Floats, needed: Floats, form: Utilisation) -> Floats:
    """Utilisation of a slice, eq. (5): Omega = w / varphi.

    The paper does not say what happens above 1. Its w counts blocks that are *occupied*, and a block which nobody needs
    is not; "printed" keeps growing, so that a slice is paid for hoarding.

    Args:
        blocks: [...] float, RB held by the slice.
        needed: [...] float, RB needed, positive.
        form: "efficient": min(w/varphi, varphi/w), the share of the need that is served or, above 1, the share of the
            held blocks that is in use; "clipped": min(w/varphi, 1); "printed": w/varphi.
    """
    ratio = blocks / needed
    if form == "printed":
        return ratio
    return np.minimum(ratio, 1.0 if form == "clipped" else 1.0 / ratio)
