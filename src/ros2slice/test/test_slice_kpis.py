# SPDX-License-Identifier: Apache-2.0
"""KPIs of slices by hand: throughput between two reports, apart by direction."""

import pytest

from ros2slice.slice_kpis import ThroughputKpis

SLICES = ("video", "idle")


def test_throughput_is_what_was_delivered_between_two_reports_by_direction():
    kpis = ThroughputKpis()
    assert kpis.update(1.0, SLICES, [("video", True, 1000), ("video", False, 500)]) == {}
    flows = [("video", True, 3000), ("video", True, 500), ("video", False, 500), ("other", True, 9)]
    found = kpis.update(1.5, SLICES, flows)
    assert found["video"] == pytest.approx({"UTSNSI": 40.0, "DTSNSI": 0.0})  # 2500 B in half a second
    assert found["idle"] == {"UTSNSI": 0.0, "DTSNSI": 0.0} and "other" not in found


def test_counters_or_a_time_that_fell_give_none():
    kpis = ThroughputKpis()
    kpis.update(5.0, SLICES, [("video", True, 1000)])
    assert "UTSNSI" not in kpis.update(6.0, SLICES, [("video", True, 10)])["video"]
    assert kpis.update(0.2, SLICES, [("video", True, 20)]) == {}
    assert kpis.update(0.4, SLICES, [("video", True, 45)])["video"]["UTSNSI"] == pytest.approx(1.0)


def test_a_slice_that_comes_has_its_first_throughput_in_its_second_report():
    kpis = ThroughputKpis()
    kpis.update(1.0, (), [])
    assert kpis.update(2.0, ("new",), [("new", True, 1000)]) == {}
    assert kpis.update(3.0, ("new",), [("new", True, 1125)])["new"]["UTSNSI"] == pytest.approx(1.0)
