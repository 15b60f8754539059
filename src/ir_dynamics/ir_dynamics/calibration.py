# SPDX-License-Identifier: Apache-2.0
"""Calibration of predicted distributions: how far outcomes are from what was expected, measured for each output.

Errors of learnt dynamics have heavier tails than the normal distribution that a network was fitted with. So the width
of an interval is not taken from that distribution, but from residuals on transitions that were not trained on, each
output for itself (Kuleshov et al. 2018, "Accurate uncertainties for deep learning using calibrated regression").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARES = np.append(np.linspace(0.05, 0.95, 19), 0.99)
"""Nominal shares of outcomes in the central intervals whose half widths are measured."""
MIN_RESIDUALS = 100
"""Residuals of an output that widths rest on at least."""


def half_widths(residuals: NDArray[np.floating]) -> NDArray[np.float32] | None:
    r"""The half width of each output's central intervals, in predicted standard deviations [outputs, shares].

    .. math:: q_{d,p} = Q_p(|z_d|), \qquad p \in \mathrm{SHARES}

    Args:
        residuals: z [n, outputs], each in predicted standard deviations, of transitions that were not trained on.

    Returns:
        None where there are too few, or one is not finite.
    """
    if len(residuals) < MIN_RESIDUALS or not np.isfinite(residuals).all():
        return None
    return np.quantile(np.abs(residuals), SHARES, axis=0).T.astype(np.float32)


def surprise(residuals: NDArray[np.floating], widths: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of outcomes that are expected to be nearer to the mean than these [n, outputs].

    Evenly distributed between 0 and 1 where the widths fit; beyond the widest interval it is the middle of the rest.

    Args:
        residuals: z [n, outputs], in predicted standard deviations.
        widths: of `half_widths` [outputs, shares].
    """
    size, shares = np.abs(residuals), np.append(0.0, SHARES)
    beyond = (1.0 + SHARES[-1]) / 2
    columns = [
        np.interp(one, np.append(0.0, width), shares, right=beyond) for one, width in zip(size.T, widths, strict=True)
    ]
    return np.column_stack(columns)
