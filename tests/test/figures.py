# SPDX-License-Identifier: Apache-2.0
"""What the figures of `test_same_figures` are made of: their registry, their short forms, and their comparison."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

COMPUTED = 1e-5
"""Relative tolerance of what is computed in one go: sums in another order, or another processor, move less."""
LEARNT = 1e-3
"""Of what comes after many gradient steps in single precision, where each step carries the roundings of the last."""
_TINY = 1e-9
_DIGITS = 8


class Area(NamedTuple):
    """A part of the stack: what computes its figures, and how closely they are to be met."""

    compute: Callable[[], dict[str, Any]]
    tolerance: float


AREAS: dict[str, Area] = {}


def area(tolerance: float) -> Callable[[Callable[[], dict[str, Any]]], Callable[[], dict[str, Any]]]:
    """Registers a function as an area of its name."""

    def register(compute: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        AREAS[compute.__name__] = Area(compute, tolerance)
        return compute

    return register


def figures(name: str) -> dict[str, Any]:
    """The figures of an area as JSON holds them; they do not depend on what ran before in this process."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as trainings set it, for the rest of the process
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return plain(AREAS[name].compute())


def short(values: Any) -> list[Any]:
    """Numbers of any shape in a few, none of which cancel out.

    Returns:
        [how many, how many finite, mean |x|, mean of the positive part, root mean square, mean |x| times its place].
    """
    flat = np.asarray(values, np.float64).ravel()
    known = np.where(np.isfinite(flat), flat, 0.0)
    size, place = np.abs(known), (np.arange(len(flat)) + 1) / max(len(flat), 1)
    sums = size, np.maximum(known, 0.0), known**2, size * place
    mean, positive, square, placed = (float(one.mean()) if len(flat) else 0.0 for one in sums)
    return [len(flat), int(np.isfinite(flat).sum()), mean, positive, math.sqrt(square), placed]


def numbers(text: str) -> list[Any]:
    """The numbers in a text, in short, so that words may change."""
    return short([float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)])


def crc(data: bytes) -> int:
    """Bytes, exactly, in one number."""
    return zlib.crc32(data)


def plain(value: Any) -> Any:
    """A value as JSON holds it: floats with few digits, those that are not finite as words."""
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def differences(now: Any, recorded: Any, tolerance: float, place: str = "") -> list[str]:
    """Where two plain values differ, one line each; whole numbers, words and truth values count exactly."""
    if isinstance(now, dict) and isinstance(recorded, dict):
        found = [f"{place}/{name}: only now" for name in now if name not in recorded]
        found += [f"{place}/{name}: only recorded" for name in recorded if name not in now]
        for name in now.keys() & recorded.keys():
            found += differences(now[name], recorded[name], tolerance, f"{place}/{name}")
        return sorted(found)
    if isinstance(now, list) and isinstance(recorded, list) and len(now) == len(recorded):
        pairs = enumerate(zip(now, recorded, strict=True))
        return [d for i, (one, other) in pairs for d in differences(one, other, tolerance, f"{place}/{i}")]
    if type(now) is type(recorded) is float:
        same = math.isclose(now, recorded, rel_tol=tolerance, abs_tol=_TINY)
    else:
        same = type(now) is type(recorded) and now == recorded
    return [] if same else [f"{place}: {now} now, {recorded} recorded"]
