# SPDX-License-Identifier: Apache-2.0
"""What an experiment is asked to be: variants times seeds, as a YAML file says."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass

from pydantic import Field, field_validator, model_validator

from ir_common.config import Config, ConfigError
from ir_lab.model_time.faults import Fault
from ir_lab.model_time.simulate_arguments import parse
from ir_twin.bringup.arguments import BringupArguments, choices_of

Value = bool | int | float | str
OWN = ("seed", "report", "bag", "name")
"""Arguments that an experiment gives itself."""


def _words(arguments: dict[str, Value]) -> tuple[str, ...]:
    return tuple(f"{name}:={_text(name, value)}" for name, value in arguments.items())


def _text(name: str, value: Value) -> str:
    """A value as a user writes it; YAML reads an unquoted on or off as a truth value."""
    if not isinstance(value, bool):
        return str(value)
    field = BringupArguments.model_fields.get(name)
    if field is not None and "off" in choices_of(field):
        return "on" if value else "off"
    return str(value).lower()


class Variant(Config):
    """One way to run the stack."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=64, description="in tables and file names")
    arguments: dict[str, Value] = Field({}, description="of ./ir simulate, in place of those of the experiment")
    faults: tuple[Fault, ...] = Field((), description="in place of those of the experiment")


class Experiment(Config):
    """An experiment file."""

    about: str = Field("", description="what the experiment asks, in a sentence")
    arguments: dict[str, Value] = Field({}, description="of ./ir simulate, of all variants")
    faults: tuple[Fault, ...] = Field((), description="what happens at given times, in all variants")
    factors: dict[str, tuple[Value, ...]] = Field(
        {}, description="values of arguments; each combination is a variant, in place of `variants`"
    )
    variants: tuple[Variant, ...] = Field((), description="the ways to run that are compared")
    seeds: int | tuple[int, ...] = Field(5, description="a number (1 to that number) or a list of seeds")
    compare_with: str = Field(
        "", description="variant that the others are held against, seed by seed; empty: the first"
    )
    show: tuple[str, ...] = Field(
        (), description="numbers of the report in the plot and first in the table, such as robots.hopper.falls"
    )

    @field_validator("seeds")
    @classmethod
    def _some_seeds(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        found = range(1, seeds + 1) if isinstance(seeds, int) else seeds
        if not found or min(found) < 0 or len(set(found)) < len(found):
            raise ValueError("give a number from 1 up, or a list of different seeds from 0 up")
        return seeds

    @model_validator(mode="after")
    def _whole(self) -> Experiment:
        if bool(self.factors) == bool(self.variants):
            raise ValueError("give either variants or factors")
        names = [variant.name for variant in self.all_variants()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"variant '{name}' stands twice; names must differ")
        if self.compare_with and self.compare_with not in names:
            raise ValueError(f"compare_with: there is no variant '{self.compare_with}'; there are: {', '.join(names)}")
        given = {*self.arguments, *self.factors, *(name for variant in self.variants for name in variant.arguments)}
        if own := sorted(given & set(OWN)):
            raise ValueError(f"argument {own[0]}: the experiment gives it itself; leave it out")
        if "learn_folder" in given:
            raise ValueError("argument learn_folder: a run would go on from another's agent; leave it out")
        return self

    def all_variants(self) -> tuple[Variant, ...]:
        """The variants, or those that the factors make."""
        if self.variants:
            return self.variants
        names = list(self.factors)
        made = []
        for values in itertools.product(*self.factors.values()):
            chosen = dict(zip(names, values, strict=True))
            name = "+".join(_label(name, value) for name, value in chosen.items())
            made.append(Variant(name=name, arguments=chosen))
        return tuple(made)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds one by one."""
        return tuple(range(1, self.seeds + 1)) if isinstance(self.seeds, int) else self.seeds

    def runs(self) -> list[Run]:
        """Every run of the experiment: seed by seed, each through all variants."""
        return [
            Run(variant.name, seed, _words({**self.arguments, **variant.arguments}), variant.faults or self.faults)
            for seed in self.all_seeds
            for variant in self.all_variants()
        ]


def _label(name: str, value: Value) -> str:
    return _text(name, value).rpartition("/")[2].removesuffix(".yaml")


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes:
        variant: its name.
        seed: of the run.
        words: ``name:=value`` arguments, without the seed.
        faults: what happens at given times.
    """

    variant: str
    seed: int
    words: tuple[str, ...]
    faults: tuple[Fault, ...]

    def key(self, commit: str) -> str:
        """Names all that the outcome rests on, by which a finished run is known again."""
        asked = [commit, self.seed, self.words, [fault.model_dump() for fault in self.faults]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def check_words(run: Run) -> None:
    """Lets a run be refused before any is begun.

    Raises:
        ConfigError: an argument is unknown or wrong; the text names the variant.
    """
    try:
        parse([*run.words, f"seed:={run.seed}"], run.faults)
    except ConfigError as error:
        raise ConfigError(f"variant {run.variant}: {error}") from None
