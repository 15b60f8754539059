# SPDX-License-Identifier: Apache-2.0
"""What this machine must have and had better have: `./ir doctor` shows all of it, the setup stops at the former."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import wheels
from .errors import UserError
from .layout import ProjectLayout, python_version

GIB = 1 << 30
DISK_NEEDED = 4 * GIB  # venv 2 GB with CPU torch, pip's temporary files, the build
MEMORY_WISHED = 4 * GIB
SHM_WISHED = 64 << 20  # shared-memory transport of Fast DDS
PYTHONS = ((3, 10), (3, 14))  # for which there are ROS wheels
MEND_VENV = "Is the venv module complete? On Debian and Ubuntu: sudo apt-get install python3-venv"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        what: the thing checked.
        level: "ok", "missing" (required), "warning" (works, but), or "note" (optional or for information).
        detail: what was found, in plain words.
        mend: the command or action that mends it.
        debian: packages of Debian and Ubuntu that mend it.
    """

    what: str
    level: str
    detail: str
    mend: str = ""
    debian: tuple[str, ...] = ()


def require(layout: ProjectLayout) -> None:
    """Stop before a long installation that cannot succeed.

    Raises:
        UserError: naming everything that is missing and how to get it.
    """
    missing = [f for f in required(layout) if f.level == "missing"]
    if missing:
        lines = "\n".join(f"  {f.what}: {f.detail}. {mend_text(f)}" for f in missing)
        raise UserError(f"this machine lacks what the setup needs\n{lines}\nThen run the same command again.")


def required(layout: ProjectLayout) -> list[Finding]:
    """Checks of what the setup cannot do without."""
    return [
        check_python(sys.version_info[:2], layout.uses_wheels),
        check_platform(platform.system(), platform.machine(), platform.libc_ver(), layout.uses_wheels),
        check_venv(importlib.util.find_spec),
        check_headers(Path(sysconfig.get_paths()["include"])),
        check_compiler(shutil.which, os.environ),
        check_disk(_free_disk(layout.root), layout.python.exists()),
    ]


def advised(layout: ProjectLayout) -> list[Finding]:
    """Checks of what some parts of the stack use."""
    return [
        check_memory(Path("/proc/meminfo")),
        check_shm(Path("/dev/shm")),
        check_logs(os.environ),
        check_realtime(os.sched_setscheduler),
        check_program(shutil.which, "git", "records the commit in benchmark results", ("git",)),
        check_rendering(ctypes.util.find_library),
        check_program(
            shutil.which,
            "ign",
            "checks world files with the real SDFormat parser",
            ("ignition-tools", "libsdformat-dev"),
        ),
        check_gazebo(shutil.which, layout),
        check_torch_source(os.environ),
        *([] if layout.uses_wheels else [check_system_libraries(layout)]),
    ]


def check_python(version: tuple[int, int], wheels: bool) -> Finding:
    """Python for which there are ROS wheels."""
    text = f"{version[0]}.{version[1]} ({sys.executable})"
    (low, high), name = PYTHONS, "Python"
    mend = f"start as: python{high[0]}.{high[1]} ./ir …"
    if wheels and version > high:
        return Finding(name, "missing", f"{text}; ROS wheels go up to {high[0]}.{high[1]}", mend)
    if version < low:
        return Finding(name, "missing", f"{text}; {low[0]}.{low[1]} or later is needed", mend)
    return Finding(name, "ok", text)


def check_platform(system: str, machine: str, libc: tuple[str, str], wheels: bool) -> Finding:
    """The kind of machine for which there are ROS wheels."""
    text = f"{system} {machine} {' '.join(libc)}".strip()
    old = libc[0] == "glibc" and tuple(map(int, libc[1].split(".")[:2])) < (2, 28)
    if wheels and (system != "Linux" or machine != "x86_64" or libc[0] != "glibc" or old):
        return Finding(
            "machine",
            "missing",
            f"{text}; ROS wheels are for Linux x86_64 with glibc 2.28 or later",
            "install ROS 2 and source it",
        )
    return Finding("machine", "ok", text)


