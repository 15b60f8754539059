# SPDX-License-Identifier: Apache-2.0
"""Slices that forecast, learn and share nothing but weights: MAFL (docs/method/slice_learning.md)."""
