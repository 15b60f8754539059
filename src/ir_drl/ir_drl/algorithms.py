# SPDX-License-Identifier: Apache-2.0
"""How an agent may learn: the one switch of training and of learning live."""

from __future__ import annotations

import typing
from typing import Literal

Algorithm = Literal["sac", "predict", "gan", "best"]
"""sac: without a training model; predict: IoR without GAN; gan: IoR's proposal; best: what works best."""
LiveAlgorithm = Literal["sac", "predict", "gan", "best", "paper"]
"""The same, live. paper: gan with networks, GAN and gate as IoR has them, and not as small as a shared core bears."""
ALGORITHMS: tuple[str, ...] = typing.get_args(Algorithm)
