# SPDX-License-Identifier: Apache-2.0
"""Where `./ir` finds ROS, what variables it sets, and what it installs: layout, variables, wheels and pins."""

from pathlib import Path

import pytest
from ir_project import ROOT, THIS_PYTHON

from ir_cli import layout, variables, wheels
from ir_cli.errors import UserError
from ir_cli.layout import ProjectLayout, find_layout

# --- layout


def sourced(tmp_path: Path, distro: str, python: str = THIS_PYTHON) -> dict[str, str]:
    prefix = tmp_path / "opt" / distro
    (prefix / "lib" / f"python{python}" / "site-packages" / "rclpy").mkdir(parents=True)
    return {"AMENT_PREFIX_PATH": str(prefix), "ROS_DISTRO": distro}


def test_wheels_are_used_unless_a_ros_is_sourced(tmp_path):
    place = find_layout(tmp_path, {})
    assert (place.distro, place.uses_wheels, place.home) == ("jazzy", True, tmp_path / ".ir" / "jazzy")
    assert find_layout(tmp_path, {"IR_ROS_DISTRO": "kilted"}).distro == "kilted"
    place = find_layout(tmp_path, sourced(tmp_path, "kilted"))
    assert (place.distro, place.uses_wheels) == ("kilted", False)
    assert place.home != find_layout(tmp_path, {"IR_ROS_DISTRO": "kilted"}).home


def test_the_environment_of_an_ir_shell_is_not_taken_for_an_installation(tmp_path):
    environ = {"AMENT_PREFIX_PATH": "/a/.ir/jazzy/install/ir_sim:/a/.ir/jazzy/venv", "ROS_DISTRO": "jazzy"}
    assert find_layout(tmp_path, environ).uses_wheels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"IR_ROS_DISTRO": "humble"}, "unknown ROS distribution; use one of: jazzy, kilted"),
        ({"ROS_DISTRO": "humble"}, "installation is 'humble'"),
        ({"IR_ROS_DISTRO": "kilted"}, "IR_ROS_DISTRO=kilted, but jazzy is sourced"),
        ({"AMENT_PREFIX_PATH": "/nowhere"}, "no rclpy in AMENT_PREFIX_PATH=/nowhere"),
    ],
)
def test_a_ros_that_cannot_serve_is_refused_with_what_to_do(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        find_layout(tmp_path, sourced(tmp_path, "jazzy") | change)


def test_a_ros_for_another_python_names_the_python_to_use(tmp_path):
    with pytest.raises(UserError, match=r"start it as python3\.7 \./ir"):
        find_layout(tmp_path, sourced(tmp_path, "jazzy", python="3.7"))


# --- variables


def test_own_entries_go_before_the_users_and_stale_ones_go(tmp_path):
    place = ProjectLayout(tmp_path, "jazzy")
    environ = {"PATH": "/old/.ir/kilted/venv/bin:/usr/bin", "PYTHONPATH": "/old/.ir/x", "PIP_USER": "1", "EDITOR": "vi"}
    result = variables.base(place, environ)
    assert result["PATH"] == f"{place.venv}/bin:/usr/bin"
    assert result["EDITOR"] == "vi" and result["ROS_DISTRO"] == "jazzy"
    assert "PYTHONPATH" not in result and "PIP_USER" not in result


def test_discovery_stays_on_this_machine_unless_the_user_says_otherwise(tmp_path):
    name, place = "ROS_AUTOMATIC_DISCOVERY_RANGE", ProjectLayout(tmp_path, "jazzy")
    assert variables.base(place, {})[name] == "LOCALHOST"
    assert variables.base(place, {name: "SUBNET"})[name] == "SUBNET"


def test_snapshot_keeps_what_the_workspace_sets_and_not_what_the_user_has(tmp_path):
    place = ProjectLayout(tmp_path, "jazzy")
    place.install.mkdir(parents=True)
    script = 'export PYTHONPATH=/built:$PYTHONPATH AMENT_PREFIX_PATH="/pre fix:$AMENT_PREFIX_PATH" NEW=1\n'
    (place.install / "local_setup.sh").write_text(script)
    variables.snapshot(place, {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/mine", "ROS_DISTRO": "jazzy"})
    result = variables.built(place, {"PATH": "/bin", "PYTHONPATH": "/other"})
    assert result["PYTHONPATH"] == "/built:/other"
    assert result["AMENT_PREFIX_PATH"] == f"/pre fix:{place.venv}"
    assert (result["NEW"], result["ROS_DISTRO"], result["PATH"]) == ("1", "jazzy", f"{place.venv}/bin:/bin")


# --- wheels and pins


def test_every_requirement_is_pinned_exactly_and_names_no_host():
    for file in (ROOT / "requirements").glob("*.txt"):
        lines = [x for x in file.read_text().splitlines() if x and not x.startswith("#")]
        assert lines and all("==" in x and "//" not in x for x in lines), file


def test_a_requirement_has_one_pin_for_this_python():
    files = [*(ROOT / "requirements").glob("[!jk]*.txt"), ROOT / "requirements" / "jazzy.txt"]
    names = [wheels.normal(n) for f in files for n in wheels.pins(f)]
    assert sorted(names) == sorted(set(names))


def test_cut_short_installations_are_forgotten(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
    (tmp_path / "whole-1.0.dist-info" / "RECORD").touch()
    wheels.drop_unfinished(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["whole-1.0.dist-info"]


def test_an_installation_keeps_what_it_has_where_that_serves():
    present = {"numpy": "1.26.4", "pydantic": "1.10.14", "rich": "16.0"}  # NumPy: ROS is compiled for it
    lines = ["# note", "numpy==2.4.6", "pydantic==2.14.3", "rich==15.0.0", 'torch==2.13.0; python_version >= "3.11"']
    assert wheels.lacking(lines, present) == ["# note", lines[2], lines[4]]


def test_paths_of_the_build_machine_are_corrected_once(tmp_path):
    file = tmp_path / "share" / "a" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    file.write_text("/opt/python/cp311-cp311/include/python3.11;/opt/python/cp311-cp311/lib")
    assert wheels.correct_cmake_files(tmp_path, "3.11", "/usr/include/python3.11") == 1
    assert file.read_text() == f"/usr/include/python3.11;{tmp_path}/lib"
    assert wheels.correct_cmake_files(tmp_path, "3.11", "/usr/include/python3.11") == 0


def test_the_layout_lists_distributions_with_pins():
    assert all((ROOT / "requirements" / f"{distro}.txt").exists() for distro in layout.DISTROS)
