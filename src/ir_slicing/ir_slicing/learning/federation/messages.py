# SPDX-License-Identifier: Apache-2.0
"""What crosses between slice and orchestrator, byte for byte: nothing but weights and what it takes to add them up."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct("<4sIIBB")  # magic, round, samples or basis, lengths of name and architecture
_UPDATE, _GLOBAL = b"IRU1", b"IRG1"


@dataclass(frozen=True)
class Update:
    """A slice's contribution to one round.

    Attributes:
        round: of the global weights that it started from.
        slice: name.
        samples: |D_m| of (19): transitions that it learnt from since.
        architecture: of the networks (`agents.batched.architecture`).
        payload: encoded change of the shared weights (`compression`).
    """

    round: int
    slice: str
    samples: int
    architecture: str
    payload: bytes

    def to_bytes(self) -> bytes:
        """The message on the wire."""
        return _pack(_UPDATE, self.round, self.samples, self.slice, self.architecture, self.payload)

    @classmethod
    def from_bytes(cls, data: bytes) -> Update:
        """Reads what `to_bytes` wrote.

        Raises:
            ValueError: cut short, or something else.
        """
        number, samples, name, architecture, payload = _unpack(_UPDATE, data)
        return cls(number, name, samples, architecture, payload)


@dataclass(frozen=True)
class Global:
    """The orchestrator's weights after a round, as a change from an earlier round or whole.

    Attributes:
        round: these weights are those of the start of this round.
        basis: round whose weights the payload changes; equal to ``round``: the payload is the whole, plain float32.
        architecture: as in `Update`.
        payload: encoded.
    """

    round: int
    basis: int
    architecture: str
    payload: bytes

    def to_bytes(self) -> bytes:
        """The message on the wire."""
        return _pack(_GLOBAL, self.round, self.basis, "", self.architecture, self.payload)

    @classmethod
    def from_bytes(cls, data: bytes) -> Global:
        """Reads what `to_bytes` wrote.

        Raises:
            ValueError: cut short, or something else.
        """
        number, basis, _, architecture, payload = _unpack(_GLOBAL, data)
        return cls(number, basis, architecture, payload)


def _pack(magic: bytes, number: int, second: int, name: str, architecture: str, payload: bytes) -> bytes:
    texts = name.encode(), architecture.encode()
    return _HEADER.pack(magic, number, second, *map(len, texts)) + b"".join(texts) + payload


def _unpack(magic: bytes, data: bytes) -> tuple[int, int, str, str, bytes]:
    if len(data) < _HEADER.size or data[:4] != magic:
        raise ValueError(f"{len(data)} bytes that are no {magic.decode()} message")
    _, number, second, *lengths = _HEADER.unpack_from(data)
    middle, end = _HEADER.size + lengths[0], _HEADER.size + sum(lengths)
    if len(data) < end:
        raise ValueError(f"message cut short after {len(data)} bytes")
    try:
        return number, second, data[_HEADER.size : middle].decode(), data[middle:end].decode(), data[end:]
    except UnicodeDecodeError:
        raise ValueError("message with a name that is not UTF-8") from None
