# SPDX-License-Identifier: Apache-2.0
"""A manager that is told the journal of another decides the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.demand import Load
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_journal import ManagerReplay, keep
from ir_slicing.orchestration.admission import SliceRefused

SLICES = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000


def small(name: str, rate: float) -> SliceSpec:
    return SliceSpec(name=name, type="embb", rate=rate, max_latency=0.1, reliability=0.9)


def test_a_repeated_manager_decides_the_same():
    manager, calls = keep(ManagerConfig(slices_file=SLICES), 0)
    rng = np.random.default_rng(3)
    decided = []
    for step in range(300):
        now = SECOND + step * SECOND // 5
        loads = {name: Load(float(rng.uniform(0, 4e7)), float(rng.uniform(0, 1e6))) for name in manager.registry.slices}
        calls.apply("report", now, loads, {"cart": float(rng.uniform(1e5, 1e6)), "spider": float("nan")})
        if step == 40:
            calls.apply("create", now, "test", "extra", small("extra", 2e6))
        if step == 60:
            with pytest.raises(SliceRefused):
                calls.apply("create", now, "test", "huge", small("huge", 1e9))
        if step == 120:
            calls.apply("modify", now, "test", "extra", small("extra", 1e6))
        if step == 200:
            calls.apply("delete", now, "test", "extra")
        if step == 250:
            calls.apply("configure", manager.config.model_copy(update={"hysteresis": 0.5}))
        calls.apply("tick", now)
        if calls.apply("allocate"):
            decided.append((manager.allocation.sequence, manager.allocation.blocks))
    (_, begin), *entries = map(json.loads, calls.journal.take()[1].splitlines())
    replay = ManagerReplay(**begin)
    said = [one for call, *arguments in entries for one in replay.apply(call, *arguments)]
    assert [(key, content["resource_blocks"]) for _, key, content in said] == decided
    assert len(decided) > 20 and any("extra" in blocks for _, blocks in decided)
    assert replay.totals() == {"allocation_changes": decided[-1][0]}


def test_a_call_that_there_is_not_is_refused():
    manager, _ = keep(ManagerConfig(slices_file=SLICES), 0)
    with pytest.raises(ValueError, match="no call _restore"):
        manager.apply("_restore", SLICES, 0)
