# SPDX-License-Identifier: Apache-2.0
"""The journal of a slice manager, and a manager that repeats one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ir_common.config import ConfigError
from ir_common.journal import Journal
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.demand import Load
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.admission import SliceRefused

_SPECIFIED = ("create", "modify", "set_template")
_NAMED = ("set_active", "delete", "delete_template")


def keep(config: ManagerConfig, now: int) -> tuple[SliceManager, Journal]:
    """A manager and its journal: reports, decisions and requests; the files that it was made of are in the journal.

    Raises:
        ConfigError: as `SliceManager`.
    """
    state = (
        config.state_file.read_text("utf-8", "replace") if config.state_file and config.state_file.exists() else None
    )
    manager = SliceManager(config, now)
    files = {"slices": config.slices_file.read_text("utf-8"), "state": state}
    journal = Journal("slice_manager", {"config": config.model_dump(mode="json"), "now": now, **files})
    journal.watch(manager, "report", "tick", "allocate", "configure")
    journal.watch(manager.requests, "take")
    journal.watch(manager.orchestrator, *_NAMED)
    for name in _SPECIFIED:
        setattr(manager.orchestrator, name, _specified(journal, name, getattr(manager.orchestrator, name)))
    return manager, journal


def _specified(journal: Journal, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the specification that a request turned out to make; a request that makes none changes nothing."""

    def call(now: int, requester: str, slice_name: str, make: Callable[[], SliceSpec]) -> Any:
        def make_and_add() -> SliceSpec:
            spec = make()
            journal.add(name, now, requester, slice_name, spec)
            return spec

        return method(now, requester, slice_name, make_and_add)

    return call


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
        manager = self.manager
        if call == "allocate":
            if manager.allocate():
                made = manager.allocation
                said = {"policy": manager.config.policy, "resource_blocks": made.blocks}
                yield "/slicing/allocation", made.sequence, said
        elif call == "report":
            now, loads, links = arguments
            manager.report(now, {name: Load(**load) for name, load in loads.items()}, links)
        elif call == "tick":
            manager.tick(*arguments)
        elif call == "configure":
            manager.configure(ManagerConfig.model_validate({**arguments[0], **self._kept}))
        elif call == "take":
            manager.requests.take(*arguments)
        elif call in _SPECIFIED or call in _NAMED:
            self._request(call, arguments)
        else:
            raise ValueError(f"a slice manager has no call {call}")

    def _request(self, call: str, arguments: Any) -> None:
        method = getattr(self.manager.orchestrator, call)
        try:
            if call in _SPECIFIED:
                *asked, spec = arguments
                method(*asked, lambda: SliceSpec.model_validate(spec))
            else:
                method(*arguments)
        except (SliceRefused, ConfigError):
            return  # as it was then

    def totals(self) -> dict[str, Any]:
        """The manager's part of the run's report."""
        return {"allocation_changes": self.manager.allocation.sequence}
