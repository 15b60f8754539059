# SPDX-License-Identifier: Apache-2.0
"""`./ir run`, `up`, `shell` and `bench`: this process becomes the program, so that signals and status are its own."""

from __future__ import annotations

import ast
import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from .console import say
from .errors import UserError
from .layout import ProjectLayout


def replace_process(command: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Become the program."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, dict(environ))
    except OSError as error:
        raise UserError(f"{command[0]}: {error.strerror}", status=126) from None


def prefixes(environ: Mapping[str, str]) -> list[Path]:
    """Folders in which packages are installed: those of the workspace, then those of ROS."""
    return [Path(p) for p in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]


def find_executable(package: str, executable: str, environ: Mapping[str, str]) -> Path:
    """The program lib/PACKAGE/EXECUTABLE in the workspace or, after it, in the sourced ROS.

    Raises:
        UserError: naming what there is instead.
    """
    homes = [p for p in prefixes(environ) if (p / "share" / package / "package.xml").exists()]
    if not homes:
        known = packages_with_executables(environ)
        raise UserError(f"no package {package}. {hint(package, known)}Packages with executables: {', '.join(known)}")
    for home in homes:
        if executable in executables(home / "lib" / package):
            return home / "lib" / package / executable
    known = executables_of(package, environ)
    listing = f"It has: {', '.join(known)}" if known else "It has none"
    raise UserError(f"package {package} has no executable {executable}. {hint(executable, known)}{listing}")


def choices(package: str, environ: Mapping[str, str]) -> str:
    """What can be run, of one package or at all."""
    if package:
        return f"Executables of {package}: {', '.join(executables_of(package, environ)) or 'none'}"
    return f"Packages: {', '.join(packages_with_executables(environ))}"


def executables(folder: Path) -> list[str]:
    """Names of the programs in a folder."""
    if not folder.is_dir():
        return []
    return [p.name for p in folder.iterdir() if p.is_file() and os.access(p, os.X_OK)]


def executables_of(package: str, environ: Mapping[str, str]) -> list[str]:
    """Names of a package's programs."""
    return sorted({name for p in prefixes(environ) for name in executables(p / "lib" / package)})


def packages_with_executables(environ: Mapping[str, str]) -> list[str]:
    """Names of the workspace's packages that have programs to run; those of ROS are too many to list."""
    ours = [p for p in prefixes(environ) if p.parent.name == "install" and ".ir" in p.parts]
    return sorted(p.name for p in ours if executables(p / "lib" / p.name))


def hint(word: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}? " if near else ""


def shell(layout: ProjectLayout, arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Open the user's shell in the environment."""
    program = environ.get("SHELL") or "/bin/sh"
    if arguments or not sys.stdin.isatty():
        replace_process([program, *arguments], environ)
    say(f"ir: shell with ROS 2 {layout.distro} and this workspace; leave it with: exit")
    if Path(program).name == "bash":  # its start-up files may set PATH anew: put the environment back after them
        startup = layout.home / "bashrc"
        startup.write_text(_bashrc(layout, environ), encoding="utf-8")
        replace_process([program, "--rcfile", str(startup)], environ)
    replace_process([program], environ)


def _bashrc(layout: ProjectLayout, environ: Mapping[str, str]) -> str:
    import shlex

    from .variables import LISTS

    exports = "".join(f"export {n}={shlex.quote(environ[n])}\n" for n in LISTS if n in environ)
    return f'[ -f ~/.bashrc ] && . ~/.bashrc\n{exports}PS1="(ir {layout.distro}) $PS1"\n'


def benchmarks(root: Path) -> dict[str, Path]:
    """Benchmarks by the name under which they are run."""
    found = (root / "benchmarks").glob("[!_]*.py")
    return {p.stem.replace("_", "-"): p for p in sorted(found)}


def bench(layout: ProjectLayout, arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Run a benchmark with the rest of the arguments.

    Raises:
        UserError: no such benchmark.
    """
    name, known = arguments[0], benchmarks(layout.root)
    program = known.get(name.replace("_", "-"))
    if program is None:
        raise UserError(f"no benchmark {name}. {hint(name, known)}There are: {', '.join(known) or 'none yet'}")
    replace_process([str(layout.python), str(program), *arguments[1:]], environ)


def list_benchmarks(root: Path) -> None:
    """Print name and first docstring line of each benchmark."""
    known = benchmarks(root)
    for name, path in known.items():
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        print(f"  {name:<24} {about.splitlines()[0] if about else ''}".rstrip())
    if not known:
        print("There are no benchmarks yet (benchmarks/*.py).")
