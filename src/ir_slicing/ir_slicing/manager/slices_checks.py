# SPDX-License-Identifier: Apache-2.0
"""Checks of the slice manager's files, made before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ir_common.config import load_yaml, validate
from ir_radio.model.link_traces import load_links
from ir_radio.model.slice_specs import SlicesFile
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.orchestration.admission import load_registry


class SliceArguments(Protocol):
    """The arguments of the bringup that matter here."""

    @property
    def slices(self) -> Path:
        """Slices file."""


def check(arguments: SliceArguments) -> None:
    """Reads the slices file with its traces and admits its slices, as the manager will with its default parameters.

    Raises:
        ConfigError: the file is wrong or its slices do not fit; names file and place.
    """
    config = validate(ManagerConfig, {"slices_file": arguments.slices}, "slice manager")
    load_registry(config.slices_file, config.urllc_margin, config.reference_distance)
    file = load_yaml(config.slices_file, SlicesFile)
    load_links(file.traces, config.slices_file.parent, file.carrier)
