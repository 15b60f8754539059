# SPDX-License-Identifier: Apache-2.0
"""Training with a model of the robot: sac, predict, gan, best; docs/method/dt_training.md explains it."""

from ir_drl.algorithms import ALGORITHMS
from ir_drl.assisted.assistant import Assistant, make_trainer
from ir_drl.assisted.assisted_config import AssistedConfig, TrainingModelConfig

__all__ = ["ALGORITHMS", "Assistant", "AssistedConfig", "TrainingModelConfig", "make_trainer"]
