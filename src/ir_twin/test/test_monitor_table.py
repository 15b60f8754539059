# SPDX-License-Identifier: Apache-2.0
"""The monitor's table shows what the totals hold."""

import math

from rich.console import Console

from ir_common.run_totals import RunTotals
from ir_interfaces.msg import (
    Books,
    CellReport,
    DelayStats,
    FederationStatus,
    HostReport,
    SliceReport,
    TaskStatus,
    TwinStatus,
)
from ir_twin.monitor.table import render


def shown(totals: RunTotals) -> str:
    console = Console(width=130, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render(totals, 2.0))
    return console.export_text()


def test_robots_slices_and_warnings_are_shown() -> None:
    totals = RunTotals(["cart"])
    delay = DelayStats(count=1, mean=0.01, p50=0.01, p99=0.02, max=math.nan)
    books = Books(offered_messages=1, offered_bytes=100, delivered_messages=1, delivered_bytes=100)
    video = SliceReport(slice="video", type=1, resource_blocks=20.0, books=books, delay=delay)
    totals.update_cell(CellReport(slices=[video]))
    totals.robots["cart"].update_task(TaskStatus(task="cart_navigation", distance=1.5, reward=2.0, steps=9))
    totals.robots["cart"].update_twin(
        TwinStatus(proposals=3, accepted=2, vetoed=1, latency_p50=1e-3, latency_p99=math.nan)
    )
    for text in ("first", "radio: a warning", "radio: a warning", "third", "fourth"):
        totals.warn(text)
    text = shown(totals)
    assert "first" not in text and "fourth" in text, "the newest three"
    assert totals.as_dict(1.0, {})["warnings"] == ["first", "radio: a warning", "third", "fourth"]
    assert "cart" in text and "video" in text and "a warning" in text
    assert "1.00 / –" in text, "latency of verdicts, ms"


def test_the_second_line_says_whose_numbers_these_are() -> None:
    totals = RunTotals([])
    assert "not known" in shown(totals).splitlines()[1] and "pace 0.00" in shown(totals)
    totals.update_host(HostReport(sync=True, simulated=3.0, wall=4.0, commands=9, waits=2, waited=1.25))
    head, line = shown(totals).splitlines()[:2]
    assert "pace 0.75" in head and line.startswith("the model's numbers") and "waited 1.2 s" in line


def test_what_is_missing_in_the_simulator_stands_above_the_robots() -> None:
    totals = RunTotals(["cart"])
    totals.update_host(
        HostReport(lacks=["no /cart/scan: it needs rendering", "cart does not act: its task waits for it"])
    )
    lines = shown(totals).splitlines()
    assert lines[2].startswith("no /cart/scan") and lines[3].startswith("cart does not act")


def test_restarts_that_only_the_launcher_knows_of_are_shown() -> None:
    totals = RunTotals([])
    totals.update_restarts({"/gz_sim": 2, "/radio": 1})
    assert "restarts /gz_sim ×2, /radio ×1" in shown(totals)


def test_the_federation_is_one_line() -> None:
    totals = RunTotals([])
    totals.update_federation(
        FederationStatus(
            round=3, participants=["cart", "video"], silent=["spider"], bytes_up=2500, bytes_down=5000,
            refused_reasons=["nan", "stale"], refused=[1, 2],
        )
    )  # fmt: skip
    assert "federation round 3   agents 2 of 3   up 2.5 kB   down 5.0 kB   refused nan 1, stale 2" in shown(totals)