def check_venv(find_spec: Callable[[str], object]) -> Finding:
    """venv and ensurepip, which Debian packs apart from Python."""
    absent = [m for m in ("venv", "ensurepip") if find_spec(m) is None]
    if absent:
        return Finding("venv and pip", "missing", f"no Python module {' and '.join(absent)}", debian=("python3-venv",))
    return Finding("venv and pip", "ok", "modules venv and ensurepip")


def check_headers(include: Path) -> Finding:
    """Python's C headers, with which the message types are compiled."""
    if not (include / "Python.h").exists():
        return Finding("Python headers", "missing", f"no {include}/Python.h", debian=(f"python{python_version()}-dev",))
    return Finding("Python headers", "ok", str(include))


def check_compiler(which: Callable[[str], str | None], environ: Mapping[str, str]) -> Finding:
    """A C and a C++ compiler, as CMake looks for them."""
    found = []
    for language, variable, names in (("C", "CC", ("cc", "gcc", "clang")), ("C++", "CXX", ("c++", "g++", "clang++"))):
        candidates = (environ[variable].split()[0],) if environ.get(variable, "").strip() else names
        program = next((p for n in candidates if (p := which(n))), None)
        if program is None:
            return Finding(
                "compiler", "missing", f"no {language} compiler (looked for {', '.join(candidates)})", debian=("g++",)
            )
        found.append(program)
    return Finding("compiler", "ok", " ".join(found))


def check_disk(free: int, installed: bool) -> Finding:
    """Space for the environment, until it is there."""
    text = f"{free / GIB:.1f} GiB free"
    if not installed and free < DISK_NEEDED:
        return Finding(
            "disk", "missing", f"{text}; the environment takes {DISK_NEEDED / GIB:.0f} GiB", "free some space"
        )
    return Finding("disk", "ok", text)


def check_memory(meminfo: Path) -> Finding:
    """Memory of the machine."""
    try:
        total = int(meminfo.read_text(encoding="ascii").split()[1]) << 10  # first line: MemTotal: N kB
    except (OSError, ValueError, IndexError):
        return Finding("memory", "note", "unknown")
    text = f"{total / GIB:.1f} GiB"
    if total < MEMORY_WISHED:
        return Finding(
            "memory",
            "warning",
            f"{text}; compiling and training want {MEMORY_WISHED / GIB:.0f} GiB",
            "bring up fewer robots",
        )
    return Finding("memory", "ok", text)


def check_shm(shm: Path) -> Finding:
    """Shared memory, over which nodes on one machine exchange messages."""
    if not os.access(shm, os.W_OK):
        return Finding(
            "shared memory",
            "warning",
            f"{shm} cannot be written; messages go over loopback UDP, slower",
            f"mount a tmpfs at {shm}",
        )
    stat = os.statvfs(shm)
    free = stat.f_bavail * stat.f_frsize
    if free < SHM_WISHED:
        return Finding(
            "shared memory",
            "warning",
            f"{shm} has only {free >> 20} MiB free",
            f"sudo mount -o remount,size=512M {shm}",
        )
    return Finding("shared memory", "ok", f"{shm}, {free >> 20} MiB free")


