# SPDX-License-Identifier: Apache-2.0
"""A project such as `./ir` works in, and `./ir` itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THIS_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def add_package(root: Path, name: str, setup: str = "") -> Path:
    folder = root / "src" / name
    (folder / name).mkdir(parents=True)
    (folder / "package.xml").write_text(f"<package><name>{name}</name></package>")
    (folder / "setup.py").write_text(setup)
    (folder / name / "__init__.py").write_text("")
    return folder


def run_ir(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "ir", *arguments], capture_output=True, text=True, timeout=60)
