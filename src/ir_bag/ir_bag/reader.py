# SPDX-License-Identifier: Apache-2.0
"""Reads a bag, whole or cut off, of MCAP or sqlite3 files: its topics, and its messages as serialized bytes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
import zstandard

from ir_bag.contents import Message, Summary
from ir_bag.mcap_file import McapSource, mend
from ir_bag.qos_profiles import parse
from ir_bag.sqlite_file import SqliteSource
from ir_bag.writer import metadata, write_metadata
from ir_common.config import ConfigError

SOURCES: dict[str, Callable[[Path], McapSource | SqliteSource]] = {".mcap": McapSource, ".db3": SqliteSource}
_NAME = "metadata.yaml"
_PART = 1 << 20
"""B of a compressed file that are unpacked at once."""


class BagReader:
    """A bag to read.

    Args:
        path: its folder, or one file of it.

    Attributes:
        summary: topics, counts and times, found in the files themselves; its problems say what is damaged.

    Raises:
        ConfigError: there is no bag, or none that can be read; says which file, why, and what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._metadata = _read_metadata(self.path)
        files = _files(self.path, self._metadata)
        mode = str(self._metadata.get("compression_mode", "")).lower()
        self._unpacked = TemporaryDirectory(prefix="ir_bag_") if mode == "file" else None
        folder = Path(self._unpacked.name) if self._unpacked else None
        self._sources = [_source(_unpack(file, folder) if folder else file) for file in files]
        self.summary = _merge([source.summary() for source in self._sources])
        if folder:
            self.summary.files, self.summary.size = [str(f) for f in files], sum(f.stat().st_size for f in files)
            self.summary.compression = f"{self._metadata.get('compression_format')} (each file)"
        self._decompress = mode == "message"
        self.summary.distro = str(self._metadata.get("ros_distro") or "")
        if self._decompress:
            self.summary.compression = f"{self._metadata.get('compression_format')} (each message)"
        if self.path.is_dir() and not (self.path / _NAME).is_file():
            self.summary.problems.insert(0, f"{_NAME} is missing (the recording was cut off)")
        self._name_types()

    def messages(self, topics: Collection[str] | None = None, start: int = 0) -> Iterator[Message]:
        """Messages of `topics` (None: all) from time `start` (ns) on, in the order of time, always the same."""
        for message in heapq.merge(*(s.messages(topics, start) for s in self._sources), key=lambda m: m.time):
            yield message._replace(data=_decompressed(message.data)) if self._decompress else message

    def _name_types(self) -> None:
        """QoS and hashes that only metadata.yaml tells."""
        for row in self._metadata.get("topics_with_message_count") or ():
            told = row["topic_metadata"]
            topic = self.summary.topics.get(told["name"])
            if topic:
                self.summary.topics[topic.name] = replace(
                    topic,
                    qos=topic.qos or parse(told.get("offered_qos_profiles")),
                    type_hash=topic.type_hash or told.get("type_description_hash", ""),
                )


def repair(path: str | Path) -> list[str]:
    """Mends a bag that was cut off, in place: index and metadata.yaml; returns a line for each thing that was done.

    Raises:
        ConfigError: there is nothing to mend, or no room.
    """
    folder = Path(path)
    done = []
    try:
        for file in _files(folder, {}):
            if file.suffix == ".mcap" and mend(file):
                done.append(f"{file.name}: has an index again")
        if folder.is_dir() and not (folder / _NAME).is_file():
            reader = BagReader(folder)
            summary = reader.summary
            write_metadata(folder, metadata(summary, [Path(name).name for name in summary.files]))
            done.append(f"{_NAME}: made from the {summary.messages} messages that are there")
        (folder / ".reserve").unlink(missing_ok=True) if folder.is_dir() else None
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be mended ({error.strerror}); make room, then try again") from None
    return done


def _read_metadata(path: Path) -> dict[str, Any]:
    file = path / _NAME
    if not file.is_file():
        return {}
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        content = document["rosbag2_bagfile_information"]
        if not isinstance(content, dict):
            raise TypeError
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(f"{file}: is damaged; delete it, then run `ir bag info --repair {path}`") from None
    return content


def _files(path: Path, content: dict[str, Any]) -> list[Path]:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder; give the path of a bag")
    if path.is_file():
        return [path]
    named = [path / name for name in content.get("relative_file_paths") or ()]
    files = named or sorted(file for file in path.iterdir() if file.suffix in SOURCES)
    if not files:
        raise ConfigError(f"{path}: holds no bag (no {_NAME} and no {' or '.join(SOURCES)} file); give another path")
    return files


def _source(path: Path) -> McapSource | SqliteSource:
    if path.suffix not in SOURCES:
        raise ConfigError(f"{path}: bags are {' or '.join(SOURCES)} files, or a folder with such; give one of those")
    return SOURCES[path.suffix](path)


def _merge(parts: list[Summary]) -> Summary:
    whole = parts[0]
    for part in parts[1:]:
        whole.topics = part.topics | whole.topics
        for name, count in part.counts.items():
            whole.counts[name] = whole.counts.get(name, 0) + count
        if part.messages:
            whole.span(part.start, part.end)
        whole.size += part.size
        whole.files += part.files
        whole.problems += part.problems
    return whole


def _unpack(file: Path, folder: Path) -> Path:
    """A file that was compressed as a whole, unpacked in a folder."""
    unpacked = folder / (file.stem if file.suffix == ".zstd" else file.name)
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        with file.open("rb") as packed, unpacked.open("wb") as whole:
            while not decompressor.eof:
                if not (part := packed.read(_PART)):
                    raise zstandard.ZstdError("it was cut off")
                whole.write(decompressor.decompress(part))
    except zstandard.ZstdError as error:
        raise ConfigError(f"{file}: cannot be unpacked ({error}); the bag is damaged") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be unpacked ({error.strerror}); make room in {folder.parent}") from None
    return unpacked


def _decompressed(data: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError as error:
        raise ConfigError(f"a message cannot be unpacked ({error}); the bag is damaged") from None
