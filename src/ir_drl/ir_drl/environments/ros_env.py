# SPDX-License-Identifier: Apache-2.0
"""A robot's task over ROS topics, in lockstep with a simulator node."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import gymnasium
import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from ir_common.ros_node import LeanNode, drain
from ir_common.ros_time import to_nanoseconds
from ir_drl.environments.onlooker import Mirror, checked_render_mode
from ir_drl.environments.ros_lockstep import Lockstep, Peer
from ir_drl.environments.spaces import spaces
from ir_drl.environments.task_env import default_world
from ir_interfaces.msg import TaskState
from ir_sim.camera import Picture
from ir_sim.ros_sensors import message_to_reading
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command, command_numbers
from ir_sim.sdf import compose
from ir_sim.tasks import robot_task

MAX_SEED = 2**31
STATES = QoSProfile(depth=100)
FIRST_GRACE, GRACE = 0.5, 0.05
"""s of wall time that a first state may be on its way, after the first control period and each further one."""
BEGIN_PERIODS = 400  #: control periods within which an episode begins
Array = NDArray[np.float64]


@dataclass
class _Robot:
    """What the environments of one robot in this process know of it together: one may train, another evaluate."""

    last: TaskState | None = None
    newest: int = 0  #: episode


_ROBOTS: WeakValueDictionary[str, _Robot] = WeakValueDictionary()
_NUMBERS = count()  # nodes of one name would be taken for one


class RosTaskEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One robot of a running simulation; a step is one control period of simulated time, however long it takes.

    Needs the simulator and the node `robots` (executables of ir_sim), and nobody else who commands the robot. The
    simulation is paused by it and runs only inside `reset` and `step`. Observations, rewards and ends of episodes are
    those that `robots` publishes, from noisy sensors. Several in one process may take turns, each from a `reset` on.

    Args:
        model: robot model.
        robot: the robot's name; None: its model's.
        world: the SDF world that the simulator runs; None: the one that comes with the stack.
        simulator: name of the simulator's node, the embedded one's or that which stands for Gazebo.
        timeout: s of wall time after which a peer that does not answer is given up.
        render_mode: rgb_array: `render` gives pictures [height, width, 3] of the robot as its sensors report it.

    Raises:
        TimeoutError: nobody answers.
        ConfigError: the world has no such robot model.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(
        self,
        model: str,
        robot: str | None = None,
        world: str | Path | None = None,
        simulator: str = "/simulator",
        timeout: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        self.robot, self.render_mode = robot or model, checked_render_mode(render_mode)
        described = compose(world or default_world(), [f"{self.robot}:{model}"])
        self.task = robot_task(described.robots[self.robot], described)
        self.observation_space, self.action_space = spaces(self.task)
        self.metadata = {**type(self).metadata, "render_fps": round(1.0 / self.task.control_period)}  # type: ignore[misc]
        nanoseconds = round(described.time_step * 1e9)
        self._count = round(self.task.control_period * 1e9 / nanoseconds)
        self._owns_context = not rclpy.ok()
        if self._owns_context:
            rclpy.init()
        node = LeanNode(f"gymnasium_{self.robot}_{next(_NUMBERS)}")
        self._peer = Peer(node, timeout)
        topic, kind = COMMAND_TYPES[self.task.command]
        self._commands = node.create_publisher(kind, f"/{self.robot}/{topic}", 10)
        self._subscription = node.create_subscription(TaskState, f"/{self.robot}/state", self._take, STATES)
        self._mirror: Mirror | None = None
        if self.render_mode is not None:
            self._mirror = Mirror(described, self.robot)
            for topic, kind in (("odom", Odometry), ("joint_states", JointState)):
                node.create_subscription(kind, f"/{self.robot}/{topic}", partial(self._seen, topic), STATES)
        self._states: deque[TaskState] = deque()
        self._shared = _ROBOTS.setdefault(self.robot, _Robot())
        self._last: TaskState | None = None
        self._lockstep = Lockstep(self._peer, simulator, self.robot)
        who = f"the simulator and `robots` for {self.robot}"
        self._peer.wait(lambda: self._commands.get_subscription_count() >= 2, who)
        self._peer.wait(lambda: node.count_publishers(f"/{self.robot}/state") >= 1, who)

    def _seen(self, topic: str, message: Any) -> None:
        if self._mirror is not None:
            self._mirror.take(message_to_reading(self.robot, topic, message).value)

    def render(self) -> Picture | None:  # type: ignore[override]
        """[height, width, 3] uint8, an onlooker's picture of the robot; None without a render mode."""
        return None if self._mirror is None else self._mirror.picture()

    def _take(self, state: TaskState) -> None:
        self._states.append(state)
        self._shared.newest = max(self._shared.newest, state.episode)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Resets the whole simulation; the same seed gives the same start."""
        super().reset(seed=seed)
        self._lockstep.reset(int(self.np_random.integers(MAX_SEED)))
        drain(self._subscription, self._take)
        self._states.clear()
        self._last = self._shared.last = self._first_state(self._shared.newest)
        return np.array(self._last.observation), {"cause": ""}

    def _first_state(self, before: int) -> TaskState:
        """Runs the simulation on until an episode after number ``before`` is there; returns its state of now.

        Gazebo's sensors may report some control periods after its begin, and their readings are on their way when it
        stands already: the episode's state is the one that is less than a control period old.
        """
        for period in range(BEGIN_PERIODS):
            grace = GRACE if period else FIRST_GRACE
            now = self._lockstep.step(self._count)
            try:
                self._peer.wait(lambda now=now: self._begun(before) and self._is_of(now), "state", grace)  # type: ignore[misc]
            except TimeoutError:
                continue
            newest = self._states.pop()
            self._states.clear()
            return newest
        raise TimeoutError(f"{self.robot} begins no episode; is `robots` of this simulation running?")

    def _is_of(self, now: int) -> bool:
        """Whether the newest state is; one from before the reset, with which a goal's next episode began, is later."""
        return now - round(self.task.control_period * 1e9) < to_nanoseconds(self._states[-1].header.stamp) <= now

    def _begun(self, before: int) -> bool:
        """Whether a state of a later episode than ``before`` has come; drops those of earlier ones."""
        while self._states and self._states[0].episode <= before:
            self._states.popleft()
        return bool(self._states)

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Carries out an action [n_act] in the task's units, clipped to its bounds, for one control period.

        Raises:
            RuntimeError: the episode has ended (also by another environment's reset), or somebody else commands the
                robot.
            ValueError: the action is not finite.
            TimeoutError: the next state does not come.
        """
        last, ours = self._last, self._last is self._shared.last
        if last is None or last.terminated or last.truncated or not ours:
            raise RuntimeError("no episode is under way: call reset first")
        taken = self.task.clip(np.asarray(action, np.float64))
        if not np.isfinite(taken).all():
            raise ValueError(f"action must be finite, got {taken.tolist()}")
        command = action_to_command(self.task, taken, last.header.stamp)
        self._commands.publish(command)
        self._lockstep.step(self._count, command_numbers(command))
        self._peer.wait(lambda: self._states, f"state of {self.robot} after step {last.step}")
        state = self._states.popleft()
        if (state.episode, state.step) != (last.episode, last.step + 1):
            raise RuntimeError(
                f"{self.robot}: step {state.step} of episode {state.episode} follows on step {last.step} of episode "
                f"{last.episode}: states were lost, or somebody else runs the simulation"
            )
        if not np.allclose(state.action, taken, atol=1e-6):
            raise RuntimeError(
                f"{self.robot} carried out {list(state.action)} instead of {taken.tolist()}: somebody else commands it"
            )
        self._last = self._shared.last = state
        return (
            np.array(state.observation), float(state.reward), bool(state.terminated), bool(state.truncated),
            {"cause": state.cause},
        )  # fmt: skip

    def close(self) -> None:
        """Ends the node; the simulation stays paused."""
        self._peer.close()
        self._shared = _Robot()  # the next one may meet another simulation
        if self._owns_context:
            rclpy.try_shutdown()
