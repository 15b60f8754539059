# SPDX-License-Identifier: Apache-2.0
"""Experiments: variants of the stack times seeds, run in the model's time and compared."""
