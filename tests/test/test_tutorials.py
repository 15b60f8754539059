# SPDX-License-Identifier: Apache-2.0
"""Runs every command and every snippet of the guide, as they stand, in a folder that looks like the project's.

`./ir` is stood in for by a few lines that do what it does once the environment is made: the tests already run in it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
TUTORIALS = [page for page in GUIDE if "```bash\n" in page.read_text()]
SNIPPETS = [page for page in [*GUIDE, ROOT / "src" / "ir_radio" / "README.md"] if "```python\n" in page.read_text()]
IR = """#!/bin/bash
case $1 in
  up) shift; exec python -m ir_twin.bringup.up "$@" ;;
  bag) shift; exec "$0" run ir_bag "$@" ;;
  radio) shift; exec "$0" run ir_radio radio "$@" ;;
  run) exec "$(python -c 'import sys; from ament_index_python.packages import get_package_prefix as p; print(p(sys.argv[1]))' "$2")/lib/$2/$3" "${@:4}" ;;
  shell) shift; exec bash "$@" ;;
esac
exit 64
"""  # noqa: E501


def blocks(page: Path, language: str) -> str:
    """The page's blocks of code in a language, in order."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_command_works(ros_domain: int, tmp_path: Path, page: Path) -> None:
    for name in ("worlds", "config", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "ir").write_text(IR)
    (tmp_path / "ir").chmod(0o755)
    script = tmp_path / "commands.sh"
    script.write_text("set -e\n" + blocks(page, "bash"))
    assert "./ir up" in script.read_text() or "./ir radio" in script.read_text()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "ROS_LOG_DIR": str(tmp_path),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    output = tmp_path / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", script], cwd=tmp_path, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            status = process.wait(280)
        finally:
            for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
                child.kill()
            process.kill()
    assert status == 0, output.read_text()[-3000:]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", SNIPPETS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_snippet_of_python_works(tmp_path: Path, page: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", blocks(page, "python")], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert run.returncode == 0 and run.stdout, run.stderr[-3000:]
