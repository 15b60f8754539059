# SPDX-License-Identifier: Apache-2.0
"""The picture that is put together from messages; plain objects stand in for them."""

import itertools
import json
import math
from types import SimpleNamespace as Is

import pytest

from ir_common.verdict_kinds import KINDS, Reason, verdict_counts
from ir_dashboard.state import BIN, CONSTANTS, LiveState, encode, number

NAN = math.nan
STATUS = {**verdict_counts({}), "latency_p50": NAN, "latency_p99": NAN, "model_version": 1}


def odometry(x=1.0):
    return Is(pose=Is(pose=Is(position=Is(x=x, y=2.0, z=0.0), orientation=Is(x=0.0, y=0.0, z=0.0, w=1.0))))


def verdict(reason, predicted=NAN):
    return Is(reason=int(reason), accepted=reason is Reason.ACCEPTED, predicted_reward=predicted)


def report(offered=0, delivered=0, expired=0, p99=0.02):
    books = Is(offered_messages=offered, offered_bytes=0, delivered_messages=delivered, delivered_bytes=0,
               queued_messages=offered - delivered - expired, queued_bytes=0,
               dropped=[Is(reason="expired", messages=expired, bytes=0)])  # fmt: skip
    delay = Is(count=1, mean=0.01, p50=0.01, p99=p99, max=0.03)
    one = Is(slice="control", type=2, resource_blocks=14.0, capacity=NAN, offered_rate=1e6, delivered_rate=9e5,
             utilisation=0.5, books=books, delay=delay, recent_delay=delay)  # fmt: skip
    return Is(
        resource_blocks=216, bandwidth=40e6, slices=[one], links=[Is(robot="cart", distance=NAN, snr=20.0, rate=1e6)]
    )


@pytest.fixture
def state():
    return LiveState(["cart"], history=5.0)


def test_pose_and_joints_are_in_every_picture_and_nonsense_is_left_out(state):
    state.take_odometry("cart", odometry())
    state.take_odometry("cart", odometry(x=NAN))
    state.take_joints("cart", Is(name=["a", "b"], position=[0.5, NAN]))
    assert state.update(0.0)["poses"] == {"cart": [[1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0], {"a": 0.5}]}
    assert "cart" in state.update(0.1)["poses"]


def test_picture_is_strict_json_whatever_is_not_known_yet(state):
    state.take_report(report(), 0.0)
    text = encode(state.whole() | state.update(0.0))
    assert json.loads(text)["slices"]["control"]["capacity"] is None
    assert "NaN" not in text and "Infinity" not in text


def grid(width, height, levels, cell=0.5):
    origin = Is(position=Is(x=-3.0, y=2.0))
    return Is(info=Is(width=width, height=height, resolution=cell, origin=origin), data=levels)


def test_the_map_of_the_radio_comes_once_and_in_every_whole_picture(state):
    assert state.whole()["map"] == {}
    state.take_map(grid(3, 2, [10, 20, 30, 40, 50, -1]))
    expected = {"x": -3.0, "y": 2.0, "cell": 0.5, "columns": 3, "rows": 2, "levels": [10, 20, 30, 40, 50, -1]}
    assert state.update(0.0)["map"] == expected == state.whole()["map"]
    assert "map" not in state.update(0.1)


def test_a_large_map_is_thinned_out_evenly(state):
    width, height = 300, 200
    state.take_map(grid(width, height, [(row + column) % 100 for row in range(height) for column in range(width)]))
    shown = state.whole()["map"]
    assert (shown["cell"], shown["columns"], shown["rows"]) == (1.5, 100, 67) and len(shown["levels"]) == 6700
    assert shown["levels"][100 * 5 + 7] == (3 * 5 + 3 * 7) % 100


def test_slices_robots_and_nodes_come_only_when_they_changed(state):
    state.update(0.0)
    assert set(state.update(0.01)) == {"time", "poses", "nodes"}  # their ages, with every row
    assert set(state.update(0.01)) == {"time", "poses"}
    state.take_report(report(), 0.02)
    assert set(state.update(0.03)) == {"time", "poses", "slices", "carrier"}


def test_outage_is_dropped_of_finished_ever_and_in_the_last_ten_seconds(state):
    for second in range(31):  # 100 messages a second; 10 of them expire, in the last 10 s only
        dropped = 10 * max(0, second - 20)
        state.take_report(
            report(offered=100 * second + 5, delivered=100 * second - dropped, expired=dropped), float(second)
        )
    control = state.slices()["control"]
    assert control["outage"] == pytest.approx(100 / 3000, abs=1e-6)
    assert control["recent_outage"] == pytest.approx(0.1)
    assert control["dropped_by_reason"] == {"expired": 100}


def test_outage_goes_on_over_a_new_start_of_the_radio(state):
    state.take_report(report(offered=100, delivered=90, expired=10), 0.0)
    state.take_report(report(offered=50, delivered=50, expired=0), 1.0)
    assert state.slices()["control"]["outage"] == pytest.approx(10 / 150, abs=1e-6)


