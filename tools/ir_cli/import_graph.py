# SPDX-License-Identifier: Apache-2.0
"""Who imports whom in the workspace, read from the source without running it; `./ir graph` draws it.

The house has floors (`FLOORS`): a package imports only from the floors below its own, and never in a circle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FLOORS = {
    "ir_common": 0,
    "ir_interfaces": 0,
    "ir_sim": 1,
    "ir_radio": 1,
    "ir_bag": 1,
    "ir_dynamics": 2,
    "ir_drl": 3,
    "ir_slicing": 3,
    "ir_dashboard": 4,
    "ros2slice": 4,
    "ir_twin": 5,
    "ir_lab": 6,
}
"""Floor of each package. Within floor 0 the messages stand below the code: ir_common imports ir_interfaces."""
SIDEWAYS = {("ir_common", "ir_interfaces")}
"""Imports between two packages of one floor that are part of the design."""
_WIDTH, _ROW, _BOX, _HEIGHT = 980, 96, 132, 34  # of the picture, a floor, a package: pixels


@dataclass(frozen=True)
class ImportLine:
    """One import in one module.

    Attributes:
        target: dotted name of what is imported: a module, or a name in one.
        line: line number in the file.
    """

    target: str
    line: int

    @property
    def package(self) -> str:
        """The first part of the dotted name."""
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class SourceModule:
    """One Python file of a package.

    Attributes:
        name: dotted module name; that of the package for an ``__init__.py``.
        file: its path.
        imports: every import in it, those inside functions included.
        classes: names of the public classes at its top level.
    """

    name: str
    file: Path
    imports: tuple[ImportLine, ...]
    classes: tuple[str, ...]

    @property
    def package(self) -> str:
        """The package that it belongs to."""
        return self.name.partition(".")[0]


def read_modules(folder: Path) -> list[SourceModule]:
    """Every module of the Python package that is ``folder``, in the order of names."""
    return [_read(file, folder.parent) for file in sorted(folder.rglob("*.py"))]


def workspace_modules(root: Path) -> list[SourceModule]:
    """Every module of the packages in ``src/``."""
    folders = [manifest.parent / manifest.parent.name for manifest in sorted(root.glob("src/*/package.xml"))]
    return [module for folder in folders if folder.is_dir() for module in read_modules(folder)]


def edges(modules: Iterable[SourceModule]) -> dict[str, set[str]]:
    """The modules that each module imports, of those given; imports in functions and for type checkers count.

    ``from package import name`` leads to the module of that name where there is one, and else to the package's
    ``__init__``. That importing a module runs the ``__init__`` of the packages around it is not counted.
    """
    modules = list(modules)
    known = {module.name for module in modules}
    found: dict[str, set[str]] = {name: set() for name in known}
    for module in modules:
        for one in module.imports:
            target = _longest(one.target, known)
            if target and target != module.name:
                found[module.name].add(target)
    return found


def package_edges(modules: Iterable[SourceModule], packages: Iterable[str] = FLOORS) -> dict[str, set[str]]:
    """The packages that each package imports, of those named."""
    wanted = set(packages)
    found: dict[str, set[str]] = {}
    for module in modules:
        targets = found.setdefault(module.package, set())
        targets |= {one.package for one in module.imports if one.package in wanted} - {module.package}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that lead back to themselves (strongly connected, of two nodes or more), each sorted."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reach[name] if name in reach.get(other, ()))) for name in graph}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def climbing(modules: Iterable[SourceModule]) -> list[str]:
    """Imports that do not go down the floors, one line each: who, where, what."""
    return [
        f"{module.file}:{one.line}: {module.package} imports {one.package}"
        for module in modules
        for one in module.imports
        if one.package in FLOORS
        and one.package != module.package
        and (module.package, one.package) not in SIDEWAYS
        and FLOORS[one.package] >= FLOORS.get(module.package, -1)
    ]


def doubled(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand more than once: name to the places. Takes pairs of name and place."""
    places: dict[str, list[str]] = {}
    for name, place in names:
        places.setdefault(name, []).append(place)
    return {name: where for name, where in places.items() if len(where) > 1}


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    pending = list(graph.get(start, ()))
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending.extend(graph.get(name, ()))
    return seen


def _longest(target: str, known: set[str]) -> str | None:
    """The longest leading part of a dotted name that is a module."""
    parts = target.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in known), None)


def _read(file: Path, top: Path) -> SourceModule:
    parts = list(file.relative_to(top).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    if is_package:
        parts.pop()
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    around = parts if is_package else parts[:-1]
    classes = tuple(n.name for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_"))
    return SourceModule(".".join(parts), file, tuple(_imports(tree, around)), classes)


def _imports(tree: ast.AST, around: list[str]) -> Iterator[ImportLine]:
    """Every import in a file; ``around`` is the package that relative imports start from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (ImportLine(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = around[: len(around) - node.level + 1] if node.level else []
            stem = ".".join([*base, *filter(None, [node.module])])
            yield from (ImportLine(f"{stem}.{alias.name}", node.lineno) for alias in node.names)


def draw(graph: Mapping[str, set[str]]) -> str:
    """The picture of the imports between packages as SVG: floors as rows, the highest on top, an arrow an import."""
    packages = {*graph, *(target for targets in graph.values() for target in targets)}
    top = max(FLOORS[name] for name in packages)
    centres = {}
    for floor in range(top + 1):
        row = sorted(name for name in packages if FLOORS[name] == floor)
        for place, name in enumerate(row):
            x = 60 + (_WIDTH - 60) * (place + 1) / (len(row) + 1) + (26 if floor % 2 else -26)
            centres[name] = (round(x), 30 + (top - floor) * _ROW)
    height = 30 + top * _ROW + 46
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        "<title>Imports between the packages, floor by floor</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8Z" fill="#607080"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for floor in range(top + 1):
        y = 30 + (top - floor) * _ROW
        lines.append(f'<rect x="0" y="{y - 28}" width="{_WIDTH}" height="56" fill="#f3f6f9"/>')
        lines.append(f'<text x="14" y="{y + 5}" font-size="14" fill="#607080">{floor}</text>')
    lines += [_arrow(centres[name], centres[target]) for name in sorted(graph) for target in sorted(graph[name])]
    for name, (x, y) in sorted(centres.items()):
        box = f'x="{x - _BOX // 2}" y="{y - _HEIGHT // 2}" width="{_BOX}" height="{_HEIGHT}" rx="5"'
        lines.append(f'<rect {box} fill="#fff" stroke="#2b6cb0" stroke-width="1.5"/>')
        lines.append(f'<text x="{x}" y="{y + 5}" font-size="14" text-anchor="middle">{name}</text>')
    return "\n".join([*lines, "</svg>\n"])


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A curve from the lower edge of one box to the upper edge of another, or sideways within a floor."""
    (x, y), (u, v) = start, end
    if y == v:
        side = 1 if u > x else -1
        way = f"M{x + side * _BOX // 2} {y} {u - side * _BOX // 2} {v}"
    else:
        y, v = y + _HEIGHT // 2, v - _HEIGHT // 2
        way = f"M{x} {y}C{x} {y + 40} {u} {v - 40} {u} {v}"
    return f'<path d="{way}" fill="none" stroke="#607080" stroke-width="1.1" opacity="0.75" marker-end="url(#head)"/>'
