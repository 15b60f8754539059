# SPDX-License-Identifier: Apache-2.0
"""What a policy learns to live with: commands that come late or never, sensors that err, bodies that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from ir_common.config import Config, ConfigError, load_yaml, validate

Array = NDArray[np.float64]
FAINT = 0.1  #: magnitude under which an observation's noise does not shrink further


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first must not be greater than the second")
    return pair


Steps = Annotated[float, Field(ge=0.0, le=100.0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Factor = Annotated[float, Field(gt=0.0, le=100.0)]
Range = AfterValidator(_ordered)


class Conditions(Config):
    """Conditions of an environment: an episode draws each pair's value evenly between its two numbers."""

    delay: Annotated[tuple[Steps, Steps], Range] = Field((0.0, 0.0), description="least delay, control steps")
    jitter: Annotated[tuple[Steps, Steps], Range] = Field(
        (0.0, 0.0), description="control steps by which a command may be later than that, drawn evenly for each"
    )
    steady: Share = Field(0.0, description="share of the episodes that have no jitter")
    latest: Steps = Field(100.0, description="control steps that no delay with its jitter exceeds but for spikes")
    spikes: Annotated[tuple[Share, Share], Range] = Field((0.0, 0.0), description="share of commands that are late")
    spike: Steps = Field(5.0, description="control steps by which those are later still")
    loss: Annotated[tuple[Share, Share], Range] = Field((0.0, 0.0), description="share of commands that are lost")
    noise: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0, description="standard deviation of the observations' noise, as a share of their magnitude plus 0.1"
    )
    mass: Annotated[tuple[Factor, Factor], Range] = Field((1.0, 1.0), description="factor of all masses and inertias")
    friction: Annotated[tuple[Factor, Factor], Range] = Field((1.0, 1.0), description="factor of all friction")


def read_conditions(given: str | Path | Mapping[str, Any] | Conditions | None) -> Conditions:
    """Conditions from a YAML file, a mapping, or as they are; None: a perfect link and the robot as described.

    Raises:
        ConfigError: a field is wrong, or the file cannot be read.
    """
    if given is None:
        return Conditions()
    if isinstance(given, Conditions):
        return given
    if isinstance(given, Mapping):
        return validate(Conditions, dict(given), "conditions")
    if isinstance(given, (str, Path)):
        return load_yaml(Path(given), Conditions)
    raise ConfigError(f"conditions: must be a file or a mapping, not {given!r}")


@dataclass(frozen=True)
class Drawn:
    """One episode's conditions: delays in control steps, shares, factors."""

    delay: float
    jitter: float
    spikes: float
    loss: float
    mass: float
    friction: float


def draw(conditions: Conditions, rng: np.random.Generator) -> Drawn:
    """Draws one episode's conditions."""
    least = rng.uniform(*conditions.delay)
    jitter = rng.uniform(*conditions.jitter) * (rng.random() >= conditions.steady)
    least, most = min(least, conditions.latest), min(least + jitter, conditions.latest)
    return Drawn(
        float(least), float(most - least), rng.uniform(*conditions.spikes), rng.uniform(*conditions.loss),
        rng.uniform(*conditions.mass), rng.uniform(*conditions.friction),
    )  # fmt: skip


def blurred(observation: Array, noise: float, rng: np.random.Generator) -> Array:
    """An observation as an imperfect sensor has it: o + n (|o| + 0.1) z, z standard normal."""
    if not noise:
        return observation
    return observation + noise * (np.abs(observation) + FAINT) * rng.standard_normal(len(observation))


class LateCommands:
    """Commands on their way to one robot: each has its instant, and one that was overtaken by a newer is dropped."""

    def __init__(self) -> None:
        self._coming: list[tuple[int, int, Array]] = []  # instant, number, action
        self._number = self._newest = 0

    def send(self, action: Array, arrival: int | None) -> None:
        """Sends an action that arrives at an instant (whole physics steps), or never."""
        self._number += 1
        if arrival is not None:
            self._coming.append((arrival, self._number, action))

    def take(self, before: int) -> list[tuple[int, Array]]:
        """Instants and actions of those that arrive before an instant, in order of arrival."""
        arrived = sorted((one for one in self._coming if one[0] < before), key=lambda one: one[:2])
        self._coming = [one for one in self._coming if one[0] >= before]
        taken = []
        for instant, number, action in arrived:
            if number > self._newest:
                self._newest = number
                taken.append((instant, action))
        return taken
