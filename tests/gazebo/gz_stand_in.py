# SPDX-License-Identifier: Apache-2.0
"""Stand-ins of `gz`, ros_gz_bridge and ros_gz_interfaces for tests, on machines without Gazebo."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAM = """#!{python}
import json, os, runpy, signal, sys
if {name!r} == "gz":
    if "sim" not in sys.argv:
        sys.exit(0)
    sys.path.insert(0, {folder!r})
    sys.argv[0] = "gz"
    runpy.run_path({folder!r} + "/gz_double.py", run_name="__main__")
# the bridge: what it was started with, for the other to read; then it runs until it is told to end
seen = os.environ["IR_TEST_DOUBLES"] + "/bridge"
open(seen + ".part", "w").write(json.dumps(sys.argv[1:]))
os.rename(seen + ".part", seen + ".json")
signal.sigwait([signal.SIGINT, signal.SIGTERM])
"""


def interfaces() -> dict[str, str]:
    """Variables with which programs find ros_gz_interfaces: the installed one, or a stand-in that is built once.

    Skips the test where neither can be.
    """
    if importlib.util.find_spec("ros_gz_interfaces") is not None:
        return {}
    if not all(map(shutil.which, ("cmake", "c++"))):
        pytest.skip("ros_gz_interfaces is not installed, and there is no cmake and compiler to build its stand-in")
    names = sorted((HERE / "interfaces").rglob("*.*"))
    text = "".join(path.read_text() for path in names if path.is_file()) + sys.executable
    place = Path(tempfile.gettempdir()) / f"ir-gz-{os.getuid()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "built").exists():
            _build(place)
            (place / "built").touch()
    install = place / "install"
    (packages,) = install.glob("lib/python3*/site-packages")
    return {
        "PYTHONPATH": _before("PYTHONPATH", packages),
        "LD_LIBRARY_PATH": _before("LD_LIBRARY_PATH", install / "lib"),
        "AMENT_PREFIX_PATH": _before("AMENT_PREFIX_PATH", install),
    }


def _build(place: Path) -> None:
    for command in (
        ["cmake", "-S", HERE / "interfaces", "-B", place / "build", f"-DCMAKE_INSTALL_PREFIX={place / 'install'}",
         f"-DPython3_EXECUTABLE={sys.executable}", "-DCMAKE_CXX_FLAGS=-O0", "-DCMAKE_C_FLAGS=-O0"],
        ["cmake", "--build", place / "build", "--target", "install"],
    ):  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


def _before(variable: str, path: Path) -> str:
    return ":".join(filter(None, (str(path), os.environ.get(variable, ""))))


class StandIn:
    """Programs `gz` and `parameter_bridge` in a folder, and the variables with which the bringup finds them.

    Args:
        folder: of the test.
    """

    def __init__(self, folder: Path) -> None:
        prefix, programs = folder / "prefix", folder / "bin"
        self.seen = folder / "seen"
        bridge = prefix / "lib" / "ros_gz_bridge"
        marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "ros_gz_bridge"
        for one in (bridge, programs, self.seen, marker.parent):
            one.mkdir(parents=True)
        marker.touch()
        for file, name in ((programs / "gz", "gz"), (bridge / "parameter_bridge", "bridge")):
            file.write_text(PROGRAM.format(python=sys.executable, name=name, folder=str(HERE)))
            file.chmod(0o755)
        found = interfaces()
        index = found.get("AMENT_PREFIX_PATH", os.environ.get("AMENT_PREFIX_PATH", ""))
        self.variables = {
            **found,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": f"{prefix}:{index}",
            "IR_TEST_DOUBLES": str(self.seen),
        }

    @property
    def bridge(self) -> list[str] | None:
        """What the bridge was started with; None: it was not."""
        file = self.seen / "bridge.json"
        return json.loads(file.read_text()) if file.exists() else None

    @property
    def gazebos(self) -> dict[int, list[str]]:
        """By process id, what each Gazebo was started with that came as far as running its world."""
        return {int(file.stem[3:]): json.loads(file.read_text()) for file in self.seen.glob("gz-*.json")}
