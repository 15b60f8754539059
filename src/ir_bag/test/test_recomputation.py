# SPDX-License-Identifier: Apache-2.0
"""Repeating journals: order, gaps, restarts, and how the comparison reads."""

import json

import pytest

from ir_bag.against import differences
from ir_bag.recomputation import JournalSegment, Recomputation, RecordedStatement
from ir_common.config import ConfigError

NAN = float("nan")


class Adder:
    """An engine that says its sum."""

    def __init__(self, start):
        self.sum = start

    def apply(self, call, *arguments):
        if call != "add":
            raise ValueError(f"no call {call}")
        self.sum += arguments[0]
        yield "/sum", int(arguments[1]), {"sum": self.sum, "odd": {"is": bool(self.sum % 2), "share": NAN}}

    def totals(self):
        return {"sum": self.sum}


def segment(first, *entries):
    return JournalSegment("/adder/journal", "adder", first, "\n".join(map(json.dumps, entries)))


def said(key, value):
    return RecordedStatement("/sum", key, {"sum": value, "odd": {"is": bool(value % 2), "share": NAN}})


def test_statements_are_compared_one_by_one():
    run = Recomputation({"adder": Adder})
    run.read(segment(0, ["begin", {"start": 10}], ["add", 1, 1]))
    run.read(segment(2, ["add", 2, 2], ["add", 3, 3], ["add", 1, 4]))
    checks = run.compare([said(1, 11), said(2, 13), said(3, 17), said(9, 1)])
    check = checks["/sum"]
    assert (check.equal, check.different, check.missing, check.beyond) == (2, 1, 1, 1)
    assert (
        check.first_difference == "3: odd.is is False again, True in the bag" or "sum is 16" in check.first_difference
    )
    assert run.totals() == {"sum": 17}


def test_the_namespace_of_the_recorded_stack_does_not_matter():
    run = Recomputation({"adder": Adder})
    run.read(segment(0, ["begin", {"start": 0}], ["add", 1, 1])._replace(topic="/site/lab1/adder/journal"))
    checks = run.compare([said(1, 1)._replace(topic="/site/lab1/sum"), said(1, 5)._replace(topic="/lab2/other")])
    assert checks["/sum"].equal == 1 and checks["/lab2/other"].beyond == 1 and len(checks) == 2


def test_journals_of_two_stacks_are_told_apart_by_the_user():
    run = Recomputation({"adder": Adder})
    run.read(segment(0, ["begin", {"start": 0}])._replace(topic="/a/adder/journal"))
    with pytest.raises(ConfigError, match="/a/adder/journal and /b/adder/journal are of two stacks; .*--namespace"):
        run.read(segment(0, ["begin", {"start": 0}])._replace(topic="/b/adder/journal"))


def test_what_was_said_before_the_recording_is_told_from_what_was_lost():
    run = Recomputation({"adder": Adder})
    run.read(segment(0, ["begin", {"start": 0}], *(["add", 1, key] for key in range(1, 7))))
    run.read(segment(0, ["begin", {"start": 0}], *(["add", 1, key] for key in range(1, 4))))
    check = run.compare([said(3, 3), said(5, 5), said(6, 6), said(2, 2)])["/sum"]
    assert (check.equal, check.early, check.missing) == (4, 3, 2)  # 1, 2 and, after the restart, 1; then 4 and 3


def test_a_node_that_was_started_again_is_another_engine():
    run = Recomputation({"adder": Adder})
    run.read(segment(0, ["begin", {"start": 0}], ["add", 5, 7]))
    run.read(segment(0, ["begin", {"start": 0}], ["add", 1, 1]))
    check = run.compare([said(7, 5), said(1, 1)])["/sum"]
    assert (check.equal, check.different, check.missing) == (2, 0, 0)
    assert run.journals["/adder/journal"].starts == 2 and run.totals() == {"sum": 1}


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([segment(3, ["add", 1, 1])], "lines from 3 on are in the bag, and nothing before"),
        (
            [segment(0, ["begin", {"start": 0}]), segment(2, ["add", 1, 1])],
            "and lines to 1: what is between is missing",
        ),
        ([segment(0, ["add", 1, 1])], "begins with 'add'"),
        ([segment(0, ["begin", {"speed": 1}])], "is of another version of the stack"),
        ([segment(0, ["begin", {"start": 0}], ["sing"])], r"line 1 \(sing\) cannot be repeated"),
        ([segment(0, ["begin", {"start": 0}], ["add"])], "cannot be repeated"),
        (
            [JournalSegment("/j", "other", 0, '["begin", {}]')],
            "nothing here repeats a journal of 'other'; there are: adder",
        ),
        ([JournalSegment("/j", "adder", 0, "[")], "is damaged"),
    ],
)
def test_what_cannot_be_repeated_is_told_in_a_line(segments, told):
    run = Recomputation({"adder": Adder})
    *before, last = segments
    for one in before:
        run.read(one)
    with pytest.raises(ConfigError, match=told):
        run.read(last)


def counts(offered):
    pair = {"messages": offered, "bytes": 10 * offered}
    return {"video": {"offered": pair, "delivered": pair, "queued": {"messages": 0, "bytes": 0}, "dropped": {}}}


def test_the_runs_report_is_found_at_its_moment():
    moments = {("/radio/report", 1, key): {"slices": counts(key), "flows": {}} for key in (5, 6, 7)}
    reasons = [3, 0, 0, 1, 2, 0, 7]
    moments |= {("/edge/cart/verdict", 1, i + 1): {"reason": reason} for i, reason in enumerate(reasons)}
    moments |= {("/slicing/allocation", 1, key): {} for key in (1, 2)}
    verdicts = {"proposals": 5, "accepted": 2, "vetoed": 1, "invalid": 1, "untested": 1}
    report = {"slices": counts(6), "robots": {"cart": {"verdicts": verdicts}}, "allocation_changes": 2}
    assert differences(report, moments) == []
    assert "slices: none of 3" in differences(report | {"slices": counts(8)}, moments)[0]
    [line] = differences(report | {"robots": {"cart": {"verdicts": verdicts | {"vetoed": 2}}}}, moments)
    assert line.startswith("cart: verdicts are")
    assert "allocation changes" in differences(report | {"allocation_changes": 3}, moments)[0]
