# SPDX-License-Identifier: Apache-2.0
"""One MCAP file of a bag: written chunk by chunk, read with or without its index, mended in place."""

from __future__ import annotations

import heapq
import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, ChunkIndex, DataEnd, Footer, McapRecord, MessageIndex, Schema, Statistics
from mcap.records import Message as McapMessage
from mcap.stream_reader import CRCValidationError, breakup_chunk
from mcap.writer import CompressionType, Writer
from zstandard import ZstdError

from ir_bag import qos_profiles
from ir_bag.contents import Message, RecordedStream, Summary, Topic
from ir_bag.disk import WholeFile
from ir_common.config import ConfigError

SUFFIX = ".mcap"
MAGIC = b"\x89MCAP0\r\n"
_CHUNK = 1 << 20
_HEADER = struct.Struct("<BQ")
_ERRORS = (
    McapError, CRCValidationError, ZstdError, struct.error, UnicodeDecodeError, ValueError, KeyError, RuntimeError
)  # fmt: skip
"""What the library raises on bytes that are no MCAP (lz4 raises RuntimeError)."""
COMPRESSIONS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}


class McapFile:
    """Writes one MCAP file of a bag.

    Args:
        path: of the new file.
        distro: ROS distribution; told by the bag's metadata.
        compression: of chunks, one of `COMPRESSIONS`.
    """

    def __init__(self, path: Path, distro: str, compression: str = "none") -> None:
        self.path = path
        self._file = WholeFile(path)
        self._writer = Writer(self._file, _CHUNK, COMPRESSIONS[compression])  # type: ignore[arg-type]
        self._writer.start(profile="ros2", library="ir_bag")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._file.flush()

    def add_topic(self, topic: Topic) -> None:
        """Makes a topic known."""
        schema = self._schemas.get(topic.type)
        if schema is None:
            schema = self._writer.register_schema(topic.type, topic.definition_format, topic.definition.encode())
            self._schemas[topic.type] = schema
        metadata = {"offered_qos_profiles": qos_profiles.dump_text(topic.qos), "topic_type_hash": topic.type_hash}
        self._channels[topic.name] = self._writer.register_channel(
            topic.name, topic.serialization_format, schema, metadata
        )

    def write(self, message: Message) -> None:
        """Holds a message until `flush`."""
        self._writer.add_message(
            self._channels[message.topic], message.time, message.data, message.publish_time or message.time,
            message.sequence & 0xFFFFFFFF,
        )  # fmt: skip

    def flush(self) -> None:
        """Writes what is held.

        Raises:
            OSError: it does not fit; call again when it does, or `close`.
        """
        self._writer.flush()

    def close(self, metadata: str) -> None:
        """Ends the file with its index; what could not be flushed is given up, what was is indexed.

        Args:
            metadata: text of metadata.yaml, kept in the file as rosbag2 does.

        Raises:
            OSError: there is no room for the index; the file can be read without, and mended later.
        """
        try:
            self._writer.add_metadata("rosbag2", {"serialized_metadata": metadata})
            self._writer.finish()
            self._file.flush()
        except OSError:
            self._file.forget()
            self._file.close()
            mend(self.path)
        else:
            self._file.close()


@dataclass
class _Index:
    """Where things are in a file.

    Attributes:
        chunks: places of messages; a message outside chunks is one of its own, of length 0.
        whole: offset up to which the records are whole and not of the summary.
    """

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    library: str = ""
    metadata: str = ""
    whole: int = 0
    problem: str = ""


