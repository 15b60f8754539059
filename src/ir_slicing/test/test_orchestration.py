# SPDX-License-Identifier: Apache-2.0
"""Slices made, changed, activated and ended: every request leaves a line in the audit trail, done or refused."""

from pathlib import Path

import pytest

from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.admission import SliceRefused
from ir_slicing.orchestration.lifecycle import State

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000


@pytest.fixture
def manager():
    return SliceManager(ManagerConfig(slices_file=CONFIG), SECOND)


def lines(manager):
    return [(e.action, e.slice, str(e.before), str(e.after), e.accepted) for e in manager.trail.take()]


def test_life_of_a_slice(manager):
    """Created from a template, deactivated, activated, changed, deleted: the states of 3GPP in order."""
    slices, registry = manager.orchestrator, manager.registry
    slices.delete(SECOND, "anna", "cart")
    manager.trail.take()
    slices.create(SECOND, "anna", "cart_b", registry.from_template("cart", "cart_b"))
    slices.set_active(SECOND, "anna", "cart_b", False)
    slices.set_active(SECOND, "anna", "cart_b", True)
    faster = registry.slices["cart_b"].spec.model_copy(update={"rate": 16e6})
    slices.modify(SECOND, "anna", "cart_b", faster)
    slices.delete(SECOND, "anna", "cart_b")
    events = manager.trail.take()
    assert [(e.action, str(e.before), str(e.after)) for e in events] == [
        ("create", "PREPARATION", "INACTIVE"),
        ("activate", "INACTIVE", "ACTIVE"),
        ("deactivate", "ACTIVE", "INACTIVE"),
        ("activate", "INACTIVE", "ACTIVE"),
        ("modify", "ACTIVE", "ACTIVE"),
        ("deactivate", "ACTIVE", "INACTIVE"),
        ("delete", "INACTIVE", "TERMINATED"),
    ]
    assert {(e.requester, e.sst, e.sd, e.accepted, e.time) for e in events} == {("anna", 1, 3, True, SECOND)}
    assert events[0].reason == "from template 'cart'" and events[4].reason == "changed: rate"


def test_refusal_is_on_record_and_changes_nothing(manager):
    before = dict(manager.registry.slices)
    with pytest.raises(SliceRefused) as unknown:
        manager.registry.from_template("carrt", "cart_b")
    manager.orchestrator.refuse(SECOND, "create", "anna", "cart_b", unknown.value)
    with pytest.raises(SliceRefused):
        manager.orchestrator.delete(SECOND, "anna", "nobody")
    with pytest.raises(SliceRefused, match="ACTIVE already"):
        manager.orchestrator.set_active(SECOND, "anna", "cart", True)
    assert manager.registry.slices == before
    events = manager.trail.take()
    assert [(e.action, e.slice, e.accepted, e.before == e.after) for e in events] == [
        ("create", "cart_b", False, True),
        ("delete", "nobody", False, True),
        ("activate", "cart", False, True),
    ]
    assert "unknown slice template 'carrt'" in events[0].reason
    assert manager.trail.refused == {"create": 1, "delete": 1, "activate": 1}


def test_lifetime_ends_on_record(manager):
    spec = manager.registry.slices["cart"].spec.model_copy(update={"lifetime": 2.0})
    manager.orchestrator.modify(SECOND, "anna", "cart", spec)
    manager.trail.take()
    assert manager.tick(3 * SECOND)
    events = manager.trail.take()
    assert [(e.action, e.requester, e.after) for e in events] == [
        ("deactivate", "manager", State.INACTIVE),
        ("delete", "manager", State.TERMINATED),
    ]
    assert "lifetime of 2 s" in events[0].reason


def test_inactive_slice_holds_nothing(manager):
    """Its blocks and its topics are free for another; then it cannot come back until that one is gone."""
    manager.orchestrator.set_active(SECOND, "", "cart", False)
    manager.allocate()
    assert "cart" not in manager.allocation.blocks
    manager.orchestrator.create(SECOND, "", "cart_b", manager.registry.from_template("cart", "cart_b"))
    with pytest.raises(SliceRefused, match="cart_b' carries"):
        manager.orchestrator.set_active(SECOND, "", "cart", True)
    manager.orchestrator.delete(SECOND, "", "cart_b")
    manager.orchestrator.set_active(SECOND, "", "cart", True)
    manager.allocate()
    assert manager.allocation.blocks["cart"] > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_latency": 0.0001}, "contradicts itself: an eMBB slice is served once in a slot"),
        ({"share": 0.001}, "contradicts itself: its share"),
        ({"lifetime": 0.005}, "contradicts itself: it lives 0.005 s, its messages may take 0.01 s"),
        ({"rate": 9e9}, "can never fit"),
    ],
)
def test_template_that_contradicts_itself(manager, changes, reason):
    bad = manager.registry.templates["cart"].model_copy(update=changes)
    with pytest.raises(SliceRefused, match=reason):
        manager.orchestrator.set_template(SECOND, "anna", "cart", bad)
    assert manager.registry.templates["cart"].rate == 15e6, "the last good one stays"
    assert lines(manager) == [("set_template", "cart", "PREPARATION", "PREPARATION", False)]


def test_templates_change_and_go(manager):
    slow = manager.registry.templates["cart"].model_copy(update={"name": "slow", "rate": 1e6, "flows": ()})
    manager.orchestrator.set_template(SECOND, "anna", "slow", slow)
    made = manager.orchestrator.create(SECOND, "anna", "", manager.registry.from_template("slow", ""))
    assert (made.spec.name, made.spec.rate, made.spec.template_name) == ("slow", 1e6, "slow")
    manager.orchestrator.delete_template(SECOND, "anna", "slow")
    assert "slow" in manager.registry.slices, "what was made from it stays"
    with pytest.raises(SliceRefused, match="unknown slice template 'slow'"):
        manager.orchestrator.delete_template(SECOND, "anna", "slow")
