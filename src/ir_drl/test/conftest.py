# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

pytest_plugins = ["ir_common.testing"]


@pytest.fixture(scope="session")
def worlds() -> Path:
    """The folder of the worlds."""
    return Path(__file__).parents[3] / "worlds"
