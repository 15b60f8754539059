# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

pytest_plugins = ["ir_common.testing"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks as small as these gain nothing by threads, and lose much where other processes want the cores."""
    torch.set_num_threads(1)
