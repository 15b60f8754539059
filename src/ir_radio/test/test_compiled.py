# SPDX-License-Identifier: Apache-2.0
"""Compiled functions: their cache knows all their sources, and scalars agree with the arrays of `blocklength`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from ir_radio.compiled import digest
from ir_radio.model import blocklength


def test_a_change_of_any_compiled_file_names_another_cache(tmp_path):
    (tmp_path / "sub").mkdir()
    first, second = tmp_path / "a.py", tmp_path / "sub" / "b.py"
    first.write_text("@jit\ndef f(): return 1\n")
    second.write_text("@jit\ndef g(): return 1\n")
    before = digest(tmp_path)
    second.write_text("@jit\ndef g(): return 2\n")
    changed = digest(tmp_path)
    (tmp_path / "plain.py").write_text("x = 1\n")
    assert before != changed == digest(tmp_path)


snrs, lengths = st.floats(0.2, 1e5), st.integers(1, 100_000)


@settings(deadline=None)
@given(snrs, lengths, st.floats(1.0, 1e5))
def test_error_of_a_packet(snr, length, bits):
    expected = float(blocklength.error(snr, length, bits))
    assert blocklength.packet_error(snr, length, bits) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@settings(deadline=None)
@given(snrs, st.floats(1.0, 1e5), st.floats(1e-12, 0.999))
def test_symbols_and_payload_are_inverse_and_those_of_the_rate(snr, bits, error):
    quantile = -float(ndtri(error))
    symbols = blocklength.symbols(snr, bits, quantile)
    assert blocklength.payload(snr, symbols, quantile) == pytest.approx(bits, rel=1e-6, abs=1e-6)
    whole = int(np.ceil(symbols))
    expected = float(blocklength.rate(snr, whole, error)) * whole
    assert max(blocklength.payload(snr, whole, quantile), 0.0) == pytest.approx(expected, rel=1e-9, abs=1e-9)
