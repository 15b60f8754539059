# SPDX-License-Identifier: Apache-2.0
"""Pieces of long benchmarks that are kept, so that a run goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LEARNING = ROOT / "src" / "ir_slicing" / "ir_slicing" / "learning"
KEPT = ROOT / ".ir" / "runs"


def kept(name: str, about: dict[str, Any], sources: tuple[str, ...], make: Callable[[], Any]) -> Any:
    """The result of ``make``, from the file of an earlier run of the same piece with the same code, or made now.

    Args:
        name: of the benchmark.
        about: plain data; everything that the piece rests on besides the code.
        sources: files and folders in `learning` whose text decides, too.
        make: gives plain data.
    """
    return kept_at(place_of(name, about, sources), f"{name} {about.get('piece', '')}", make)


def kept_at(place: Path, piece: str, make: Callable[[], Any]) -> Any:
    """What is in the file of a piece, or what ``make`` gives, which is kept there; ``piece``: what it is called."""
    if place.exists():
        return json.loads(place.read_text())
    began = time.perf_counter()
    made = make()
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(made))
    part.replace(place)
    print(f"{piece}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return made


def place_of(name: str, about: dict[str, Any], sources: tuple[str, ...]) -> Path:
    """The file of a piece; arguments as of `kept`."""
    text = json.dumps(about, sort_keys=True, default=str)
    for source in sources:
        path = LEARNING / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            text += file.read_text()
    return KEPT / name / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
