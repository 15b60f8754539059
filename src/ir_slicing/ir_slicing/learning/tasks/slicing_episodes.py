# SPDX-License-Identifier: Apache-2.0
"""Episodes of the slicing environment for learning libraries: each has devices, positions and traffic of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.slicing_environment import EnvironmentConfig, PeriodOutcome, SlicingEnvironment

STATE = 3
"""Numbers that a slice sees: log of need, of expected need and of share, see `SlicingEnvironment.observe`."""


class EpisodesConfig(Config):
    """What episodes are drawn from."""

    environment: EnvironmentConfig = EnvironmentConfig()
    traffic: TrafficConfig = TrafficConfig()
    steps: int = Field(96, ge=2, description="decisions of an episode; 96: a day of the generated traffic")
    load: tuple[float, float] = Field((1.0, 1.0), description="factor of all traffic, drawn evenly for each episode")


class SlicingEpisodes:
    """Draws episodes and steps through them.

    Args:
        config: validated.

    Raises:
        ValueError: not as many mean rates as slices.
    """

    def __init__(self, config: EpisodesConfig) -> None:
        self.config = config
        self.names = tuple(one.name for one in config.environment.slices)
        if len(config.traffic.rates) != len(self.names):
            raise ValueError(
                f"{len(config.traffic.rates)} rates of traffic for {len(self.names)} slices; give one each"
            )

    def begin(self, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A new episode: the state [slice, 3] float32."""
        seed, load = int(rng.integers(2**31)), rng.uniform(*self.config.load)
        traffic = load * generate(self.config.traffic, self.config.steps + 1, 1, seed)
        self.environment = SlicingEnvironment(self.config.environment, traffic.astype(np.float32), seed)
        return self.environment.observe()[0].astype(np.float32)

    def step(self, action: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, np.dtype[np.float32]], PeriodOutcome, bool]:
        """[slice] in [-1, 1] -> state [slice, 3] float32, what the period was worth [1, slice], and if it was the last.

        The episode is cut there, it does not end: traffic would go on.
        """
        state, outcome, last = self.environment.step(np.asarray(action, np.float64)[None])
        return state[0].astype(np.float32), outcome, last

    def told(self, outcome: PeriodOutcome | None) -> dict[str, dict[str, float]]:
        """For each slice: RB that it has and needs; utilisation (5) and satisfaction (2), (3) of the last period."""
        made = {}
        for index, name in enumerate(self.names):
            blocks, need = float(self.environment.blocks[0, index]), float(self.environment.need.blocks[0, index])
            made[name] = {"blocks": blocks, "need": need}
            if outcome is not None:
                made[name] |= {
                    "utilisation": float(outcome.utilisation[0, index]),
                    "satisfaction": float(outcome.satisfaction[0, index]),
                }
        return made
