# SPDX-License-Identifier: Apache-2.0
"""When the manager listens to a slice's agent, and when it falls back to the proportional policy."""

import math
from pathlib import Path

import pytest

from ir_slicing.allocation.agent_requests import AgentRequests, TrustConfig
from ir_slicing.allocation.demand import Load
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.lifecycle import AuditTrail

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000


@pytest.fixture
def requests():
    requests = AgentRequests(TrustConfig(probation=30.0), 100.0, AuditTrail())
    requests.set_slices(["a", "b"])
    return requests


def actions(requests):
    return [(e.action, e.slice) for e in requests._trail.take()]


def test_missing_then_asking_then_late(requests):
    assert requests.trusted(1.0) == {} and requests.standing("a") == "missing"
    assert requests.take(1.0, "a", 40.0) == ""
    assert requests.trusted(1.5) == {"a": 40.0}
    assert requests.trusted(2.5) == {} and requests.standing("a") == "late"
    requests.take(2.6, "a", 41.0)
    assert requests.trusted(2.7) == {"a": 41.0}
    assert actions(requests) == [("resume", "a"), ("fallback", "a"), ("resume", "a")]


@pytest.mark.parametrize(
    ("time", "name", "blocks", "reason"),
    [
        (2.0, "nobody", 1.0, "unknown"),
        (2.0, "a", math.nan, "number"),
        (2.0, "a", math.inf, "number"),
        (2.0, "a", -1.0, "number"),
        (2.0, "a", 0.0, "number"),
        (2.0, "a", 100.1, "carrier"),
        (0.5, "a", 10.0, "stale"),
    ],
)
def test_bad_request_is_counted_and_the_last_good_one_stays(requests, time, name, blocks, reason):
    requests.take(1.0, "a", 40.0)
    assert requests.take(time, name, blocks) == reason
    assert requests.refused == {reason: 1}
    assert requests.trusted(1.5) == {"a": 40.0}


def test_a_request_from_the_future_is_refused_and_one_of_a_clock_that_is_ahead_freezes_nothing(requests):
    """As after a reset: the request of 500 s must not make all those that follow older than itself."""
    requests.take(1.0, "a", 40.0, now=1.0)
    assert requests.take(500.0, "a", 41.0, now=1.2) == "future"
    assert requests.take(math.nan, "a", 41.0, now=1.2) == "future"
    assert requests.take(1.2, "a", 42.0, now=1.2) == "" and requests.trusted(1.2)["a"] == 42.0
    assert requests.take(1.9, "a", 43.0, now=1.4) == "", "two hosts' clocks, half a second apart"
    assert requests.take(1.4, "a", 44.0, now=1.4) == "" and requests.trusted(1.4)["a"] == 44.0
    assert requests.refused == {"future": 2}


def drive(requests, start, seconds, missed, proportional):
    trusted = {}
    for k in range(round(seconds / 0.2)):
        now = start + 0.2 * k
        requests.take(now, "a", 40.0)
        requests.judge("a", 0.2, missed, proportional)
        trusted = requests.trusted(now)
    return trusted


def test_worse_agent_is_not_listened_to_for_a_time(requests):
    """It misses the bound while it asks for less than the proportional policy would: out after 2 s ln 2 = 1.4 s."""
    requests.take(0.0, "a", 40.0)
    requests.trusted(0.0)
    assert drive(requests, 0.0, 1.2, True, 80.0) == {"a": 40.0}
    assert drive(requests, 1.2, 0.6, True, 80.0) == {} and requests.standing("a") == "worse"
    assert drive(requests, 1.8, 28.0, False, 80.0) == {}
    assert drive(requests, 29.8, 3.0, False, 80.0) == {"a": 40.0}
    assert drive(requests, 40.0, 2.0, True, 80.0) == {}
    assert drive(requests, 42.0, 58.0, True, 80.0) == {}, "the second time it is out for twice as long"
    assert [a for a, _ in actions(requests)] == ["resume", "fallback", "resume", "fallback"]


def test_misses_that_proportional_would_have_too_are_not_its_fault(requests):
    assert drive(requests, 0.0, 20.0, True, 41.0) == {"a": 40.0}, "both ask for the same"
    assert drive(requests, 20.0, 20.0, False, 80.0) == {"a": 40.0}, "no bound is missed"


def make(policy, **values):
    return SliceManager(ManagerConfig(slices_file=CONFIG, policy=policy, **values), SECOND)


def test_learned_requests_are_fitted_into_the_carrier():
    """All ask for the whole carrier: nothing above it is given, and every guarantee that is asked for is kept (7)."""
    manager = make("learned")
    carrier = manager.registry.carrier.resource_blocks
    manager.tick(2 * SECOND)
    manager.allocate()
    assert set(manager.allocation.policies.values()) == {"proportional"}
    for name in manager.registry.slices:
        assert manager.requests.take(2.0, name, carrier) == ""
    assert manager.allocate()
    assert sum(manager.allocation.blocks.values()) == carrier
    assert set(manager.allocation.policies.values()) == {"learned"}
    for name, entry in manager.registry.slices.items():
        assert manager.allocation.blocks[name] >= manager.registry.blocks(entry.spec, manager.block_rate) - 0.01


def test_one_slice_falls_back_alone():
    manager = make("learned")
    links = {"cart": 1e6, "spider": 1e6}
    manager.tick(2 * SECOND)
    manager.report(2 * SECOND, {"video": Load(20e6), "cart": Load(2e6)}, links)
    manager.requests.set_slices(list(manager.registry.slices))
    manager.requests.take(2.0, "cart", 60.0)
    manager.allocate()
    policies = manager.allocation.policies
    assert policies.pop("cart") == "learned" and set(policies.values()) == {"proportional"}
    assert manager.allocation.blocks["cart"] >= 60.0
    manager.tick(4 * SECOND)
    assert manager.allocate(), "its agent is late"
    assert set(manager.allocation.policies.values()) == {"proportional"}
    assert manager.allocation.blocks["cart"] < 60.0


def test_static_shares_do_not_follow_demand():
    manager = make("static")
    links = {"cart": 1e6, "spider": 1e6}
    manager.report(2 * SECOND, {}, links)
    manager.allocate()
    first = manager.allocation.blocks
    guaranteed = {n: manager.registry.blocks(e.spec, manager.block_rate) for n, e in manager.registry.slices.items()}
    assert first["video"] / first["spider"] == pytest.approx(guaranteed["video"] / guaranteed["spider"], rel=1e-3)
    manager.report(3 * SECOND, {"video": Load(200e6, 50e6)}, links)
    assert not manager.allocate()
    assert set(manager.allocation.policies.values()) == {"static"}
