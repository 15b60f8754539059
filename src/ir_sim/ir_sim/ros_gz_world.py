# SPDX-License-Identifier: Apache-2.0
"""A Gazebo world as ros_gz_bridge shows it: its clock, its world control, and models that come and go.

Gazebo answers when it accepts, not when it is done; requests that come at once are merged, and some are lost. So what
was asked for is seen in what follows: in the clock, and in a robot's readings. Names of services are those of gz-sim's
UserCommands system and of its world control.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Pose as PoseMessage
from rclpy.node import Node
from rclpy.task import Future
from rosgraph_msgs.msg import Clock as ClockMessage

from ir_common.config import ConfigError
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import STREAM, drain
from ir_common.ros_poll import Unexecuted, drain_until
from ir_common.ros_time import to_nanoseconds
from ir_sim.bridge import GZ_SERVICES
from ir_sim.gazebo_words import INSTALL, MISSING_INTERFACES
from ir_sim.sdf.poses import Pose

LOST = 3.0
"""s of wall time without consequence after which a request counts as lost, on a busy host, too: one that is only late
would be carried out twice."""
LEAST = 3
"""Steps of a block in which a model may be taken out of a world that stands otherwise: the step after that must run.

Where it stands, the physics reads the contacts of the last step, those of the removed model, too; gz-sim 8.14 died of
that once.
"""
_LOOK = 0.25
"""s of wall time between looks whether the process is told to end."""


class GazeboWorld:
    """The world that runs in Gazebo.

    Args:
        node: asks and listens.
        name: of the world.
        step: ns of a physics step.

    Attributes:
        now: ns, the newest time of its clock; -1: none came yet.
        iterations: messages of its clock; one comes with each iteration, a paused Gazebo's included.
        begun_anew: times that its clock went back.
        asked_again: requests that were repeated, as nothing followed them.

    Raises:
        ConfigError: the bridge's interfaces are not installed.
    """

    def __init__(self, node: Node, name: str, step: int) -> None:
        self.now, self.iterations, self.begun_anew, self.asked_again = -1, 0, 0, 0
        self._node, self._step, self._types = node, step, _types()
        self._asked, self._asked_at = Future(), 0.0
        self._leaving: dict[str, None] = {}  # models, in this order
        self._clock = node.create_subscription(
            ClockMessage, "/clock", self._on_clock, STREAM, callback_group=Unexecuted()
        )
        self._clients = {
            kind: node.create_client(getattr(self._types, kind), f"/world/{name}/{word}")
            for word, kind in GZ_SERVICES.items()
        }

    def _on_clock(self, message: ClockMessage) -> None:
        now = to_nanoseconds(message.clock)
        self.begun_anew += now < self.now
        self.now = now
        self.iterations += 1

    @property
    def there(self) -> bool:
        """Whether Gazebo and its bridge are."""
        return self.now >= 0 and self._clients["ControlWorld"].service_is_ready()

    def take(self) -> None:
        """Takes what the clock says."""
        drain(self._clock, self._on_clock)

    def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits on the clock until a condition holds; False after `timeout` s of wall time."""
        return drain_until(self._node, self._clock, self._on_clock, condition, timeout)

    # ------------------------------------------------------------------ world control

    def control(self, pause: bool, steps: int = 0, reset: bool = False) -> None:
        """Asks the world to run (`pause` false), to stand, or to run so many steps and stand; to begin anew."""
        request = self._types.ControlWorld.Request()
        request.world_control.pause, request.world_control.multi_step = pause, steps
        request.world_control.reset.all = reset
        self._asked = self._clients["ControlWorld"].call_async(request)
        self._asked_at = time.monotonic()
        if not reset and (not pause or steps >= LEAST):
            for name in self._leaving:
                self.remove(name)
            self._leaving.clear()

    def _lost(self) -> bool:
        """Whether it is so long ago that the last request was accepted that something should have followed.

        One that was not even accepted is on its way through a busy bridge; twice as long, then.
        """
        executor = self._node.executor
        if isinstance(executor, LeanExecutor) and not self._asked.done():
            executor.serve_now(self._clients["ControlWorld"])
        return time.monotonic() - self._asked_at > (LOST if self._asked.done() else 2.0 * LOST)

    def advance(self, count: int, timeout: float) -> bool:
        """Runs a standing world `count` steps, and waits until its clock is there; asks again for what does not come.

        Returns:
            Whether it came there within `timeout` s of wall time, and did not begin anew meanwhile.
        """
        end, target = time.monotonic() + timeout, self.now + count * self._step
        rounds, repeated, seen = self.begun_anew, self.asked_again, self.now
        self.control(True, count)
        while self.now < target:
            if self.begun_anew != rounds or time.monotonic() > end or not self._node.context.ok():
                return False
            self.until(lambda s=seen: self.now != s, _LOOK)  # type: ignore[misc]
            if self.now == seen and self._lost():
                self.asked_again += 1
                self.control(True, (target - self.now) // self._step)
            seen = self.now
        if self.asked_again != repeated:  # the lost request may have been a late one: Gazebo runs on, then
            self._settle()
        return self.begun_anew == rounds

    def _settle(self) -> None:
        """Waits until the clock says the same time twice, for a moment at most."""
        end = time.monotonic() + LOST
        while time.monotonic() < end and self._node.context.ok():
            at, iterations = self.now, self.iterations
            self.until(lambda i=iterations: self.iterations > i + 1, _LOOK)  # type: ignore[misc]
            if self.now == at:
                return

    def stand(self, timeout: float) -> bool:
        """Has the world stand still, and waits until it does; whether it does within `timeout` s of wall time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._node.context.ok():
            self.control(True)
            at, iterations = self.now, self.iterations
            self.until(lambda at=at, i=iterations: self.now == at and self.iterations > i + 1, _LOOK)  # type: ignore[misc]
            at, iterations = self.now, self.iterations
            if self.until(lambda i=iterations: self.iterations > i + 1, _LOOK) and self.now == at:  # type: ignore[misc]
                return True
        return False

    def restart(self, timeout: float) -> bool:
        """Has the world begin anew and stand; whether it did within `timeout` s of wall time.

        A request that comes with another in one iteration is lost, so none follows before this one is seen.
        """
        self._leaving.clear()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._node.context.ok():
            rounds, before = self.begun_anew, self.now
            self.control(True, reset=True)
            while self.begun_anew == rounds and not self._lost() and self._node.context.ok():
                self.until(lambda r=rounds: self.begun_anew > r, _LOOK if before > 0 else 0.02)  # type: ignore[misc]
                if before <= 0 and self._asked.done():  # its clock cannot go back: some iterations have to do
                    iterations = self.iterations
                    return self.until(lambda i=iterations: self.iterations > i + 10, LOST)  # type: ignore[misc]
            if self.begun_anew > rounds:
                return True
            self.asked_again += 1
        return False

    # ------------------------------------------------------------------ models

    def remove(self, name: str) -> None:
        """Asks that a model be taken out of a world that runs."""
        request = self._types.DeleteEntity.Request()
        request.entity.name, request.entity.type = name, request.entity.MODEL
        self._clients["DeleteEntity"].call_async(request)

    def remove_soon(self, name: str) -> None:
        """Asks that a model be taken out of a world that stands, as soon as it runs again for a few steps."""
        self._leaving[name] = None

    def create(self, name: str, sdf: str, pose: Pose) -> None:
        """Asks that a model be put into the world; where there is one of this name, Gazebo leaves it as it is."""
        factory = self._types.SpawnEntity.Request()
        entity = factory.entity_factory
        entity.name, entity.sdf, entity.pose, entity.allow_renaming = name, sdf, pose_message(pose), False
        self._clients["SpawnEntity"].call_async(factory)


def pose_message(pose: Pose) -> PoseMessage:
    """A pose as its message."""
    message = PoseMessage()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = pose.position.tolist()
    q.w, q.x, q.y, q.z = pose.quaternion.tolist()
    return message


def _types() -> Any:
    """The module of the bridge's service types.

    Raises:
        ConfigError: ros_gz_interfaces is not installed.
    """
    try:
        from ros_gz_interfaces import srv  # type: ignore[import-not-found]
    except ImportError:
        raise ConfigError(f"{MISSING_INTERFACES}; {INSTALL}") from None
    return srv
