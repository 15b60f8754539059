# SPDX-License-Identifier: Apache-2.0
import pytest

pytest_plugins = ["ir_common.testing"]


@pytest.fixture
def bench(ros, tmp_path):
    """Makes relays with what stands around them."""
    from relay_bench import Bench  # not at the top: tests of the engine need no rclpy

    return lambda **parameters: Bench(ros, tmp_path, **parameters)
