# SPDX-License-Identifier: Apache-2.0
"""`./ir docs`: makes the generated pages, then the documentation site, in an environment of its own.

Pages and what they link to are staged as symbolic links with the paths that they have in the project. So a relative
link serves in the project, on a forge and on the site, and a page that is edited shows at once under ``--serve``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import console, lock
from .console import Progress, run_logged, say
from .environment import PIP
from .errors import UserError
from .layout import ProjectLayout, base_python
from .programs import replace_process
from .stamps import Stamps, hash_of

USAGE = "usage: ./ir docs [--serve]"
PAGES = ("*.md", "docs/**/*.md", "src/*/README.md")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
ADDRESS = "127.0.0.1:8000"
ROOMS = ("guide", "method", "evidence", "notes")
QUIET = {"NO_MKDOCS_2_WARNING": "1"}
"""Without the notice that this theme gets fixes until May 2027 only; its successor, Zensical, reads these settings."""


def docs(layout: ProjectLayout, serve: bool, environ: Mapping[str, str]) -> int:
    """Builds the site, or serves it while pages change; returns the exit status.

    Raises:
        UserError: the generator or the set-up failed.
    """
    home = layout.root / ".ir" / "docs"
    if subprocess.run([base_python(), layout.root / "docs" / "build_evidence.py"], check=False).returncode:
        raise UserError("docs/build_evidence.py failed: mend what it names", status=1)
    python = _environment(layout, home, environ)
    stage(layout.root, home / "source")
    settings = home / "mkdocs.yml"
    settings.write_text(json.dumps(configuration(layout.root, home), indent=1), encoding="utf-8")  # JSON is YAML, too
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--config-file", str(settings)]
    if serve:
        command[3:4] = ["serve", "--dev-addr", ADDRESS]
        replace_process(command, {**environ, **QUIET})
    status = subprocess.run(command, env={**environ, **QUIET}, check=False).returncode
    if not status:
        say(f"ir: {home.relative_to(layout.root) / 'site' / 'index.html'}")
    return status


def _environment(layout: ProjectLayout, home: Path, environ: Mapping[str, str]) -> Path:
    """The Python of the site's environment, which is made anew when a pin has changed."""
    python, stamps = home / "venv" / "bin" / "python", Stamps(home / "stamps")
    wanted, *pins = (layout.requirements / f"{name}.txt" for name in ("docs", "constraints", "stack"))
    key = hash_of([str(home), *(file.read_bytes() for file in (wanted, *pins))])
    with lock.hold(home / "lock", lambda owner: say(f"ir: waiting for process {owner}, which makes the same")):
        if stamps.fresh("venv", key) and python.exists():
            return python
        stamps.clear("venv")
        shutil.rmtree(home / "venv", ignore_errors=True)
        progress, log = Progress("ir: environment of the documentation site"), home / "venv.log"
        marked = {**environ, lock.MARK: str(home / "lock")}
        commands: tuple[list[str | Path], ...] = (
            [base_python(), "-m", "venv", home / "venv"],
            [python, *PIP, "-r", wanted, *(word for file in pins for word in ("-c", file))],
        )
        for command in commands:
            if run_logged(command, log, marked, progress, lambda _: ""):
                raise console.failure(" ".join(map(str, command[1:4])), log, "Check the network; then run it again.")
        progress.done()
        stamps.write("venv", key)
    return python


def pages(root: Path) -> list[Path]:
    """The Markdown pages of the project."""
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def stage(root: Path, source: Path) -> None:
    """Links the pages, and the files of the project that they link to, into a fresh folder."""
    shutil.rmtree(source, ignore_errors=True)
    found = pages(root)
    linked = {
        (page.parent / target).resolve()
        for page in found
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target
    }
    style = root / "docs" / "pictures" / "site.css"
    for file in {style, *found, *(target for target in linked if target.is_file() and target.is_relative_to(root))}:
        place = source / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)


def configuration(root: Path, home: Path) -> dict[str, Any]:
    """Settings of the site beside those of docs/mkdocs.yml: folders, and all pages, each room in its index's order."""
    rooms: list[Any] = [{room.capitalize(): _in_order(root, root / "docs" / room)} for room in ROOMS]
    others = [{page.stem.capitalize(): page.name} for page in sorted(root.glob("*.md")) if page.name != "README.md"]
    packages = [str(page.relative_to(root)) for page in sorted(root.glob("src/*/README.md"))]
    return {
        "INHERIT": str(root / "docs" / "mkdocs.yml"),
        "docs_dir": str(home / "source"),
        "site_dir": str(home / "site"),
        "nav": [
            {"Start": "README.md"},
            *rooms,
            {"Packages": packages},
            {"Glossary": "docs/glossary.md"},
            *others,
        ],
    }


def _in_order(root: Path, room: Path) -> list[str]:
    """The pages of a folder of docs/: its index, then as the index links to them, then the others."""
    index = room / "index.md"
    linked = [(room / target).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))]
    found = sorted(room.glob("*.md"), key=lambda page: linked.index(page) if page in linked else len(linked))
    return [str(page.relative_to(root)) for page in [index, *(page for page in found if page != index)]]
