# SPDX-License-Identifier: Apache-2.0
"""A plain `colcon build`: what it builds for the bringup, and what it says where a library is missing."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ir_cli.libraries import DISTRIBUTIONS, ROSDEP
from ir_cli.preflight import check_libraries

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "src" / "ir_common" / "setup.py"


def old_pydantic(folder: Path) -> dict[str, str]:
    """An environment in which Python finds pydantic 1, as Ubuntu 24.04 has it."""
    metadata = folder / "pydantic-1.10.14.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: pydantic\nVersion: 1.10.14\n")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


@pytest.mark.parametrize("option", [(), ("--symlink-install",)], ids=["copied", "linked"])
def test_a_build_without_a_needed_library_fails_in_one_line(tmp_path: Path, option: tuple[str, ...]) -> None:
    pytest.importorskip("colcon_core")
    command = [sys.executable, "-m", "colcon", "--log-base", tmp_path / "log", "build", *option]
    places = ["--base-paths", SETUP.parent, "--build-base", tmp_path / "b", "--install-base", tmp_path / "i"]
    environ = old_pydantic(tmp_path)
    run = subprocess.run([*command, *places], env=environ, capture_output=True, text=True, timeout=100)
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("error:")]
    assert (
        "lacks pydantic>=2 (there is 1.10.14)" in line and "pip install --break-system-packages 'pydantic>=2'" in line
    )


def test_a_bare_python_is_told_all_that_is_missing() -> None:
    code = f"import sys, runpy; sys.argv = ['setup.py', 'build']; runpy.run_path({str(SETUP)!r})"
    stub = "import sys, types; m = types.ModuleType('setuptools'); m.setup = m.find_packages = print; "
    command = [sys.executable, "-S", "-c", f"{stub}sys.modules['setuptools'] = m; {code}"]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and "pydantic>=2" in run.stderr and "mujoco" in run.stderr, run.stderr


def test_what_the_build_asks_for_is_what_the_packages_import() -> None:
    tree = ast.parse(SETUP.read_text())
    (asked,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "NEEDED"]
    words = [n.value for n in ast.walk(asked) if isinstance(n, ast.Constant)]
    names = {word.partition(">=")[0].lower() for word in words}
    late = {"matplotlib", "psutil", "pytest", "rosbags", "starlette", "tensorboardx"}  # of tests and single programs
    assert names == {DISTRIBUTIONS.get(name, name).lower() for name in ROSDEP} - late


def test_doctor_tells_what_a_plain_build_lacks() -> None:
    lines = ["pydantic==2.14.3", "numpy==2.4.6", "mujoco==4.0.0"]
    finding = check_libraries(lines, {"pydantic": "1.10.14", "numpy": "1.26.4"})
    assert finding.level == "note" and "pydantic 2 (there is 1.10.14), mujoco" in finding.detail
    assert "numpy" not in finding.detail and "pip install" in finding.mend
    assert check_libraries(lines, {"pydantic": "2.9", "numpy": "1.26.4", "mujoco": "4.1"}).level == "ok"


def test_packages_up_to_the_bringup_are_all_that_it_starts() -> None:
    pytest.importorskip("colcon_core")
    command = [sys.executable, "-m", "colcon", "--log-base", os.devnull, "list", "--names-only", "--base-paths"]
    run = subprocess.run(
        [*command, "src", "--packages-up-to", "ir_twin"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    started = {"ir_sim", "ir_radio", "ir_slicing", "ir_drl", "ir_twin", "ir_dashboard", "ir_interfaces", "ir_common"}
    assert started <= set(run.stdout.split())
