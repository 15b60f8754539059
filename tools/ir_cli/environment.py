# SPDX-License-Identifier: Apache-2.0
"""Makes the environment, step by step; a step is done again only when its inputs have changed or it was not finished.

| step | does | again when |
| --- | --- | --- |
| venv | Python environment | the project moved, its interpreter is gone, it was left half-made |
| wheels | pip install of the pins in requirements/, correction of paths in their CMake files | a pin changed |
| base | removes what was built on another base | the pins of ROS, the build tools or NumPy changed |
| build | colcon build of the packages that changed | see `workspace.Package.key` |
| variables | what running programs need to be told | anything was built |
| loops | compiles the radio's inner loops, which its first start would wait for | one of them changed |

With a sourced ROS installation the venv sees the system's packages, only missing libraries are installed, and there is
nothing to correct. That path was tried with a second prefix made of the wheels, not with a Debian installation of ROS.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import console, lock, preflight, variables, wheels
from .console import Progress, run_logged, say
from .layout import ProjectLayout, base_python
from .stamps import Stamps, hash_of
from .workspace import PLACES, VENDOR, Package, to_build

AGAIN = "Then run the same command again: it goes on where it stopped. ./ir doctor checks this machine."
Command = Sequence[str | Path]
LOOPS = "ir_radio"
PIP = ("-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")


def ensure(layout: ProjectLayout, environ: Mapping[str, str]) -> dict[str, str]:
    """Bring the environment up to date where it is not; return the variables to run programs with.

    Raises:
        UserError: a step failed, or something that it needs is missing on this machine.
    """
    if stale(layout):
        with lock.hold(layout.home / "lock", _waiting):
            _Setup(layout, environ).run()  # looks again what is stale: the one waited for may have done it
    return variables.built(layout, environ)


def _waiting(owner: str) -> None:
    say(f"ir: waiting for process {owner}, another ./ir that is setting up")


def keys(layout: ProjectLayout) -> dict[str, str]:
    """Hash of the inputs of each step; each takes in that of the step before."""
    # Not the interpreter: a venv once made serves any Python that ./ir is started with.
    found = {"venv": hash_of([str(layout.venv), *map(str, layout.underlay)])}
    files = requirement_files(layout)
    found["wheels"] = hash_of([found["venv"], *files])
    native = [f for f in files if f.name in ("build.txt", f"{layout.distro}.txt")]
    found["base"] = hash_of([found["venv"], *native, *wheels.lines_of("numpy", layout.requirements / "stack.txt")])
    built = {f"build-{p.name}": p.key(layout.root, found["base"]) for p in to_build(layout.root, layout.underlay)}
    loops = [f for f in sorted((layout.root / "src" / LOOPS).rglob("*.py")) if b"jit" in f.read_bytes()]
    return found | built | {"variables": hash_of(built.values()), "loops": hash_of([found["base"], *loops])}


def stale(layout: ProjectLayout) -> list[str]:
    """Steps to do, in order. After one of the first three everything is to be done."""
    wanted, stamps = keys(layout), Stamps(layout.stamps)
    steps = [step for step, key in wanted.items() if not (stamps.fresh(step, key) and _there(layout, step))]
    if "venv" in steps:
        steps = list(wanted)
    gone = [s for s in stamps.steps("build-") if s not in wanted]
    return steps + gone


def _there(layout: ProjectLayout, step: str) -> bool:
    """Whether what the step made has not been deleted since."""
    if step.startswith("build-"):
        return (layout.install / step.removeprefix("build-")).is_dir()
    return {"venv": layout.python, "variables": variables.file(layout)}.get(step, layout.home).exists()


def requirement_files(layout: ProjectLayout) -> list[Path]:
    """Files that pip installs from."""
    names = ["build.txt", "stack.txt", "dev.txt"] + ([f"{layout.distro}.txt"] if layout.uses_wheels else [])
    return [layout.requirements / n for n in [*names, "constraints.txt"]]


class _Setup:
    """One pass over the steps, under the lock."""

    def __init__(self, layout: ProjectLayout, environ: Mapping[str, str]) -> None:
        self.layout = layout
        self.environ = environ
        self.stamps = Stamps(layout.stamps)
        self.mark = {lock.MARK: str(layout.home / "lock")}

    def run(self) -> None:
        todo = stale(self.layout)
        if not todo:
            return
        wanted = keys(self.layout)
        if "venv" in todo:
            preflight.require(self.layout)
            say(f"ir: setting up ROS 2 {self.layout.distro} in {self.layout.home}; later starts skip this")
        for name, step in (("venv", self._venv), ("wheels", self._wheels), ("base", self._remove_built)):
            if name in todo:
                self._forget(name)
                step()
                self.stamps.write(name, wanted[name])
        self._build(wanted)
        variables.snapshot(self.layout, self.environ)
        self.stamps.write("variables", wanted["variables"])
        if "loops" in todo:
            self._compile()
            self.stamps.write("loops", wanted["loops"])

    def _forget(self, step: str) -> None:
        """Drop the stamps of a step that is to be done, and of what rests on it."""
        for name in {"venv": ("loops", "variables", "base", "wheels", "venv")}.get(step, ("variables", step)):
            self.stamps.clear(name)

    def _run(
        self, title: str, log: Path, command: Command, detail: Callable[[str], str], environ: dict[str, str]
    ) -> tuple[int, Progress]:
        progress = Progress(title)
        return run_logged(command, log, environ | self.mark, progress, detail, self.layout.root), progress

    def _variables(self) -> dict[str, str]:
        return variables.base(self.layout, self.environ)

    def _venv(self) -> None:
        if self.layout.venv.exists():
            shutil.rmtree(self.layout.venv)
        options = [] if self.layout.uses_wheels else ["--system-site-packages"]
        command: Command = [base_python(), "-m", "venv", *options, self.layout.venv]
        log = self.layout.log / "venv.log"
        status, progress = self._run("ir: [1/4] Python environment", log, command, lambda _: "", self._variables())
        if status:
            raise console.failure("python -m venv", log, f"{preflight.MEND_VENV}\n{AGAIN}")
        progress.done()

    def _wheels(self) -> None:
        site = self.layout.site_packages()
        wheels.drop_unfinished(site)
        wanted, constraints = self._requirements()
        total = sum(1 for f in wanted for _ in wheels.pins(f)) + sum(1 for _ in wheels.pins(constraints))

        def detail(log: str) -> str:
            done = sum(1 for _ in site.glob("*.dist-info"))
            doing = re.findall(r"^ *((?:Collecting|Downloading) \S+|Installing collected packages)", log, re.M)[-1:]
            return f"{min(done, total)}/{total} installed; {doing[0] if doing else ''}"

        sources: Command = [a for f in wanted for a in ("-r", f)]
        command: Command = [self.layout.python, *PIP, *sources, "-c", constraints]
        log = self.layout.log / "wheels.log"
        status, progress = self._run("ir: [2/4] Packages from PyPI", log, command, detail, self._variables())
        if status:
            raise console.failure("pip install", log, f"Check the network and the disk. {AGAIN}")
        if self.layout.uses_wheels:
            wheels.correct_cmake_files(self.layout.venv, *wheels.interpreter(self.layout.python))
        progress.done()

    def _requirements(self) -> tuple[list[Path], Path]:
        """Requirement files and the constraints for pip."""
        *wanted, constraints = requirement_files(self.layout)
        if self.layout.uses_wheels:
            return wanted, constraints
        return wheels.missing_requirements(self.layout, wanted, constraints, self._variables())

    def _remove_built(self) -> None:
        for folder in (self.layout.build, self.layout.install):  # CMake has stored paths and findings in them
            shutil.rmtree(folder, ignore_errors=True)

    def _build(self, wanted: Mapping[str, str]) -> None:
        found = to_build(self.layout.root, self.layout.underlay)
        todo = [p for p in found if not self._is_built(p, wanted[f"build-{p.name}"])]
        self._prune({p.name for p in found})
        if not todo:
            return
        self.stamps.clear("variables")
        for package in todo:
            self.stamps.clear(f"build-{package.name}")
            (self.layout.build / package.name / "colcon_build.rc").unlink(missing_ok=True)
        title = f"ir: [3/4] Building {len(todo)} package{'s' * (len(todo) > 1)}"
        command = build_command(self.layout, [p.name for p in todo])
        log = self.layout.log / "build.log"
        status, progress = self._run(title, log, command, build_progress, self._build_variables())
        for package in todo:
            if self._result(package) == "0":
                self.stamps.write(f"build-{package.name}", wanted[f"build-{package.name}"])
        if status:
            failed = re.findall(r"^Failed +<<< (\S+)", log.read_text(encoding="utf-8", errors="replace"), re.M)
            own = self.layout.log / "latest_build" / "".join(failed[:1]) / "stdout_stderr.log"
            what = f"colcon build of {', '.join(failed) or 'the workspace'}"
            raise console.failure(what, own if failed and own.exists() else log, f"Mend what it names. {AGAIN}")
        progress.done()

    def _compile(self) -> None:
        command: Command = [self.layout.python, "-m", f"{LOOPS}.engine.warm_up"]
        log = self.layout.log / "loops.log"
        environ = variables.built(self.layout, self.environ)
        status, progress = self._run("ir: [4/4] Compiling the radio's loops", log, command, lambda _: "", environ)
        if status:
            raise console.failure(f"python -m {LOOPS}.engine.warm_up", log, f"Mend what it names. {AGAIN}")
        progress.done()

    def _is_built(self, package: Package, key: str) -> bool:
        return self.stamps.fresh(f"build-{package.name}", key) and (self.layout.install / package.name).is_dir()

    def _result(self, package: Package) -> str:
        try:
            return (self.layout.build / package.name / "colcon_build.rc").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def _prune(self, names: set[str]) -> None:
        """Remove what was built from packages that are no more."""
        for step in self.stamps.steps("build-"):
            name = step.removeprefix("build-")
            if name not in names:
                shutil.rmtree(self.layout.build / name, ignore_errors=True)
                shutil.rmtree(self.layout.install / name, ignore_errors=True)
                self.stamps.clear(step)

    def _build_variables(self) -> dict[str, str]:
        environ = self._variables()
        # colcon's own choice is -jN -lN: under that load limit ninja runs one job at a time on a two-core machine.
        jobs = environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
        environ.setdefault("MAKEFLAGS", f"-j{jobs}")
        return environ


def build_command(layout: ProjectLayout, names: list[str]) -> list[str | Path]:
    """The colcon call that builds the named packages."""
    generator = ["-GNinja"] if (layout.venv / "bin" / "ninja").exists() or shutil.which("ninja") else []
    return [
        *(layout.python, "-m", "colcon", "--log-base", layout.log, "build", "--base-paths"),
        *(place for place in PLACES if (layout.root / place).is_dir()),
        *map(str, sorted((layout.root / VENDOR).glob("*/"))),
        *("--build-base", layout.build, "--install-base", layout.install, "--symlink-install"),
        *(
            "--packages-select",
            *names,
            "--continue-on-error",
            "--event-handlers",
            "console_direct+",
            "console_start_end+",
        ),
        *("--cmake-args", "-DBUILD_TESTING=OFF", *generator),
    ]


def build_progress(log: str) -> str:
    """How far colcon is, from its output: packages finished, and steps of the compilation."""
    finished, started = len(re.findall(r"^Finished <<<", log, re.M)), re.findall(r"^Starting >>> (\S+)", log, re.M)
    steps = re.findall(r"^\[(\d+)/(\d+)\]", log, re.M)[-1:]
    compiling = f", compiled {steps[0][0]}/{steps[0][1]}" if steps and steps[0][0] != steps[0][1] else ""
    return f"{finished} finished, at {started[-1] if started else '…'}{compiling}"
