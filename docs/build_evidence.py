# SPDX-License-Identifier: Apache-2.0
"""Makes ``docs/evidence`` and the table of results in ``README.md`` from ``benchmarks/results/*.json``.

``./ir docs`` runs it; a test compares what it gives with what is committed. It needs the standard library only.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: made by ./ir docs -->", "<!-- end of results -->"
RESULTS_OF_README = (
    ("twin-fleet", "poor radio, exploration 0.3"),
    ("drl-fig4b", "best: falls in 50 epochs"),
    ("drl-fig4a", "gan / sac at epoch 120"),
    ("radio-relay", "delay within this of the engine's"),
    ("slicing-live", "bursts: of the misses that the oracle avoids, forecast"),
)
"""Bench, and how the goal begins, of the five results that the README shows; three of them are not met."""
MOST_ROWS = 25
"""Rows of a table; of longer curves every n-th point is shown."""
MOST_COLUMNS = 12
"""Columns of a table; what is wider is left to the file."""
NOTE = "This page is generated from `benchmarks/results` by `./ir docs`: edit the benchmark, not the page."

Result = dict[str, Any]


def results(root: Path) -> list[Result]:
    """The results of all benchmarks, by name; each with `about`, the first paragraph of its benchmark's docstring."""
    found = []
    for file in sorted((root / "benchmarks" / "results").glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        program = root / "benchmarks" / f"{result['name'].replace('-', '_')}.py"
        about = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
        result["about"], _, result["method"] = about.partition("\n\n")
        found.append(result)
    return found


def text(value: Any) -> str:
    """A value as a cell of a table: numbers to four digits, nothing that would end the cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, list | dict):
        return f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "∣")
    return str(value).replace("|", "∣").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A Markdown table."""
    yield "| " + " | ".join(map(text, head)) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(map(text, row)) + " |"
    yield ""


def met(goal: Result) -> str:
    """Whether a goal is met, in words that stand out where it is not."""
    return "met" if goal["met"] else "**not met**"


def link(result: Result, folder: str = "") -> str:
    """The name of a result, as a link to its page."""
    return f"[{result['name']}]({folder}{result['name']}.md)"


def spread(mean: Any, half: Any) -> str:
    """A mean with the half width of its 95 % interval, where there is one."""
    return f"{text(mean)} ± {text(half)}" if half else text(mean)


def axis(result: Result) -> str:
    """Label and unit of the horizontal axis."""
    return f"{result['x']['label']} {result['x']['unit']}".strip()


def index(found: list[Result]) -> Iterator[str]:
    """The lines of the page that holds every goal."""
    goals = [(result, goal) for result in found for goal in result["goals"]]
    missed = [(result, goal) for result, goal in goals if not goal["met"]]
    yield from ("# Evidence", "", NOTE, "")
    yield f"{len(found)} benchmarks promise {len(goals)} things; {len(missed)} of them are not met."
    yield "`fitted` in a claim says that a parameter was chosen to meet it, so that it is no prediction."
    yield "A `+` after a commit says that the working tree held further changes."
    yield from ("", "## Not met", "")
    yield from table(("claim", "bench", "goal", "got"), ((g["what"], link(r), g["goal"], g["got"]) for r, g in missed))
    yield from ("## Benches", "", "Each is one command, `./ir bench NAME`.", "")
    rows = ((link(r), r["about"], f"{sum(g['met'] for g in r['goals'])} of {len(r['goals'])}") for r in found)
    yield from table(("bench", "asks", "goals met"), rows)
    yield from ("## All", "")
    for result in found:
        yield from (f"### {result['name']}", "")
        places = f"[page]({result['name']}.md), [picture]({_picture(result)})"
        yield from (f"Commit {result['commit']}; {_where(result)}; {places}.", "")
        yield from table(
            ("claim", "goal", "got", ""), ((g["what"], g["goal"], g["got"], met(g)) for g in result["goals"])
        )


def _where(result: Result) -> str:
    return ", ".join(part for part in (result.get("date", ""), result["machine"]) if part)


def _picture(result: Result) -> str:
    return f"../../benchmarks/results/{result['name']}.png"


def page(result: Result) -> Iterator[str]:
    """The lines of the page of one benchmark."""
    name = result["name"]
    yield from (f"# {name}", "", NOTE, "", result["about"], "", f"![{result['y']}]({_picture(result)})", "")
    if result["method"]:
        yield from (result["method"], "")
    yield from ("## Goals", "")
    yield from table(("claim", "goal", "got", ""), ((g["what"], g["goal"], g["got"], met(g)) for g in result["goals"]))
    if result["paper"]:
        yield from ("## The paper", "")
        yield from table(("", ""), _flat(result["paper"]))
    yield from ("## Run", "")
    run = [("command", f"`./ir bench {name}`"), ("commit", result["commit"])]
    run += [(key, result[key]) for key in ("date", "machine", "seconds") if key in result]
    run += [("seeds", ", ".join(map(str, result["seeds"]))), ("a smoke run", result["quick"])]
    yield from table(("", ""), [*run, ("file", f"[JSON](../../benchmarks/results/{name}.json)")])
    yield from (f"## {result['y']}", "")
    yield from _series(result["series"], result["x"]["values"], axis(result))
    for title, value in result["tables"].items():
        yield from (f"## {title}", "", *_kept(value, result))
    yield from ("## Parameters", "")
    yield from table(("", ""), _flat(result["parameters"]))


def _series(series: dict[str, Any], places: list[Any], label: str) -> Iterator[str]:
    """A row for each place on the horizontal axis, a column for each series."""
    step = -(-len(places) // MOST_ROWS)
    if step > 1:
        yield from (f"One point in {step} of {len(places)}; the file has all.", "")
    rows = (
        [place, *(spread(one["mean"][i], one["ci95"][i]) for one in series.values())]
        for i, place in list(enumerate(places))[::step]
    )
    yield from table((label, *series), rows)


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"mean", "ci95"}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Rows of a nested table: the keys on the way, and the cells; deeper lists are one cell."""
    if _is_interval(value):
        yield ", ".join(path), [spread(*pair) for pair in zip(value["mean"], value["ci95"], strict=True)]
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, (*path, key))
    else:
        yield ", ".join(path), [text(one) for one in value] if isinstance(value, list) else [text(value)]


def _records(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """The innermost dicts, those without lists or dicts in them, with the keys on the way; an empty one elsewhere."""
    if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
        for key, one in value.items():
            yield from _records(one, (*path, key))
    else:
        scalars = isinstance(value, dict) and not any(isinstance(one, list) for one in value.values())
        yield ", ".join(path), value if scalars else {}


def _kept(value: Any, result: Result) -> Iterator[str]:
    """A table of what a benchmark keeps beside its series, as far as it fits on a page."""
    places, rows = result["x"]["values"], list(_leaves(value))
    curves = isinstance(value, dict) and all(map(_is_interval, value.values()))
    if curves and len(places) > MOST_COLUMNS and all(len(one["mean"]) == len(places) for one in value.values()):
        yield from _series(value, places, axis(result))
        return
    records = list(_records(value))
    columns = list(records[0][1])
    if len(records) > 1 and 1 < len(columns) <= MOST_COLUMNS and all(list(one) == columns for _, one in records):
        yield from table(("", *columns), ([name, *one.values()] for name, one in records))
        return
    fitting = [row for row in rows if len(row[1]) <= MOST_COLUMNS and max(map(len, row[1]), default=0) <= 200]
    if fitting:
        width = max(len(cells) for _, cells in fitting)
        heads = {len(places): places, len(result["seeds"]): [f"seed {seed}" for seed in result["seeds"]]}
        head = heads.get(width, [""] * width) if width > 1 else [""]
        yield from table(("", *head), ([name, *cells] for name, cells in fitting[:MOST_ROWS]))
    left = len(rows) - min(len(fitting), MOST_ROWS)
    if left:
        yield from (f"Not shown: {left} of {len(rows)} rows, which the file has.", "")


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters as rows; what is long is left to the file."""
    for key, one in value.items():
        if isinstance(one, dict) and one:
            yield from _flat(one, f"{prefix}{key}, ")
        elif len(text(one)) <= 200:
            yield f"{prefix}{key}", one


def readme(current: str, found: list[Result]) -> str:
    """The README with its table of results made anew between the two marks."""
    by_name = {result["name"]: result for result in found}
    chosen = [
        (by_name[name], next(goal for goal in by_name[name]["goals"] if goal["what"].startswith(start)))
        for name, start in RESULTS_OF_README
    ]
    goals = [goal for result in found for goal in result["goals"]]
    rows = ((f"{r['about']} *{g['what']}*", g["goal"], g["got"], met(g), link(r, "docs/evidence/")) for r, g in chosen)
    lines = [
        *table(("result", "goal", "got", "", "evidence"), rows),
        f"{sum(goal['met'] for goal in goals)} of the {len(goals)} goals of all benchmarks are met; "
        "[the page of evidence](docs/evidence/index.md) begins with those that are not.",
    ]
    before, _, rest = current.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"README.md: the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Every generated file with its content."""
    found = results(root)
    folder = root / "docs" / "evidence"
    pages = {folder / "index.md": index(found)} | {folder / f"{r['name']}.md": page(r) for r in found}
    front = root / "README.md"
    files = {path: "\n".join(lines).rstrip() + "\n" for path, lines in pages.items()}
    return files | {front: readme(front.read_text(encoding="utf-8"), found)}


def write(root: Path = ROOT) -> list[Path]:
    """Writes what has changed, removes pages of results that are no more, and names both."""
    files = generated(root)
    changed = []
    for path, content in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            changed.append(path)
    for path in set((root / "docs" / "evidence").glob("*.md")) - set(files):
        path.unlink()
        changed.append(path)
    return changed


if __name__ == "__main__":
    for path in write():
        print(path.relative_to(ROOT), file=sys.stderr)
