# SPDX-License-Identifier: Apache-2.0
"""What `./ir` builds and when: stamps, packages, the lock."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from ir_project import ROOT, add_package

from ir_cli import environment, lock, variables, workspace
from ir_cli.errors import UserError
from ir_cli.layout import ProjectLayout
from ir_cli.stamps import Stamps, hash_of

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
    place = ProjectLayout(tmp_path, "jazzy")
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
    stamps.write("build-one", environment.keys(place)["build-one"])
    stamps.write("variables", environment.keys(place)["variables"])
    loop = tmp_path / "src" / environment.LOOPS / environment.LOOPS / "kernel.py"
    loop.parent.mkdir(parents=True)
    loop.write_text("@jit\ndef serve(): return 1\n")
    assert environment.stale(place) == ["loops"]
    stamps.write("loops", environment.keys(place)["loops"])
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