def test_a_bin_has_means_and_counts_by_outcome(state):
    state.update(0.0)
    for reason, predicted in (
        (Reason.ACCEPTED, 1.0), (Reason.ACCEPTED, 2.0), (Reason.LOW_REWARD, -3.0), (Reason.INVALID_COMMAND, NAN),
        (Reason.NO_MODEL, NAN),
    ):  # fmt: skip
        state.take_verdict("cart", verdict(reason, predicted))
    for reward in (0.5, 1.5, NAN):
        state.take_step("cart", Is(step=1, reward=reward))
    state.take_step("cart", Is(step=0, reward=0.0))  # the observation after a reset is no step
    assert "row" not in state.update(BIN / 2)
    assert state.update(BIN)["row"]["robots"]["cart"] == [0.0, 1.0, 2, 1, 1, 1, 0, 0]
    assert state.update(2 * BIN)["row"]["robots"]["cart"] == [None, None, 0, 0, 0, 0, 0, 0]


def test_the_page_has_whether_a_robot_is_as_its_twin_knows_it(state):
    state.take_twin_status("cart", twin_status := Is(transitions=3, reward_error=0.1, threshold=NAN, **STATUS))
    assert "known" not in state.robots()["cart"]["twin"]
    told = Is(name="twin: cart", hardware_id="cart", level=b"\x01", message="errors of turn_rate, noticed after 7.0 s")
    others = Is(name="radio: relay", hardware_id="", level=b"\x02", message="late")
    state.take_diagnostics(Is(status=[others, told, Is(**{**vars(told), "name": "twin: x", "hardware_id": "x"})]))
    state.take_twin_status("cart", twin_status)
    assert state.robots()["cart"]["twin"]["known"] == {"as_known": False, "message": told.message}


def test_the_page_says_how_a_robot_s_agent_learns(state):
    assert state.robots()["cart"]["agent"] is None
    values = [Is(key="version", value="3"), Is(key="return", value="nan"), Is(key="algorithm", value="gan")]
    told = Is(name="agent: cart_navigation", hardware_id="cart,cart_2", level=b"\x00", message="learns", values=values)
    state.take_diagnostics(Is(status=[told]))
    assert state.robots()["cart"]["agent"] == {"version": 3.0, "return": None, "algorithm": "gan"}
    json.dumps(state.whole(), allow_nan=False)


def test_the_page_counts_verdicts_as_the_twin_does(state):
    """A veto of the rules risk and risk_to_go is one; every reason comes in its own number."""
    state.update(0.0)
    by_reason = {reason: 1 + reason for reason in Reason}
    for reason, count in by_reason.items():
        for _ in range(count):
            state.take_verdict("cart", verdict(reason))
    row = state.update(BIN)["row"]["robots"]["cart"]
    named = dict(zip(CONSTANTS["columns"]["robots"], row, strict=True))
    assert {"proposals": sum(named[kind] for kind in KINDS)} | {kind: named[kind] for kind in KINDS} == verdict_counts(
        by_reason
    )
    assert named["vetoed"] == by_reason[Reason.LOW_REWARD] + by_reason[Reason.HIGH_RISK]


def test_the_columns_are_those_of_the_rows(state):
    state.take_report(report(), 0.0)
    row = state.update(0.0)["row"]
    assert len(row["slices"]["control"]) == len(CONSTANTS["columns"]["slices"])
    assert CONSTANTS["columns"]["slices"][0] == "resource_blocks" and row["slices"]["control"][0] == 14.0


def test_bins_keep_their_pace_and_history_its_length(state):
    for tick in range(20 * 20):
        state.update(tick * 0.05 + 0.001)
    times = [row["at"] for row in state.rows]
    assert len(times) == 10
    assert all(b - a == pytest.approx(BIN, abs=0.051) for a, b in itertools.pairwise(times))


def test_nodes_tell_restarts_and_age_in_the_clock_that_they_live_in(state):
    def status(name, process_id, seconds):
        return Is(name=name, process_id=process_id, host="h", restarts=0, stamp=Is(sec=seconds, nanosec=0))

    state.take_node(status("/radio", 1, 10))
    state.take_node(status("/radio", 2, 40))
    state.take_node(status("/simulator", 3, 1_700_000_000))
    state.take_clock(100.0)
    nodes = state.nodes()
    assert (nodes["/radio"]["restarts"], nodes["/radio"]["age"]) == (1, 60.0)
    assert nodes["/simulator"]["age"] > 1e6


def test_number():
    assert number(1.23456) == 1.2346 and number(NAN) is None and number(math.inf) is None


def test_a_deleted_slice_goes_though_the_radio_still_reports_on_it(state):
    state.take_report(report(offered=100, delivered=90, expired=10), 0.0)
    assert list(state.slices()) == ["control"]  # no list yet
    spec = Is(name="video", type=1, template_name="", rate=1e6, max_latency=0.1, reliability=0.9, priority=1)
    state.take_slices(Is(slices=[Is(spec=spec, resource_blocks=3.0)]))
    assert list(state.slices()) == ["video"]
    state.take_slices(Is(slices=[]))
    assert state.slices() == {}


def test_a_caption_is_told_once_and_stays_in_the_whole(state):
    assert state.update(0.0)["caption"] == ""
    state.take_caption("the link is cut")
    assert state.update(0.1)["caption"] == "the link is cut" and "caption" not in state.update(0.2)
    assert state.whole()["caption"] == "the link is cut"
