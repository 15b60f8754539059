# SPDX-License-Identifier: Apache-2.0
"""The journal of a slice manager, and a manager that repeats one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ir_common.config import ConfigError
from ir_common.journal import Journal, Journaled
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.demand import Load
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.admission import SliceRefused


def keep(config: ManagerConfig, now: int) -> tuple[SliceManager, Journaled]:
    """A manager, and what its calls are to go through: reports, decisions and requests are written down.

    The files that the manager was made of are in the journal.

    Raises:
        ConfigError: as `SliceManager`.
    """
    state = (
        config.state_file.read_text("utf-8", "replace") if config.state_file and config.state_file.exists() else None
    )
    manager = SliceManager(config, now)
    files = {"slices": config.slices_file.read_text("utf-8"), "state": state}
    journal = Journal("slice_manager", {"config": config.model_dump(mode="json"), "now": now, **files})
    return manager, Journaled(manager, journal)


class ManagerReplay:
    """A manager that is told the calls of a journal; its allocations are those of the recorded manager."""

    def __init__(self, config: dict[str, Any], now: int, slices: str, state: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            files = {"slices_file": Path(folder) / "slices.yaml", "state_file": Path(folder) / "state"}
            files["slices_file"].write_text(slices, encoding="utf-8")
            if state is not None:
                files["state_file"].write_text(state, encoding="utf-8")
            self.manager = SliceManager(ManagerConfig.model_validate({**config, **files}), now)
        self._kept: dict[str, Any] = {"slices_file": "slices.yaml", "state_file": None}

    def apply(self, call: str, *arguments: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Makes a call; yields what the recorded node said after it: (topic, key, content)."""
        try:
            changed = self.manager.apply(call, *self._read(call, arguments))
        except (SliceRefused, ConfigError):
            return  # as it was then
        if call == "allocate" and changed:
            made = self.manager.allocation
            said = {"policy": self.manager.config.policy, "resource_blocks": made.blocks}
            yield "/slicing/allocation", made.sequence, said

    def _read(self, call: str, arguments: Sequence[Any]) -> Sequence[Any]:
        """The arguments of a call, from what JSON has of them."""
        if call == "report":
            now, loads, links = arguments
            return now, {name: Load(**load) for name, load in loads.items()}, links
        if call == "configure":
            return (ManagerConfig.model_validate({**arguments[0], **self._kept}),)
        if call in ("create", "modify", "set_template"):
            return *arguments[:-1], SliceSpec.model_validate(arguments[-1])
        return arguments

    def totals(self) -> dict[str, Any]:
        """The manager's part of the run's report."""
        return {"allocation_changes": self.manager.allocation.sequence}
