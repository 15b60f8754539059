# SPDX-License-Identifier: Apache-2.0
"""``params_file:=``: parameters of the nodes from a ROS parameter file, checked before anything starts.

Every package declares the configurations of its nodes by entry points of the group ``ir_twin.parameters``: the name of
the executable, and the class.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel

from ir_common.config import Config, ConfigError, load_yaml, validate
from ir_twin.bringup.spec import NodeSpec

GROUP = "ir_twin.parameters"
QOS_OVERRIDES = "qos_overrides"


class NodeParametersSection(Config):
    """What a parameter file says of the nodes that a name stands for."""

    ros__parameters: dict[str, Any] = Field(description="parameters by name; those of a group may be nested")


class ParameterFile(RootModel[dict[str, NodeParametersSection]]):
    """A ROS parameter file: full names of nodes, in which * stands for one part and /** for any, to parameters."""


def node_configs() -> dict[tuple[str, str], type[Config]]:
    """The configuration class of each executable: by package and executable."""
    return {(e.value.partition(".")[0], e.name): e.load() for e in entry_points(group=GROUP)}


def with_parameters(specs: Iterable[NodeSpec], path: Path) -> list[NodeSpec]:
    """The processes with the file's parameters added to theirs.

    Raises:
        ConfigError: the file is malformed, names a node or parameter that is not there, gives a value out of range, or
            one that the bringup sets itself.
    """
    specs = list(specs)
    sections = load_yaml(path, ParameterFile).root
    names = [spec.full_name for spec in specs if spec.package]
    for pattern in sections:
        if not any(_matches(pattern, name) for name in names):
            near = difflib.get_close_matches(pattern, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"nodes of this stack: {', '.join(sorted(names))}"
            raise ConfigError(f"{path}: there is no node '{pattern}'; {hint}")
    configs = node_configs()
    return [_with_sections(spec, sections, configs.get((spec.package, spec.executable)), path) for spec in specs]


def _with_sections(
    spec: NodeSpec, sections: Mapping[str, NodeParametersSection], config: type[Config] | None, path: Path
) -> NodeSpec:
    given: dict[str, Any] = {}
    for pattern, section in sections.items():
        if spec.package and _matches(pattern, spec.full_name):
            known = {QOS_OVERRIDES, *(config.model_fields if config else section.ros__parameters)}
            general = "*" in pattern  # such a section may give what only some of its nodes have
            flat = {name: value for name, value in section.ros__parameters.items() if not general or name in known}
            given |= flat
    if not given:
        return spec
    where = f"{path}: {spec.full_name}"
    for name in given:
        if name in spec.parameters:
            raise ConfigError(f"{where}: {name}: is set by the bringup's arguments; leave it out here")
    qos = given.pop(QOS_OVERRIDES, None)
    if config:
        plain = {name: value for name, value in spec.parameters.items() if name in config.model_fields}
        validate(config, plain | given, where)
    return replace(spec, parameters=spec.parameters | given | ({QOS_OVERRIDES: qos} if qos else {}))


def _matches(pattern: str, name: str) -> bool:
    """Whether a name of a parameter file, with or without its leading slash, stands for a node."""
    pattern = pattern if pattern.startswith("/") else f"/{pattern}"
    parts = [".*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") for part in pattern[1:].split("/")]
    return re.fullmatch("/" + "/".join(parts), name) is not None
