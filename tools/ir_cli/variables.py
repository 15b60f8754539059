# SPDX-License-Identifier: Apache-2.0
"""The environment variables in which programs of the workspace run.

The build asks a shell once what `install/local_setup.sh` sets and keeps the answer in a file, since sourcing it takes
longer than everything else that happens before a program starts.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import UserError
from .layout import ProjectLayout

# Lists of folders: what the workspace adds goes before what the user has.
LISTS = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PATH",
    "PKG_CONFIG_PATH",
    "PYTHONPATH",
)
_SHELL_OWN = {"_", "PWD", "OLDPWD", "SHLVL"}
_HOME_OF_PIP = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME")  # would install elsewhere


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's variables without the entries that an `./ir shell` around this one has added."""
    clean = {k: v for k, v in environ.items() if k not in _HOME_OF_PIP}
    for name in LISTS:
        if name in clean:
            kept = [e for e in clean[name].split(os.pathsep) if e and ".ir" not in Path(e).parts]
            clean[name] = os.pathsep.join(kept)
            if not kept:
                del clean[name]
    return clean


def base(layout: ProjectLayout, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables with the venv, before anything is built: those for pip and colcon."""
    own: dict[str, list[str]] = {"PATH": [str(layout.venv / "bin")]}
    if layout.uses_wheels:
        own["AMENT_PREFIX_PATH"] = own["CMAKE_PREFIX_PATH"] = [str(layout.venv)]
        libraries = sorted(map(str, layout.site_packages().glob("ros_*.libs")))
        own["LD_LIBRARY_PATH"] = [str(layout.venv / "lib"), *libraries]
    return _defaults(layout, _merge(own, _fixed(layout), environ))


def _fixed(layout: ProjectLayout) -> dict[str, str]:
    fixed = {"VIRTUAL_ENV": str(layout.venv), "IR_ROOT": str(layout.root)}
    if layout.uses_wheels:
        fixed |= {"ROS_DISTRO": layout.distro, "ROS_VERSION": "2", "ROS_PYTHON_VERSION": "3"}
        # All that the wheels' start-up hook would do is done, so that it need not start every interpreter twice.
        fixed["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    return fixed


def snapshot(layout: ProjectLayout, environ: Mapping[str, str]) -> None:
    """Store what the built workspace adds to an environment.

    Raises:
        UserError: its set-up script fails.
    """
    before = base(layout, environ)
    script = f'. "{layout.install}/local_setup.sh" && env -0'
    run = subprocess.run(["/bin/sh", "-c", script], env=before, check=False, capture_output=True, text=True)
    if run.returncode:
        raise UserError(
            f"{layout.install}/local_setup.sh failed: {run.stderr.strip()}\nRemove {layout.stamps} and try again"
        )
    after = dict(line.split("=", 1) for line in run.stdout.split("\0") if "=" in line)
    user, fixed = without_ours(environ), _fixed(layout)
    lists: dict[str, list[str]] = {}
    for name, value in after.items():
        if name in LISTS:
            theirs = {"", *user.get(name, "").split(os.pathsep)}
            lists[name] = [e for e in value.split(os.pathsep) if e not in theirs]
        elif name not in _SHELL_OWN and before.get(name) != value:
            fixed[name] = value
    part = file(layout).with_suffix(".part")
    part.write_text(json.dumps({"lists": lists, "fixed": fixed}, indent=1), encoding="utf-8")
    os.replace(part, file(layout))


def built(layout: ProjectLayout, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables with the venv and the built workspace: those for running things."""
    stored = json.loads(file(layout).read_text(encoding="utf-8"))
    return _defaults(layout, _merge(stored["lists"], stored["fixed"], environ))


def _merge(lists: Mapping[str, list[str]], fixed: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    merged = without_ours(environ) | dict(fixed)
    for name, ours in lists.items():
        theirs = [e for e in merged.get(name, "").split(os.pathsep) if e and e not in ours]
        merged[name] = os.pathsep.join([*ours, *theirs])
    return merged


def _defaults(layout: ProjectLayout, environ: dict[str, str]) -> dict[str, str]:
    """Settings that the user's own override: nothing leaves this machine, and the DDS that the wheels have."""
    environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if layout.uses_wheels:
        environ.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    return environ


def file(layout: ProjectLayout) -> Path:
    """Where the answer is kept."""
    return layout.home / "environment.json"
