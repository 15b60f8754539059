# SPDX-License-Identifier: Apache-2.0
"""Reads a bag, whole or cut off, of MCAP or sqlite3 files: its topics, and its messages as serialized bytes.

Whatever the files hold, a topic has one type here: messages of another type under the same name are left out, and told.
"""

from __future__ import annotations

import errno
import heapq
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import zstandard

from ir_bag.bag_metadata import (
    METADATA,
    PACKED,
    STORAGE_SUFFIXES,
    BagMetadata,
    bag_files,
    read_metadata,
    refuse_ros1,
    storage_suffix,
    with_changes,
)
from ir_bag.contents import Message, RecordedStream, Summary, Topic
from ir_bag.mcap_file import McapSource
from ir_bag.mcap_repair import mend
from ir_bag.qos_profiles import parse
from ir_bag.sqlite_file import SqliteSource, mend_log
from ir_bag.topic_choice import qualified
from ir_bag.writer import metadata, write_metadata
from ir_common.config import ConfigError

SOURCES: dict[str, Callable[[Path], McapSource | SqliteSource]] = dict(
    zip(STORAGE_SUFFIXES, (McapSource, SqliteSource), strict=True)
)
_ZSTD = b"\x28\xb5\x2f\xfd"
"""First bytes of compressed data; serialized messages begin with a zero."""
_PART = 1 << 20
"""B of a compressed file that are unpacked at once."""


class BagReader:
    """A bag opened for reading: its summary, and its messages in the order of time. Nothing of it is written to.

    Args:
        path: its folder, or one file of it.

    Attributes:
        summary: topics, counts and times, found in the files themselves; its problems say what is damaged, its notes
            what is left out.
        missing: names of files in the metadata that are not there; what else the folder holds is read.

    Raises:
        ConfigError: there is no bag, or none that can be read; says which file, why, and what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        told = read_metadata(self.path)
        files, self.missing = bag_files(self.path, told)
        self._unpacked: list[tempfile.TemporaryDirectory[str]] = []
        self._sources = [self._open(file) for file in files]
        self.summary = _merge([_summary_of(source, file) for source, file in zip(self._sources, files, strict=True)])
        self.summary.distro = told.distro
        self._names = self._gather([source.streams() for source in self._sources])
        self._add_told(told)
        self._find_packing(told)
        if self.path.is_dir() and not told.found:
            self.summary.problems.insert(0, f"{METADATA} is missing (the recording was cut off)")
        elif self.missing:
            self.summary.problems.insert(0, f"{METADATA} names {', '.join(self.missing)}, which is not there")

    def messages(self, topics: Collection[str] | None = None, start: int | None = None) -> Iterator[Message]:
        """Messages of `topics` (None: all) from time `start` (ns; None: all) on, in the order of time, always the same.

        Raises:
            ConfigError: a file or a message is damaged.
        """
        wanted = None if topics is None else set(map(qualified, topics))
        parts = [
            source.messages({number: name for number, name in names.items() if wanted is None or name in wanted}, start)
            for source, names in zip(self._sources, self._names, strict=True)
        ]
        for message in heapq.merge(*parts, key=lambda m: m.time):
            yield _decompressed(message) if message.data.startswith(_ZSTD) else message

    def _open(self, file: Path) -> McapSource | SqliteSource:
        refuse_ros1(file)
        suffix = storage_suffix(file)
        if suffix not in SOURCES:
            raise ConfigError(
                f"{file}: bags are {' or '.join(SOURCES)} files, or a folder with such; give one of those"
            )
        if file.suffix in PACKED:
            self._unpacked.append(tempfile.TemporaryDirectory(prefix="ir_bag_"))
            file = _unpacked(file, Path(self._unpacked[-1].name))
        return SOURCES[suffix](file)

    def _gather(self, parts: list[list[RecordedStream]]) -> list[dict[int, str]]:
        """Puts the streams of all files together into topics; returns the names of each file's by number."""
        topics = self.summary.topics
        parts = [[stream._replace(topic=_modern(stream.topic)) for stream in part] for part in parts]
        streams = [stream for part in parts for stream in part]
        for stream in sorted(streams, key=lambda stream: not stream.topic.type or not _is_cdr(stream.topic)):
            topics.setdefault(stream.topic.name, stream.topic)
        for stream in streams:
            topic = topics[stream.topic.name]
            if topic.has_bytes_of(stream.topic):
                topics[topic.name] = _joined(topic, stream.topic)
        return [{stream.number: stream.topic.name for stream in part if self._is_read(stream)} for part in parts]

    def _is_read(self, stream: RecordedStream) -> bool:
        """Whether a stream is of its topic's type; counts its messages, or notes that they are left out."""
        name, topic = stream.topic.name, self.summary.topics[stream.topic.name]
        if topic.has_bytes_of(stream.topic):
            self.summary.counts[name] = self.summary.counts.get(name, 0) + stream.messages
            return True
        kind = stream.topic.type or stream.topic.serialization_format or "no type"
        which = f"another definition of {kind}" if kind == topic.type else kind
        note = f"{name}: {stream.messages} messages of {which} are left out; those of {topic.type} are read"
        self.summary.notes.append(note)
        return False

    def _add_told(self, told: BagMetadata) -> None:
        """QoS and hashes that only metadata.yaml tells."""
        for row in told.topics:
            topic = self.summary.topics.get(qualified(row["name"]))
            if topic:
                self.summary.topics[topic.name] = replace(
                    topic,
                    qos=topic.qos or parse(row.get("offered_qos_profiles")),
                    type_hash=topic.type_hash or str(row.get("type_description_hash") or ""),
                )

    def _find_packing(self, told: BagMetadata) -> None:
        """Whether messages are compressed one by one, whatever the metadata say, or files as a whole."""
        if self._unpacked:
            self.summary.packing = "file"
        first = self._first()
        if first is not None and first.data.startswith(_ZSTD):
            self.summary.packing = "message"
        elif told.compression_mode == "message" and told.compression_format not in ("", "zstd"):
            raise ConfigError(
                f"{self.path}: its messages are compressed as {told.compression_format}, which is not known here; "
                "`ros2 bag convert` can unpack them"
            )
        if self.summary.packing:
            packed = f"zstd (each {self.summary.packing})"
            self.summary.compression = ", ".join(filter(None, (packed, self.summary.compression)))

    def _first(self) -> Message | None:
        """A first message of a topic whose bytes are known to begin with a zero."""
        topics = self.summary.topics
        for source, names in zip(self._sources, self._names, strict=True):
            known = {number: name for number, name in names.items() if _is_cdr(topics[name])}
            try:
                if first := next(source.messages(known), None):
                    return first
            except ConfigError:  # damaged; is told where it is read
                continue
        return None


