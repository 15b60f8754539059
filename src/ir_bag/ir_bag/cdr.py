# SPDX-License-Identifier: Apache-2.0
"""Decodes the bytes of a message by the text of its definition, as a bag carries both; needs no ROS installation.

The encoding is plain CDR (OMG, version 1), little or big endian, which is what ROS 2 puts on the wire and into bags.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

_NUMBERS = {
    "bool": "?", "byte": "B", "char": "B", "uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I",
    "int32": "i", "uint64": "Q", "int64": "q", "float32": "f", "float64": "d",
}  # fmt: skip
_BLOCKS = re.compile(r"^=+\n", re.MULTILINE)
_FIELD = re.compile(r"(?P<type>[A-Za-z][\w/]*)(?:<=\d+)?(?P<array>\[[^\]]*\])?\s+[A-Za-z]\w*\s*(?P<rest>.*)")
_ENCODINGS: dict[bytes, Literal["<", ">"]] = {b"\0\0": ">", b"\0\1": "<"}
_PADDING = 3
"""Bytes that a middleware may put behind a message."""


class _Bytes:
    """Reads on from a place in the body of a message."""

    def __init__(self, data: bytes) -> None:
        order = _ENCODINGS.get(data[:2])
        if order is None:
            raise ValueError("its encoding is not plain CDR")
        self.order, self.body, self.at = order, memoryview(data)[4:], 0

    def number(self, code: str) -> Any:
        size = struct.calcsize(code)
        self.at += -self.at % size
        (value,) = struct.unpack_from(self.order + code, self.body, self.at)
        self.at += size
        return value

    def numbers(self, code: str, count: int) -> Any:
        """An array [count]."""
        size = struct.calcsize(code)
        if count:
            self.at += -self.at % size
        found = np.frombuffer(self.body, np.dtype(code).newbyteorder(self.order), count, self.at)
        self.at += count * size
        return found.astype(code)

    def text(self) -> str:
        size = self.number("I")
        raw = bytes(self.body[self.at : self.at + size])
        if len(raw) < size:
            raise ValueError("it ends within a string")
        self.at += size
        return raw.rstrip(b"\0").decode("utf-8")


_Read = Callable[[_Bytes], Any]


class CdrDecoder:
    """Decodes messages of one type.

    Args:
        type_name: such as sensor_msgs/msg/Imu.
        text: its .msg file, then those of all types that it holds, each after a line of = and its name.

    Raises:
        ValueError: the text is no such definition, or holds what is not decoded here (wide strings).
    """

    def __init__(self, type_name: str, text: str) -> None:
        main, *others = _BLOCKS.split(text.replace("\r\n", "\n"))
        self._texts = {type_name: main}
        for block in others:
            name, _, rest = block.partition("\n")
            self._texts[_full(name.removeprefix("MSG:").strip(), "")] = rest
        self._structs: dict[str, list[tuple[str, _Read]]] = {}
        self._fields = self._struct(type_name)

    @property
    def fields(self) -> list[str]:
        """Names of the fields, in order."""
        return [name for name, _ in self._fields]

    def decode(self, data: bytes) -> dict[str, Any]:
        """The fields of a message: numbers, texts, arrays of numbers [n], lists of the others, mappings of its parts.

        Raises:
            ValueError: the bytes are no message of this type.
        """
        source = _Bytes(data)
        try:
            message = {name: read(source) for name, read in self._fields}
        except struct.error as error:
            raise ValueError(f"it ends too early ({error})") from None
        if not 0 <= len(source.body) - source.at <= _PADDING:
            raise ValueError(f"{len(source.body)} B, its definition takes {source.at}")
        return message

    def _struct(self, type_name: str) -> list[tuple[str, _Read]]:
        if type_name not in self._structs:
            if type_name not in self._texts:
                raise ValueError(f"the definition of {type_name} is missing")
            self._structs[type_name] = fields = []
            for line in self._texts[type_name].splitlines():
                match = _FIELD.fullmatch(line.split("#")[0].strip())
                if match and not match["rest"].startswith("="):  # else it is a constant
                    name = line.split("#")[0].split()[1]
                    fields.append((name, self._field(match["type"], match["array"], type_name.split("/")[0])))
            if not fields:
                fields.append(("structure_needs_at_least_one_member", lambda source: source.number("B")))
        return self._structs[type_name]

    def _field(self, kind: str, array: str | None, package: str) -> _Read:
        code = _NUMBERS.get(kind, "")
        one = self._one(kind, code, package)
        if array is None:
            return one
        fixed = int(array[1:-1]) if array[1:-1].isdigit() else None

        def many(source: _Bytes) -> Any:
            count = source.number("I") if fixed is None else fixed
            return source.numbers(code, count) if code else [one(source) for _ in range(count)]

        return many

    def _one(self, kind: str, code: str, package: str) -> _Read:
        if code:
            return lambda source: source.number(code)
        if kind == "string":
            return _Bytes.text
        if kind == "wstring":
            raise ValueError("wide strings are not decoded")
        fields = self._struct(_full(kind, package))
        return lambda source: {name: read(source) for name, read in fields}


def _full(name: str, package: str) -> str:
    """Such as std_msgs/msg/Header for std_msgs/Header and, within that package, Header."""
    parts = name.split("/")
    return f"{parts[0] if len(parts) > 1 else package}/msg/{parts[-1]}"
