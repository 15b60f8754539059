# SPDX-License-Identifier: Apache-2.0
"""Files of networks: their layers and normalisation as plain arrays in one .npz archive, with what they are as JSON.

Keys of the archive: ``weight_0``, ``bias_0``, ``weight_1`` … (float32 or float16), `VECTORS`, `OPTIONAL`, and ``meta``:
format, kind (``predict`` or ``ensemble``), numbers of layers, plain values of the kind, and ``about``, the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ir_common.damage import DAMAGED, first_line

Vector = NDArray[np.float32]
VECTORS = ("input_mean", "input_scale", "output_mean", "output_scale")
"""Names of the normalisation's arrays."""
OPTIONAL = ("tails",)
"""Names of arrays that a network may have beside them."""
FORMAT = 2


def write_network(
    file: str | Path | BinaryIO, kind: str, meta: dict[str, Any], weights: tuple[Vector, ...],
    biases: tuple[Vector, ...], vectors: object, about: dict[str, Any] | None, half: bool = False,
) -> None:  # fmt: skip
    """Writes layers, the normalisation that ``vectors`` has as attributes, and plain values, for `reading`.

    ``half``: layers are compressed and in half precision, a file of under half the size for what is shipped.
    """
    width = np.float16 if half else np.float32
    arrays: dict[str, Any] = {f"weight_{i}": w.astype(width) for i, w in enumerate(weights)}
    arrays |= {f"bias_{i}": b.astype(width) for i, b in enumerate(biases)}
    arrays |= {name: getattr(vectors, name) for name in VECTORS}
    arrays |= {name: array for name in OPTIONAL if (array := getattr(vectors, name, None)) is not None}
    meta = {"format": FORMAT, "kind": kind, "layers": [len(weights), len(biases)], "about": about or {}} | meta
    with open(file, "wb") if isinstance(file, str | Path) else nullcontext(file) as target:
        (np.savez_compressed if half else np.savez)(target, **arrays, meta=np.array(json.dumps(meta)))


@contextmanager
def reading(
    file: str | Path | BinaryIO, kind: str
) -> Iterator[tuple[dict[str, Any], tuple[tuple[Vector, ...], tuple[Vector, ...]], dict[str, Any]]]:
    """Gives the meta, (weights, biases) and normalisation of a network's file.

    Raises:
        ValueError: the file is missing, truncated, of another format or kind, or the caller found it not to fit.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            meta = json.loads(str(content["meta"]))
            if meta["format"] != FORMAT:
                raise ValueError(f"has format {meta['format']}, this version reads {FORMAT}")
            if meta["kind"] != kind:
                raise ValueError(f"holds a network of the kind {meta['kind']}, not {kind}")
            weights, biases = (
                tuple(content[f"{name}_{i}"].astype(np.float32) for i in range(count))
                for name, count in zip(("weight", "bias"), meta["layers"], strict=True)
            )
            optional = {name: content[name] for name in OPTIONAL if name in content}
            yield meta, (weights, biases), {name: content[name] for name in VECTORS} | optional
    except DAMAGED as error:
        name = file if isinstance(file, str | Path) else getattr(file, "name", "file")
        raise ValueError(f"{name}: is not a predict network: {first_line(error)}") from None


def read_meta(file: str | Path | BinaryIO) -> dict[str, Any]:
    """The ``meta`` of a network's file; an open one is left at its start.

    Raises:
        ValueError: the file is missing, truncated, or of another make.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            meta: dict[str, Any] = json.loads(str(content["meta"]))
    except DAMAGED as error:
        raise ValueError(f"is not a predict network: {first_line(error)}") from None
    if not isinstance(file, str | Path):
        file.seek(0)
    return meta
