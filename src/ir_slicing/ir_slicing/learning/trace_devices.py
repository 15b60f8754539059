# SPDX-License-Identifier: Apache-2.0
"""Measured traffic as devices of a slice; the files are read by `ir_radio.model.trace_files`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_radio.model.trace_files import Trace, load

__all__ = ["Trace", "device_matrix", "load"]


def device_matrix(
    traces: Iterable[Trace], period: float, steps: int, column: str = "DL_bitrate"
) -> NDArray[np.float32]:
    """Traces as devices of one slice: each that is long enough is cut into pieces of ``steps`` periods.

    The files were recorded one after the other, so what two devices have in common is the kind of use, not the hour.

    Returns:
        [step, device] float32: bit/s for the bitrates.

    Raises:
        ConfigError: no trace is long enough.
    """
    series = [trace.resample(column, period) for trace in traces]
    pieces = [one[i * steps : (i + 1) * steps] for one in series for i in range(len(one) // steps)]
    if not pieces:
        longest = max((len(one) for one in series), default=0)
        raise ConfigError(f"no trace has {steps} periods of {period:g} s, the longest has {longest}; ask for fewer")
    return np.stack(pieces, axis=1).astype(np.float32)
