# SPDX-License-Identifier: Apache-2.0
"""Message definitions, read from the interface packages that are installed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_SEPARATOR = "=" * 80
_BUILT_IN = {
    "bool", "byte", "char", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "string", "wstring",
}  # fmt: skip
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]")
_KINDS = ("msg", "srv", "action")
_DIVIDER = re.compile(r"^={3,}\s*$", re.MULTILINE)
_EQUALS = re.compile(r"\s*(?<!<)=\s*")
_CONSTANT = re.compile(r"^\S+ (\w+)=(.*)$")


class Definition(NamedTuple):
    """What a bag says about a type."""

    text: str
    """Its .msg file, then those of all types that it holds, each after a line of = and its name."""
    type_hash: str
    """RIHS01_…, empty: the installation does not tell."""


class Definitions:
    """Definitions of installed types.

    Args:
        prefixes: folders with share/<package>/msg/*.msg; by default those of AMENT_PREFIX_PATH.
    """

    def __init__(self, prefixes: Sequence[Path] | None = None) -> None:
        given = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        self._prefixes = [Path(prefix) for prefix in given if prefix] if prefixes is None else list(prefixes)
        self._known: dict[str, Definition | None] = {}

    def find(self, type_name: str) -> Definition | None:
        """The definition of a type such as sensor_msgs/msg/Imu; None: it, or a part of it, is not installed."""
        if type_name not in self._known:
            self._known[type_name] = self._read(type_name)
        return self._known[type_name]

    def _read(self, type_name: str) -> Definition | None:
        texts: dict[str, str] = {}
        wanted = [type_name]
        while wanted:
            name = wanted.pop(0)
            if name in texts:
                continue
            path = self._path(name, ".msg")
            if path is None:
                return None
            texts[name] = path.read_text(encoding="utf-8")
            wanted += parts(texts[name], name.split("/")[0])
        main, *others = texts.items()
        blocks = [main[1], *(f"{_SEPARATOR}\nMSG: {_short(name)}\n{text}" for name, text in others)]
        return Definition("\n".join(block.rstrip("\n") for block in blocks) + "\n", self._hash(type_name))

    def _path(self, type_name: str, suffix: str) -> Path | None:
        package, kind, name = type_name.split("/") if type_name.count("/") == 2 else ("", "", "")
        if kind not in _KINDS:
            return None
        paths = (prefix / "share" / package / kind / f"{name}{suffix}" for prefix in self._prefixes)
        return next((path for path in paths if path.is_file()), None)

    def _hash(self, type_name: str) -> str:
        path = self._path(type_name, ".json")
        if path is None:
            return ""
        for entry in json.loads(path.read_text(encoding="utf-8")).get("type_hashes", ()):
            if entry.get("type_name") == type_name:
                return str(entry.get("hash_string", ""))
        return ""


def parts(text: str, package: str) -> list[str]:
    """Types that the fields of a .msg file name, in order, without the built-in ones."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        match = _FIELD.match(line.split("#")[0])
        if not match or match[1] in _BUILT_IN:
            continue
        names = match[1].split("/")
        home = names[0] if len(names) > 1 else package
        found[f"{home}/msg/{names[-1]}"] = None
    return list(found)


def _short(type_name: str) -> str:
    package, _, name = type_name.split("/")
    return f"{package}/{name}"


def same_layout(text: str, type_hash: str, installed: Definition, type_name: str) -> bool:
    """Whether bytes recorded under a definition fit the installed one; what the bag does not tell is taken to fit.

    Args:
        text: recorded definition, in the format ros2msg; empty: not told.
        type_hash: recorded hash; empty: not told.
        installed: what is installed.
        type_name: such as sensor_msgs/msg/Imu.
    """
    if type_hash and installed.type_hash:
        return type_hash == installed.type_hash
    return not blocks_differ(text, installed.text, type_name)


class _Block(NamedTuple):
    """The fields of a type in order, and its constants with their values, one form for all ways to write them."""

    fields: list[str]
    constants: dict[str, str]

    def differs(self, other: _Block) -> bool:
        """Whether fields are others, or a constant of both has another value; one more or less takes no bytes."""
        common = self.constants.keys() & other.constants.keys()
        return self.fields != other.fields or any(self.constants[name] != other.constants[name] for name in common)


def blocks_differ(one: str, other: str, type_name: str) -> bool:
    """Whether two definitions of a type differ in a type that both define.

    Their order, comments and default values do not matter, nor constants that only one has, as in REP-2016.
    """
    ours, theirs = _blocks(one, type_name), _blocks(other, type_name)
    return any(ours[name].differs(theirs[name]) for name in ours.keys() & theirs.keys())


def _blocks(text: str, type_name: str) -> dict[str, _Block]:
    """A type and those that it holds, by name."""
    if not text.strip():
        return {}
    main, *others = _DIVIDER.split(text)
    blocks = {type_name: _fields(main, type_name.split("/")[0])}
    for other in others:
        head, _, body = other.strip().partition("\n")
        name = head.removeprefix("MSG:").strip().split("/")
        blocks[f"{name[0]}/msg/{name[-1]}"] = _fields(body, name[0])
    return blocks


def _fields(text: str, package: str) -> _Block:
    block = _Block([], {})
    for line in text.splitlines():
        words = _EQUALS.sub("=", " ".join(line.split("#")[0].split()))
        constant = _CONSTANT.match(words)
        if constant:
            block.constants[constant[1]] = constant[2]
        elif words:
            block.fields.append(" ".join(_qualified_type(words, package).split()[:2]))  # what follows is the default
    return block


def _qualified_type(line: str, package: str) -> str:
    """The line with its type as package/Name, where it is no built-in one."""
    match = _FIELD.match(line)
    if not match or match[1] in _BUILT_IN:
        return line
    names = match[1].split("/")
    return f"{names[0] if len(names) > 1 else package}/{names[-1]}{line[match.end(1) :]}"
