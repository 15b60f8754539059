# SPDX-License-Identifier: Apache-2.0
"""The `./ir` command: stamps, lock, layout, findings, results, arguments. Needs no network and makes no environment."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ir_cli import checks, console, doctor, environment, layout, lock, preflight, programs, variables, wheels, workspace
from ir_cli.errors import UserError
from ir_cli.layout import Layout, find_layout
from ir_cli.stamps import Stamps, hash_of

ROOT = Path(__file__).resolve().parents[2]
THIS_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def add_package(root: Path, name: str, setup: str = "") -> Path:
    folder = root / "src" / name
    (folder / name).mkdir(parents=True)
    (folder / "package.xml").write_text(f"<package><name>{name}</name></package>")
    (folder / "setup.py").write_text(setup)
    (folder / name / "__init__.py").write_text("")
    return folder


def add_program(prefix: Path, package: str, name: str) -> Path:
    (prefix / "share" / package).mkdir(parents=True, exist_ok=True)
    (prefix / "share" / package / "package.xml").write_text("")
    program = prefix / "lib" / package / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    return program


def run_ir(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "ir", *arguments], capture_output=True, text=True, timeout=60)


# --- stamps


def test_stamp_is_fresh_only_for_the_inputs_it_was_written_with(tmp_path):
    stamps = Stamps(tmp_path / "stamps")
    assert not stamps.fresh("venv", "a")
    stamps.write("venv", "a")
    assert stamps.fresh("venv", "a") and not stamps.fresh("venv", "b")
    stamps.clear("venv")
    assert not stamps.fresh("venv", "a")


def test_hash_depends_on_names_contents_and_borders(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    before = hash_of([file])
    file.write_text("y")
    assert hash_of([file]) != before
    assert hash_of(["ab", "c"]) != hash_of(["a", "bc"])


# --- workspace


def test_packages_are_found_by_name_and_ignored_folders_are_not(tmp_path):
    add_package(tmp_path, "two")
    add_package(tmp_path, "one")
    (add_package(tmp_path, "three") / "COLCON_IGNORE").touch()
    assert [p.name for p in workspace.packages(tmp_path)] == ["one", "two"]


def test_vendored_packages_are_built_only_where_ros_lacks_them(tmp_path):
    add_package(tmp_path, "one")
    for name in ("lacking", "present"):
        (tmp_path / "vendor" / name).mkdir(parents=True)
        (tmp_path / "vendor" / name / "package.xml").touch()
    (tmp_path / "ros" / "share" / "present").mkdir(parents=True)
    (tmp_path / "ros" / "share" / "present" / "package.xml").touch()
    assert [p.name for p in workspace.to_build(tmp_path, [tmp_path / "ros"])] == ["one", "lacking"]
    assert [p.name for p in workspace.to_build(tmp_path, [])] == ["one", "lacking", "present"]
    assert [p.name for p in workspace.packages(tmp_path)] == ["one"]


def test_two_packages_of_one_name_are_refused(tmp_path):
    add_package(tmp_path, "one")
    (add_package(tmp_path, "two") / "package.xml").write_text("<package><name>one</name></package>")
    with pytest.raises(UserError, match="two packages are named one"):
        workspace.packages(tmp_path)


@pytest.mark.parametrize(
    ("path", "text", "changes"),
    [
        ("src/one/setup.py", "# new", True),
        ("src/one/msg/New.msg", "bool b", True),
        ("src/one/one/__init__.py", "x = 1", False),  # linked, not copied
        ("src/one/test/test_new.py", "", False),
        ("src/one/one/__pycache__/a.pyc", "", False),
        ("launch/new.launch.py", "", False),  # this package's setup.py does not install it
    ],
)
def test_a_build_is_due_exactly_when_what_is_installed_changes(tmp_path, path, text, changes):
    add_package(tmp_path, "one")
    (package,) = workspace.packages(tmp_path)
    before = package.key(tmp_path, "base")
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert (package.key(tmp_path, "base") != before) is changes
    assert package.key(tmp_path, "other base") != before


def test_a_new_shared_file_counts_for_the_package_that_installs_it(tmp_path):
    add_package(tmp_path, "one", setup='shared("worlds")')
    (package,) = workspace.packages(tmp_path)
    before = package.key(tmp_path, "base")
    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / "new.sdf").touch()
    assert package.key(tmp_path, "base") != before


def test_only_the_changed_package_is_stale_and_a_removed_one_is_noticed(tmp_path):
    (tmp_path / "requirements").mkdir()
    for name in ("build", "stack", "dev", "constraints", "jazzy"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("numpy==1.0\n")
    folder, _ = add_package(tmp_path, "one"), add_package(tmp_path, "two")
    place = Layout(tmp_path, "jazzy")
    assert environment.stale(place) == list(environment.keys(place))
    stamps = Stamps(place.stamps)
    for step, key in environment.keys(place).items():
        stamps.write(step, key)
    for made in (place.python, variables.file(place), place.install / "one" / "x", place.install / "two" / "x"):
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
    assert environment.stale(place) == []
    (folder / "setup.py").write_text("# new")
    assert environment.stale(place) == ["build-one", "variables"]
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert environment.stale(place) == ["variables", "build-one"]
    (tmp_path / "requirements" / "dev.txt").write_text("pytest==2.0\n")  # nothing is compiled against it
    assert environment.stale(place) == ["wheels", "variables", "build-one"]
    place.python.unlink()
    assert environment.stale(place)[:3] == ["venv", "wheels", "base"]


# --- lock


def test_lock_waits_for_its_owner_and_is_free_after_a_kill(tmp_path):
    code = f"""
        import sys, time; sys.path.insert(0, {str(ROOT / "tools")!r})
        from pathlib import Path
        from ir_cli import lock
        with lock.hold(Path({str(tmp_path / "lock")!r}), print):
            print("held", flush=True); time.sleep(60)
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    told = []

    def waiting(who: str) -> None:
        told.append(who)
        owner.kill()

    with lock.hold(tmp_path / "lock", waiting, poll=0.01):
        assert told == [str(owner.pid)]
    owner.wait()