def repair(path: str | Path) -> list[str]:
    """Mends a bag that was cut off, in place: index and metadata.yaml; returns a line for each thing that was done.

    Raises:
        ConfigError: there is nothing to mend, or no room.
    """
    folder = Path(path)
    done = []
    try:
        for file in bag_files(folder, read_metadata(folder)).present:
            if file.suffix.lower() == ".mcap" and (what := mend(file)):
                done.append(f"{file.name}: {what}")
            if file.suffix.lower() == ".db3" and mend_log(file):
                done.append(f"{file.name}: holds now what stood in its log")
        if folder.is_dir():
            done += _repair_metadata(folder)
            (folder / ".reserve").unlink(missing_ok=True)
    except OSError as error:
        remedy = "make room, then try again" if error.errno == errno.ENOSPC else "see to that, then try again"
        raise ConfigError(f"{error.filename or folder}: cannot be mended ({error.strerror}); {remedy}") from None
    return done


def _repair_metadata(folder: Path) -> list[str]:
    told, bag = read_metadata(folder), BagReader(folder)
    summary = bag.summary
    if not told.found or bag.missing:
        write_metadata(folder, metadata(summary, [Path(name).name for name in summary.files]))
        return [f"{METADATA}: made from the {summary.messages} messages that are there"]
    if summary.packing != told.compression_mode and (summary.messages or summary.packing):
        packing = summary.packing
        changed = with_changes(told, compression_format="zstd" if packing else "", compression_mode=packing.upper())
        write_metadata(folder, changed)
        return [f"{METADATA}: says now what is compressed ({summary.packing or 'nothing'})"]
    return []


def _summary_of(source: McapSource | SqliteSource, file: Path) -> Summary:
    summary = source.summary()
    summary.files, summary.size = [str(file)], file.stat().st_size  # of the file that was given, packed or not
    return summary


def _is_cdr(topic: Topic) -> bool:
    return topic.serialization_format == "cdr"


def _modern(topic: Topic) -> Topic:
    """A topic with its full name, and its type as it is written since ROS 2 Dashing."""
    name, kind = qualified(topic.name), topic.type
    if _is_cdr(topic) and kind.count("/") == 1:
        kind = kind.replace("/", "/msg/")
    return replace(topic, name=name, type=kind, recorded_name=topic.name if topic.name != name else "")


def _joined(topic: Topic, other: Topic) -> Topic:
    """A topic with what another stream of it tells besides."""
    return replace(
        topic,
        definition=topic.definition or other.definition,
        type_hash=topic.type_hash or other.type_hash,
        qos=tuple(dict.fromkeys(topic.qos + other.qos)),
    )


def _merge(parts: list[Summary]) -> Summary:
    whole = parts[0]
    for part in parts[1:]:
        if part.spanned:
            whole.span(part.start, part.end)
        whole.size += part.size
        whole.files += part.files
        whole.problems += part.problems
        whole.notes += part.notes
        whole.compression = whole.compression or part.compression
    return whole


def _unpacked(file: Path, folder: Path) -> Path:
    target = folder / file.stem
    try:
        with file.open("rb") as packed, target.open("wb") as plain:
            _unpack(packed, plain)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be unpacked in {folder.parent} ({error.strerror}); make room") from None
    except zstandard.ZstdError as error:
        raise ConfigError(f"{file}: cannot be unpacked ({error}); it is damaged, or not compressed by zstd") from None
    return target


def _unpack(packed: BinaryIO, plain: BinaryIO) -> None:
    """Unpacks all frames of a compressed file."""
    data = packed.read(_PART)
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            if not data:
                raise zstandard.ZstdError("it was cut off")
            plain.write(frame.decompress(data))
            data = frame.unused_data or packed.read(_PART)


def _decompressed(message: Message) -> Message:
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        data = frame.decompress(message.data)
        if not frame.eof:
            raise zstandard.ZstdError("it was cut off")
        return message._replace(data=data)
    except zstandard.ZstdError as error:
        raise ConfigError(f"{message.topic}: a message cannot be unpacked ({error}); the bag is damaged") from None
