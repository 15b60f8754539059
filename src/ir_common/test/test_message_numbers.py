# SPDX-License-Identifier: Apache-2.0
"""Numbers that are named outside of messages are those of the messages, and every verdict is of one kind."""

from collections import Counter

import pytest

from ir_common.slice_kinds import KEYS, LABELS, SliceKind
from ir_common.verdict_kinds import COUNTS, KINDS, VETOES, Reason, Sent, VerdictMode, kind_of, verdict_counts
from ir_interfaces.msg import SliceSpec, Verdict


@pytest.mark.parametrize(
    ("message", "prefix", "numbers"),
    [
        (Verdict, "REASON_", Reason), (Verdict, "SENT_", Sent), (Verdict, "MODE_", VerdictMode),
        (SliceSpec, "TYPE_", SliceKind),
    ],
)  # fmt: skip
def test_numbers_are_those_of_the_message(message, prefix, numbers):
    constants = {name for name in (*dir(message), *dir(type(message))) if name.startswith(prefix)}
    assert {name: getattr(message, name) for name in constants} == {prefix + one.name: int(one) for one in numbers}, (
        "both ways: none is missing, none is more"
    )


def test_every_reason_is_of_one_kind_and_the_five_numbers_add_up():
    by_reason = {reason: 10**i for i, reason in enumerate(Reason)}
    counts = verdict_counts(by_reason)
    assert tuple(counts) == COUNTS == ("proposals", *KINDS)
    assert counts == {
        "proposals": 11_111_111, "accepted": 1, "vetoed": 10_000_010, "invalid": 100, "untested": 1_111_000
    }  # fmt: skip
    assert {reason for reason in Reason if kind_of(reason) == "vetoed"} == set(VETOES)


def test_counts_may_come_from_plain_numbers():
    """Such as those of messages; one of a later version is not taken for a veto."""
    assert verdict_counts(Counter([0, 7, 7, 99])) == {
        "proposals": 4, "accepted": 1, "vetoed": 2, "invalid": 0, "untested": 1
    }  # fmt: skip


def test_slice_types_have_keys_and_labels():
    assert KEYS == {1: "embb", 2: "urllc"} and LABELS == {"embb": "eMBB", "urllc": "URLLC"}
