# SPDX-License-Identifier: Apache-2.0
"""One sqlite3 file of a bag, in rosbag2's schema 4; reads the older ones too."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from ir_bag import qos_profiles
from ir_bag.contents import Message, Summary, Topic
from ir_common.config import ConfigError

SUFFIX = ".db3"
_MAGIC = b"SQLite format 3\0"
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
    """Reads one sqlite3 file; a transaction that was cut off is undone first, as SQLite does.

    Args:
        path: of the file.

    Raises:
        ConfigError: this is no bag.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._summary = self._read_summary()

    def _connect(self) -> sqlite3.Connection:
        try:
            with self.path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ConfigError(f"{self.path}: is no SQLite file (its first bytes are others); give another bag")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read ({error.strerror}); give the path of a bag") from None
        return sqlite3.connect(self.path)

    def _read_summary(self) -> Summary:
        summary = Summary(storage="sqlite3", size=self.path.stat().st_size, files=[str(self.path)])
        try:
            with closing(self._connect()) as database:
                definitions = self._definitions(database)
                columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
                optional = [
                    name if name in columns else "''" for name in ("offered_qos_profiles", "type_description_hash")
                ]
                query = f"SELECT id, name, type, serialization_format, {', '.join(optional)} FROM topics ORDER BY id"
                for number, name, kind, encoding, offered, type_hash in database.execute(query):
                    text, form = definitions.get(kind, ("", ""))
                    summary.topics[name] = Topic(
                        name, kind, text, form, type_hash, qos_profiles.parse(offered), encoding
                    )
                    count = database.execute("SELECT count(*) FROM messages WHERE topic_id = ?", (number,))
                    summary.counts[name] = summary.counts.get(name, 0) + count.fetchone()[0]
                start, end = database.execute("SELECT min(timestamp), max(timestamp) FROM messages").fetchone()
                if start is not None:
                    summary.span(start, end)
        except sqlite3.Error as error:
            raise ConfigError(
                f"{self.path}: cannot be read ({error}); if it was cut off, `sqlite3 FILE .recover` may save a part"
            ) from None
        return summary

    def _definitions(self, database: sqlite3.Connection) -> dict[str, tuple[str, str]]:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise ConfigError(f"{self.path}: is no bag (it has no tables topics and messages); give another file")
        if "message_definitions" not in tables:
            return {}
        rows = database.execute("SELECT topic_type, encoded_message_definition, encoding FROM message_definitions")
        return {kind: (text, form) for kind, text, form in rows}

    def summary(self) -> Summary:
        """Topics, counts and times of the file."""
        return self._summary

    def messages(self, topics: Collection[str] | None = None, start: int = 0) -> Iterator[Message]:
        """Messages from time `start` (ns) on, in the order of time; of equal times, in the order of writing."""
        query = (
            "SELECT topics.name, timestamp, data FROM messages JOIN topics ON topics.id = topic_id "
            "WHERE timestamp >= ? ORDER BY timestamp, messages.id"
        )
        try:
            with closing(self._connect()) as database:
                for name, time, data in database.execute(query, (start,)):
                    if topics is None or name in topics:
                        yield Message(name, time, data, time)
        except sqlite3.Error as error:
            raise ConfigError(f"{self.path}: is damaged ({error}); what was read so far is all there is") from None