def check_logs(environ: Mapping[str, str]) -> Finding:
    """The folder into which ROS and the bringup write their logs: it, or the folders that it would be made in."""
    home = environ.get("ROS_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".ros")
    folder = Path(environ.get("ROS_LOG_DIR") or Path(home) / "log").expanduser()
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    if not (there.is_dir() and os.access(there, os.W_OK)):
        mend = "set ROS_LOG_DIR to a folder that can be written to"
        return Finding("logs", "warning", f"{folder} cannot be written to; no node can start", mend)
    return Finding("logs", "ok", str(folder))


def check_realtime(schedule: Callable[[int, int, os.sched_param], None]) -> Finding:
    """Real-time scheduling, with which the twin answers in time on a busy machine."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        schedule(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return Finding(
            "real-time scheduling",
            "note",
            "not permitted; verdicts of the twin take longer while the machine is busy",
            "to permit it, add '@GROUP - rtprio 1' with a group of yours to /etc/security/limits.conf and log in again",
        )
    schedule(0, *before)
    return Finding("real-time scheduling", "ok", "permitted; the twin uses it")


def check_program(which: Callable[[str], str | None], name: str, use: str, debian: tuple[str, ...]) -> Finding:
    """An optional program."""
    found = which(name)
    return Finding(name, "ok", found) if found else Finding(name, "note", f"not found; it {use}", debian=debian)


def check_rendering(find_library: Callable[[str], str | None]) -> Finding:
    """A library with which camera images are rendered off screen."""
    found = [n for n in ("OSMesa", "EGL") if find_library(n)]
    if found:
        return Finding("rendering", "ok", f"off-screen OpenGL by {' or '.join(found)}")
    return Finding("rendering", "note", "no off-screen OpenGL; camera images need it", debian=("libosmesa6",))


def check_gazebo(which: Callable[[str], str | None], layout: ProjectLayout) -> Finding:
    """Gazebo and its bridge, for sim:=gz."""
    gz = which("gz")
    bridge = any((p / "lib" / "ros_gz_bridge").is_dir() for p in layout.underlay)
    if gz and bridge:
        return Finding("Gazebo", "ok", f"{gz} and ros_gz_bridge: sim:=gz can be used")
    absent = [n for n, there in (("gz", gz), ("ros_gz_bridge", bridge)) if not there]
    mend = f"install ros-{layout.distro}-ros-gz on a machine with ROS packages and source ROS"
    return Finding(
        "Gazebo", "note", f"no {' and no '.join(absent)}; needed for sim:=gz only, sim:=mujoco is the default", mend
    )


def check_system_libraries(layout: ProjectLayout) -> Finding:
    """As `check_libraries`, of the Python that runs this: that of the ROS installation."""
    present = {wheels.normal(d.name): d.version for d in importlib.metadata.distributions() if d.name}
    lines = (layout.requirements / "stack.txt").read_text(encoding="utf-8").splitlines()
    return check_libraries(lines, present)


def check_libraries(lines: list[str], present: Mapping[str, str]) -> Finding:
    """Libraries that a plain `colcon build` under a ROS installation lacks, or finds too old; `./ir` adds them itself.

    Args:
        lines: pins of requirements/stack.txt.
        present: version by normal name of what the system's Python has.
    """
    lacking = [re.split(r"[=;]", line)[0] for line in wheels.lacking(wheels.pin_lines(lines), present)]
    if not lacking:
        return Finding("Python libraries", "ok", "a plain colcon build finds all that the packages import")
    majors = {line.partition("==")[0]: re.split(r"[=.]+", line)[1] for line in lines if "==" in line}

    def told(name: str) -> str:
        there = present.get(wheels.normal(name))
        return f"{name} {majors[name]} (there is {there})" if there else name

    detail = f"a plain colcon build lacks {', '.join(map(told, lacking))}; rosdep has no key or an older version"
    mend = "only for a build without ./ir: python3 -m pip install --break-system-packages " + " ".join(
        f"'{name}>={majors[name]}'" for name in lacking
    )
    return Finding("Python libraries", "note", detail, mend)


def check_torch_source(environ: Mapping[str, str]) -> Finding:
    """Where pip takes PyTorch from: PyPI's build for Linux brings several GB of CUDA."""
    own = [n for n in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE") if environ.get(n)]
    if own:
        return Finding("PyTorch", "note", f"pip also looks where {', '.join(own)} says")
    mend = "to avoid that, set PIP_EXTRA_INDEX_URL (PyTorch's CPU wheels) or PIP_FIND_LINKS (a folder) before the setup"
    return Finding("PyTorch", "note", "pip's default index may bring a build with several GB of CUDA", mend)


def mend_text(finding: Finding) -> str:
    """How to mend a finding, as a command where there is one."""
    if finding.debian and shutil.which("apt-get"):
        return f"Run: sudo apt-get install {' '.join(finding.debian)}"
    if finding.debian:
        return f"Install what Debian calls {' and '.join(finding.debian)}"
    return finding.mend[:1].upper() + finding.mend[1:]


def _free_disk(folder: Path) -> int:
    return shutil.disk_usage(folder).free
