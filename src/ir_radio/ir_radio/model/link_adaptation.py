# SPDX-License-Identifier: Apache-2.0
"""Link adaptation of NR: modulation and coding schemes (MCS), channel quality indicators (CQI), block error rates.

Spectral efficiencies are those of 3GPP TS 38.214: MCS tables 5.1.3.1-1 (up to 64-QAM) and 5.1.3.1-2 (256-QAM), CQI
tables 5.2.2.1-2 and 5.2.2.1-3. Block error rates are a normal curve over the signal-to-noise ratio in dB,

    BLER(snr) = Q((snr - threshold) / spread + Q^-1(0.1)),

whose two numbers for each MCS are the medians, over code blocks of 500 bits and more, of the link-level tables of
S. Lagen, K. Wanuga, H. Elkotby, S. Goyal, N. Patriciello, L. Giupponi, "New radio physical layer abstraction for
system-level simulations of 5G networks" (IEEE ICC 2020), as they stand in the public simulator 5G-LENA
(`nr-eesm-t1.cc`, `nr-eesm-t2.cc`). Chase combining of k transmissions adds 10 log10 k dB.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
McsTable = Literal["64qam", "256qam"]

REFERENCE_BLER = 0.1
"""Block error rate at the thresholds of the tables: the target of the CQI of TS 38.214, 5.2.2.1."""


class McsCurves(NamedTuple):
    """The MCS of one table: bit/s/Hz, SNR of 10 % block errors in dB, standard deviation in dB; [mcs] each."""

    efficiency: Floats
    threshold: Floats
    spread: Floats


def _curves(*rows: tuple[float, float, float]) -> McsCurves:
    return McsCurves(*np.array(rows).T.copy())


CURVES: dict[McsTable, McsCurves] = {
    "64qam": _curves(
        (0.2344, -0.94, 0.27), (0.3066, -0.41, 0.24), (0.3770, 0.36, 0.24), (0.4902, 1.32, 0.25), (0.6016, 2.08, 0.24),
        (0.7402, 2.84, 0.25), (0.8770, 3.55, 0.26), (1.0273, 4.24, 0.24), (1.1758, 4.96, 0.24), (1.3262, 5.74, 0.24),
        (1.3281, 6.37, 0.23), (1.4766, 6.97, 0.22), (1.6953, 7.77, 0.22), (1.9141, 8.58, 0.24), (2.1602, 9.57, 0.28),
        (2.4063, 10.45, 0.26), (2.5703, 11.07, 0.29), (2.5664, 11.82, 0.27), (2.7305, 12.31, 0.28),
        (3.0293, 13.24, 0.27), (3.3223, 14.26, 0.30), (3.6094, 15.18, 0.31), (3.9023, 16.00, 0.27),
        (4.2129, 17.06, 0.36), (4.5234, 18.07, 0.36), (4.8164, 19.04, 0.35), (5.1152, 20.20, 0.37),
        (5.3320, 20.89, 0.35), (5.5547, 23.46, 0.76),
    ),
    "256qam": _curves(
        (0.2344, -0.94, 0.27), (0.3770, 0.36, 0.24), (0.6016, 2.08, 0.24), (0.8770, 3.55, 0.26), (1.1758, 4.96, 0.24),
        (1.4766, 6.97, 0.22), (1.6953, 7.77, 0.22), (1.9141, 8.58, 0.24), (2.1602, 9.57, 0.28), (2.4063, 10.45, 0.26),
        (2.5703, 11.07, 0.29), (2.7305, 12.31, 0.28), (3.0293, 13.24, 0.27), (3.3223, 14.26, 0.30),
        (3.6094, 15.18, 0.31), (3.9023, 16.00, 0.27), (4.2129, 17.06, 0.36), (4.5234, 18.07, 0.36),
        (4.8164, 19.04, 0.35), (5.1152, 20.20, 0.37), (5.3320, 21.09, 0.33), (5.5547, 21.78, 0.35),
        (5.8906, 22.72, 0.35), (6.2266, 23.72, 0.36), (6.5703, 24.70, 0.36), (6.9141, 25.91, 0.40),
        (7.1602, 26.72, 0.36), (7.4063, 27.14, 0.28),
    ),
}  # fmt: skip

CQI: dict[McsTable, Floats] = {
    "64qam": np.array([0.1523, 0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766, 1.9141, 2.4063, 2.7305, 3.3223, 3.9023,
                       4.5234, 5.1152, 5.5547]),
    "256qam": np.array([0.1523, 0.3770, 0.8770, 1.4766, 1.9141, 2.4063, 2.7305, 3.3223, 3.9023, 4.5234, 5.1152, 5.5547,
                        6.2266, 6.9141, 7.4063]),
}  # fmt: skip
"""Spectral efficiency of CQI 1 to 15, bit/s/Hz."""


def block_error_rate(table: McsTable, mcs: int, snr_db: ArrayLike, transmissions: int = 1) -> Floats:
    """Block error rate of an MCS after so many transmissions, Chase combined.

    Args:
        table: of the MCS.
        mcs: its index.
        snr_db: [...] float, dB, of one transmission.
        transmissions: of the block, at least 1.

    Returns:
        [...] float64, in [0, 1].
    """
    curves = CURVES[table]
    combined = np.asarray(snr_db, np.float64) + 10.0 * np.log10(transmissions)
    return np.asarray(ndtr((curves.threshold[mcs] - combined) / curves.spread[mcs] + ndtri(REFERENCE_BLER)))


class Ladder(NamedTuple):
    """The steps that a link takes as its SNR rises; [steps] each, rising.

    Attributes:
        start: SNR from which a step is taken, dB; -inf for the first.
        efficiency: of it, bit/s/Hz.
        threshold, spread: of its MCS, dB, as in `McsCurves`.
    """

    start: Floats
    efficiency: Floats
    threshold: Floats
    spread: Floats


@lru_cache(maxsize=64)
def ladder(table: McsTable, target: float, outer_loop: bool) -> Ladder:
    """Which MCS a scheduler takes at which SNR.

    With an outer loop it is the best one whose block error rate is at most `target`: the loop shifts the reported
    quality until errors are as frequent as that. Without, the report is a CQI, and the best MCS that is no faster than
    the CQI is taken; CQI thresholds are those of MCS of the same efficiency, interpolated.

    Args:
        table: of MCS and CQI.
        target: block error rate of the first transmission, in (0, 1).
        outer_loop: does the scheduler have one?
    """
    curves = CURVES[table]
    shift = curves.spread * (ndtri(REFERENCE_BLER) - ndtri(target))
    if outer_loop:
        starts, chosen = curves.threshold + shift, np.arange(len(curves.efficiency))
    else:
        starts = np.interp(CQI[table], np.maximum.accumulate(curves.efficiency), curves.threshold + shift)
        known = curves.efficiency[:, None] <= CQI[table] + 1e-9  # [mcs, cqi]
        chosen = np.argmax(np.where(known, curves.efficiency[:, None], -1.0), axis=0)
    steps: list[tuple[float, int]] = []
    for start, mcs in sorted(zip(starts.tolist(), chosen.tolist(), strict=True)):
        if not steps or curves.efficiency[mcs] > curves.efficiency[steps[-1][1]]:
            steps.append((start if steps else -np.inf, mcs))
    index = [mcs for _, mcs in steps]
    return Ladder(
        np.array([start for start, _ in steps]), curves.efficiency[index], curves.threshold[index], curves.spread[index]
    )


def efficiency_at(steps: Ladder, snr_db: ArrayLike) -> Floats:
    """Spectral efficiency of the step taken at an SNR [...], dB; bit/s/Hz; NaN where the ratio is."""
    snr_db = np.asarray(snr_db, np.float64)
    place = np.searchsorted(steps.start, snr_db, side="right") - 1
    return np.where(np.isnan(snr_db), np.nan, steps.efficiency[np.clip(place, 0, len(steps.start) - 1)])
