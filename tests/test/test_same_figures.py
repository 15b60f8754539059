# SPDX-License-Identifier: Apache-2.0
"""The figures that a restructuring must leave alone: what each part of the stack computes of one seed.

Modules may move, be renamed and be split; the numbers in `same_figures.json` stay. Who changes on purpose what is
computed records them anew in the same commit, and says there why::

    python tests/test/test_same_figures.py --record [AREA ...]

They are of x86-64 with the versions of `requirements/`. One function an area: `figures_radio` (radio, simulator, bags,
monitor), `figures_slicing`, `figures_twin` and `figures_drl`, whose first lines have all imports of the stack.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import figures
import figures_drl  # noqa: F401 (registers its areas, as those below)
import figures_radio  # noqa: F401
import figures_slicing  # noqa: F401
import figures_twin  # noqa: F401
import pytest

FILE = Path(__file__).with_suffix("").with_name("same_figures.json")


def recorded() -> dict[str, dict[str, object]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", figures.AREAS)
def test_figures_are_those_recorded(name: str) -> None:
    found = figures.differences(figures.figures(name), recorded()[name], figures.AREAS[name].tolerance)
    assert not found, f"{name}: {len(found)} figures differ:\n" + "\n".join(found[:20])


def test_all_that_is_recorded_is_computed() -> None:
    assert set(recorded()) == set(figures.AREAS)


def test_a_figure_that_differs_is_found() -> None:
    """A count by one, a float by twice the tolerance, one that is gone; within the tolerance nothing."""
    then = {"a": {"count": 7, "floats": [1.0, 2.0, "nan"]}}
    for now, wrong in (
        ({"a": {"count": 7, "floats": [1.0, 2.0 * (1 + 0.5e-5), "nan"]}}, []),
        ({"a": {"count": 8, "floats": [1.0, 2.0, "nan"]}}, ["/a/count"]),
        ({"a": {"count": 7, "floats": [1.0, 2.0 * (1 + 2e-5), 0.0]}}, ["/a/floats/1", "/a/floats/2"]),
        ({"a": {"count": 7}}, ["/a/floats"]),
    ):
        found = figures.differences(now, then, figures.COMPUTED)
        assert [line.partition(":")[0] for line in found] == wrong


def record(names: list[str]) -> None:
    """Writes the figures of the areas of these names, or of all of them; a line each."""
    if unknown := set(names) - set(figures.AREAS):
        raise SystemExit(f"no area {', '.join(sorted(unknown))}; there are: {', '.join(figures.AREAS)}")
    kept = recorded() if names and FILE.exists() else {}
    for name in names or figures.AREAS:
        began = time.perf_counter()
        kept[name] = figures.figures(name)
        print(f"{name}: {time.perf_counter() - began:.1f} s")
    lines = (f"{json.dumps(n)}:{json.dumps(kept[n], separators=(',', ':'))}" for n in figures.AREAS if n in kept)
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    if "--record" not in sys.argv:
        raise SystemExit(f"usage: {sys.argv[0]} --record [AREA ...]")
    record([one for one in sys.argv[1:] if one != "--record"])
