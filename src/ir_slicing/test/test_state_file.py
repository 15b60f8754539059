# SPDX-License-Identifier: Apache-2.0
"""The manager's state over a restart: slices, templates, weights; a damaged file is told and left alone."""

from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.state_file import SavedModel, load

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000


def make(path, now=10 * SECOND):
    return SliceManager(ManagerConfig(slices_file=CONFIG, state_file=path), now)


def test_everything_comes_back(tmp_path):
    path = tmp_path / "state.json"
    first = make(path)
    first.orchestrator.delete(SECOND, "", "cart")
    slow = first.registry.templates["cart"].model_copy(update={"name": "slow", "rate": 1e6, "lifetime": 60.0})
    first.orchestrator.set_template(SECOND, "", "slow", slow)
    first.orchestrator.create(9 * SECOND, "", "", first.registry.from_template("slow", ""))
    first.orchestrator.set_active(SECOND, "", "video", False)
    weights = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    first.model = SavedModel.of(7, "abcd", weights)
    first.allocate()
    first.save()

    second = make(path, now=0)
    assert second.registry.slices == first.registry.slices
    assert second.registry.templates == first.registry.templates
    assert second.model.round == 7 and np.array_equal(second.model.array(), weights)
    second.allocate()
    assert second.allocation.sequence == first.allocation.sequence + 1
    assert {e.action for e in second.trail.take()} == {"restore"}
    second.tick(20 * SECOND)
    assert second.registry.slices["slow"].created == 9 * SECOND, "its lifetime goes on"
    assert second.tick(69 * SECOND) and "slow" not in second.registry.slices
    third = make(path, now=0)
    third.tick(SECOND)
    assert third.registry.slices["slow"].created == SECOND, "another clock: its lifetime begins anew"


def test_no_file_is_no_state(tmp_path):
    assert load(tmp_path / "none.json") is None
    assert list(make(tmp_path / "none.json").registry.slices) == ["video", "spider", "cart", "control"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file_is_told_and_the_configuration_serves(tmp_path, share):
    path = tmp_path / "state.json"
    first = make(path)
    first.orchestrator.delete(SECOND, "", "cart")
    first.model = SavedModel.of(1, "abcd", np.zeros(1000, np.float32))
    first.save()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    second = make(path)
    assert list(second.registry.slices) == ["video", "spider", "cart", "control"]
    (event,) = second.trail.take()
    assert not event.accepted and str(path) in event.reason and "\n" not in event.reason, event.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 2, "sequence": 0, "templates": [], "slices": []}', "version"),
        ('{"sequence": 0, "templates": [], "slices": [{"spec": {"name": "x"}, "created": 0, "active": true}]}', "spec"),
        (
            '{"sequence": 0, "templates": [], "slices": [], "model": {"round": 0, "architecture": "", "weights": "%"}}',
            "base64",
        ),
        (
            '{"sequence": 0, "templates": [], "slices": [],'
            ' "model": {"round": 0, "architecture": "", "weights": "AADAfw=="}}',
            "finite",
        ),
    ],
)
def test_changed_file_names_the_place(tmp_path, text, message):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    manager = make(path)
    manager.save()
    before = path.read_bytes()

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    manager.orchestrator.delete(SECOND, "", "cart")
    with pytest.raises(OSError, match="No space"):
        manager.save()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"], "nothing is left behind"


def test_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        make(tmp_path / "nowhere" / "state.json")
