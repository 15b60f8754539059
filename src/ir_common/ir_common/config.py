# SPDX-License-Identifier: Apache-2.0
"""Configuration: frozen, validating models, read from YAML with errors that name file, line and key."""

from __future__ import annotations

import difflib
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from ir_common.damage import first_line

EXIT_CONFIG = 78
"""Exit status of a process whose configuration is wrong (EX_CONFIG of sysexits.h): starting it again cannot help."""

RESTARTS_VARIABLE = "IR_RESTARTS"
"""Environment variable by which a launcher tells a process how often it was started before."""


class ConfigError(ValueError):
    """A user's mistake, told in one line: what is wrong, where, and what to do."""


class Config(BaseModel):
    """Base of all configurations: frozen, no unknown keys, no NaN and no infinity unless a field allows them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def live(default: Any, **constraints: Any) -> Any:
    """A field that may be changed while the node runs; all others are fixed at the start."""
    return Field(default, json_schema_extra={"live": True}, **constraints)


def load_yaml(path: str | Path, model: type[ConfigT]) -> ConfigT:
    """Reads one YAML file into a configuration.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown, doubled, missing or out of range;
            the message starts with ``file:line:``.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason}); give the path of a YAML file") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_doubled_keys(root, path)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(f"{path}:{line}: is not valid YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: holds itself, or is nested too deeply; write out what it refers to (*name)"
        ) from None
    if not isinstance(data, dict) and not issubclass(model, RootModel):
        raise ConfigError(f"{path}:1: must hold keys and values, such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, path, root)) from None


def validate(model: type[ConfigT], values: dict[str, Any], source: str) -> ConfigT:
    """Makes a configuration of plain values; ``source`` says in the error where they came from.

    Raises:
        ConfigError: as for `load_yaml`, without a line.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, source, None)) from None


def _refuse_doubled_keys(node: yaml.Node | None, path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConfigError(
                        f"{path}:{key.start_mark.line + 1}: key '{key.value}' stands twice "
                        f"(first in line {seen[key.value]}); remove one"
                    )
                seen[key.value] = key.start_mark.line + 1
            _refuse_doubled_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_doubled_keys(item, path)


def _explain(error: ValidationError, model: type[BaseModel], source: str | Path, root: yaml.Node | None) -> str:
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key is also a missing one
    loc = first["loc"]
    where = f"{source}:{_line_of(root, loc)}" if root is not None else str(source)
    key = ".".join(str(part) for part in loc) or "values"
    if first["type"] == "extra_forbidden":
        known = list(_model_at(model, loc[:-1]).model_fields)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        text = f"unknown key '{key}'; {hint}"
    elif first["type"] == "missing":
        text = f"key '{key}' is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        given = first.get("input")
        shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
        text = f"{key}: {message[:1].lower() + message[1:]}{shown}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {text}{more}"


def _line_of(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the deepest part of ``loc`` that stands in the file."""
    line = node.start_mark.line + 1 if node else 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if getattr(key, "value", None) == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                continue  # a part that only pydantic knows, such as the tag of a union
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that the parts of ``loc`` lead to, as far as it can be followed."""
    for part in loc:
        if issubclass(model, RootModel):
            part = "root"  # a list of models: the number leads to one of them
        if isinstance(part, str) and part in model.model_fields:
            pending = [model.model_fields[part].annotation]
            while pending:
                kind = pending.pop()
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    model = kind
                    break
                pending.extend(typing.get_args(kind))
    return model
