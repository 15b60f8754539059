# SPDX-License-Identifier: Apache-2.0
"""The metadata.yaml of a bag as other programs and hands leave it, and the files that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

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
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
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


def with_changes(metadata: BagMetadata, **values: Any) -> dict[str, Any]:
    """The document of a bag's metadata with other values of some entries, all else as it is."""
    return {_ROOT: (metadata.document or {})[_ROOT] | values}


class BagFiles(NamedTuple):
    """The files of a bag, in the order of its parts, and the names in its metadata that no file has."""

    present: list[Path]
    missing: list[str]


def bag_files(path: Path, metadata: BagMetadata) -> BagFiles:
    """Finds the files of a bag.

    Args:
        path: the bag's folder, or one file of it.
        metadata: of the folder; names of files are those of the machine that recorded, with or without folders. Where
            one is not there, what else there is of a bag in the folder may be that file under another name.

    Raises:
        ConfigError: there are none.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder; give the path of a bag")
    if path.is_file():
        return BagFiles([path], [])
    found = {name: _present(path, name) for name in metadata.files}
    files = list(dict.fromkeys(file for file in found.values() if file))
    missing = [name for name, file in found.items() if not file]
    if missing or not files:
        known = {file.resolve() for file in files}
        files += [file for file in _storage_files(path) if file.resolve() not in known]
    if not files:
        for file in sorted(path.glob("*.bag")):
            refuse_ros1(file)
        suffixes = " or ".join(STORAGE_SUFFIXES)
        lack = f"{METADATA} names {missing[0]}, which is not there," if missing else f"no {METADATA}"
        raise ConfigError(f"{path}: holds no bag ({lack} and no {suffixes} file); give another path")
    return BagFiles(files, missing)


def _storage_files(folder: Path) -> list[Path]:
    """Files of bags in a folder; of one that is there packed and unpacked, the latter."""
    files = {file for file in folder.iterdir() if storage_suffix(file) in STORAGE_SUFFIXES and file.is_file()}
    return sorted(file for file in files if file.suffix not in PACKED or file.with_suffix("") not in files)


def _present(folder: Path, name: str) -> Path | None:
    """The file of a name, packed or not: where the name says, or in the folder, wherever that was when recording."""
    parts = PureWindowsPath(name).parts  # takes both kinds of slashes
    tails = [folder.joinpath(*parts[start:]) for start in range(1, len(parts))]
    absolute = Path(name).is_absolute()
    for file in (*tails, folder / name) if absolute else (folder / name, *tails):
        others = [file.with_name(file.name + suffix) for suffix in PACKED]
        others += [file.with_suffix("")] if file.suffix in PACKED else []
        for one in (file, *others):
            if one.is_file():
                return one
    return None


def storage_suffix(file: Path) -> str:
    """The suffix that tells the storage of a file, packed or not."""
    return (Path(file.stem).suffix if file.suffix in PACKED else file.suffix).lower()


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
