# SPDX-License-Identifier: Apache-2.0
"""The slicing environment as a task for others: ``import ir_slicing.learning.tasks`` registers ``ir/Slicing-v0``.

`slicing_parallel` holds the same for several agents and needs PettingZoo, which is optional.
"""

from __future__ import annotations

import gymnasium

__all__ = ["SLICING"]

SLICING = "ir/Slicing-v0"
"""One agent that divides the carrier among all slices (`slicing_env`)."""

if SLICING not in gymnasium.registry:
    gymnasium.register(SLICING, entry_point="ir_slicing.learning.tasks.slicing_env:SlicingEnv")