class McapSource:
    """Reads one MCAP file, damaged or not.

    Args:
        path: of the file.

    Raises:
        ConfigError: this is no MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _open(path) as stream:
            self._index = _indexed(stream) or _scan(stream)

    def summary(self) -> Summary:
        """Times and size of the file, its compression, and what is damaged."""
        index = self._index
        summary = Summary(storage="mcap", size=self.path.stat().st_size, files=[str(self.path)])
        for chunk in index.chunks:
            summary.span(chunk.message_start_time, chunk.message_end_time)
        summary.compression = ", ".join(sorted({chunk.compression for chunk in index.chunks} - {""}))
        if index.problem:
            summary.problems.append(f"{self.path.name}: {index.problem}")
        return summary

    def streams(self) -> list[RecordedStream]:
        """The channels of the file."""
        index = self._index
        return [
            RecordedStream(number, _topic(channel, index.schemas.get(channel.schema_id)), index.counts[number])
            for number, channel in sorted(index.channels.items())
        ]

    def messages(self, channels: Mapping[int, str], start: int | None = None) -> Iterator[Message]:
        """Messages in the order of time; of equal times, in the order of the file.

        Args:
            channels: names of the topics to read, by number of the channel.
            start: ns, those before it are left out.
        """
        chunks = sorted(
            (chunk for chunk in self._index.chunks if start is None or chunk.message_end_time >= start),
            key=lambda chunk: (chunk.message_start_time, chunk.chunk_start_offset),
        )
        waiting: list[tuple[int, int, int, McapMessage]] = []
        with _open(self.path) as stream:
            for chunk in [*chunks, None]:
                while waiting and (chunk is None or waiting[0][0] < chunk.message_start_time):
                    yield self._message(channels, heapq.heappop(waiting)[3])
                if chunk is not None:
                    for place, record in enumerate(_messages_at(stream, chunk)):
                        if record.channel_id in channels and (start is None or record.log_time >= start):
                            heapq.heappush(waiting, (record.log_time, chunk.chunk_start_offset, place, record))

    @staticmethod
    def _message(channels: Mapping[int, str], record: McapMessage) -> Message:
        return Message(channels[record.channel_id], record.log_time, record.data, record.publish_time, record.sequence)


def _open(path: Path) -> BinaryIO:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a bag") from None
    if stream.read(len(MAGIC)) != MAGIC:
        stream.close()
        raise ConfigError(f"{path}: is no MCAP file (its first bytes are others); give another bag")
    return stream


def _indexed(stream: BinaryIO) -> _Index | None:
    """Reads the index at the file's end; None without a usable one."""
    try:
        stream.seek(0)
        reader = SeekingReader(stream)
        summary = reader.get_summary()
        if summary is None or not summary.chunk_indexes or summary.statistics is None:
            return None
        index = _Index(summary.schemas, summary.channels, summary.chunk_indexes)
        index.counts.update(summary.statistics.channel_message_counts)
        if not _tells_all(index, summary.statistics.message_count):
            return None
        index.chunks = [chunk for chunk in index.chunks if _holds_messages(stream, chunk)]
        index.chunks += _outside_chunks(stream, summary.chunk_indexes)
        return index
    except (*_ERRORS, OSError):
        return None


def _tells_all(index: _Index, messages: int) -> bool:
    """Whether channels, schemas and counts, which a writer may leave out of the summary, are all there."""
    channels = index.channels
    used = {number for chunk in index.chunks for number in chunk.message_index_offsets} | index.counts.keys()
    schemas = {channels[number].schema_id for number in used if number in channels} - {0}
    return used <= channels.keys() and schemas <= index.schemas.keys() and index.counts.total() == messages


def _holds_messages(stream: BinaryIO, chunk: ChunkIndex) -> bool:
    """Whether there are messages in a chunk; one without is said to begin and end at 0, which is a time, too."""
    if chunk.message_start_time or chunk.message_end_time or chunk.message_index_offsets:
        return True
    return bool(_messages_at(stream, chunk))


def _outside_chunks(stream: BinaryIO, chunks: list[ChunkIndex]) -> list[ChunkIndex]:
    """Places of messages that no index tells of; only what lies between the chunks is looked at."""
    ends = {c.chunk_start_offset: c.chunk_start_offset + c.chunk_length + c.message_index_length for c in chunks}
    found: list[ChunkIndex] = []
    at = len(MAGIC)
    while True:
        if at in ends:
            at = ends[at]
            continue
        stream.seek(at)
        opcode, length = _HEADER.unpack(stream.read(_HEADER.size))
        if opcode == Opcode.DATA_END:
            return found
        if opcode == Opcode.MESSAGE:
            message = McapMessage.read(ReadDataStream(stream), length)
            found.append(_place(at, 0, message.log_time, message.log_time))
        at += _HEADER.size + length


def _scan(stream: BinaryIO) -> _Index:
    """Makes an index from the records themselves, as far as they are whole."""
    index = _Index(problem="the index at the end is missing (the recording was cut off)")
    size = stream.seek(0, os.SEEK_END)
    at = index.whole = len(MAGIC)
    while at + _HEADER.size <= size:
        stream.seek(at)
        opcode, length = _HEADER.unpack(stream.read(_HEADER.size))
        end = at + _HEADER.size + length
        if end > size:
            break
        if opcode == Opcode.DATA_END:
            index.problem = "" if index.problem and _ends_well(stream, size) else index.problem
            return index
        try:
            _take(index, opcode, stream, at, length)
        except _ERRORS as error:
            index.problem = f"the record at byte {at} is damaged ({error}); what follows is not read"
            return index
        at = index.whole = end
    if at < size:
        index.problem += f"; {size - at} B of a record that is not whole are left out"
    return index


def _ends_well(stream: BinaryIO, size: int) -> bool:
    stream.seek(size - len(MAGIC))
    return stream.read() == MAGIC


