# SPDX-License-Identifier: Apache-2.0
"""What test_gazebo.py tries on stand-ins, on the Gazebo that is installed; skipped where there is none."""

import json
import shutil
from pathlib import Path

import gymnasium
import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from gymnasium.utils.env_checker import check_env
from stack import Stack

from ir_drl.environments import environment_id

pytestmark = pytest.mark.timeout(400)
if shutil.which("gz") is None:
    pytest.skip("gz is not installed (it comes with Gazebo)", allow_module_level=True)
try:
    get_package_prefix("ros_gz_bridge")
except PackageNotFoundError:
    pytest.skip("ros_gz_bridge is not installed (it comes with ROS packages for Gazebo)", allow_module_level=True)
GZ = ["sim:=gz", "headless:=true", "dashboard:=off", "twin:=off", "rendering:=false"]


def test_fallen_robots_are_put_back_and_the_counters_agree(ros_domain: int, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    words = ["robots:=hopper,cart", "lidar:=raycast", "exploration:=2", "duration:=8", f"report:={report}"]
    stack = Stack([*GZ, *words], tmp_path)
    try:
        assert stack.process.wait(300) == 0, stack.text()
        assert stack.processes() == []
    finally:
        stack.close()
    found = json.loads(report.read_text())
    hopper = found["robots"]["hopper"]
    assert hopper["falls"] >= 3 and hopper["steps"] > 5 * hopper["falls"], "one that lies falls at every step"
    assert found["robots"]["cart"]["steps"] > 20 and not any(found["restarts"].values())
    assert all(one["balanced"] for one in found["slices"].values()) and found["slices"]


@pytest.mark.parametrize("model", ["hopper", "spider", "cart"])
def test_gymnasium_finds_nothing_wrong(ros_domain: int, tmp_path: Path, model: str) -> None:
    """Two resets with one seed begin alike, too."""
    words = [f"robots:={model}", f"external:={model}", "radio:=off", "slicing:=static", "lidar:=raycast"]
    stack = Stack([*GZ, *words], tmp_path)
    try:
        environment = gymnasium.make(environment_id(model, ros=True), timeout=120.0).unwrapped
        check_env(environment, skip_render_check=True)
        begins = [list(environment.reset(seed=1)[0]) for _ in range(3)]
        assert begins[1] == pytest.approx(begins[0], abs=1e-9) == begins[2]
        environment.close()
        assert stack.interrupt(60)[0] == 0 and stack.processes() == []
    finally:
        stack.close()
