# SPDX-License-Identifier: Apache-2.0
"""Bags as other programs, old versions and hands leave them: read, or refused in one line, and never written to."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import bags
import pytest
import yaml
import zstandard
from bags import ODOM, SCAN, SECOND, START
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import Chunk
from mcap.records import Message as McapMessage
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rclpy.serialization import serialize_message
from std_msgs.msg import Int32, String

from ir_bag.contents import Message
from ir_bag.definitions import Definition, Definitions, same_layout
from ir_bag.info import info
from ir_bag.mcap_file import _place
from ir_bag.play import play
from ir_bag.reader import BagReader, repair
from ir_bag.timeline import LONG_GAP, Timeline
from ir_bag.writer import BagWriter
from ir_common.config import ConfigError

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
STORAGES = pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
TEXT = serialize_message(String(data="text"))


def plain(messages):
    return [(m.topic, m.time, m.data) for m in messages]


def document_of(folder):
    return yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]


def change(folder, **values):
    """Writes other values into a bag's metadata; None is null, and a name that is given as ... goes."""
    content = document_of(folder) | values
    content = {name: value for name, value in content.items() if value is not ...}
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": content}))


def state_of(folder):
    """Every file with its bytes and time."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def sqlite_bag(folder, rows, journal="delete", topics=(("/chatter", "std_msgs/msg/String"),)):
    """An old bag: two tables, no definitions, no metadata; rows are (topic, time, data)."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "old_0.db3")) as database:
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format)")
        database.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data)")
        database.executemany("INSERT INTO topics VALUES (?, ?, ?, 'cdr')", [(i, *t) for i, t in enumerate(topics)])
        database.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
        database.commit()
    return folder


def mcap_bag(file, *channels, compression=CompressionType.ZSTD, outside=0, **left_out):
    """A file of (topic, type, definition, encoding, messages); the last `outside` messages of each lie in no chunk."""
    with file.open("wb") as stream:
        writer = McapWriter(stream, compression=compression, **left_out)
        writer.start("ros2", "other")
        numbers = []
        for topic, kind, definition, encoding, _ in channels:
            schema = writer.register_schema(kind, "ros2msg", definition.encode()) if kind else 0
            numbers.append(writer.register_channel(topic, encoding, schema))
        for number, (*_, messages) in zip(numbers, channels, strict=True):
            for time, data in messages[: len(messages) - outside]:
                writer.add_message(number, time, data, time)
        if outside:
            writer.flush()
            _write_outside(writer, numbers, channels, outside)
        writer.finish()
    return file


def _write_outside(writer, numbers, channels, count):
    """Writes as a program does that puts some messages straight into the file; the library always makes chunks."""
    statistics = writer._Writer__statistics
    for number, (*_, messages) in zip(numbers, channels, strict=True):
        for time, data in messages[-count:]:
            builder = RecordBuilder()
            McapMessage(number, time, data, time, 0).write(builder)
            writer._Writer__stream.write(builder.end())
            statistics.message_count += 1
            statistics.channel_message_counts[number] += 1


