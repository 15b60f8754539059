# SPDX-License-Identifier: Apache-2.0
"""Training with a digital twin: sac, predict, gan, best; docs/method/dt_training.md explains it."""

from ir_drl.assisted.assistant import Assistant, make_trainer
from ir_drl.assisted.assisted_config import ALGORITHMS, AssistedConfig, TwinTraining

__all__ = ["ALGORITHMS", "Assistant", "AssistedConfig", "TwinTraining", "make_trainer"]
