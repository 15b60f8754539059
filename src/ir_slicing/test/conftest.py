# SPDX-License-Identifier: Apache-2.0
import signal
import sys

import pytest
import torch

pytest_plugins = ["ir_common.testing"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks as small as these gain nothing by threads, and lose much where other processes want the cores."""
    torch.set_num_threads(1)


@pytest.fixture
def ended(ros_domain, monkeypatch, capfd):
    """Runs the main function of a node that cannot start, in this process; gives its exit status and standard error."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["node", "--ros-args", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capfd.readouterr().err

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)