def test_programs_left_by_a_killed_owner_are_ended(tmp_path):
    environ = os.environ | {lock.MARK: str(tmp_path / "lock")}
    left = subprocess.Popen(["sleep", "60"], env=environ)
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {lock.MARK: str(tmp_path / "other")})
    try:
        with lock.hold(tmp_path / "lock", print):
            assert left.wait(timeout=5) == -signal.SIGKILL
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


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
    place = Layout(tmp_path, "jazzy")
    environ = {"PATH": "/old/.ir/kilted/venv/bin:/usr/bin", "PYTHONPATH": "/old/.ir/x", "PIP_USER": "1", "EDITOR": "vi"}
    result = variables.base(place, environ)
    assert result["PATH"] == f"{place.venv}/bin:/usr/bin"
    assert result["EDITOR"] == "vi" and result["ROS_DISTRO"] == "jazzy"
    assert "PYTHONPATH" not in result and "PIP_USER" not in result


def test_discovery_stays_on_this_machine_unless_the_user_says_otherwise(tmp_path):
    name, place = "ROS_AUTOMATIC_DISCOVERY_RANGE", Layout(tmp_path, "jazzy")
    assert variables.base(place, {})[name] == "LOCALHOST"
    assert variables.base(place, {name: "SUBNET"})[name] == "SUBNET"


def test_snapshot_keeps_what_the_workspace_sets_and_not_what_the_user_has(tmp_path):
    place = Layout(tmp_path, "jazzy")
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


# --- findings


def test_what_is_missing_is_named_with_its_mend():
    assert preflight.check_python((3, 9), wheels=True).level == "missing"
    assert preflight.check_python((3, 15), wheels=True).level == "missing"
    assert preflight.check_python((3, 15), wheels=False).level == "ok"
    assert preflight.check_platform("Linux", "aarch64", ("glibc", "2.36"), wheels=True).level == "missing"
    assert preflight.check_platform("Linux", "x86_64", ("glibc", "2.28"), wheels=True).level == "ok"
    assert preflight.check_venv(lambda name: None if name == "ensurepip" else name).debian == ("python3-venv",)
    assert preflight.check_disk(1 << 30, installed=False).level == "missing"
    assert preflight.check_disk(1 << 30, installed=True).level == "ok"


