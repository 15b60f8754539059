# SPDX-License-Identifier: Apache-2.0
"""Short packets: the normal approximation of Polyanskiy, Poor and Verdu (IEEE Trans. Inf. Theory 56(5), 2010).

IoR section IV takes it for URLLC because Shannon's capacity promises short packets too much. For n complex symbols
over additive Gaussian noise of ratio g: rate R = log2(1 + g) - sqrt(V / n) Q^-1(e), in bit per symbol, with the
dispersion V = (1 - (1 + g)^-2) (log2 e)^2; the term of order log(n) / n is left out, as is usual in allocation papers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from ir_radio.compiled import jit

Floats = NDArray[np.float64]
_LOG2_E = math.log2(math.e)


def rate(snr: ArrayLike, blocklength: int, error: float) -> Floats:
    """Rate that `blocklength` symbols carry with error probability `error`.

    Args:
        snr: [...] float, linear, not negative.
        blocklength: complex symbols of a packet, n.
        error: probability that a packet is lost, in (0, 1).

    Returns:
        [...] float64, bit per symbol, not negative.

    Raises:
        ValueError: the blocklength is under 1, or the error outside (0, 1).
    """
    _check(blocklength)
    if not 0.0 < error < 1.0:
        raise ValueError(f"error probability is {error}; give a number between 0 and 1, both excluded")
    snr = np.asarray(snr, np.float64)
    return np.maximum(np.log2(1.0 + snr) + _deviation(snr, blocklength) * ndtri(error), 0.0)


def error(snr: ArrayLike, blocklength: int, bits: float) -> Floats:
    """Probability that a packet of `bits` in `blocklength` symbols is lost: Q((log2(1 + g) - bits / n) / sqrt(V / n)).

    Args:
        snr: [...] float, linear, not negative.
        blocklength: complex symbols of a packet, n.
        bits: of a packet, positive.

    Returns:
        [...] float64, in [0, 1].

    Raises:
        ValueError: the blocklength is under 1, or there are no bits.
    """
    _check(blocklength)
    if not bits > 0.0:
        raise ValueError(f"a packet of {bits} bits; give a positive number")
    snr = np.asarray(snr, np.float64)
    margin = np.log2(1.0 + snr) - bits / blocklength
    with np.errstate(divide="ignore"):  # without a signal the margin is negative, the deviation 0: surely lost
        return ndtr(-margin / _deviation(snr, blocklength))


@register_jitable  # plain NumPy here, compiled where compiled code calls it
def _deviation(snr: Any, blocklength: float) -> Any:
    return np.sqrt((1.0 - (1.0 + snr) ** -2.0) / blocklength) * _LOG2_E


@jit
def symbols(snr: float, bits: float, quantile: float) -> float:
    """Fewest symbols, a real number, in which `bits` go: the inverse of `rate`, a quadratic equation in sqrt(n).

    Args:
        snr: linear, positive.
        bits: positive.
        quantile: Q^-1(error).
    """
    capacity, spread = math.log2(1.0 + snr), quantile * _deviation(snr, 1.0)
    root = (spread + math.sqrt(spread * spread + 4.0 * capacity * bits)) / (2.0 * capacity)
    return root * root


@jit
def payload(snr: float, blocklength: float, quantile: float) -> float:
    """Bits that `blocklength` symbols carry: `rate` of one packet times its symbols; may be negative."""
    return blocklength * (math.log2(1.0 + snr) - quantile * _deviation(snr, blocklength))


@jit
def packet_error(snr: float, blocklength: float, bits: float) -> float:
    """`error` of one packet, for compiled code; `snr` is positive."""
    margin = math.log2(1.0 + snr) - bits / blocklength
    return 0.5 * math.erfc(margin / _deviation(snr, blocklength) / math.sqrt(2.0))


def _check(blocklength: int) -> None:
    if blocklength < 1:
        raise ValueError(f"a blocklength of {blocklength} symbols; give at least 1")
