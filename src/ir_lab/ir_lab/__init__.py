# SPDX-License-Identifier: Apache-2.0
"""The stack in the model's time: one process, deterministic, as fast as it can; and experiments made of such runs."""
