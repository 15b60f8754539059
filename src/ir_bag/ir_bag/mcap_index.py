# SPDX-License-Identifier: Apache-2.0
"""Where things are in an MCAP file: read from its index, or found in its records."""

from __future__ import annotations

import os
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, ChunkIndex, McapRecord, MessageIndex, Schema
from mcap.records import Message as McapMessage
from mcap.stream_reader import CRCValidationError, breakup_chunk
from zstandard import ZstdError

from ir_common.config import ConfigError

MAGIC = b"\x89MCAP0\r\n"
COMPRESSIONS = ("", "lz4", "zstd")
"""Of chunks, as they are named in a file."""
_HEADER = struct.Struct("<BQ")
_ERRORS = (
    McapError, CRCValidationError, ZstdError, struct.error, UnicodeDecodeError, ValueError, KeyError, RuntimeError
)  # fmt: skip
"""What the library raises on bytes that are no MCAP (lz4 raises RuntimeError)."""


class DamagedChunk(ConfigError):
    """The bytes of a chunk are not those that were written."""


@dataclass
class McapIndex:
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


def open_mcap(path: Path) -> BinaryIO:
    """Opens a file that begins as MCAP files do.

    Raises:
        ConfigError: it cannot be read, or is another kind of file.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a bag") from None
    if stream.read(len(MAGIC)) != MAGIC:
        stream.close()
        raise ConfigError(f"{path}: is no MCAP file (its first bytes are others); give another bag")
    return stream


def indexed(stream: BinaryIO) -> McapIndex | None:
    """Reads the index at the file's end; None without a usable one."""
    try:
        stream.seek(0)
        reader = SeekingReader(stream)
        summary = reader.get_summary()
        if summary is None or not summary.chunk_indexes or summary.statistics is None:
            return None
        index = McapIndex(summary.schemas, summary.channels, summary.chunk_indexes)
        index.counts.update(summary.statistics.channel_message_counts)
        if not _tells_all(index, summary.statistics.message_count):
            return None
        index.chunks = [chunk for chunk in index.chunks if _holds_messages(stream, chunk)]
        outside, index.whole = _outside_chunks(stream, summary.chunk_indexes)
        index.chunks += outside
        return index
    except (*_ERRORS, OSError):
        return None


def _tells_all(index: McapIndex, messages: int) -> bool:
    """Whether channels, schemas and counts, which a writer may leave out of the summary, are all there."""
    channels = index.channels
    used = {number for chunk in index.chunks for number in chunk.message_index_offsets} | index.counts.keys()
    schemas = {channels[number].schema_id for number in used if number in channels} - {0}
    return used <= channels.keys() and schemas <= index.schemas.keys() and index.counts.total() == messages


def _holds_messages(stream: BinaryIO, chunk: ChunkIndex) -> bool:
    """Whether there are messages in a chunk; one without is said to begin and end at 0, which is a time, too."""
    if chunk.message_start_time or chunk.message_end_time or chunk.message_index_offsets:
        return True
    return bool(messages_at(stream, chunk))


def _outside_chunks(stream: BinaryIO, chunks: list[ChunkIndex]) -> tuple[list[ChunkIndex], int]:
    """Places of messages that no index tells of, and where the data end; only what is between chunks is looked at."""
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
            return found, at
        if opcode == Opcode.MESSAGE:
            message = McapMessage.read(ReadDataStream(stream), length)
            found.append(place_at(at, 0, message.log_time, message.log_time))
        at += _HEADER.size + length


def scan(stream: BinaryIO) -> McapIndex:
    """Makes an index from the records themselves, as far as they are whole."""
    index = McapIndex(problem="the index at the end is missing (the recording was cut off)")
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
        except ConfigError:
            raise
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


def _take(index: McapIndex, opcode: int, stream: BinaryIO, at: int, length: int) -> None:
    data = ReadDataStream(stream)
    if opcode == Opcode.CHUNK:
        _take_chunk(index, Chunk.read(data), stream, at, length)
    elif opcode == Opcode.MESSAGE:
        message = McapMessage.read(data, length)
        _take_message(index, message)
        index.chunks.append(place_at(at, 0, message.log_time, message.log_time))
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


def _take_chunk(index: McapIndex, chunk: Chunk, stream: BinaryIO, at: int, length: int) -> None:
    records = _content(chunk, stream)
    place = place_at(at, _HEADER.size + length, chunk.message_start_time, chunk.message_end_time)
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


def _take_message(index: McapIndex, message: McapMessage) -> None:
    if message.channel_id not in index.channels:
        raise ValueError(f"message of unknown channel {message.channel_id}")
    index.counts[message.channel_id] += 1


def place_at(at: int, length: int, start: int, end: int) -> ChunkIndex:
    """The entry of an index for what is at byte `at`, `length` B long, with messages of times `start` to `end`, ns."""
    return ChunkIndex(
        chunk_length=length, chunk_start_offset=at, compression="", compressed_size=0, message_end_time=end,
        message_index_length=0, message_index_offsets={}, message_start_time=start, uncompressed_size=0,
    )  # fmt: skip


def messages_at(stream: BinaryIO, place: ChunkIndex) -> list[McapMessage]:
    """The messages of a chunk, or the one outside chunks that a place is of.

    Raises:
        ConfigError: the chunk is damaged, or compressed in a way that is not known here.
    """
    stream.seek(place.chunk_start_offset)
    opcode, length = _HEADER.unpack(stream.read(_HEADER.size))
    data = ReadDataStream(stream)
    if opcode == Opcode.MESSAGE:
        return [McapMessage.read(data, length)]
    try:
        return [record for record in _content(Chunk.read(data), stream) if isinstance(record, McapMessage)]
    except ConfigError:
        raise
    except _ERRORS as error:
        raise DamagedChunk(
            f"{stream.name}: the chunk at byte {place.chunk_start_offset} is damaged ({error}); "
            "`ir bag info --repair` leaves it out"
        ) from None


def _content(chunk: Chunk, stream: BinaryIO) -> list[McapRecord]:
    if chunk.compression not in COMPRESSIONS:
        raise ConfigError(
            f"{stream.name}: its chunks are compressed as {chunk.compression!r}, which is not known here; "
            "`mcap compress` writes it anew with another compression"
        )
    return breakup_chunk(chunk, validate_crc=True)
