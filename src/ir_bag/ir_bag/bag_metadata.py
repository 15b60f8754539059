# SPDX-License-Identifier: Apache-2.0
"""The metadata.yaml of a bag as other programs and hands leave it, and the files that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ir_common.config import ConfigError

METADATA = "metadata.yaml"
PACKED = (".zstd", ".zst")
"""Suffixes of files that are compressed as a whole."""
STORAGE_SUFFIXES = (".mcap", ".db3")
_ROOT = "rosbag2_bagfile_information"
_ROS1 = b"#ROSBAG V"


@dataclass(frozen=True)
class BagMetadata:
    """What the file says and this package uses; what is missing, null or of another kind is empty.

    Attributes:
        found: whether there is a file.
        document: all of it.
        files: names of the bag's files.
        topics: name, type, QoS and hash of each topic, as they stand.
        compression_mode: in small letters: "message", "file" or empty.
    """

    found: bool = False
    document: dict[str, Any] | None = None
    files: tuple[str, ...] = ()
    topics: tuple[dict[str, Any], ...] = ()
    distro: str = ""
    compression_mode: str = ""
    compression_format: str = ""


def read_metadata(folder: Path) -> BagMetadata:
    """The metadata of a bag's folder; nothing where there is no file.

    Raises:
        ConfigError: the file cannot be read as metadata; says what is missing.
    """
    file = folder / METADATA
    if not file.is_file():
        return BagMetadata()
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"{file}: is damaged; delete it, then run `ir bag info --repair {folder}`") from None
    content = document.get(_ROOT) if isinstance(document, dict) else None
    if not isinstance(content, dict):
        raise ConfigError(
            f"{file}: is damaged: the entry {_ROOT} is missing or empty; delete the file, then run "
            f"`ir bag info --repair {folder}`"
        )
    rows = [row.get("topic_metadata") for row in _list(content, "topics_with_message_count") if isinstance(row, dict)]
    return BagMetadata(
        True,
        document,
        tuple(name for name in _list(content, "relative_file_paths") if isinstance(name, str) and name),
        tuple(row for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)),
        str(content.get("ros_distro") or ""),
        str(content.get("compression_mode") or "").lower(),
        str(content.get("compression_format") or "").lower(),
    )


def _list(content: dict[str, Any], name: str) -> list[Any]:
    """An entry that should be a list; one value alone is a list of it."""
    value = content.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


def with_compression(metadata: BagMetadata, mode: str) -> dict[str, Any]:
    """The document of a bag's metadata with another compression mode, all else as it is."""
    content = (metadata.document or {})[_ROOT]
    return {_ROOT: content | {"compression_format": "zstd" if mode else "", "compression_mode": mode.upper()}}


def bag_files(path: Path, metadata: BagMetadata) -> list[Path]:
    """The files of a bag, in the order of its parts.

    Args:
        path: the bag's folder, or one file of it.
        metadata: of the folder.

    Raises:
        ConfigError: there are none.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder; give the path of a bag")
    if path.is_file():
        return [path]
    files = [_present(path / name) for name in metadata.files]
    files = files or sorted(file for file in path.iterdir() if storage_suffix(file) in STORAGE_SUFFIXES)
    if not files:
        for file in sorted(path.glob("*.bag")):
            refuse_ros1(file)
        suffixes = " or ".join(STORAGE_SUFFIXES)
        raise ConfigError(f"{path}: holds no bag (no {METADATA} and no {suffixes} file); give another path")
    return files


def _present(file: Path) -> Path:
    """The file, or where it is not there the same one packed or unpacked."""
    others = [file.with_name(file.name + suffix) for suffix in PACKED]
    others += [file.with_suffix("")] if file.suffix in PACKED else []
    return next((one for one in (file, *others) if one.is_file()), file)


def storage_suffix(file: Path) -> str:
    """The suffix that tells the storage of a file, packed or not."""
    return Path(file.stem).suffix if file.suffix in PACKED else file.suffix


def refuse_ros1(file: Path) -> None:
    """Says of a bag of ROS 1 how it is converted.

    Raises:
        ConfigError: this is one.
    """
    try:
        with file.open("rb") as stream:
            old = stream.read(len(_ROS1)) == _ROS1
    except OSError:
        return
    if old:
        raise ConfigError(
            f"{file}: is a bag of ROS 1; convert it first: pip install rosbags, then "
            f"rosbags-convert --src {file} --dst {file.stem}"
        )
