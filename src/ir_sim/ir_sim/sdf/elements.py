# SPDX-License-Identifier: Apache-2.0
"""XML elements that know the file and line they stand in."""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError

_COMMENT = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->", re.DOTALL)


@dataclass
class Element:
    """One XML element.

    Attributes:
        tag: name, with its prefix where it has one (mujoco:joint).
        attributes: by name.
        text: character data between the tags, stripped.
        children: in order.
        file, line: where the start tag stands.
    """

    tag: str
    attributes: dict[str, str]
    file: Path
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def error(self, what: str) -> ConfigError:
        """A `ConfigError` that points at this element."""
        return ConfigError(f"{self.file}:{self.line}: <{self.tag}>: {what}")

    def walk(self) -> Iterator[Element]:
        """The element and everything in it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, tag: str) -> Iterator[Element]:
        """Children of this name."""
        return (child for child in self.children if child.tag == tag)

    def find(self, path: str) -> Element | None:
        """First descendant at a path of names such as "axis/limit", or None."""
        found: Element | None = self
        for tag in path.split("/"):
            found = next(found.all(tag), None) if found else None
        return found

    def with_children(self, children: list[Element], **attributes: str) -> Element:
        """A copy with other children, and with these attributes besides its own."""
        return Element(self.tag, self.attributes | attributes, self.file, self.line, self.text, children)

    def leaf(self, tag: str, text: str = "", **attributes: str) -> Element:
        """A new element, said to stand where this one stands."""
        return Element(tag, attributes, self.file, self.line, text)

    def require(self, path: str) -> Element:
        """First descendant at a path of names."""
        found = self.find(path)
        if found is None:
            raise self.error(f"lacks <{path.replace('/', '><')}>")
        return found

    def attribute(self, name: str) -> str:
        """An attribute that must be there."""
        if name not in self.attributes:
            raise self.error(f'lacks the attribute {name}="…"')
        return self.attributes[name]

    def vector(self, length: int) -> NDArray[np.float64]:
        """The text as `length` finite numbers."""
        words = self.text.split()
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            values = np.empty(0)
        if len(values) != length or not np.all(np.isfinite(values)):
            raise self.error(f"expected {length} finite number{'s' * (length > 1)}, got {self.text!r}")
        return values

    def number(self, path: str, default: float | None = None) -> float:
        """The number in a descendant; without a default it must be there."""
        found = self.require(path) if default is None else self.find(path)
        return float(default) if found is None and default is not None else float(found.vector(1)[0])  # type: ignore[union-attr]

    def positive(self, path: str, default: float | None = None) -> float:
        """As `number`, above zero."""
        value = self.number(path, default)
        if not value > 0:
            raise (self.find(path) or self).error(f"must be positive, got {value:g}")
        return value

    def boolean(self, path: str, default: bool) -> bool:
        """The truth value in a descendant."""
        found = self.find(path)
        if found is None:
            return default
        values = {"true": True, "1": True, "false": False, "0": False}
        if found.text.lower() not in values:
            raise found.error(f"expected true or false, got {found.text!r}")
        return values[found.text.lower()]

    def string(self, path: str, default: str | None = None) -> str:
        """The text of a descendant; without a default it must be there and not be empty."""
        found = self.require(path) if default is None else self.find(path)
        if found is None:
            return default or ""
        if not found.text:
            raise found.error("is empty")
        return found.text


def _without_comments(data: bytes) -> bytes:
    """XML without its comments, lines as they were: many worlds have "--" in comments, which strict parsers refuse."""
    return _COMMENT.sub(lambda found: found[0] if found[0].startswith(b"<![") else b"\n" * found[0].count(b"\n"), data)


def parse(path: Path, data: bytes | None = None) -> Element:
    """Reads an XML file, or `data` as if they stood in it.

    Raises:
        ConfigError: the file cannot be read or is not well-formed, with its line.
    """
    try:
        data = _without_comments(path.read_bytes() if data is None else data)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give the path of an SDFormat or URDF file"
        ) from None
    parser = xml.parsers.expat.ParserCreate()
    root: list[Element] = []
    open_elements: list[Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, path, parser.CurrentLineNumber)
        (open_elements[-1].children if open_elements else root).append(element)
        open_elements.append(element)

    def text(characters: str) -> None:
        open_elements[-1].text += characters

    def end(_tag: str) -> None:
        element = open_elements.pop()
        element.text = element.text.strip()

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = start, text, end
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError as error:
        reason = xml.parsers.expat.ErrorString(error.code)
        raise ConfigError(f"{path}:{error.lineno}: is not well-formed XML: {reason}") from None
    return root[0]
