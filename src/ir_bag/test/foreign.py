# SPDX-License-Identifier: Apache-2.0
"""Makes bags as other programs, old versions and hands leave them."""

import sqlite3
from contextlib import closing

import pytest
import yaml
from bags import SECOND, START
from mcap.data_stream import RecordBuilder
from mcap.records import Message as McapMessage
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rclpy.serialization import serialize_message
from std_msgs.msg import String

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
