# SPDX-License-Identifier: Apache-2.0
"""The recording button on a stand-in for the recorder."""

import sys
import threading

import pytest

from ir_dashboard.recording import Recording

RECORDER = """
import pathlib, signal, sys
def end(*_):
    raise SystemExit(int(sys.argv[1]))
signal.signal(signal.SIGINT, end)
pathlib.Path(sys.argv[-1]).mkdir()
signal.pause()
"""


def recording(folder, status=0, text=RECORDER):
    return Recording(folder, (sys.executable, "-c", text, str(status)))


def begun(one, folder):
    one.start(5.0)
    wait = threading.Event()
    while not any(folder.iterdir()):
        wait.wait(0.01)


def test_one_bag_from_start_to_stop(tmp_path):
    one = recording(tmp_path)
    assert not one.state(0.0)["on"]
    begun(one, tmp_path)
    one.start(6.0)  # is on already
    state = one.state(8.5)
    assert state["on"] and state["seconds"] == 3 and state["bag"].startswith(str(tmp_path / "recording_"))
    one.stop()
    assert one.state(9.0) == state | {"on": False, "seconds": 0} and len(list(tmp_path.iterdir())) == 1
    one.stop()  # is off already


def test_a_recorder_that_fails_is_told(tmp_path):
    one = recording(tmp_path, status=3)
    begun(one, tmp_path)
    one.stop()
    assert "status 3" in one.state(9.0)["error"]
    dead = recording(tmp_path, text="raise SystemExit(4)")
    dead.start(0.0)
    dead._process.wait()
    assert not dead.state(1.0)["on"] and "status 4" in dead.state(1.0)["error"]


def test_a_recorder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        Recording(tmp_path, ("/nowhere/recorder",)).start(0.0)
