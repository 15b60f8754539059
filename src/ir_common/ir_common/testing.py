# SPDX-License-Identifier: Apache-2.0
"""Pytest fixtures for node tests: ``pytest_plugins = ["ir_common.testing"]`` in a conftest.py."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def _own_domain() -> Iterator[int]:
    """A ROS domain that no other test process on this machine has, for as long as the iterator lives."""
    for domain in range(1, 101):  # the range that is safe on Linux
        lock = (Path(tempfile.gettempdir()) / f"ir_ros_domain_{domain}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        yield domain
        lock.close()
        return
    raise RuntimeError("all 100 ROS domains are taken by other tests")


@pytest.fixture(scope="session")
def ros_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other test process on this machine has, for this process and those it starts."""
    for domain in _own_domain():
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain


@pytest.fixture
def other_domain(ros_domain: int) -> Iterator[int]:
    """A second domain of this process's own."""
    yield from _own_domain()


@pytest.fixture
def ros(ros_domain: int) -> Iterator[RosHarness]:
    """rclpy, started for one test; its nodes are destroyed and it is shut down at the end."""
    harness = RosHarness()
    yield harness
    harness.close()


class RosHarness:
    """Spins the nodes of a test in the test's own thread."""

    def __init__(self) -> None:
        import rclpy

        from ir_common.ros_executor import LeanExecutor

        rclpy.init()
        self.executor = LeanExecutor()

    def add(self, node):  # type: ignore[no-untyped-def]
        """Takes a node into the harness and returns it."""
        self.executor.add_node(node)
        return node

    def node(self, name: str = "test", **kwargs):  # type: ignore[no-untyped-def]
        """A fresh node in the harness."""
        import rclpy

        return self.add(rclpy.create_node(name, **kwargs))

    def until(self, condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
        """Spins until ``condition()`` is true; fails the test after ``timeout`` seconds of wall time."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not seen within {timeout:g} s: {what or condition}")
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, node, service_type, name: str, request, timeout: float = 10.0):  # type: ignore[no-untyped-def]
        """Calls a service from ``node`` and returns the response."""
        client = node.create_client(service_type, name)
        self.until(client.service_is_ready, timeout, f"service {name}")
        future = client.call_async(request)
        self.until(future.done, timeout, f"answer of {name}")
        node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        """Destroys every node and ends rclpy."""
        import rclpy

        for node in list(self.executor.get_nodes()):
            close = getattr(node, "close", None)
            if close:
                close()
            node.destroy_node()
        self.executor.shutdown(timeout_sec=1.0)
        rclpy.try_shutdown()
