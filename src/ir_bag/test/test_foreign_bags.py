# SPDX-License-Identifier: Apache-2.0
"""Messages, types and topics of bags of other programs: read, or refused in one line, and never written to."""

import bags
import pytest
from bags import ODOM, SECOND, START
from foreign import TEXT, document_of, mcap_bag, plain, sqlite_bag, strings
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import Chunk
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rclpy.serialization import serialize_message
from std_msgs.msg import Int32

from ir_bag.contents import Message
from ir_bag.definitions import Definition, Definitions, same_layout
from ir_bag.info import info
from ir_bag.mcap_index import place_at
from ir_bag.play import play
from ir_bag.reader import BagReader, repair
from ir_bag.timeline import LONG_GAP, Timeline
from ir_common.config import ConfigError


@pytest.mark.parametrize(("storage", "start"), [("mcap", 0), ("sqlite3", 0), ("sqlite3", -5 * SECOND)])
def test_a_bag_that_begins_at_time_zero_or_before_loses_nothing(tmp_path, storage, start):
    content = [Message(ODOM, start + i * SECOND, b"\0\1\0\0" + bytes([i])) for i in range(10)]
    reader = BagReader(bags.write(tmp_path / "bag", content, storage))
    assert (reader.summary.start, reader.summary.end) == (start, start + 9 * SECOND)
    assert plain(reader.messages(start=reader.summary.start)) == plain(reader.messages()) == plain(content)
    assert document_of(tmp_path / "bag")["starting_time"]["nanoseconds_since_epoch"] == start


class FakeWall:
    """A clock that runs only while somebody waits."""

    def __init__(self):
        self.now = 100.0

    def wait(self, seconds):
        self.now += seconds
        return False


def played(times, skip_gaps=None, rate=1.0, end=None):
    """Wall times of messages and the gaps told."""
    wall, gaps = FakeWall(), []
    timeline = Timeline(times[0], rate, lambda: wall.now, wall.wait, gap=gaps.append, skip_gaps=skip_gaps)
    seen = [wall.now - 100.0 for _ in timeline.paced(Message("/x", time, b"") for time in times)]
    if end is not None:
        timeline.run_to(end)
    return seen, gaps, wall.now - 100.0


def test_a_long_gap_is_told_before_it_is_waited_for():
    hour = [START, START + SECOND, START + 3601 * SECOND]
    assert played(hour) == ([0.0, pytest.approx(1.0), pytest.approx(3601.0)], [pytest.approx(3600.0)], 3601.0)
    assert played(hour, rate=1000.0)[1] == [], "shorter than LONG_GAP on the wall"
    assert LONG_GAP < 3600


def test_gaps_longer_than_asked_are_jumped_over_also_years_of_them():
    stamps = [3 * SECOND, 4 * SECOND, START, START + SECOND, 2**64 - 5, 2**64 - 4]
    seen, gaps, _ = played(stamps, skip_gaps=5.0)
    assert seen == pytest.approx([0, 1, 1, 2, 2, 2], abs=1e-3) and len(gaps) == 2
    _, gaps, end = played([START, START + SECOND], skip_gaps=5.0, end=START + 9999 * SECOND)
    assert gaps == [pytest.approx(9998)] and end == pytest.approx(1.0)


