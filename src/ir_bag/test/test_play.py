# SPDX-License-Identifier: Apache-2.0
"""Playing a bag: times, order, QoS, and what cannot be played."""

import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import bags
import pytest
from bags import SECOND, START
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Program
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from ir_bag.contents import Message
from ir_bag.info import info
from ir_bag.play import play
from ir_bag.qos_profiles import Profile, dump_text, parse, to_hear, to_offer
from ir_bag.ros_types import to_publish
from ir_bag.timeline import Timeline
from ir_bag.writer import BagWriter
from ir_common.config import ConfigError

RELIABLE = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class FakeWall:
    """A clock that runs only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


times = st.lists(st.integers(0, 20 * SECOND), max_size=40).map(sorted)


@settings(deadline=None)
@given(times, st.floats(0.1, 100), st.integers(0, 10 * SECOND), st.none() | st.floats(0.01, 1))
def test_messages_come_when_they_are_due(stamps, rate, offset, period):
    wall, ticks = FakeWall(), []
    timeline = Timeline(
        START + offset, rate, lambda: wall.now, wall.wait, period, lambda t: ticks.append((wall.now, t))
    )
    content = [Message("/x", START + stamp, b"") for stamp in stamps if stamp >= offset]
    seen = [(message, wall.now) for message in timeline.paced(content)]
    assert [message for message, _ in seen] == content  # none is left out, and the order stays
    for message, at in seen:
        due = 100.0 + (message.time - START - offset) / 1e9 / rate
        assert due - 1e-6 <= at <= due + 1e-6
    for at, tick in ticks:  # the ticks are the same time
        assert tick == pytest.approx(START + offset + (at - 100.0) * 1e9 * rate, abs=1e-3 * SECOND * max(1, rate))
    assert [t for _, t in ticks] == sorted(t for _, t in ticks)
    if period and content:
        assert len(ticks) == int((seen[-1][1] - 100.0) / period + 1e-6) + 1 or len(ticks) > 0


@given(times, st.integers(0, 20 * SECOND))
def test_a_duration_ends_before_its_end(stamps, until):
    wall = FakeWall()
    timeline = Timeline(START, 1.0, lambda: wall.now, wall.wait)
    content = [Message("/x", START + stamp, b"") for stamp in stamps]
    assert [m.time for m in timeline.paced(content, START + until)] == [START + s for s in stamps if s < until]


def test_qos_is_read_in_both_formats_and_merged():
    one = Profile(reliability="best_effort", durability="transient_local", depth=7)
    assert parse(dump_text([one])) == (one,)
    old = "- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n  deadline: {sec: 0, nsec: 0}\n"
    assert parse(old)[0].reliability == "reliable" and parse(old)[0].durability == "volatile"
    assert parse(old)[0].deadline.nanoseconds is None
    assert parse("no: list") == parse("[") == parse(None) == parse([{"depth": -1}]) == ()
    other = Profile(durability="transient_local")
    assert to_hear([one, other]) == (False, True) and to_hear([other]) == (True, True) and to_hear([]) == (False, False)
    assert to_offer([one, one]) == one
    assert to_offer([one, other]).reliability == "best_effort"


def test_where_no_depth_was_recorded_a_late_reader_misses_nothing():
    for recorded in ([], parse([{"reliability": "reliable"}]), [Profile(depth=0)]):
        assert to_publish(to_offer(recorded)).depth == 1000
    assert to_publish(to_offer([Profile(depth=7)])).depth == 7


def bag_of_words(folder: Path, words: list[str], period: float = 0.01, **values: object) -> Path:
    with BagWriter(folder, distro="jazzy") as bag:
        bag.add_topic(replace(bags.topic("/words", "std_msgs/msg/String"), **values))
        bag.add_topic(bags.topic("/map/name", "std_msgs/msg/String", qos=(bags.LATCHED,)))
        bag.write(Message("/map/name", START, serialize_message(String(data="warehouse"))))
        for i, word in enumerate(words):
            stamp = START + round((i + 1) * period * 1e9)
            bag.write(Message("/words", stamp, serialize_message(String(data=word))))
    return folder


@pytest.fixture
def run(ros, tmp_path):
    running = []

    def begin(*arguments: object) -> Program:
        running.append(Program("play", tmp_path, *arguments))
        return running[-1]

    yield begin
    for program in running:
        program.close()


def test_a_bag_is_played_in_order_with_its_qos(ros, run, tmp_path):
    words = [str(i) for i in range(300)]
    folder = bag_of_words(tmp_path / "bag", words, 0.002)
    heard, latched = [], []
    node = ros.node()
    node.create_subscription(String, "/renamed", lambda m: heard.append(m.data), RELIABLE)
    node.create_subscription(String, "/map/name", lambda m: latched.append(m.data), LATCHED)  # asks for transient local
    player = run(folder, "--remap", "/words:=/renamed", "--rate", "2", "--wait", "20", "-d", "0")
    ros.until(lambda: heard and heard[-1] == "299", 30, "the last word")
    assert player.ends() == 0 and "301 messages of 2 topics were played" in player.text()
    assert heard == words and latched == ["warehouse"]


def test_offset_choice_clock_and_loop(ros, run, tmp_path):
    folder = bag_of_words(tmp_path / "bag", [str(i) for i in range(100)], 0.01)
    heard, ticks = [], []
    node = ros.node()
    node.create_subscription(String, "/words", lambda m: heard.append(m.data), RELIABLE)
    node.create_subscription(Clock, "/clock", lambda m: ticks.append(m.clock.sec + 1e-9 * m.clock.nanosec), RELIABLE)
    player = run(
        folder,
        "--topics",
        "/words",
        "--start-offset",
        "0.505",
        "--playback-duration",
        "0.3",
        "--clock",
        "100",
        "-l",
        "--wait",
        "20",
        "-d",
        "0.2",
    )
    ros.until(lambda: len(heard) > 70, 30, "two rounds and more")
    player.process.send_signal(signal.SIGINT)
    assert player.ends() == 0
    once = [str(i) for i in range(50, 80)]
    assert heard[:60] == once * 2
    start = START * 1e-9 + 0.505
    assert min(ticks) == pytest.approx(start, abs=0.02) and max(ticks) == pytest.approx(start + 0.3, abs=0.02)


def test_qos_from_a_file_takes_the_place_of_the_recorded(ros, run, tmp_path):
    folder = bag_of_words(tmp_path / "bag", ["a"], 0.5)
    overrides = tmp_path / "qos.yaml"
    overrides.write_text("/words: {reliability: best_effort, durability: volatile, history: keep_last, depth: 3}\n")
    node = ros.node()
    player = run(folder, "--qos-profile-overrides-path", overrides, "--delay", "5")
    ros.until(lambda: node.get_publishers_info_by_topic("/words"), 20, "the player")
    [info_] = node.get_publishers_info_by_topic("/words")
    assert info_.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    player.process.send_signal(signal.SIGTERM)
    assert player.ends() == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"type_hash": "RIHS01_" + "0" * 64}, "was another when it was recorded"),
        ({"type_hash": "", "definition": "int32 data"}, "was another when it was recorded"),
        ({"type": "other_msgs/msg/Thing"}, "other_msgs/msg/Thing is not installed here"),
        ({"serialization_format": "protobuf"}, "serialized as protobuf"),
    ],
)
def test_what_does_not_fit_is_told_and_the_rest_is_played(ros_domain, tmp_path, capfd, values, said):
    folder = bag_of_words(tmp_path / "bag", ["a"], **values)
    assert play([str(folder), "--delay", "0"]) == 0
    told = capfd.readouterr().out
    assert f"/words is not played: {'its type ' * ('not installed' in said)}" in told and said in told
    assert "1 messages of 1 topics were played" in told
    with pytest.raises(ConfigError, match="no topic is left to play"):
        play([str(folder), "--topics", "/words"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "0"], "--rate 0: give a positive number"),
        (["--start-offset", "2"], "the bag is 0.010 s long"),
        (["--remap", "a"], "give OLD:=NEW"),
        (["--clock", "-1"], "--clock -1"),
        (["--qos-profile-overrides-path", "{tmp}/none.yaml"], "cannot be read"),
        (["-e", "("], "is no regular expression"),
    ],
)
def test_mistakes_are_told_in_a_line(ros_domain, tmp_path, arguments, said):
    folder = bag_of_words(tmp_path / "bag", ["a"])
    with pytest.raises(ConfigError, match=said):
        play([str(folder), *(a.format(tmp=tmp_path) for a in arguments)])


def test_a_recorded_clock_and_one_made_anew_exclude_each_other(ros_domain, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(bags.topic("/clock", "rosgraph_msgs/msg/Clock"))
        bag.write(Message("/clock", START, serialize_message(Clock())))
    with pytest.raises(ConfigError, match="holds /clock itself"):
        play([str(tmp_path / "bag"), "--clock"])


def test_info_lists_topics(tmp_path, capsys):
    folder = bag_of_words(tmp_path / "bag", [str(i) for i in range(100)])
    assert info([str(folder)]) == 0
    told = capsys.readouterr().out
    assert "mcap" in told and "duration   1.000 s" in told and "messages   101" in told
    [row] = [line for line in told.splitlines() if line.startswith("/words")]
    assert row.split() == ["/words", "std_msgs/msg/String", "100", "100.0"]
    assert "transient local" in told
    assert info([str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["messages"] == 101 and [t["name"] for t in told["topics"]] == ["/map/name", "/words"]
    assert time.time() > told["start"] * 1e-9
