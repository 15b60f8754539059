# SPDX-License-Identifier: Apache-2.0
"""Messages between controllers and the agent that learns from them: answers, and policies on their way."""

from __future__ import annotations

from array import array

import numpy as np
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout, UInt8MultiArray

from ir_drl.live.step_chain import Acted
from ir_drl.policies.exploring import ExploringPolicy
from ir_sim.tasks import Task

_NUMBERS = ("episode", "step", "version")


def acted_message(acted: Acted) -> Float64MultiArray:
    """An answer as a message: episode, step, version, then the extended observation and the action."""
    widths = {**dict.fromkeys(_NUMBERS, 1), "observation": len(acted.extended), "action": len(acted.action)}
    dimensions = [MultiArrayDimension(label=name, size=size, stride=size) for name, size in widths.items()]
    numbers = np.concatenate([[acted.episode, acted.step, acted.version], acted.extended, acted.action])
    return Float64MultiArray(layout=MultiArrayLayout(dim=dimensions), data=array("d", numbers.tolist()))


def acted_of(message: Float64MultiArray) -> Acted:
    """The answer of a message.

    Raises:
        ValueError: it is none.
    """
    widths = {one.label: int(one.size) for one in message.layout.dim}
    data = np.array(message.data, np.float64)
    if list(widths) != [*_NUMBERS, "observation", "action"] or sum(widths.values()) != len(data):
        raise ValueError(f"a message with {len(data)} numbers for {', '.join(widths) or 'nothing'} is no answer")
    if not np.isfinite(data[:3]).all():
        raise ValueError("episode, step and version must be finite")
    episode, step, version = (int(number) for number in data[:3])
    end = 3 + widths["observation"]
    return Acted(episode, step, data[3:end], data[end:], version)


def policy_message(policy: ExploringPolicy) -> UInt8MultiArray:
    """A version of a policy as a message."""
    return UInt8MultiArray(data=array("B", policy.to_bytes()))


def policy_of(message: UInt8MultiArray, task: Task) -> ExploringPolicy:
    """The policy of a message, for a task.

    Raises:
        ConfigError: it is damaged, or does not fit the task.
    """
    return ExploringPolicy.from_bytes(bytes(message.data), task)