def test_play_says_and_jumps_over_a_gap(ros_domain, tmp_path, capfd):
    rows = [(0, START + i * SECOND // 100, TEXT) for i in range(3)]
    rows += [(0, START + 31_557_600 * SECOND * 53, TEXT)]
    folder = sqlite_bag(tmp_path / "bag", rows)
    assert play([str(folder), "--delay", "0", "--skip-gaps", "2"]) == 0
    told = capfd.readouterr().out
    assert "the bag has a gap of 53 years here: jumped over" in told and "4 messages of 1 topics were played" in told
    with pytest.raises(ConfigError, match="--skip-gaps 0"):
        play([str(folder), "--skip-gaps", "0"])


# ---------------------------------------------------------------------- topics and types


def test_channels_without_a_schema_or_of_another_encoding_are_named_and_the_rest_is_played(ros_domain, tmp_path, capfd):
    content = strings(5)
    file = mcap_bag(
        tmp_path / "other.mcap",
        ("/chatter", "std_msgs/msg/String", "string data\n", "cdr", content),
        ("/notes", "", "", "json", [(START, b'{"a": 1}')]),
        ("/thing", "hunt.Thing", "x", "protobuf", [(START, b"\x0a\x00")]),
        ("/bare", "", "", "cdr", [(START, TEXT)]),
        ("/not a name", "std_msgs/msg/String", "string data\n", "cdr", content[:1]),
    )
    assert play([str(file), "--delay", "0"]) == 0
    told = capfd.readouterr().out
    assert "/notes is not played: it is serialized as json, not cdr" in told
    assert "/thing is not played: it is serialized as protobuf, not cdr" in told
    assert "/bare is not played: its type" in told and "/not a name is not played" in told
    assert "5 messages of 1 topics were played" in told
    assert info([str(file)]) == 0


def test_messages_of_two_types_on_a_topic_never_go_out_as_one(tmp_path, capsys):
    numbers = [(START + i, serialize_message(Int32(data=i))) for i in range(4)]
    file = mcap_bag(
        tmp_path / "two.mcap",
        ("/t", "std_msgs/msg/String", "string data\n", "cdr", strings(3)),
        ("/t", "std_msgs/msg/Int32", "int32 data\n", "cdr", numbers),
    )
    reader = BagReader(file)
    assert [m.data for m in reader.messages()] == [data for _, data in strings(3)]
    assert reader.summary.counts == {"/t": 3} and reader.summary.topics["/t"].type == "std_msgs/msg/String"
    [note] = reader.summary.notes
    assert note == "/t: 4 messages of std_msgs/msg/Int32 are left out; those of std_msgs/msg/String are read"
    assert info([str(file)]) == 0 and note in capsys.readouterr().out


def test_a_type_that_changed_from_one_file_of_a_bag_to_the_next_is_told(tmp_path):
    (tmp_path / "bag").mkdir()
    for i, text in enumerate(("string data\n", "string data\nint32 more\n", "# a word\nstring   data\n")):
        mcap_bag(tmp_path / "bag" / f"bag_{i}.mcap", ("/t", "std_msgs/msg/String", text, "cdr", strings(2, START + i)))
    reader = BagReader(tmp_path / "bag")
    assert reader.summary.counts == {"/t": 4} and len(list(reader.messages())) == 4
    [note] = reader.summary.notes
    assert note.startswith("/t: 2 messages of another definition of std_msgs/msg/String are left out")


def test_two_publishers_of_a_topic_are_one_topic(tmp_path):
    channel = ("/t", "std_msgs/msg/String", "string data\n", "cdr", strings(3))
    reader = BagReader(mcap_bag(tmp_path / "two.mcap", channel, channel))
    assert reader.summary.counts == {"/t": 6} and len(list(reader.messages())) == 6 and not reader.summary.notes


def test_names_of_types_and_topics_of_early_versions(ros_domain, tmp_path, capfd):
    rows = [(0, time, data) for time, data in strings(4)]
    folder = sqlite_bag(tmp_path / "bag", rows, topics=[("chatter", "std_msgs/String")])
    reader = BagReader(folder)
    assert reader.summary.topics["/chatter"].type == "std_msgs/msg/String"
    assert len(list(reader.messages(["/chatter"]))) == len(list(reader.messages(["chatter"]))) == 4
    for arguments in (["--topics", "/chatter"], ["--topics", "chatter"], ["--remap", "/chatter:=/other"]):
        assert play([str(folder), "--delay", "0", "--rate", "100", *arguments]) == 0
        assert "4 messages of 1 topics were played" in capfd.readouterr().out
    for name in ("chatter", "/chatter"):
        with pytest.raises(ConfigError, match="no topic is left"):
            play([str(folder), "--exclude-topics", name])
    assert repair(folder) and BagReader(folder).summary.counts == {"/chatter": 4}
    assert document_of(folder)["topics_with_message_count"][0]["topic_metadata"]["name"] == "chatter"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda text: text, True),
        (lambda text: text.replace("std_msgs/Header", "std_msgs/msg/Header"), True),
        (lambda text: _commented(text), True),
        (lambda text: _reordered(text), True),
        (lambda text: text.split("=" * 80)[0], True),  # what it holds is not told
        (lambda text: text.replace("float64 w", "float32 w"), False),  # in a part
        (lambda text: text.replace("linear_acceleration\n", "acceleration\n"), False),
        (lambda text: "", True),
    ],
)
def test_definitions_without_hashes_are_compared_block_by_block(change, same):
    installed = Definitions().find("sensor_msgs/msg/Imu")
    text = change(installed.text)
    assert same_layout(text, "", installed, "sensor_msgs/msg/Imu") is same
    assert not same_layout(text, "RIHS01_" + "0" * 64, installed, "sensor_msgs/msg/Imu")


def _commented(text):
    lines = (line if line.startswith(("=", "MSG:")) else f"# a word\n  {line}  # more" for line in text.splitlines())
    return "\n".join(lines)


def _reordered(text):
    main, *others = text.split("=" * 80 + "\n")
    return ("=" * 80 + "\n").join([main, *(other.rstrip("\n") + "\n" for other in reversed(others))])


def test_constants_are_the_same_however_they_are_spaced():
    installed = Definition("uint8 A = 1\nuint8 value\n", "")
    assert same_layout("uint8 A=1\nuint8 value", "", installed, "x_msgs/msg/X")
    assert not same_layout("uint8 A=2\nuint8 value", "", installed, "x_msgs/msg/X")


