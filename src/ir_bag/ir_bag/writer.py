# SPDX-License-Identifier: Apache-2.0
"""Writes a bag: a folder with one file of messages and metadata.yaml, as rosbag2 does (format 9)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from ir_bag import mcap_file, sqlite_file
from ir_bag.contents import Message, Summary, Topic
from ir_bag.disk import Reserve
from ir_bag.qos_profiles import dump
from ir_common.config import ConfigError

STORAGES: dict[str, Any] = {"mcap": mcap_file.McapFile, "sqlite3": sqlite_file.SqliteFile}
SUFFIXES = {"mcap": mcap_file.SUFFIX, "sqlite3": sqlite_file.SUFFIX}


class DiskFull(Exception):
    """The bag could not be written on; the text says why, and what is lost. The bag itself was ended in good order."""


class BagWriter:
    """Writes messages of many topics. What `flush` has written survives the death of the process.

    Args:
        folder: of the new bag.
        storage: mcap or sqlite3.
        compression: of MCAP chunks: none, lz4 or zstd.
        distro: ROS distribution that the metadata names; by default the environment's.

    Raises:
        ConfigError: the folder exists, or cannot be made.
    """

    def __init__(
        self, folder: Path, storage: str = "mcap", compression: str = "none", distro: str | None = None
    ) -> None:
        self.folder = folder
        self._summary = Summary(storage, distro=os.environ.get("ROS_DISTRO", "") if distro is None else distro)
        self._held: Counter[str] = Counter()
        self._times: list[int] = []  # earliest and latest of what is held
        try:
            folder.mkdir(parents=True)
            self._reserve = Reserve(folder)
            path = folder / f"{folder.name}_0{SUFFIXES[storage]}"
            self._file = STORAGES[storage](path, self._summary.distro, compression)
        except FileExistsError:
            raise ConfigError(f"{folder}: exists already; give the bag another name (-o)") from None
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be made ({error.strerror}); give a folder with room (-o)") from None

    @property
    def topics(self) -> dict[str, Topic]:
        """Known topics by name."""
        return self._summary.topics

    @property
    def messages(self) -> int:
        """Messages written and held."""
        return self._summary.messages + self._held.total()

    def add_topic(self, topic: Topic) -> None:
        """Makes a topic known; its messages may follow."""
        self._summary.topics[topic.name] = topic
        self._file.add_topic(topic)

    def write(self, message: Message) -> None:
        """Takes a message of a known topic."""
        self._file.write(message)
        self._held[message.topic] += 1
        earliest, latest = self._times or (message.time, message.time)
        self._times = [min(earliest, message.time), max(latest, message.time)]

    def flush(self) -> None:
        """Hands what was taken to the operating system.

        Raises:
            DiskFull: it does not fit. The bag is closed by then.
        """
        try:
            self._flush()
        except OSError as error:
            self._end_full(error)

    def _flush(self) -> None:
        self._file.flush()
        for name, count in self._held.items():
            self._summary.counts[name] = self._summary.counts.get(name, 0) + count
        if self._times:
            self._summary.span(*self._times)
        self._held.clear()
        self._times.clear()

    def _end_full(self, cause: OSError) -> None:
        """What is held goes into the reserve, if it fits; then the bag is ended."""
        self._reserve.release()
        lost = ""
        try:
            self._flush()
        except OSError:
            lost = f"; {self._held.total()} messages of the last moments did not fit"
            self._held.clear()
        try:
            self._finish()
        except OSError:
            lost += "; the index did not fit: run info --repair on the bag where there is room"
        raise DiskFull(
            f"{self.folder}: {cause.strerror}; {self._summary.messages} messages are in the bag{lost}"
        ) from None

    def close(self) -> None:
        """Ends the bag.

        Raises:
            DiskFull: the last messages or the index do not fit.
        """
        try:
            self._flush()
            self._reserve.release()
            self._finish()
        except OSError as error:
            self._end_full(error)

    def _finish(self) -> None:
        self._reserve.release()
        document = metadata(self._summary, [self._file.path.name])
        try:
            self._file.close(yaml.safe_dump(document["rosbag2_bagfile_information"], sort_keys=False))
        finally:
            write_metadata(self.folder, document)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, DiskFull):
            self.close()


def write_metadata(folder: Path, document: dict[str, Any]) -> None:
    """Writes metadata.yaml, whole or not at all.

    Raises:
        OSError: there is no room.
    """
    path = folder / "metadata.yaml"
    new = path.with_suffix(".yaml.new")
    try:
        new.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def metadata(summary: Summary, files: list[str]) -> dict[str, Any]:
    """The content of metadata.yaml."""
    span = {
        "starting_time": {"nanoseconds_since_epoch": summary.start},
        "duration": {"nanoseconds": summary.end - summary.start},
        "message_count": summary.messages,
    }
    return {
        "rosbag2_bagfile_information": {
            "version": 9,
            "storage_identifier": summary.storage,
            **span,
            "topics_with_message_count": [
                {
                    "topic_metadata": {
                        "name": topic.recorded_name or topic.name,
                        "type": topic.type,
                        "serialization_format": topic.serialization_format,
                        "offered_qos_profiles": dump(topic.qos),
                        "type_description_hash": topic.type_hash,
                    },
                    "message_count": summary.counts.get(topic.name, 0),
                }
                for topic in summary.topics.values()
            ],
            "compression_format": "zstd" if summary.packing else "",
            "compression_mode": summary.packing.upper(),
            "relative_file_paths": files,
            "files": [{"path": name, **span} for name in files],
            "custom_data": None,
            "ros_distro": summary.distro,
        }
    }
