# SPDX-License-Identifier: Apache-2.0
"""The unit in which shares are configured; compiled (jit) functions take it in."""

MILLE = 1000
"""Shares, such as that of the computing, are counted in thousandths, so that times stay in whole nanoseconds."""