def test_constants_of_one_side_their_types_and_default_values_take_no_bytes():
    """As between the distributions: rcl_interfaces/Log had constants of type byte, BatteryState got new ones."""
    installed = Definition("uint8 A=1\nuint8 B=2\nuint8 value 3\nstring<=5 word\n", "")
    for text in ("byte A=1\nuint8 value\nstring<=5 word", 'uint8 value 7\nstring<=5 word "a"', "uint8 C=9\n" * 2):
        same = "value" in text
        assert same_layout(text, "", installed, "x_msgs/msg/X") is same
    assert not same_layout("uint8 value\nstring<=6 word", "", installed, "x_msgs/msg/X")


def test_a_damaged_chunk_is_told_and_repair_leaves_it_out(tmp_path):
    file = tmp_path / "other.mcap"
    with file.open("wb") as stream:
        writer = McapWriter(stream, chunk_size=200, compression=CompressionType.NONE)
        writer.start("ros2", "other")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/chatter", "cdr", schema)
        for time, data in strings(30):
            writer.add_message(channel, time, data, time)
        writer.finish()
    content = bytearray(file.read_bytes())
    content[content.find(strings(30)[12][1]) + 8] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"the chunk at byte \d+ is damaged .*--repair` leaves it out"):
        list(BagReader(file).messages())
    [done] = repair(file)
    assert done == "other.mcap: the index leaves out 1 damaged chunks now" and repair(file) == []
    kept = [data for _, data in strings(30)]
    read = [message.data for message in BagReader(file).messages()]
    assert BagReader(file).summary.messages == len(read) < 30 and strings(30)[12][1] not in read
    assert set(read) < set(kept) and {kept[0], kept[-1]} <= set(read)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_compression_that_nobody_knows_is_named_and_nothing_is_cut_away(tmp_path, indexed):
    file = mcap_bag(tmp_path / "other.mcap", ("/chatter", "std_msgs/msg/String", "string data\n", "cdr", strings(5)))
    content = file.read_bytes().replace(b"\4\0\0\0zstd", b"\4\0\0\0brot")
    file.write_bytes(content if indexed else content[:-20])
    before = file.read_bytes()
    for act in (lambda: list(BagReader(file).messages()), lambda: repair(file)):
        with pytest.raises(ConfigError, match="its chunks are compressed as 'brot', which is not known here"):
            act()
    assert file.read_bytes() == before


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.ZSTD])
def test_messages_outside_chunks_are_read(tmp_path, compression):
    file = mcap_bag(
        tmp_path / "mixed.mcap",
        ("/chatter", "std_msgs/msg/String", "string data\n", "cdr", strings(8)),
        compression=compression,
        outside=3,
    )
    reader = BagReader(file)
    assert [m.data for m in reader.messages()] == [data for _, data in strings(8)]
    assert reader.summary.messages == 8 and reader.summary.end == strings(8)[-1][0] and not reader.summary.problems


@pytest.mark.parametrize(
    "left_out",
    [
        {"repeat_channels": False},
        {"repeat_schemas": False},
        {"use_statistics": False},
        {"index_types": IndexType.NONE},
        {"use_chunking": False},
    ],
    ids=str,
)
def test_what_a_writer_may_leave_out_of_the_summary_is_found_in_the_file(tmp_path, left_out):
    channel = ("/chatter", "std_msgs/msg/String", "string data\n", "cdr", strings(8))
    reader = BagReader(mcap_bag(tmp_path / "other.mcap", channel, **left_out))
    assert [(m.time, m.data) for m in reader.messages()] == strings(8)
    assert reader.summary.topics["/chatter"].definition == "string data\n" and not reader.summary.problems


@pytest.mark.parametrize("indexed", [True, False])
def test_a_chunk_without_messages_does_not_begin_at_zero(tmp_path, indexed):
    file = tmp_path / "other.mcap"
    with file.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2", "other")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/chatter", "cdr", schema)
        _write_empty_chunk(writer)
        for time, data in strings(3):
            writer.add_message(channel, time, data, time)
        writer.finish()
    if not indexed:
        file.write_bytes(file.read_bytes()[:-20])
    summary = BagReader(file).summary
    assert (summary.start, summary.end) == (strings(3)[0][0], strings(3)[-1][0])
    assert len(list(BagReader(file).messages())) == 3


def _write_empty_chunk(writer):
    """Writes a chunk that holds a channel only, as other libraries do; the one used here leaves such out."""
    stream, builder = writer._Writer__stream, RecordBuilder()
    start = stream.tell()
    Chunk(compression="", data=b"", message_start_time=0, message_end_time=0, uncompressed_crc=0, uncompressed_size=0
    ).write(builder)  # fmt: skip
    record = builder.end()
    assert record[0] == Opcode.CHUNK
    stream.write(record)
    writer._Writer__chunk_indices.append(place_at(start, len(record), 0, 0))
    writer._Writer__statistics.chunk_count += 1


# ---------------------------------------------------------------------- metadata
