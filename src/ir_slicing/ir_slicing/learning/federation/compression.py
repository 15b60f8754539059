# SPDX-License-Identifier: Apache-2.0
"""Changes of weights in few bytes: the largest ones only, in eight bits, and nothing is lost for good.

A sender keeps what a message could not hold and adds it to the next one (error feedback: Seide et al., 2014; Stich et
al., 2018), so that the sum of what was decoded follows the sum of what was meant. The server does so with `Encoder`; a
slice keeps it where it is, in its weights (`client`).
"""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config

Weights = NDArray[np.float32]

_PLAIN, _SPARSE = b"F", b"S"


class CompressionConfig(Config):
    """How weights are encoded."""

    form: Literal["float32", "sparse"] = Field(
        "sparse", description="plain weights, or sparsified and quantised changes"
    )
    keep: float = Field(0.1, gt=0, le=1, description="share of the changes that a message holds, the largest ones")


def encode_plain(values: Weights) -> bytes:
    """float32, little endian."""
    return _PLAIN + np.asarray(values, "<f4").tobytes()


def encode_sparse(values: Weights, keep: float) -> bytes:
    """The ``keep`` largest of [n] float32 as int8 of one scale, their places as differences, all deflated.

    Layout after the mark: scale (float32), count (uint32), then deflated: low bytes of the differences of the places,
    their high bytes (nearly all zero: they deflate to nothing), values (int8).

    Raises:
        ValueError: two neighbours are 65536 or more apart.
    """
    count = max(1, round(keep * len(values)))
    places = np.sort(np.argpartition(np.abs(values), -count)[-count:])
    kept = values[places]
    scale = np.float32(np.abs(kept).max() / 127.0)
    levels = np.rint(kept / scale).astype(np.int8) if scale > 0.0 else np.zeros(count, np.int8)
    steps = np.diff(places, prepend=-1)
    if steps.max() > 65535:
        raise ValueError(f"two kept weights are {steps.max()} apart; keep more than {keep:g}")
    head = np.array([scale], "<f4").tobytes() + np.array([count], "<u4").tobytes()
    body = (steps & 255).astype(np.uint8).tobytes() + (steps >> 8).astype(np.uint8).tobytes() + levels.tobytes()
    return _SPARSE + head + zlib.compress(body, 9)


def decode(payload: bytes, size: int) -> Weights:
    """[size] float32 of either form.

    Raises:
        ValueError: the payload is of another length, cut short or no payload at all.
    """
    mark, body = payload[:1], payload[1:]
    if mark == _PLAIN:
        if len(body) != 4 * size:
            raise ValueError(f"payload of {len(body)} bytes for {size} weights of 4 bytes")
        return np.frombuffer(body, "<f4").astype(np.float32)
    if mark != _SPARSE or len(body) < 8:
        raise ValueError("payload of an unknown form")
    scale, count = np.frombuffer(body[:4], "<f4")[0], int(np.frombuffer(body[4:8], "<u4")[0])
    inflate = zlib.decompressobj()
    try:
        rows = inflate.decompress(body[8:], 3 * size + 1)  # a bound, so that few bytes cannot become gigabytes
    except zlib.error as error:
        raise ValueError(f"payload that cannot be inflated ({error})") from None
    if not inflate.eof or count > size or len(rows) != 3 * count:
        raise ValueError(f"payload of {len(rows)} bytes for {count} of {size} weights")
    low, high, levels = np.frombuffer(rows, np.uint8).reshape(3, count)
    places = np.cumsum(low + 256 * high.astype(np.int64)) - 1
    if count and (places[-1] >= size or places[0] < 0):
        raise ValueError(f"payload changes weight {places[-1]} of {size}")
    values = np.zeros(size, np.float32)
    values[places] = scale * levels.view(np.int8)
    return values


def encode(change: Weights, config: CompressionConfig) -> bytes:
    """Payload for a change [size]."""
    return encode_plain(change) if config.form == "float32" else encode_sparse(change, config.keep)


class Encoder:
    """A sender with error feedback.

    Args:
        config: validated.
        size: number of weights.
    """

    def __init__(self, config: CompressionConfig, size: int) -> None:
        self.config, self.residual = config, np.zeros(size, np.float32)

    def encode(self, change: Weights) -> bytes:
        """Payload for a change [size]; what it does not hold is kept for the next one."""
        meant = change + self.residual
        payload = encode(meant, self.config)
        self.residual = meant - decode(payload, len(meant))
        return payload
