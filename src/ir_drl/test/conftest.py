# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

pytest_plugins = ["ir_common.testing"]


@pytest.fixture(scope="session")
def worlds() -> Path:
    """The folder of the worlds."""
    return Path(__file__).parents[3] / "worlds"


@pytest.fixture(autouse=True)
def _subnormal_numbers():
    """A training flushes them to zero for its process; the next test has them again."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
