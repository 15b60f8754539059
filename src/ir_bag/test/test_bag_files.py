# SPDX-License-Identifier: Apache-2.0
"""What is written is read again, by this package and by another library, whole or cut off."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import bags
import pytest
import yaml
from bags import ODOM, SCAN
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ir_bag.reader import BagReader, repair
from ir_bag.writer import BagWriter, DiskFull
from ir_common.config import ConfigError

STORAGES = pytest.mark.parametrize("storage", ["mcap", "sqlite3"])


def plain(messages):
    return [(m.topic, m.time, m.data) for m in messages]


@pytest.mark.parametrize(
    ("storage", "compression"), [("mcap", "none"), ("mcap", "zstd"), ("mcap", "lz4"), ("sqlite3", "none")]
)
def test_round_trip(tmp_path, storage, compression):
    content = bags.messages(1000)
    reader = BagReader(bags.write(tmp_path / "bag", content, storage, compression=compression))
    assert plain(reader.messages()) == plain(content)
    summary = reader.summary
    assert summary.problems == [] and summary.distro == "jazzy" and summary.storage == storage
    assert summary.counts == {ODOM: 500, SCAN: 500}
    assert (summary.start, summary.end) == (content[0].time, content[-1].time)
    assert summary.topics[SCAN] == bags.topic(SCAN, qos=(bags.LATCHED,))
    assert plain(reader.messages([SCAN], content[500].time)) == plain(m for m in content[500:] if m.topic == SCAN)


@STORAGES
def test_another_library_reads_what_is_written(tmp_path, storage):
    """rosbags has its own code for every format; it checks definitions against the types' hashes as well."""
    content = bags.messages(300)
    folder = bags.write(tmp_path / "bag", content, storage)
    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(folder) as reader:
        assert reader.message_count == 300 and reader.ros_distro == "jazzy"
        assert [(c.topic, t, bytes(d)) for c, t, d in reader.messages()] == plain(content)
        for connection in reader.connections:
            assert connection.digest == store.hash_rihs01(connection.msgtype)
            assert connection.msgdef.data.split("=" * 80)[0].strip()
            [qos] = connection.ext.offered_qos_profiles
            assert (qos.durability.name == "TRANSIENT_LOCAL") == (connection.topic == SCAN)


@STORAGES
@pytest.mark.parametrize("version", [8, 9])
def test_bags_of_another_library_are_read(tmp_path, storage, version):
    store = get_typestore(Stores.ROS2_JAZZY)
    content = bags.messages(50)
    with Writer(tmp_path / "bag", version=version, storage_plugin=StoragePlugin[storage.upper()]) as bag:
        connections = {name: bag.add_connection(name, kind, typestore=store) for name, kind in bags.TYPES.items()}
        for message in content:
            bag.write(connections[message.topic], message.time, message.data)
    reader = BagReader(tmp_path / "bag")
    assert plain(reader.messages()) == plain(content)
    assert reader.summary.counts == {ODOM: 25, SCAN: 25} and reader.summary.problems == []
    assert {topic.type for topic in reader.summary.topics.values()} == set(bags.TYPES.values())


@STORAGES
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_messages_and_files_are_unpacked(tmp_path, storage, mode):
    store, content = get_typestore(Stores.ROS2_JAZZY), bags.messages(50)
    made = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin[storage.upper()])
    made.set_compression(mode, CompressionFormat.ZSTD)
    with made as bag:
        connections = {name: bag.add_connection(name, kind, typestore=store) for name, kind in bags.TYPES.items()}
        for message in content:
            bag.write(connections[message.topic], message.time, message.data)
    reader = BagReader(tmp_path / "bag")
    assert plain(reader.messages()) == plain(content)
    assert reader.summary.compression.startswith("zstd (each ") and reader.summary.problems == []
    [file] = map(Path, reader.summary.files)
    assert file.parent == tmp_path / "bag" and reader.summary.size == file.stat().st_size
    if mode is CompressionMode.FILE:
        file.write_bytes(file.read_bytes()[:50] + b"damaged")
        with pytest.raises(ConfigError, match="cannot be unpacked"):
            BagReader(tmp_path / "bag")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**7), st.sampled_from([ODOM, SCAN]), st.booleans()), max_size=60))
def test_order_is_that_of_time_whatever_the_order_of_writing(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("order") / "bag"
    content = [bags.Message(name, bags.START + time, bytes([i])) for i, (time, name, _) in enumerate(rows)]
    with BagWriter(folder, distro="jazzy") as bag:
        for name in (ODOM, SCAN):
            bag.add_topic(bags.topic(name))
        for message, (_, _, flush) in zip(content, rows, strict=True):
            bag.write(message)
            if flush:
                bag.flush()
    assert plain(BagReader(folder).messages()) == plain(sorted(content, key=lambda m: m.time))


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9, 0.999])
def test_a_truncated_file_gives_what_is_whole_and_can_be_mended(tmp_path, share):
    content = bags.messages(4000)
    folder = tmp_path / "bag"
    with BagWriter(folder, distro="jazzy") as bag:
        for name in (ODOM, SCAN):
            bag.add_topic(bags.topic(name))
        for i, message in enumerate(content):
            bag.write(message)
            if i % 100 == 99:
                bag.flush()
    [file] = folder.glob("*.mcap")
    (folder / "metadata.yaml").unlink()
    os.truncate(file, int(file.stat().st_size * share))
    reader = BagReader(folder)
    assert len(reader.summary.problems) == 2 and "metadata.yaml is missing" in reader.summary.problems[0]
    found = plain(reader.messages())
    assert found == plain(content[: len(found)]) and len(found) >= 4000 * share - 200
    assert len(repair(folder)) == 2 and repair(folder) == []
    mended = BagReader(folder)
    assert mended.summary.problems == [] and plain(mended.messages()) == found
    with Reader(folder) as other:
        assert [(c.topic, t, bytes(d)) for c, t, d in other.messages()] == found


