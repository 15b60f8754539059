# SPDX-License-Identifier: Apache-2.0
"""Arguments of a run in the model's time: those of the bringup, and a few of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from ir_common.config import Config, ConfigError, validate
from ir_lab.model_time.faults import Fault
from ir_twin.bringup import arguments as bringup
from ir_twin.bringup.arguments import BringupArguments

DEFAULT_DURATION = 60.0
"""s of simulated time where no duration is given: a run in the model's time has an end."""


class OwnArguments(Config):
    """What only a run in the model's time has."""

    compute: float = Field(
        0.0, ge=0, le=10, description="s that a decision takes, each of controller and twin, in simulated time"
    )
    learning_steps: float = Field(
        50.0,
        ge=0,
        le=10_000,
        description="gradient steps of the twin's learner for a simulated second, all tasks together",
    )
    agent_steps: float = Field(
        125.0,
        ge=0,
        le=10_000,
        description="learning steps of each agent that learns live (learn:=) for a simulated second, at most",
    )
    bag: Path | None = Field(None, description="folder for a rosbag2 bag of the run; must not be there yet")

    @field_validator("bag", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return value or None


@dataclass(frozen=True)
class SimulateArguments:
    """Checked arguments of one run.

    Attributes:
        stack: of the bringup.
        own: of the model's time.
        words: as they were given, for the report.
        faults: what happens at given times.
    """

    stack: BringupArguments
    own: OwnArguments
    words: tuple[str, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def duration(self) -> float:
        """s of simulated time."""
        return self.stack.duration or DEFAULT_DURATION


def parse(words: Sequence[str], faults: Sequence[Fault] = (), driven: str = "") -> SimulateArguments:
    """Reads ``name:=value`` words and checks everything that can be checked before the start.

    Args:
        words: as a user gives them.
        faults: what happens at given times.
        driven: robot that the caller drives in its controller's place; empty: none.

    Raises:
        ConfigError: as for `./ir up`, or the argument asks for what the model's time does not have.
    """
    own = {}
    rest = []
    for word in words:
        name, separator, value = word.partition(":=")
        if separator and name in OwnArguments.model_fields:
            own[name] = value
        else:
            rest.append(word)
    chosen = validate(OwnArguments, own, "argument")
    if any(word.startswith("external:=") and word != "external:=" for word in rest):
        raise ConfigError("external:=: a controller of your own runs by the wall clock; use ./ir up external:=…")
    stack = bringup.parse(rest)
    _refuse(stack)
    if driven:
        stack = stack.model_copy(update={"external": (*stack.external, driven)})
    for fault in faults:
        if fault.robot not in stack.names:
            raise ConfigError(
                f"fault at {fault.at:g} s: there is no robot '{fault.robot}'; there are: {', '.join(stack.names)}"
            )
    if chosen.bag and chosen.bag.expanduser().exists():
        raise ConfigError(f"bag:={chosen.bag}: is there already; give another folder, or remove it")
    return SimulateArguments(stack, chosen, tuple(words), tuple(faults))


def _refuse(stack: BringupArguments) -> None:
    if stack.sim != "mujoco":
        raise ConfigError(
            f"sim:={stack.sim}: the model's time has the embedded simulator only; use ./ir up sim:={stack.sim}"
        )
    if stack.namespace:
        raise ConfigError(
            f"namespace:={stack.namespace}: a run in the model's time is in no ROS graph, where it would need one; "
            "leave it out"
        )
    if stack.side != "all":
        raise ConfigError(
            f"side:={stack.side}: a run in the model's time is one process; use ./ir up side:={stack.side}"
        )
