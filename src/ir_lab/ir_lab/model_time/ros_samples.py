# SPDX-License-Identifier: Apache-2.0
"""Samples of the bus: plain content that knows the ROS message that the live stack would make of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.serialization import serialize_message

from ir_common.ros_time import to_stamp
from ir_drl.live.step_chain import Acted
from ir_drl.policies.exploring import ExploringPolicy
from ir_drl.ros_live_messages import acted_message, policy_message
from ir_radio.books.cell_report import Report
from ir_radio.model.carrier import Carrier
from ir_radio.ros.ros_slice_messages import report_to_message
from ir_sim.readings import JointStates, Reading, Scan
from ir_sim.ros_sensors import picture_to_message, reading_to_message
from ir_sim.ros_task_messages import action_to_command, step_to_state
from ir_sim.tasks import Step, Task
from ir_sim.tasks.base import Array


class WireSizes:
    """Sizes of serialized messages, B; those of one shape are serialized once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def of(self, shape: Hashable, sample: Any) -> int:
        """Size of a sample's message; ``shape`` names everything that the size depends on."""
        size = self._known.get(shape)
        if size is None:
            size = self._known[shape] = len(serialize_message(sample.message()))
        return size


_SIZES = WireSizes()


@dataclass(frozen=True)
class ReadingSample:
    """A sensor's reading, all but a camera's."""

    reading: Reading

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return reading_to_message(self.reading)

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        reading, value = self.reading, self.reading.value
        if isinstance(value, tuple):  # contacts: names of any length
            return len(serialize_message(self.message())) if value else _SIZES.of((reading.topic, 0), self)
        numbers = len(value.ranges) if isinstance(value, Scan) else 0
        numbers = len(value.names) if isinstance(value, JointStates) else numbers
        return _SIZES.of((reading.topic, reading.frame, reading.child_frame, numbers), self)


@dataclass(frozen=True)
class PictureSample:
    """A camera's picture as JPEG."""

    reading: Reading
    jpeg: bytes

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return picture_to_message(self.reading, self.jpeg)

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return _SIZES.of((self.reading.topic, len(self.jpeg)), self)


@dataclass(frozen=True)
class StateSample:
    """What a robot knows about its task at a control step (`ir_interfaces/msg/TaskState`)."""

    robot: str
    task: Task
    step: Step
    stamp: int
    """ns."""

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return step_to_state(self.task, self.step, self.robot, to_stamp(self.stamp))

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        step = self.step
        return _SIZES.of((self.robot, self.task.name, len(step.observation), len(step.action), step.cause), self)


@dataclass(frozen=True)
class CommandSample:
    """A command or a proposal of one."""

    robot: str
    task: Task
    action: Array
    """[num_action], units by the task."""
    stamp: int
    """ns."""
    noise_free: Array | None = None
    """[num_action] as `ir_drl.controller.ControlDecision`; of a proposal, and not on the wire with it."""

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return action_to_command(self.task, self.action, to_stamp(self.stamp))

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return _SIZES.of((self.robot, self.task.command, len(self.action)), self)


@dataclass(frozen=True)
class ActedSample:
    """What a controller tells the agent that learns from its robot."""

    acted: Acted

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return acted_message(self.acted)

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return _SIZES.of(("acted", len(self.acted.extended), len(self.acted.action)), self)


@dataclass(frozen=True)
class PolicySample:
    """A version of a policy on its way to the controllers."""

    policy: ExploringPolicy

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return policy_message(self.policy)

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return len(serialize_message(self.message()))


@dataclass(frozen=True)
class CellReportSample:
    """What the radio did since its last report."""

    report: Report
    carrier: Carrier
    sequence: int
    """Of the allocation in force."""

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return report_to_message(self.report, self.carrier, self.sequence)

    def summary(self) -> Any:
        """The message without its flows and links, which are many: what totals are made of."""
        return report_to_message(replace(self.report, flows=(), links=()), self.carrier, self.sequence)

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return len(serialize_message(self.message()))


@dataclass(frozen=True)
class MessageSample:
    """A message that is made as it is published: slices, allocations, statuses, verdicts."""

    content: Any

    def message(self) -> Any:
        """See `ir_lab.model_time.bus.BusSample`."""
        return self.content

    def size(self) -> int:
        """See `ir_lab.model_time.bus.BusSample`."""
        return len(serialize_message(self.content))
