# SPDX-License-Identifier: Apache-2.0
"""Journals come back from a bag as they were written, however many messages they took."""

from types import SimpleNamespace

import pytest

from ir_bag.recomputation import JournalSegment
from ir_bag.ros_statements import journal_segments
from ir_common.journal import pieces
from ir_common.testing import RosHarness

pytest.importorskip("rclpy")
from rclpy.serialization import serialize_message

from ir_common.journal import PIECE, Journal
from ir_common.ros_journal import JournalPublisher
from ir_interfaces.msg import Journal as JournalMessage

TYPE = "ir_interfaces/msg/Journal"


class Bag:
    """Messages (topic, message) as of a bag."""

    path = "bag"

    def __init__(self, *messages: tuple[str, JournalMessage]) -> None:
        self._messages = messages
        names = {topic for topic, _ in messages}
        self.summary = SimpleNamespace(topics={name: SimpleNamespace(name=name, type=TYPE) for name in names})

    def messages(self, topics):
        return [SimpleNamespace(topic=t, data=serialize_message(m)) for t, m in self._messages if t in topics]


def told(topic, first, text, size):
    return [(topic, JournalMessage(engine="e", first=first, lines=piece)) for piece in pieces(text, size)]


def test_pieces_of_two_journals_are_put_together():
    one, two = told("/a", 0, "abcdefgh", 3), told("/b", 4, "0123456789", 4)
    mixed = [message for pair in zip(one, two, strict=True) for message in pair]
    assert list(journal_segments(Bag(*mixed, *told("/a", 1, "z", 3)))) == [
        JournalSegment("/a", "e", 0, "abcdefgh"),
        JournalSegment("/b", "e", 4, "0123456789"),
        JournalSegment("/a", "e", 1, "z"),
    ]


def test_what_a_node_did_not_finish_is_left_out():
    begun = told("/a", 7, "abcdefgh", 3)[:2]
    assert list(journal_segments(Bag(*begun, *told("/a", 0, "begin", 9)))) == [JournalSegment("/a", "e", 0, "begin")]


def test_a_node_sends_no_long_message(ros: RosHarness):
    node = ros.node("writer")
    journal = Journal("e", {"network": "x" * 3 * PIECE})
    publisher, seen = JournalPublisher(node, journal), []
    ros.node("reader").create_subscription(JournalMessage, "/writer/journal", seen.append, 100)
    ros.until(lambda: node.count_subscribers("/writer/journal") and publisher._publisher.get_subscription_count())
    expected = '["begin",{"network":"' + "x" * 3 * PIECE + '"}]'
    publisher.flush()
    ros.until(lambda: seen and sum(len(m.lines) - m.lines.endswith("…") for m in seen) == len(expected))
    assert max(len(message.lines) for message in seen) == PIECE + 1 and {m.first for m in seen} == {0}
    (segment,) = journal_segments(Bag(*(("/writer/journal", message) for message in seen)))
    assert segment.lines == expected