def _take(index: _Index, opcode: int, stream: BinaryIO, at: int, length: int) -> None:
    data = ReadDataStream(stream)
    if opcode == Opcode.CHUNK:
        _take_chunk(index, Chunk.read(data), at, length)
    elif opcode == Opcode.MESSAGE:
        message = McapMessage.read(data, length)
        _take_message(index, message)
        index.chunks.append(_place(at, 0, message.log_time, message.log_time))
    elif opcode == Opcode.SCHEMA:
        schema = Schema.read(data)
        index.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(data)
        index.channels[channel.id] = channel
    elif opcode == Opcode.MESSAGE_INDEX and index.chunks:
        chunk = index.chunks[-1]
        chunk.message_index_offsets[MessageIndex.read(data).channel_id] = at
        chunk.message_index_length += _HEADER.size + length


def _take_chunk(index: _Index, chunk: Chunk, at: int, length: int) -> None:
    records = breakup_chunk(chunk, validate_crc=True)
    place = _place(at, _HEADER.size + length, chunk.message_start_time, chunk.message_end_time)
    place.compression, place.compressed_size = chunk.compression, len(chunk.data)
    place.uncompressed_size = chunk.uncompressed_size
    before = index.counts.total()
    for record in records:
        if isinstance(record, Schema):
            index.schemas[record.id] = record
        elif isinstance(record, Channel):
            index.channels[record.id] = record
        elif isinstance(record, McapMessage):
            _take_message(index, record)
    if index.counts.total() > before:
        index.chunks.append(place)


def _take_message(index: _Index, message: McapMessage) -> None:
    if message.channel_id not in index.channels:
        raise ValueError(f"message of unknown channel {message.channel_id}")
    index.counts[message.channel_id] += 1


def _place(at: int, length: int, start: int, end: int) -> ChunkIndex:
    return ChunkIndex(
        chunk_length=length, chunk_start_offset=at, compression="", compressed_size=0, message_end_time=end,
        message_index_length=0, message_index_offsets={}, message_start_time=start, uncompressed_size=0,
    )  # fmt: skip


def _messages_at(stream: BinaryIO, place: ChunkIndex) -> list[McapMessage]:
    stream.seek(place.chunk_start_offset)
    opcode, length = _HEADER.unpack(stream.read(_HEADER.size))
    data = ReadDataStream(stream)
    if opcode == Opcode.MESSAGE:
        return [McapMessage.read(data, length)]
    try:
        return [record for record in breakup_chunk(Chunk.read(data), True) if isinstance(record, McapMessage)]
    except _ERRORS as error:
        raise ConfigError(
            f"{stream.name}: the chunk at byte {place.chunk_start_offset} is damaged ({error}); "
            "`ir bag info --repair` keeps what is before it"
        ) from None


def _topic(channel: Channel, schema: Schema | None) -> Topic:
    return Topic(
        channel.topic,
        schema.name if schema else "",
        schema.data.decode("utf-8", "replace") if schema else "",
        schema.encoding if schema else "",
        channel.metadata.get("topic_type_hash", ""),
        qos_profiles.parse(channel.metadata.get("offered_qos_profiles", "")),
        channel.message_encoding,
    )


def mend(path: Path) -> bool:
    """Gives a file that was cut off its index, in place; returns whether it needed one.

    What is not whole at the end is cut away; nothing else is changed, so a second try can follow one that failed.

    Raises:
        ConfigError: this is no MCAP file.
        OSError: there is no room for the index.
    """
    with _open(path) as stream:
        if _indexed(stream):
            return False
        index = _scan(stream)
    if not index.problem:
        return False
    os.truncate(path, index.whole)
    tail = _tail(index)
    with path.open("ab", buffering=0) as file:
        try:
            if file.write(tail) < len(tail):
                raise OSError(28, "No space left on device", str(path))
        except OSError:
            os.truncate(path, index.whole)
            raise
    return True


def _tail(index: _Index) -> bytes:
    """The bytes of a file from the end of its data on: summary, footer, magic."""
    chunks = [chunk for chunk in index.chunks if chunk.chunk_length]
    statistics = Statistics(
        attachment_count=0, channel_count=len(index.channels), channel_message_counts=dict(index.counts),
        chunk_count=len(chunks), message_count=index.counts.total(), metadata_count=0,
        message_start_time=min((chunk.message_start_time for chunk in index.chunks), default=0),
        message_end_time=max((chunk.message_end_time for chunk in index.chunks), default=0),
        schema_count=len(index.schemas),
    )  # fmt: skip
    data_end, summary, footer = RecordBuilder(), RecordBuilder(), RecordBuilder()
    DataEnd(0).write(data_end)
    records: list[McapRecord] = [*index.schemas.values(), *index.channels.values(), statistics, *chunks]
    for record in records:
        record.write(summary)
    end = data_end.end()
    Footer(summary_start=index.whole + len(end), summary_offset_start=0, summary_crc=0).write(footer)
    return end + summary.end() + footer.end() + MAGIC
