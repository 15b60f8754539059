# SPDX-License-Identifier: Apache-2.0
"""What an experiment leaves behind: JSON, CSV, Parquet where it can be written, a table and a plot."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ir_lab.experiment.comparison import Figure, rows

COLUMNS = ("number", "variant", "mean", "half_width", "difference", "difference_half_width", "seeds")


def write(
    folder: Path, about: Mapping[str, Any], table: Mapping[str, Mapping[str, Figure]], show: Sequence[str]
) -> list[Path]:
    """Writes all files; returns those that were written."""
    found = rows(table)
    files = [folder / "result.json", folder / "result.csv"]
    files[0].write_text(json.dumps({**about, "table": found}, indent=1) + "\n", encoding="utf-8")
    with files[1].open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(found)
    if importlib.util.find_spec("pyarrow"):
        import pyarrow  # optional: a large library that most installations lack
        import pyarrow.parquet

        files.append(folder / "result.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found), files[-1])
    if shown := [path for path in show if path in table]:
        files.append(folder / "result.png")
        draw(files[-1], table, shown)
    return files


def draw(file: Path, table: Mapping[str, Mapping[str, Figure]], shown: Sequence[str]) -> None:
    """Draws means and 95 % intervals of some numbers, one panel each."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(4.2 * columns, 2.8 * lines), squeeze=False)
    for axis, path in zip(axes.flat, shown, strict=False):
        by = table[path]
        places = range(len(by))
        widths = [figure.half_width if math.isfinite(figure.half_width) else 0.0 for figure in by.values()]
        axis.barh(
            places, [figure.mean for figure in by.values()], xerr=widths, color="#4c72b0", ecolor="#333333", capsize=3
        )
        axis.set_yticks(places, list(by))
        axis.invert_yaxis()
        axis.set_title(path, fontsize=9)
        axis.tick_params(labelsize=8)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def table_of(
    table: Mapping[str, Mapping[str, Figure]], variants: Sequence[str], reference: str, show: Sequence[str]
) -> Table:
    """The shown numbers for a terminal: mean and interval, and below the paired difference to the reference."""
    out = Table(title=f"mean ± 95 % interval; Δ to {reference}, paired by seed", title_justify="left")
    out.add_column("number")
    for variant in variants:
        out.add_column(variant, justify="right")
    for path in show:
        cells = []
        for variant in variants:
            figure = table.get(path, {}).get(variant)
            cells.append(_cell(figure, variant == reference) if figure else "")
        out.add_row(path, *cells)
    return out


def _cell(figure: Figure, is_reference: bool) -> str:
    text = f"{figure.mean:.4g} ± {figure.half_width:.2g}" if math.isfinite(figure.half_width) else f"{figure.mean:.4g}"
    if is_reference or not math.isfinite(figure.difference):
        return text
    width = f" ± {figure.difference_half_width:.2g}" if math.isfinite(figure.difference_half_width) else ""
    return f"{text}\nΔ {figure.difference:+.4g}{width}"