def strings(count, start=START):
    return [(start + i * SECOND // 10, serialize_message(String(data=f"{i}"))) for i in range(count)]


# ---------------------------------------------------------------------- times


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
    writer._Writer__chunk_indices.append(_place(start, len(record), 0, 0))
    writer._Writer__statistics.chunk_count += 1


# ---------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    "name", ["bag/bag_0.mcap", "/home/ros/rec/bag_0.mcap", "./bag_0.mcap", "was/bag_0.mcap", "was\\bag_0.mcap"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_names_of_files_hold_wherever_the_folder_was_when_they_were_written(tmp_path, name, packed):
    content = bags.messages(20)
    folder = bags.write(tmp_path / "bag", content)
    if packed:
        file, name = folder / "bag_0.mcap", f"{name}.zstd"
        (folder / "bag_0.mcap.zstd").write_bytes(zstandard.compress(file.read_bytes()))
        file.unlink()
    change(folder, version=2, relative_file_paths=[name])
    reader = BagReader(folder)
    assert plain(reader.messages()) == plain(content) and not reader.summary.problems


def test_a_renamed_file_is_read_and_told_and_repaired(tmp_path, capsys):
    content = bags.messages(20)
    folder = bags.write(tmp_path / "bag", content)
    (folder / "bag_0.mcap").rename(folder / "better name.mcap")
    reader = BagReader(folder)
    assert plain(reader.messages()) == plain(content)
    assert reader.summary.problems == ["metadata.yaml names bag_0.mcap, which is not there"]
    assert info([str(folder), "--repair"]) == 0 and "problem" not in capsys.readouterr().out
    assert document_of(folder)["relative_file_paths"] == ["better name.mcap"]
    assert not repair(folder) and plain(BagReader(folder).messages()) == plain(content)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_part_is_told_and_the_others_are_read(tmp_path, gone):
    content = bags.messages(30)
    folder = tmp_path / "bag"
    for i in range(3):
        part = bags.write(tmp_path / f"part{i}", content[10 * i : 10 * i + 10])
        folder.mkdir(exist_ok=True)
        (part / f"part{i}_0.mcap").rename(folder / f"bag_{i}.mcap")
    (part / "metadata.yaml").rename(folder / "metadata.yaml")
    change(folder, relative_file_paths=[f"bag_{i}.mcap" for i in range(3)])
    (folder / f"bag_{gone}.mcap").unlink()
    reader = BagReader(folder)
    assert plain(reader.messages()) == plain(content[: 10 * gone] + content[10 * gone + 10 :])
    assert reader.summary.problems == [f"metadata.yaml names bag_{gone}.mcap, which is not there"]
    assert repair(folder) and document_of(folder)["message_count"] == 20


def test_a_bag_whose_files_are_all_gone_is_refused_by_name(tmp_path):
    folder = bags.write(tmp_path / "bag", bags.messages(2))
    (folder / "bag_0.mcap").unlink()
    with pytest.raises(ConfigError, match=r"metadata.yaml names bag_0.mcap, which is not there"):
        BagReader(folder)


@pytest.mark.parametrize("row", [(0, None, TEXT), (0, START, None), (0, START, "text")])
def test_a_message_without_time_or_bytes_is_refused_in_a_line(tmp_path, row):
    reader = BagReader(sqlite_bag(tmp_path / "bag", [(0, START, TEXT), row]))
    with pytest.raises(ConfigError, match="a message of /chatter lacks its time or its bytes"):
        list(reader.messages())


@pytest.mark.parametrize(
    "values",
    [
        {"compression_mode": None, "compression_format": None},
        {"compression_mode": ..., "ros_distro": None},
        {"topics_with_message_count": [{"topic": {"name": "/x"}}, None, 3]},
        {"topics_with_message_count": None},
        {"topics_with_message_count": {"a": 1}},
        {"topics_with_message_count": [{"topic_metadata": {"type": "a"}}]},
        {"relative_file_paths": None},
        {"relative_file_paths": [None]},
        {"relative_file_paths": "bag_0.mcap"},
    ],
)
def test_metadata_with_nulls_and_odd_entries_are_read(tmp_path, values):
    content = bags.messages(20)
    folder = bags.write(tmp_path / "bag", content)
    change(folder, **values)
    reader = BagReader(folder)
    assert plain(reader.messages()) == plain(content) and reader.summary.problems == []


@pytest.mark.parametrize("text", ["", "- 1\n", "rosbag2_bagfile_information:\n", "rosbag2_bagfile_information: [1]\n"])
def test_metadata_without_content_are_refused_in_a_line(tmp_path, text):
    folder = bags.write(tmp_path / "bag", bags.messages(2))
    (folder / "metadata.yaml").write_text(text)
    with pytest.raises(ConfigError, match="the entry rosbag2_bagfile_information is missing or empty") as caught:
        BagReader(folder)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------- compression


def packed(folder, storage):
    """A bag whose messages are compressed one by one; returns it and its content."""
    content = bags.messages(20)
    squeezed = [m._replace(data=zstandard.ZstdCompressor().compress(m.data)) for m in content]
    return bags.write(folder, squeezed, storage), content


@STORAGES
@pytest.mark.parametrize("told", ["MESSAGE", "", None, "gone", "file"])
def test_messages_compressed_one_by_one_are_unpacked_whatever_is_told(tmp_path, storage, told):
    folder, content = packed(tmp_path / "bag", storage)
    change(folder, compression_mode=told, compression_format="zstd")
    path = folder
    if told == "gone":
        (folder / "metadata.yaml").unlink()
    if told == "file":  # only the file is given
        path = next(folder.glob("bag_0.*"))
    reader = BagReader(path)
    assert plain(reader.messages()) == plain(content) and reader.summary.packing == "message"
    assert reader.summary.compression == "zstd (each message)"
    if path is folder:
        assert bool(repair(folder)) is (told != "MESSAGE") and repair(folder) == []
        assert (document_of(folder)["compression_mode"], document_of(folder)["compression_format"]) == (
            "MESSAGE", "zstd"
        )  # fmt: skip
        assert plain(BagReader(folder).messages()) == plain(content)


def test_a_way_to_compress_messages_that_is_not_known_is_refused(tmp_path):
    folder = bags.write(tmp_path / "bag", bags.messages(2))
    change(folder, compression_mode="MESSAGE", compression_format="lz4")
    with pytest.raises(ConfigError, match="compressed as lz4, which is not known here"):
        BagReader(folder)


@STORAGES
@pytest.mark.parametrize("way", ["told", "untold", "no metadata", "the file", "unpacked since"])
def test_files_compressed_as_a_whole_are_unpacked(tmp_path, storage, way):
    content = bags.messages(50)
    folder = bags.write(tmp_path / "bag", content, storage)
    [file] = folder.glob("bag_0.*")
    target = file.with_name(file.name + ".zstd")
    target.write_bytes(zstandard.ZstdCompressor().compress(file.read_bytes()))
    if way in ("told", "unpacked since"):
        change(folder, compression_mode="FILE", compression_format="zstd", relative_file_paths=[target.name])
    if way == "no metadata":
        (folder / "metadata.yaml").unlink()
    (target if way == "unpacked since" else file).unlink()
    before = state_of(folder)
    reader = BagReader(target if way == "the file" else folder)
    assert plain(reader.messages()) == plain(content)
    assert reader.summary.packing == ("" if way == "unpacked since" else "file") and state_of(folder) == before
    if way == "no metadata":
        assert reader.summary.files == [str(target)] and repair(folder)
        assert document_of(folder)["compression_mode"] == "FILE"
        assert document_of(folder)["relative_file_paths"] == [target.name]
        assert plain(BagReader(folder).messages()) == plain(content)


def test_a_file_that_cannot_be_unpacked_is_told(tmp_path):
    file = tmp_path / "a.db3.zstd"
    whole = zstandard.ZstdCompressor().compress(os.urandom(5000))
    for content in (b"hello", whole[:2000], whole[:200] + b"damaged"):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be unpacked"):
            BagReader(file)


# ---------------------------------------------------------------------- logs of SQLite, ROS 1

LIVE = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=" + sys.argv[2])
database.execute("PRAGMA cache_size=1")
if sys.argv[2] == "delete":
    database.execute("BEGIN")
database.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (0, ?, ?)",
    [(1_700_000_001_000_000_000 + i, b"\\0" * 100) for i in range(2000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("locked", [False, True])
def test_what_a_killed_recorder_left_beside_the_file_is_read_and_nothing_is_written(tmp_path, journal, locked):
    folder = sqlite_bag(tmp_path / "bag", [(0, time, data) for time, data in strings(5)])
    file = folder / "old_0.db3"
    subprocess.run([sys.executable, "-c", LIVE, str(file), journal])
    assert (folder / f"old_0.db3-{'wal' if journal == 'wal' else 'journal'}").exists()
    before = state_of(folder)
    folder.chmod(0o555 if locked else 0o755)
    reader = BagReader(folder)
    count = 2005 if journal == "wal" else 5  # a transaction that did not end is undone
    assert reader.summary.messages == len(list(reader.messages())) == count
    folder.chmod(0o755)
    assert state_of(folder) == before
    assert any("holds now what stood in its log" in line for line in repair(folder)) and repair(folder) == []
    assert {f.name for f in folder.iterdir()} == {"old_0.db3", "metadata.yaml"}
    assert BagReader(folder).summary.messages == count


def test_a_file_in_wal_mode_is_read_where_nothing_may_be_written(tmp_path):
    folder = sqlite_bag(tmp_path / "bag", [(0, time, data) for time, data in strings(5)], journal="wal")
    before = state_of(folder)
    folder.chmod(0o555)
    try:
        assert len(list(BagReader(folder).messages())) == 5
    finally:
        folder.chmod(0o755)
    assert state_of(folder) == before and set(before) == {"old_0.db3"}


@pytest.mark.parametrize("whole", [True, False])
def test_a_bag_of_ros_1_is_told_what_converts_it(tmp_path, whole):
    file = tmp_path / "old.bag"
    file.write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(ConfigError, match=r"rosbags-convert --src .*old\.bag --dst old"):
        BagReader(tmp_path if whole else file)


# ---------------------------------------------------------------------- the collected cases

READ = {
    "clock_reset": 10, "clock_step": 6, "fastdds_infinite": 10, "file_zstd": 10, "file_zstd_nometa": 10, "hour_gap": 6,
    "meta_list": 10, "meta_null_topics": 10, "meta_odd": 10, "mixed_chunks": 8, "msg_zstd": 10, "msg_zstd_nometa": 10,
    "msg_zstd_repaired": 10, "negative_time": 10, "null_mode": 10, "one_message": 1, "protobuf_mcap": 3,
    "relative_name": 10, "rollover": 4, "schemaless_channel": 10, "two_channels": 3, "two_part_type": 5,
    "two_publishers": 10, "wal_readonly": 10, "zero_topic": 10, "Prüfstand 日本/läuft 1": 10,
}  # fmt: skip
REFUSED = {"empty_db3": "is no SQLite file", "empty_file": "is no MCAP file"}


@pytest.fixture
def case(tmp_path):
    def find(name):
        if not (CASES / name).exists():
            pytest.skip(f"{CASES / name} is not here")
        return shutil.copytree(CASES / name, tmp_path / "case")

    return find


@pytest.mark.parametrize("name", READ)
def test_collected_bags_are_read_and_left_as_they_are(case, name):
    folder = case(name)
    before = state_of(folder)
    reader = BagReader(folder)
    messages = list(reader.messages())
    assert Counter(m.topic for m in messages) == Counter(reader.summary.counts) and len(messages) == READ[name]
    for message in messages:
        if reader.summary.topics[message.topic].serialization_format == "cdr":
            assert message.data[:1] == b"\0"
    assert state_of(folder) == before


@pytest.mark.parametrize("name", REFUSED)
def test_collected_bags_that_cannot_be_read_are_refused_in_a_line(case, name):
    with pytest.raises(ConfigError, match=REFUSED[name]) as caught:
        BagReader(case(name))
    assert "\n" not in str(caught.value)


def test_a_bag_with_a_time_of_zero_is_written_whole(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(bags.topic(SCAN))
        for time in (5, 0, 7):
            bag.write(Message(SCAN, time, b"\0\1\0\0"))
    assert (BagReader(tmp_path / "bag").summary.start, os.listdir(tmp_path)) == (0, ["bag"])
