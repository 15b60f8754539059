# SPDX-License-Identifier: Apache-2.0
"""Totals go on when the node that counts them dies and begins at zero again."""

import json
import math
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ir_common.run_totals import _TASK_COUNTS, LOST_WITH_NODE, Counters, RunTotals
from ir_interfaces.msg import (
    Allocation,
    Books,
    CellReport,
    DelayStats,
    DropCount,
    FederationStatus,
    HostReport,
    NodeStatus,
    SliceReport,
    TwinStatus,
)


def books(offered: int, delivered: int, queued: int, **dropped: int) -> Books:
    def size(count: int) -> int:
        return 100 * count

    return Books(
        offered_messages=offered,
        offered_bytes=size(offered),
        delivered_messages=delivered,
        delivered_bytes=size(delivered),
        queued_messages=queued,
        queued_bytes=size(queued),
        dropped=[DropCount(reason=reason, messages=n, bytes=size(n)) for reason, n in sorted(dropped.items())],
    )


def cell(one: Books) -> CellReport:
    delay = DelayStats(count=1, mean=0.01, p50=0.01, p99=0.02, max=math.nan)
    return CellReport(slices=[SliceReport(slice="video", type=1, resource_blocks=20.0, books=one, delay=delay)])


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=5))
def test_counters_add_up_over_restarts(runs: list[list[int]]) -> None:
    counters = Counters(("n",), "n")
    expected, last = 0, 0
    for run in runs:  # each run counts up from one
        count = 0
        for step in run:
            count += 1 + step
            restarted = count < last
            expected += last if restarted else 0
            counters.update({"n": count})
            last = count
    assert counters.totals()["n"] == expected + last


def test_books_balance_when_the_relay_dies_with_messages_queued() -> None:
    totals = RunTotals(["cart"])
    totals.update_cell(cell(books(100, 80, 15, queue_full=5)))
    totals.update_cell(cell(books(10, 7, 2, expired=1)))
    report = totals.as_dict(1.0, {})["slices"]["video"]
    assert report["offered"] == {"messages": 110, "bytes": 11000}
    assert report["delivered"]["messages"] == 87 and report["queued"]["messages"] == 2
    assert {reason: pair["messages"] for reason, pair in report["dropped"].items()} == {
        "queue_full": 5, "expired": 1, LOST_WITH_NODE: 15,
    }  # fmt: skip
    assert report["balanced"] is True


def test_unbalanced_books_are_told() -> None:
    totals = RunTotals([])
    totals.update_cell(cell(books(100, 80, 15)))
    assert totals.as_dict(1.0, {})["slices"]["video"]["balanced"] is False


def test_clock_goes_on_when_the_simulator_starts_again() -> None:
    totals = RunTotals([])
    for now in (2.0, 5.0, 0.1, 1.1):
        totals.update_clock(now)
    assert math.isclose(totals.simulated_seconds, 6.0)


def test_a_second_process_of_a_node_is_a_restart() -> None:
    totals = RunTotals([])
    for process in (1, 1, 2, 3):
        totals.update_node(NodeStatus(name="/radio", process_id=process, host="h"))
    totals.update_node(NodeStatus(name="/twin", process_id=4, host="h"))
    assert totals.restarts() == {"/radio": 2, "/twin": 0}
    totals.update_node(NodeStatus(name="/twin", process_id=5, host="h", restarts=3))
    assert totals.restarts()["/twin"] == 3, "two were killed before they could say anything"


def test_allocation_changes_go_on_over_a_new_manager() -> None:
    totals = RunTotals([])
    for sequence in (1, 2, 7, 1, 2):
        totals.update_allocation(Allocation(sequence=sequence))
    assert totals.allocation_changes == 9


def test_federation_goes_on_over_a_new_manager() -> None:
    totals = RunTotals([])
    assert totals.as_dict(1.0, {})["federation"] is None, "nobody federates"
    for number, up, refused in ((0, 0, {}), (1, 900, {}), (2, 1800, {"nan": 1}), (2, 0, {}), (3, 700, {"stale": 2})):
        totals.update_federation(
            FederationStatus(
                round=number, participants=["cart", "video"], silent=["spider"], bytes_up=up, bytes_down=2 * up,
                refused_reasons=list(refused), refused=list(refused.values()),
            )
        )  # fmt: skip
    assert totals.as_dict(1.0, {})["federation"] == {
        "round": 3, "participants": ["cart", "video"], "silent": ["spider"], "refused": {"nan": 1, "stale": 2},
        "bytes_up": 2500, "bytes_down": 5000,
    }  # fmt: skip


def test_report_is_json_without_nan() -> None:
    totals = RunTotals(["cart"])
    totals.update_cell(cell(books(1, 1, 0)))
    counts = dict.fromkeys(_TASK_COUNTS, 0) | {"distance": 1.5, "reward": 2.0, "steps": 9}
    totals.robots["cart"].update_task(SimpleNamespace(task="cart_navigation", **counts))
    totals.robots["cart"].update_twin(
        TwinStatus(proposals=3, accepted=2, vetoed=1, latency_p50=1e-3, latency_p99=math.nan)
    )
    text = json.dumps(totals.as_dict(2.0, {"seed": 1}), allow_nan=False)
    report = json.loads(text)
    assert report["robots"]["cart"]["distance_metres"] == 1.5
    assert report["robots"]["cart"]["verdicts"]["latency_seconds"] == {"p50": 1e-3, "p99": None}
    assert report["slices"]["video"]["delay_seconds"]["max"] is None


def host(late: float = 0.0, commands: int = 100, silent: tuple[str, ...] = (), sync: bool = True) -> HostReport:
    return HostReport(
        sync=sync, simulated=5.0, wall=10.0, commands=commands, late_p50=0.0, late_p99=late, late_max=late, waits=7,
        waited=0.5, given_up=len(silent), silent=list(silent),
    )  # fmt: skip


def test_the_report_says_whose_numbers_it_holds() -> None:
    totals = RunTotals([])
    assert totals.as_dict(1.0, {})["host"] is None
    for report, models, said in (
        (host(), True, "the model's numbers"),
        (host(0.012), False, "up to 12 ms late (p99); it is too slow"),
        (host(0.012, sync=False), False, "sync:=on waits for them"),
        (host(silent=("cart",)), False, "the host's numbers for cart"),
        (host(math.nan, commands=0), None, "not known"),
    ):
        totals.update_host(report)
        found = totals.as_dict(1.0, {})["host"]
        assert found["models_numbers"] is models and said in found["line"]
        assert found["pace"] == 0.5 and found["waits"] == {
            "count": 7, "wall_seconds": 0.5, "given_up": len(report.silent),
        }  # fmt: skip
        json.dumps(found, allow_nan=False)


def test_restarts_that_the_launcher_counted_are_not_taken_back_by_what_nodes_say() -> None:
    totals = RunTotals([])
    totals.update_node(NodeStatus(name="/radio", host="h", process_id=1))
    totals.update_restarts({"/radio": 2, "/gz_sim": 1})
    totals.update_node(NodeStatus(name="/radio", host="h", process_id=2, restarts=1))
    assert totals.restarts() == {"/gz_sim": 1, "/radio": 2}
    totals.update_restarts({"/radio": 1})
    assert totals.as_dict(1.0, {})["restarts"] == {"/gz_sim": 1, "/radio": 2}


def test_what_the_simulator_lacks_stands_in_the_report() -> None:
    totals = RunTotals([])
    assert totals.host.lacks == []
    totals.update_host(HostReport(lacks=["cart does not act"]))
    assert totals.as_dict(1.0, {})["host"]["lacks"] == ["cart does not act"]