def test_a_damaged_chunk_is_told(tmp_path):
    folder = bags.write(tmp_path / "bag", bags.messages(20_000), compression="zstd")
    [file] = folder.glob("*.mcap")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = random.Random(1).randbytes(64)
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=r"chunk at byte \d+ is damaged"):
        list(BagReader(folder).messages())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), "holds no bag"),
        (lambda path: (path.mkdir(), (path / "x.mcap").write_bytes(b"hello")), "is no MCAP file"),
        (lambda path: (path.mkdir(), (path / "x.db3").write_bytes(b"hello")), "is no SQLite file"),
        (lambda path: (path.mkdir(), sqlite3.connect(path / "x.db3").executescript("CREATE TABLE a(b);")), "is no bag"),
        (lambda path: (path.mkdir(), (path / "metadata.yaml").write_text("a: [")), "metadata.yaml: is damaged"),
        (lambda path: path.write_text("x"), "bags are"),
    ],
)
def test_what_is_no_bag_is_told_in_a_line(tmp_path, make, said):
    make(tmp_path / "bag")
    with pytest.raises(ConfigError, match=said) as caught:
        BagReader(tmp_path / "bag")
    assert "\n" not in str(caught.value)


def test_a_bag_is_not_overwritten(tmp_path):
    folder = bags.write(tmp_path / "bag", bags.messages(1))
    with pytest.raises(ConfigError, match="exists already"):
        BagWriter(folder)


FULL = """
import resource, sys
from pathlib import Path
import bags
from ir_bag.writer import BagWriter, DiskFull
folder, storage, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with BagWriter(folder, storage, distro="jazzy") as bag:
        bag.add_topic(bags.topic(bags.ODOM)); bag.add_topic(bags.topic(bags.SCAN))
        for i, message in enumerate(bags.messages(100_000)):
            bag.write(message)
            if i % 100 == 99:
                bag.flush()
                print(i + 1, flush=True)
except DiskFull as error:
    print(error)
    sys.exit(1)
"""


@STORAGES
def test_a_file_that_may_not_grow_is_ended_with_all_that_was_flushed(tmp_path, storage):
    folder = tmp_path / "bag"
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(folder), storage, "800000"],
        cwd=Path(__file__).parent, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1 and ran.stderr == "", ran.stderr
    *counts, told = ran.stdout.splitlines()
    reader = BagReader(folder)
    assert f"{reader.summary.messages} messages are in the bag" in told
    assert reader.summary.messages >= int(counts[-1]) > 1000
    found = plain(reader.messages())
    assert found == plain(bags.messages(len(found)))
    document = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert document["message_count"] == len(found)
    assert not (folder / ".reserve").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB, where the machine lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(bag, written):
    bag.add_topic(bags.topic(ODOM))
    bag.add_topic(bags.topic(SCAN))
    for i, message in enumerate(bags.messages(100_000)):
        bag.write(message)
        written.append(message)
        if i % 100 == 99:
            bag.flush()


@STORAGES
def test_a_full_disk_leaves_a_whole_bag_with_every_message(small_disk, storage):
    """The space held back takes the last messages and the index."""
    written = []
    bag = BagWriter(small_disk / "bag", storage)
    with pytest.raises(DiskFull, match="No space left|full") as caught:
        fill(bag, written)
    reader = BagReader(small_disk / "bag")
    assert plain(reader.messages()) == plain(written), caught.value
    assert reader.summary.problems == [] and "did not fit" not in str(caught.value)
    assert f"{len(written)} messages are in the bag" in str(caught.value)


KILLED = """
import os, signal, sys
from pathlib import Path
import bags
from ir_bag.writer import BagWriter
bag = BagWriter(Path(sys.argv[1]), sys.argv[2], distro="jazzy")
bag.add_topic(bags.topic(bags.ODOM)); bag.add_topic(bags.topic(bags.SCAN))
for i, message in enumerate(bags.messages(5_050)):
    bag.write(message)
    if i % 100 == 99:
        bag.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@STORAGES
def test_what_was_flushed_survives_a_kill(tmp_path, storage):
    folder = tmp_path / "bag"
    ran = subprocess.run([sys.executable, "-c", KILLED, str(folder), storage], cwd=Path(__file__).parent)
    assert ran.returncode == -signal.SIGKILL
    found = plain(BagReader(folder).messages())
    assert found == plain(bags.messages(5_000))
    assert repair(folder)
    with Reader(folder) as other:
        assert other.message_count == 5_000
