# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from ir_sim.sdf import compose

pytest_plugins = ["ir_common.testing"]

ROOT = Path(__file__).resolve().parents[3]
WORLD = ROOT / "worlds" / "robot_field.sdf"
BRIDGE = ROOT / "config" / "bridge.yaml"

FLOOR = """
    <model name="ground"><static>true</static><link name="link">
      <collision name="c"><geometry><plane><normal>0 0 1</normal><size>9 9</size></plane></geometry></collision>
    </link></model>"""


@pytest.fixture(scope="session")
def field():
    return compose(WORLD)


@pytest.fixture
def write_world(tmp_path):
    """Writes a world of the given elements, the first of them in line 3; the project's models can be included."""
    (tmp_path / "models").symlink_to(ROOT / "worlds" / "models")

    def write(*lines: str) -> Path:
        path = tmp_path / "x.sdf"
        inner = "\n".join(lines)
        path.write_text(f'<sdf version="1.9">\n<world name="x">\n{inner}\n</world>\n</sdf>\n')
        return path

    return write


@pytest.fixture
def world(tmp_path):
    """Writes a world of these lines, the first in line 2, in a version of SDFormat; returns it composed."""

    def write(*lines, version='version="1.9"', robots=()):
        path = tmp_path / "x.sdf"
        inner = "\n".join(lines)
        path.write_text(f'<sdf {version}><world name="x"><gravity>0 0 -9.8</gravity>\n{inner}\n</world></sdf>\n')
        return compose(path, robots)

    return write
