# SPDX-License-Identifier: Apache-2.0
"""Files, metadata and compression of bags as other programs, old versions and hands leave them."""

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
from bags import SCAN, SECOND, START
from foreign import STORAGES, TEXT, change, document_of, plain, sqlite_bag, state_of, strings

from ir_bag.contents import Message
from ir_bag.info import info
from ir_bag.qos_profiles import parse
from ir_bag.reader import BagReader, repair
from ir_bag.writer import BagWriter
from ir_common.config import ConfigError

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"


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


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ((0, None, TEXT), "/chatter: 1 messages without a time or bytes are left out"),
        ((0, START, None), "/chatter: 1 messages without a time or bytes are left out"),
        ((0, START, "text"), "/chatter: 1 messages without a time or bytes are left out"),
        ((0, str(START), TEXT), "/chatter: 1 messages without a time or bytes are left out"),
        ((7, START + 1000 * SECOND, TEXT), "old_0.db3: 1 messages of no topic with a name are left out"),
        ((None, 0, TEXT), "old_0.db3: 1 messages of no topic with a name are left out"),
    ],
)
def test_messages_without_topic_time_or_bytes_are_left_out_and_told(tmp_path, capsys, row, note):
    reader = BagReader(sqlite_bag(tmp_path / "bag", [(0, START, TEXT), row]))
    assert [(m.topic, m.time) for m in reader.messages()] == [("/chatter", START)]
    summary = reader.summary
    assert (summary.counts, summary.start, summary.end) == ({"/chatter": 1}, START, START) and summary.notes == [note]
    assert info([str(tmp_path / "bag")]) == 0 and note in capsys.readouterr().out


@pytest.mark.parametrize(
    ("topics", "counts"),
    [
        ([(None, "std_msgs/msg/String"), ("/b", "std_msgs/msg/String")], {"/b": 1}),
        ([("", "std_msgs/msg/String"), ("/b", None)], {"/b": 1}),
    ],
)
def test_topics_without_a_name_or_a_type(tmp_path, topics, counts):
    folder = sqlite_bag(tmp_path / "bag", [(0, START, TEXT), (1, START, TEXT)], topics=topics)
    summary = BagReader(folder).summary
    assert summary.counts == counts and summary.topics["/b"].type == (topics[1][1] or "")
    assert summary.notes == ["old_0.db3: topic 0 has no name and is left out",
                             "old_0.db3: 1 messages of no topic with a name are left out"]  # fmt: skip


def test_definitions_that_are_null_are_none(tmp_path):
    folder = sqlite_bag(tmp_path / "bag", [(0, START, TEXT)])
    with closing(sqlite3.connect(folder / "old_0.db3")) as database:
        database.execute("CREATE TABLE message_definitions(topic_type, encoding, encoded_message_definition)")
        database.execute("INSERT INTO message_definitions VALUES ('std_msgs/msg/String', NULL, NULL)")
        database.commit()
    assert BagReader(folder).summary.topics["/chatter"].definition == ""


def test_files_are_found_by_every_end_of_the_path_that_the_metadata_name(tmp_path):
    folder = bags.write(tmp_path / "bag", bags.messages(4))
    (folder / "part").mkdir()
    (folder / "bag_0.mcap").rename(folder / "part" / "bag_0.MCAP")
    for name in ("bag/part/bag_0.MCAP", "/home/somebody/bag/part/bag_0.MCAP", "C:\\runs\\bag\\part\\bag_0.MCAP"):
        change(folder, relative_file_paths=[name])
        assert len(list(BagReader(folder).messages())) == 4 and repair(folder) == []


@pytest.mark.parametrize("offered", ["- reliable\n- 3", "- depth: 99999999999999999999\n  history: 1", "- null"])
def test_profiles_that_nobody_could_offer_are_passed_over(offered):
    assert parse(offered) == () and parse(yaml.safe_load(offered)) == ()


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


def test_a_message_whose_compressed_bytes_were_cut_off_is_told(tmp_path):
    packed = zstandard.ZstdCompressor().compress(TEXT)
    for data in (packed[:-3], packed[:10]):
        folder = sqlite_bag(tmp_path / f"bag{len(data)}", [(0, START, data)])
        with pytest.raises(ConfigError, match="/chatter: a message cannot be unpacked"):
            list(BagReader(folder).messages())


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
