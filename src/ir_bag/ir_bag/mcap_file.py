# SPDX-License-Identifier: Apache-2.0
"""One MCAP file of a bag: written chunk by chunk, read with or without its index."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcap.records import Channel, Schema
from mcap.records import Message as McapMessage
from mcap.writer import CompressionType, Writer

from ir_bag import qos_profiles
from ir_bag.contents import Message, RecordedStream, Summary, Topic
from ir_bag.disk import WholeFile
from ir_bag.mcap_index import indexed, messages_at, open_mcap, scan
from ir_bag.mcap_repair import mend

SUFFIX = ".mcap"
_CHUNK = 1 << 20
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


class McapSource:
    """Reads one MCAP file, damaged or not.

    Args:
        path: of the file.

    Raises:
        ConfigError: this is no MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_mcap(path) as stream:
            self._index = indexed(stream) or scan(stream)

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
        with open_mcap(self.path) as stream:
            for chunk in [*chunks, None]:
                while waiting and (chunk is None or waiting[0][0] < chunk.message_start_time):
                    yield self._message(channels, heapq.heappop(waiting)[3])
                if chunk is not None:
                    for place, record in enumerate(messages_at(stream, chunk)):
                        if record.channel_id in channels and (start is None or record.log_time >= start):
                            heapq.heappush(waiting, (record.log_time, chunk.chunk_start_offset, place, record))

    @staticmethod
    def _message(channels: Mapping[int, str], record: McapMessage) -> Message:
        return Message(channels[record.channel_id], record.log_time, record.data, record.publish_time, record.sequence)


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
