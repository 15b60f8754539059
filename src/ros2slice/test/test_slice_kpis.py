# SPDX-License-Identifier: Apache-2.0
"""KPIs of slices by hand: throughput, delay and reliability between two reports, apart by direction."""

import pytest

from ros2slice.slice_kpis import Carried, SliceKpis

SLICES = ("video", "idle")


def test_kpis_are_of_what_was_carried_between_two_reports_by_direction():
    kpis = SliceKpis()
    first = [("video", True, Carried(1000, 10, 1, 0.1, 10)), ("video", False, Carried(500, 5, 0, 0.1, 5))]
    assert kpis.update(1.0, SLICES, first) == {}
    flows = [
        ("video", True, Carried(3000, 20, 3, 0.3, 20)),
        ("video", True, Carried(500, 5, 0, 0.1, 5)),
        ("video", False, Carried(500, 5, 0, 0.1, 5)),
        ("other", True, Carried(9, 1, 0, 0.1, 1)),
    ]
    found = kpis.update(1.5, SLICES, flows)
    up = {
        "UTSNSI": 40.0,  # 2500 B in half a second
        "DelayE2EUlNs": 200.0,  # 0.3 s over 15 messages, in tenths of a millisecond
        "ULRelPSR_Uu": 100 * 15 / 17,  # 15 came, 2 were dropped
    }
    assert found["video"] == pytest.approx(up | {"DTSNSI": 0.0})
    assert found["idle"] == {"UTSNSI": 0.0, "DTSNSI": 0.0} and "other" not in found


def test_a_slice_whose_messages_were_all_dropped_has_a_reliability_and_no_delay():
    kpis = SliceKpis()
    kpis.update(1.0, SLICES, [("video", False, Carried())])
    found = kpis.update(2.0, SLICES, [("video", False, Carried(dropped=4))])
    assert found["video"] == {"UTSNSI": 0.0, "DTSNSI": 0.0, "DLRelPSR_Uu": 0.0}


def test_counters_or_a_time_that_fell_give_none():
    kpis = SliceKpis()
    kpis.update(5.0, SLICES, [("video", True, Carried(1000))])
    assert "UTSNSI" not in kpis.update(6.0, SLICES, [("video", True, Carried(10))])["video"]
    assert kpis.update(0.2, SLICES, [("video", True, Carried(20))]) == {}
    assert kpis.update(0.4, SLICES, [("video", True, Carried(45))])["video"]["UTSNSI"] == pytest.approx(1.0)


def test_a_slice_that_comes_has_its_first_kpis_in_its_second_report():
    kpis = SliceKpis()
    kpis.update(1.0, (), [])
    assert kpis.update(2.0, ("new",), [("new", True, Carried(1000))]) == {}
    assert kpis.update(3.0, ("new",), [("new", True, Carried(1125))])["new"]["UTSNSI"] == pytest.approx(1.0)
