# SPDX-License-Identifier: Apache-2.0
"""Which worlds and robots of a folder run here: a table with file, line and reason of each refusal.

``./ir run ir_sim check_worlds FOLDER [FOLDER …] [--doc FILE.md --label NAME]``
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_sim.sdf import World, compose
from ir_sim.sdf.resources import MissingResource
from ir_sim.sdf.topics import takes_commands
from ir_sim.sdf.xacro_files import read_file
from ir_sim.simulation import Simulation

SECONDS = 0.2  #: of simulated time that a world must run
_FOLDERS = re.compile(r"(?<![\w:/])/(?:[^\s/:,'\"]+/)+")  # of absolute paths, but not of addresses in the net
_SUFFIXES = (".sdf", ".world", ".urdf", ".xacro")
_FLOOR = """<sdf version="1.9"><world name="floor">
<physics name="p" type="dart"><max_step_size>0.002</max_step_size></physics>
<model name="ground"><static>true</static><link name="link"><collision name="floor"><geometry><plane/></geometry>
</collision></link></model></world></sdf>
"""
_OUTCOMES = {
    "runs": "run",
    "refused": "are refused, with the reason",
    "incomplete": "name models or meshes that are not on this machine",
    "fault": "end with a fault of the stack",
}


@dataclass(frozen=True)
class WorldCheck:
    """How a world or robot fared: `outcome` is a key of `_OUTCOMES`, `said` the reason or the robots and notes."""

    file: str
    kind: str
    outcome: str
    said: str


def check_file(path: Path, folder: Path, floor: Path) -> WorldCheck | None:
    """Runs a world, or a robot on a floor; None: the file is neither.

    Args:
        path: SDFormat, URDF or xacro file.
        folder: that names are told in relation to.
        floor: world that a robot is put into.
    """
    name = str(path.relative_to(folder))
    kind = "robot" if path.name.endswith((".urdf", ".urdf.xacro")) else "world"
    try:
        kind = _kind(path)
        if not kind:
            return None
        world = _composed(path, kind, floor)
        _run(world)
    except MissingResource as error:
        return WorldCheck(name, kind, "incomplete", _short(error, folder, path))
    except ConfigError as error:
        return WorldCheck(name, kind, "refused", _short(error, folder, path))
    except Exception as error:  # what must not happen is a result, too
        return WorldCheck(name, kind, "fault", f"{type(error).__name__}: {error}")
    robots = ", ".join(world.robots) if kind == "world" else f"takes {'' if world.robots else 'no '}commands"
    notes = f"{len(world.notes)} notes" if world.notes else ""
    return WorldCheck(name, kind, "runs", "; ".join(word for word in (robots, notes) if word))


def _kind(path: Path) -> str:
    """What a file describes: world, robot, model (of SDFormat, that takes no commands), or "" for nothing whole."""
    if path.suffix == ".xacro" and not path.name.endswith((".urdf.xacro", ".sdf.xacro")):
        return ""
    root = read_file(path)
    if root.tag == "robot":
        return "robot" if root.find("joint") else ""
    if root.find("world"):
        return "world"
    model = root.find("model")
    return "" if model is None else "robot" if takes_commands(model) else "model"


def _composed(path: Path, kind: str, floor: Path) -> World:
    if kind == "world":
        return compose(path)
    if kind == "robot":
        return compose(floor, [f"robot:{path}"])
    world = floor.with_name("model.sdf")
    included = f"<include><uri>file://{path.resolve()}</uri><pose>0 0 1 0 0 0</pose></include></world>"
    world.write_text(floor.read_text().replace("</world>", included))
    return compose(world)


def _run(world: World) -> None:
    simulation = Simulation(world, cameras=False)
    simulation.step(max(1, round(SECONDS / world.time_step)), lambda reading: None)
    if simulation.divergences or not np.all(np.isfinite(simulation.data.qpos)):
        raise ConfigError(f"{world.file}: its physics diverges")


def _short(error: Exception, folder: Path, path: Path) -> str:
    """The first line of an error, without the folders in it."""
    text = str(error).replace(f"{path.resolve().parent}/", "").replace(f"{folder}/", "").splitlines()[0]
    text = _FOLDERS.sub("", text.partition("; looked for")[0])
    return text if len(text) <= 220 else f"{text[:217]}…"


def check_folders(folders: Iterable[Path]) -> list[WorldCheck]:
    """All worlds and robots in folders, in the order of their names."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        floor = Path(scratch) / "floor.sdf"
        floor.write_text(_FLOOR)
        for folder in folders:
            for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES and p.is_file()):
                result = check_file(path, folder, floor)
                if result is not None:
                    found.append(result)
    return found


def table(results: Sequence[WorldCheck]) -> str:
    """The results as Markdown."""
    lines = [f"| {'file'} | is a | outcome | what is said |", "| --- | --- | --- | --- |"]
    for one in results:
        said = one.said.replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {one.file} | {one.kind} | {one.outcome} | {said} |")
    return "\n".join(lines)


def summary(results: Sequence[WorldCheck]) -> str:
    """How many of each outcome, and the share of those that are complete on this machine that run."""
    counts = {outcome: sum(one.outcome == outcome for one in results) for outcome in _OUTCOMES}
    told = "\n".join(f"* {counts[outcome]} {what}" for outcome, what in _OUTCOMES.items())
    complete = len(results) - counts["incomplete"]
    share = f"{100 * counts['runs'] / complete:.0f} %" if complete else "none"
    return f"{len(results)} files:\n\n{told}\n\nOf the {complete} that are complete on this machine {share} run."


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the executable ``check_worlds``."""
    parser = argparse.ArgumentParser(prog="check_worlds", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path, help="folders with worlds (.sdf, .world) and robots")
    parser.add_argument("--doc", type=Path, help="Markdown file whose section of the label is written anew")
    parser.add_argument("--label", default="", help="name of the collection, heading of its section")
    given = parser.parse_args(arguments)
    for folder in given.folders:
        if not folder.is_dir():
            print(f"check_worlds: {folder}: is no folder", file=sys.stderr)
            sys.exit(EXIT_CONFIG)
    results = check_folders([folder.resolve() for folder in given.folders])
    text = f"{summary(results)}\n\n{table(results)}\n"
    print(text)
    if given.doc:
        _write_section(given.doc, given.label or given.folders[0].name, text)
    sys.exit(1 if any(one.outcome == "fault" for one in results) else 0)


def _write_section(doc: Path, label: str, text: str) -> None:
    """Puts a section in place of the one of the same heading, or at the end."""
    old = doc.read_text(encoding="utf-8") if doc.exists() else ""
    heading = f"## {label}\n"
    before, found, after = old.partition(heading)
    rest = after.partition("\n## ")
    tail = f"\n## {rest[2]}" if found and rest[1] else ""
    doc.write_text(f"{before.rstrip()}\n\n{heading}\n{text}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
