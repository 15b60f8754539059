# SPDX-License-Identifier: Apache-2.0
"""One sqlite3 file of a bag, in rosbag2's schema 4; reads the older ones too, and never writes when it reads."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from ir_bag import qos_profiles
from ir_bag.contents import Message, RecordedStream, Summary, Topic
from ir_common.config import ConfigError

SUFFIX = ".db3"
_MAGIC = b"SQLite format 3\0"
_WAL = b"\2\2"
"""Bytes 18 and 19 of a file that is written by a log ahead of it."""
_LOGS = ("-wal", "-journal")
_FORMAT = 9
_SCHEMA = """
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, serialization_format TEXT NOT NULL,
  offered_qos_profiles TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
  encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
"""
_COUNTS = """
SELECT topic_id, count(*), sum(whole), min(CASE WHEN whole THEN timestamp END), max(CASE WHEN whole THEN timestamp END)
FROM (SELECT topic_id, timestamp, typeof(timestamp) = 'integer' AND typeof(data) = 'blob' AS whole FROM messages)
GROUP BY topic_id
"""
"""By topic: rows, and of those with a time and bytes how many there are, the first time and the last."""


class SqliteFile:
    """Writes one sqlite3 file of a bag; one transaction for each `flush`.

    Args:
        path: of the new file.
        distro: ROS distribution.
        compression: none; this storage has no other.

    Raises:
        OSError: the file cannot be made.
        ConfigError: compression was asked for.
    """

    def __init__(self, path: Path, distro: str, compression: str = "none") -> None:
        if compression != "none":
            raise ConfigError(f"compression {compression}: sqlite3 bags have none; use --storage mcap")
        self.path = path
        path.open("xb").close()
        self._database = sqlite3.connect(path, isolation_level=None)
        self._topics: dict[str, int] = {}
        self._new_topics: list[tuple[int, Topic]] = []
        self._held: list[tuple[int, int, bytes]] = []
        self._execute(f"BEGIN; {_SCHEMA} INSERT INTO schema VALUES (4, '{distro}'); COMMIT; PRAGMA synchronous=NORMAL;")

    def _execute(self, script: str) -> None:
        try:
            self._database.executescript(script)
        except sqlite3.Error as error:
            raise OSError(28, str(error), str(self.path)) from None

    def add_topic(self, topic: Topic) -> None:
        """Makes a topic known."""
        self._topics[topic.name] = len(self._topics) + 1
        self._new_topics.append((self._topics[topic.name], topic))

    def write(self, message: Message) -> None:
        """Holds a message until `flush`."""
        self._held.append((self._topics[message.topic], message.time, message.data))

    def flush(self) -> None:
        """Writes what is held.

        Raises:
            OSError: it does not fit; what was to be written is still held.
        """
        if self._held or self._new_topics:
            self._transact()
            self._held.clear()
            self._new_topics.clear()

    def _transact(self) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            known = {row[0] for row in self._database.execute("SELECT topic_type FROM message_definitions")}
            for number, topic in self._new_topics:
                self._database.execute(
                    "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        number, topic.name, topic.type, topic.serialization_format, qos_profiles.dump_text(topic.qos),
                        topic.type_hash,
                    ),
                )  # fmt: skip
                if topic.type not in known:
                    known.add(topic.type)
                    self._database.execute(
                        "INSERT INTO message_definitions (topic_type, encoding, encoded_message_definition, "
                        "type_description_hash) VALUES (?, ?, ?, ?)",
                        (topic.type, topic.definition_format, topic.definition, topic.type_hash),
                    )
            self._database.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", self._held)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise OSError(28, f"cannot be written ({error})", str(self.path)) from None

    def close(self, metadata: str) -> None:
        """Ends the file; what could not be flushed is given up.

        Raises:
            OSError: there is no room for the metadata.
        """
        try:
            self._database.execute(
                "INSERT INTO metadata (metadata_version, metadata) VALUES (?, ?)", (_FORMAT, metadata)
            )
        except sqlite3.Error as error:
            raise OSError(28, str(error), str(self.path)) from None
        finally:
            self._database.close()


class SqliteSource:
    """Reads one sqlite3 file, and writes nothing to it or beside it.

    What a killed recorder left in a write-ahead log or a rollback journal is taken into account, in a copy.

    Args:
        path: of the file.

    Raises:
        ConfigError: this is no bag.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        _check_magic(path)
        self._address = self._find_address()
        self._summary = self._read_summary()

    def _find_address(self) -> str:
        """The URI by which SQLite reads the file without writing."""
        with self.path.open("rb") as file:
            logged = file.read(20)[18:] == _WAL
        if _beside(self.path, "-wal").is_file():
            return self._copied()
        if logged:  # SQLite would make a -wal file; without one, nobody writes
            return f"{self.path.resolve().as_uri()}?immutable=1"
        address = f"{self.path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as database:
                database.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            return self._copied() if _beside(self.path, "-journal").is_file() else address
        except sqlite3.DatabaseError:
            pass  # is told where it is read
        return address

    def _copied(self) -> str:
        """A copy with what was left beside the file, in which SQLite sets things right."""
        try:
            self._copy = tempfile.TemporaryDirectory(prefix="ir_bag_")
            for part in (self.path, *(_beside(self.path, suffix) for suffix in _LOGS)):
                if part.is_file():
                    shutil.copyfile(part, Path(self._copy.name) / part.name)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be copied to read its log ({error.strerror}); make room") from None
        return (Path(self._copy.name) / self.path.name).as_uri()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._address, uri=True)

    def _read_summary(self) -> Summary:
        summary = Summary(storage="sqlite3", size=self.path.stat().st_size, files=[str(self.path)])
        try:
            with closing(self._connect()) as database:
                self._streams = list(self._read_streams(database, summary))
        except sqlite3.Error as error:
            raise ConfigError(
                f"{self.path}: cannot be read ({error}); if it was cut off, `sqlite3 FILE .recover` may save a part"
            ) from None
        return summary

    def _read_streams(self, database: sqlite3.Connection, summary: Summary) -> Iterator[RecordedStream]:
        """The topics of the file; widens the times of its summary, and notes what messages are left out of it."""
        definitions = self._definitions(database)
        found = {row[0]: row[1:] for row in database.execute(_COUNTS).fetchall()}
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        optional = [name if name in columns else "''" for name in ("offered_qos_profiles", "type_description_hash")]
        query = f"SELECT id, name, type, serialization_format, {', '.join(optional)} FROM topics ORDER BY id"
        for number, name, *rest in database.execute(query).fetchall():
            if not name:
                summary.notes.append(f"{self.path.name}: topic {number} has no name and is left out")
                continue
            kind, encoding, offered, type_hash = (value or "" for value in rest)
            count, whole, start, end = found.pop(number, (0, 0, None, None))
            if whole:
                summary.span(start, end)
            if whole < count:
                summary.notes.append(f"{name}: {count - whole} messages without a time or bytes are left out")
            text, form = definitions.get(kind, ("", ""))
            topic = Topic(name, kind, text, form, type_hash, qos_profiles.parse(offered), encoding)
            yield RecordedStream(number, topic, whole)
        if found:
            count = sum(row[0] for row in found.values())
            summary.notes.append(f"{self.path.name}: {count} messages of no topic with a name are left out")

    def _definitions(self, database: sqlite3.Connection) -> dict[str, tuple[str, str]]:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise ConfigError(f"{self.path}: is no bag (it has no tables topics and messages); give another file")
        if "message_definitions" not in tables:
            return {}
        rows = database.execute("SELECT topic_type, encoded_message_definition, encoding FROM message_definitions")
        return {kind: (text or "", form or "") for kind, text, form in rows}

    def summary(self) -> Summary:
        """Times and size of the file."""
        return self._summary

    def streams(self) -> list[RecordedStream]:
        """The topics of the file."""
        return self._streams

    def messages(self, topics: Mapping[int, str], start: int | None = None) -> Iterator[Message]:
        """Messages in the order of time; of equal times, in the order of writing.

        Args:
            topics: names of the topics to read, by their number in the file.
            start: ns, those before it are left out.
        """
        after = "" if start is None else "WHERE timestamp >= ? "
        query = f"SELECT topic_id, timestamp, data FROM messages {after}ORDER BY timestamp, id"
        try:
            with closing(self._connect()) as database:
                for number, time, data in database.execute(query, () if start is None else (start,)):
                    if number in topics and isinstance(time, int) and isinstance(data, bytes):
                        yield Message(topics[number], time, data, time)
        except sqlite3.Error as error:
            raise ConfigError(f"{self.path}: is damaged ({error}); what was read so far is all there is") from None


def mend_log(path: Path) -> bool:
    """Has SQLite take into a file what a killed recorder left beside it; returns whether there was anything.

    Raises:
        ConfigError: this is no SQLite file.
        OSError: it cannot be written.
    """
    _check_magic(path)
    if not any(_beside(path, suffix).is_file() for suffix in _LOGS):
        return False
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise OSError(5, str(error), str(path)) from None
    return True


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ConfigError(f"{path}: is no SQLite file (its first bytes are others); give another bag")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a bag") from None
