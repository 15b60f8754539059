# SPDX-License-Identifier: Apache-2.0
"""The house as it is built: imports go down the floors and in no circle, and are declared; names stand once."""

import itertools
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from catkin_pkg.package import parse_package

from ir_cli.import_graph import (
    FLOORS,
    SourceModule,
    circles,
    climbing,
    doubled,
    draw,
    edges,
    package_edges,
    read_modules,
    workspace_modules,
)
from ir_cli.libraries import OPTIONAL, ROSDEP

ROOT = Path(__file__).resolve().parents[2]
MODULES = workspace_modules(ROOT)
TOOLS = read_modules(ROOT / "tools" / "ir_cli")
PACKAGES = sorted(file.parent.name for file in ROOT.glob("src/*/package.xml"))
ROS_OUTSIDE = {"ir_common.testing": "fixtures for tests of nodes: they import rclpy when a test asks for a node"}
"""Modules that may use ROS under another name than ``ros_*`` and ``*_node``, and why."""


def of(package: str) -> list[SourceModule]:
    return [module for module in [*MODULES, *TOOLS] if module.package == package]


def declared(package: str) -> set[str]:
    """What a package.xml says the package needs where it runs."""
    manifest = ElementTree.parse(ROOT / "src" / package / "package.xml").getroot()
    return {(e.text or "").strip() for tag in ("depend", "exec_depend") for e in manifest.iter(tag)}


@pytest.mark.parametrize("package", [*PACKAGES, "ir_cli"])
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    assert circles(edges(of(package))) == []


def test_no_package_imports_itself_by_way_of_others() -> None:
    assert circles(package_edges(MODULES)) == []


@pytest.mark.parametrize("file", sorted([*ROOT.glob("src/*/package.xml"), *ROOT.glob("tests/package.xml")]), ids=str)
def test_colcon_reads_every_package_xml(file: Path) -> None:
    """What it cannot read it builds as a plain Python package, which `ros2 run` does not find."""
    assert parse_package(str(file)).name


def test_every_package_has_a_floor() -> None:
    assert set(PACKAGES) <= set(FLOORS)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_down_the_floors(package: str) -> None:
    assert climbing(of(package)) == []


@pytest.mark.parametrize("package", [p for p in PACKAGES if of(p)])
def test_package_xml_declares_every_import(package: str) -> None:
    allowed = declared(package)
    missing = {}
    for module in of(package):
        for one in module.imports:
            name = one.package
            if name in sys.stdlib_module_names or name == package or (module.name, name) in OPTIONAL:
                continue
            if ROSDEP.get(name, name) not in allowed:
                missing[ROSDEP.get(name, name)] = f"{module.file}:{one.line}"
    assert missing == {}


def test_every_optional_import_is_there_still() -> None:
    there = {(module.name, one.package) for module in MODULES for one in module.imports}
    assert set(OPTIONAL) <= there


def test_package_xml_declares_packages_of_floors_below_only() -> None:
    for package in PACKAGES:
        for name in declared(package) & set(FLOORS):
            assert FLOORS[name] < FLOORS[package] or (package, name) == ("ir_common", "ir_interfaces")


def test_a_module_name_stands_once() -> None:
    modules = [*MODULES, *TOOLS]
    assert doubled([(module.file.stem, module.name) for module in modules if module.file.stem != "__init__"]) == {}


def test_a_public_class_name_stands_once() -> None:
    assert doubled([(name, module.name) for module in [*MODULES, *TOOLS] for name in module.classes]) == {}


def is_ros(name: str) -> bool:
    return name == "rclpy" or name.endswith(("_msgs", "_interfaces"))


def test_ros_is_imported_where_the_name_says_so() -> None:
    using = {m.name for m in MODULES for one in m.imports if is_ros(one.package)}
    outside = {name for name in using if not (name.endswith("_node") or name.rpartition(".")[2].startswith("ros_"))}
    assert outside == set(ROS_OUTSIDE)


def test_ir_twin_depends_on_all_that_it_starts() -> None:
    graph = {package: declared(package) & set(PACKAGES) for package in PACKAGES}
    reached, pending = set(), ["ir_twin"]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(graph[name])
    assert reached == {name for name in PACKAGES if FLOORS[name] <= FLOORS["ir_twin"]} - {"ros2slice"}
    assert {"ir_sim", "ir_radio", "ir_slicing", "ir_drl", "ir_dashboard", "ir_bag"} <= graph["ir_twin"]


def test_one_version_everywhere() -> None:
    manifests = [*ROOT.glob("src/*/package.xml"), ROOT / "tests" / "package.xml"]
    assert {ElementTree.parse(file).getroot().findtext("version") for file in manifests} == {"0.2.0"}
    for file in manifests:
        setup = file.with_name("setup.py")
        assert not setup.exists() or 'version=MANIFEST.findtext("version")' in setup.read_text()


def module(name: str, *targets: str, classes: tuple[str, ...] = ()) -> SourceModule:
    from ir_cli.import_graph import ImportLine

    return SourceModule(name, Path(f"{name}.py"), tuple(ImportLine(t, 1) for t in targets), classes)


def test_circles_climbs_and_doubles_are_found(tmp_path: Path) -> None:
    three = [module("p.a", "p.b.X"), module("p.b", "p.c"), module("p.c", "p.a"), module("p.d", "p.a")]
    assert circles(edges(three)) == [["p.a", "p.b", "p.c"]]
    assert climbing([module("ir_radio.x", "ir_slicing.y")]) == ["ir_radio.x.py:1: ir_radio imports ir_slicing"]
    assert climbing([module("ir_radio.x", "ir_bag.y")])  # of the same floor
    assert climbing([module("ir_common.x", "ir_interfaces.msg")]) == []
    assert doubled([("A", "x"), ("B", "x"), ("A", "y")]) == {"A": ["x", "y"]}


def test_imports_are_read_wherever_they_stand(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .b import B\n")
    (folder / "b.py").write_text("class B:\n    def f(self):\n        from . import c\nclass _Hidden: ...\n")
    (folder / "c.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.b\n")
    found = read_modules(folder)
    assert edges(found) == {"p": {"p.b"}, "p.b": {"p.c"}, "p.c": {"p.b"}}
    assert [m.classes for m in found] == [(), ("B",), ()]


def test_the_picture_of_the_imports_is_of_these_imports() -> None:
    drawn = draw(package_edges(MODULES))
    assert (ROOT / "docs" / "pictures" / "imports.svg").read_text() == drawn, "run ./ir graph"
    tree = ElementTree.fromstring(drawn)
    shown = {e.text for e in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert set(PACKAGES) <= shown
    count = sum(len(targets) for targets in package_edges(MODULES).values())
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}path"))) == count + 1  # and the arrow's head


def test_pairs_of_one_floor_do_not_import_each_other() -> None:
    graph = package_edges(MODULES)
    for one, other in itertools.permutations(graph, 2):
        if FLOORS[one] == FLOORS[other] and one != "ir_common":
            assert other not in graph[one]