def test_headers_and_compiler_are_looked_for(tmp_path):
    assert preflight.check_headers(tmp_path).debian == (f"python{THIS_PYTHON}-dev",)
    (tmp_path / "Python.h").touch()
    assert preflight.check_headers(tmp_path).level == "ok"
    assert "no C++ compiler" in preflight.check_compiler({"cc": "/usr/bin/cc"}.get, {}).detail
    assert preflight.check_compiler({"cc": "/bin/cc", "my++": "/bin/my++"}.get, {"CXX": "my++ -pipe"}).level == "ok"


def test_optional_things_are_notes_and_never_stop(tmp_path):
    assert preflight.check_rendering(lambda name: None).level == "note"
    assert preflight.check_program(lambda name: None, "ign", "checks", ("x",)).level == "note"
    assert preflight.check_shm(tmp_path / "none").level == "warning"
    assert preflight.check_gazebo(lambda name: None, Layout(tmp_path, "jazzy")).level == "note"
    (tmp_path / "meminfo").write_text("MemTotal: 1048576 kB\n")
    assert preflight.check_memory(tmp_path / "meminfo").level == "warning"


def test_the_conclusion_names_what_is_required_only():
    note, missing = (preflight.Finding(level, level, "d", debian=(level,)) for level in ("note", "missing"))
    assert doctor.conclusion([note]) == "Nothing that is required is missing."
    assert doctor.conclusion([note, missing]).startswith("Missing: missing.")


def test_doctor_tells_a_half_made_environment_from_none(tmp_path):
    for name in ("build", "stack", "dev", "constraints", "jazzy"):
        (tmp_path / "requirements").mkdir(exist_ok=True)
        (tmp_path / "requirements" / f"{name}.txt").touch()
    place = Layout(tmp_path, "jazzy")
    assert "not made yet" in doctor.check_environment(place).detail
    place.venv.mkdir(parents=True)
    assert "half-made" in doctor.check_environment(place).detail


# --- programs run with a log


def test_output_goes_to_the_log_and_a_failure_shows_its_end(tmp_path):
    log, progress = tmp_path / "log" / "x.log", console.Progress("test")
    status = console.run_logged(["sh", "-c", "seq 100; exit 3"], log, os.environ, progress, lambda text: "")
    assert status == 3
    error = str(console.failure("sh", log, "Do this."))
    assert "| 100\n" in error and "| 10\n" not in error and str(log) in error and error.endswith("Do this.")


def test_an_interrupted_program_is_ended_with_its_children(tmp_path):
    pid = tmp_path / "pid"

    def interrupt(text: str) -> str:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt
        return ""

    command = ["sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; wait"]
    with pytest.raises(KeyboardInterrupt):
        console.run_logged(command, tmp_path / "x.log", os.environ, console.Progress("test"), interrupt)
    deadline = time.monotonic() + 5
    while Path("/proc", pid.read_text().strip()).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path("/proc", pid.read_text().strip()).exists()


def test_progress_of_a_build_is_read_from_its_output():
    log = "Starting >>> a\n[3/9] x\nFinished <<< a [1s]\nStarting >>> b\n[4/9] y\n"
    assert environment.build_progress(log) == "1 finished, at b, compiled 4/9"
    assert environment.build_progress("") == "0 finished, at …"


# --- results

JUNIT = """<testsuites><testsuite>
<testcase classname="t" name="good"/>
<testcase classname="t" name="bad"><failure message="short">long report</failure></testcase>
<testcase classname="t" name="broken"><error message="no setup"/></testcase>
<testcase classname="t" name="out"><skipped message="no ign"/></testcase>
<testcase name="module"><skipped message="collection skipped">('/a.py', 9, 'Skipped: no ros2')</skipped></testcase>
</testsuite></testsuites>"""


