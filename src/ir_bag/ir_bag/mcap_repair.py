# SPDX-License-Identifier: Apache-2.0
"""Mends an MCAP file in place: an index where it was cut off, and one without the chunks that are damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import RecordBuilder
from mcap.records import DataEnd, Footer, McapRecord, Statistics

from ir_bag.mcap_index import MAGIC, DamagedChunk, McapIndex, indexed, messages_at, open_mcap, scan


def mend(path: Path) -> str:
    """Gives a file that was cut off, or that holds damaged chunks, its index; returns what was done, "": nothing.

    What is not whole at the end is cut away; nothing else is changed, so a second try can follow one that failed.

    Raises:
        ConfigError: this is no MCAP file, or its compression is not known here.
        OSError: there is no room for the index.
    """
    with open_mcap(path) as stream:
        index = indexed(stream)
        if index:
            damaged = _leave_out_damaged(index, stream)
        else:
            index, damaged = scan(stream), 0
    if not (index.problem or damaged):
        return ""
    os.truncate(path, index.whole)
    tail = _tail(index)
    with path.open("ab", buffering=0) as file:
        try:
            if file.write(tail) < len(tail):
                raise OSError(28, "No space left on device", str(path))
        except OSError:
            os.truncate(path, index.whole)
            raise
    return f"the index leaves out {damaged} damaged chunks now" if damaged else "has an index again"


def _leave_out_damaged(index: McapIndex, stream: BinaryIO) -> int:
    """Takes chunks that cannot be read out of an index, and their messages out of its counts; how many they are."""
    chunks, index.chunks = index.chunks, []
    index.counts.clear()
    for chunk in chunks:
        try:
            index.counts.update(message.channel_id for message in messages_at(stream, chunk))
        except DamagedChunk:
            continue
        index.chunks.append(chunk)
    return len(chunks) - len(index.chunks)


def _tail(index: McapIndex) -> bytes:
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
