# SPDX-License-Identifier: Apache-2.0
import threading
from pathlib import Path

import pytest

from ir_common.testing_browser import crowd

pytest_plugins = ["ir_common.testing"]

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"


class Live:
    """The dashboard as a node beside a fake stack, all spun in a thread, so that a test can ask over HTTP."""

    def __init__(self, **parameters):
        import rclpy
        from fake_stack import FakeController, FakeStack
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter

        from ir_dashboard.dashboard_node import DashboardNode

        rclpy.init()
        self.stack, self.controller = FakeStack(), FakeController()
        values = {"world": str(WORLD), "port": 0, "token": "secret"} | parameters
        self.dashboard = DashboardNode(parameter_overrides=[Parameter(name, value=v) for name, v in values.items()])
        self.address, _, _ = self.dashboard.address.partition("/#")
        self.executors, self.threads = [], []
        for nodes in ((self.stack, self.controller), (self.dashboard,)):
            executor = SingleThreadedExecutor()
            for node in nodes:
                executor.add_node(node)
            self.executors.append(executor)
            self.threads.append(threading.Thread(target=executor.spin, daemon=True))
            self.threads[-1].start()

    def until(self, condition, timeout=15.0, what=""):
        """Asks again and again until something is so; fails the test after `timeout`, s of an idle machine."""
        waiting, tries = threading.Event(), int(timeout * crowd() / 0.05)
        for _ in range(tries):
            value = condition()
            if value:
                return value
            waiting.wait(0.05)
        return pytest.fail(f"not seen within {timeout:g} s: {what or condition}")

    def close(self):
        import rclpy

        self.dashboard.close()
        for executor in self.executors:
            executor.shutdown(timeout_sec=1.0)
        for thread in self.threads:
            thread.join(timeout=5.0)
        for node in (self.dashboard, self.stack, self.controller):
            node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def live(ros_domain):
    live = Live()
    yield live
    live.close()