def test_results_are_counted_with_reports_and_reasons(tmp_path):
    (tmp_path / "a.xml").write_text(JUNIT)
    (tmp_path / "b.xml").write_text("<half")
    results = checks.Results()
    results.add_file(tmp_path / "a.xml")
    results.add_file(tmp_path / "b.xml")
    lines = results.report().splitlines()
    assert lines[-1] == "1 passed, 3 failed, 2 skipped"
    assert "SKIPPED t.out: no ign" in lines and "SKIPPED module: no ros2" in lines
    assert "    long report" in lines and "    no setup" in lines


def test_selection_takes_packages_and_pytest_arguments(tmp_path):
    add_package(tmp_path, "one")
    (add_package(tmp_path, "messages") / "CMakeLists.txt").touch()
    chosen = checks.Selection.parse(["one", "--", "-k", "fast"], tmp_path)
    assert [p.name for p in chosen.packages] == ["one"] and chosen.pytest == ("-k", "fast")
    assert [p.name for p in checks.Selection.parse([], tmp_path).packages] == ["one"]  # messages have no tests
    command = checks.test_command(Layout(tmp_path, "jazzy"), chosen)
    assert command[-3:] == ["--pytest-args", " -k", "fast"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["onne"], "no package onne. Did you mean one?"), (["-k"], "come after --, as in: ./ir test ir_sim -- -k")],
)
def test_selection_refuses_what_it_does_not_know(tmp_path, arguments, message):
    add_package(tmp_path, "one")
    with pytest.raises(UserError) as error:
        checks.Selection.parse(arguments, tmp_path)
    assert message in str(error.value)


# --- running programs


def test_executables_are_found_in_any_prefix_and_wrong_names_list_what_there_is(tmp_path):
    ours, ros = tmp_path / ".ir" / "jazzy" / "install" / "ir_sim", tmp_path / "opt"
    simulator, bridge = add_program(ours, "ir_sim", "simulator"), add_program(ros, "ros_gz_bridge", "bridge")
    environ = {"AMENT_PREFIX_PATH": f"{ours}:{ros}"}
    assert programs.find_executable("ir_sim", "simulator", environ) == simulator
    assert programs.find_executable("ros_gz_bridge", "bridge", environ) == bridge
    with pytest.raises(UserError, match="no executable simulatr. Did you mean simulator. It has: simulator"):
        programs.find_executable("ir_sim", "simulatr", environ)
    with pytest.raises(UserError, match="no package ir_sym. Did you mean ir_sim. Packages with executables: ir_sim"):
        programs.find_executable("ir_sym", "x", environ)


def test_a_program_replaces_the_process_so_that_its_status_passes_through(tmp_path):
    program = add_program(tmp_path, "a", "seven")
    code = f"from ir_cli.programs import replace_process; replace_process([{str(program)!r}], {{}})"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "tools")})
    assert run.returncode == 7


def test_benchmarks_are_listed_with_their_first_line(tmp_path, capsys):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "delay_load.py").write_text('"""Delay over load.\n\nMore."""\n')
    (tmp_path / "benchmarks" / "_common.py").write_text("")
    programs.list_benchmarks(tmp_path)
    assert capsys.readouterr().out.split(maxsplit=1) == ["delay-load", "Delay over load.\n"]
    with pytest.raises(UserError, match="no benchmark delay-lod. Did you mean delay-load"):
        programs.bench(Layout(tmp_path, "jazzy"), ["delay-lod"], {})


# --- the command itself


def test_help_names_every_command():
    from ir_cli.main import COMMANDS

    text = run_ir("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dcotor"], "Did you mean doctor?"),
        (["bench", "nothing-like-it"], "no benchmark nothing-like-it"),
        (["test", "nothing_like_it"], "no package nothing_like_it"),
        (["doctor", "x"], "usage: ./ir doctor"),
        (["lint", "--fx"], "usage: ./ir lint [--fix]"),
    ],
)
def test_a_mistake_is_one_clear_line_and_no_traceback(arguments, message):
    run = run_ir(*arguments)
    assert run.returncode == 2
    assert message in run.stderr and len(run.stderr.splitlines()) == 1


def test_doctor_passes_where_the_tests_run():
    run = run_ir("doctor")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Nothing that is required is missing." in run.stdout


def test_the_layout_lists_distributions_with_pins():
    assert all((ROOT / "requirements" / f"{distro}.txt").exists() for distro in layout.DISTROS)
