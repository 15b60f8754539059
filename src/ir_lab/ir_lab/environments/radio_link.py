# SPDX-License-Identifier: Apache-2.0
"""A radio between any Gymnasium environment and its agent: delay, jitter and loss of a carrier or a measured link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from ir_radio.books.flow_counters import FlowKey
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, Cell
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import TracePlayer, load_links
from ir_radio.model.profiles import load_profile
from ir_radio.model.slice_specs import SliceSpec, SliceType, TraceSpec

NANOSECONDS = 1_000_000_000
OVERHEAD = 64
"""Bytes of a message beside its numbers: header, names, lengths."""
_ROBOT, _SLICE = "robot", "link"
Array = NDArray[Any]


class RadioLink(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    r"""Puts a cell between an environment and its agent.

    The observation of control step k is offered to the uplink at :math:`t_k = k T`. The agent acts once a control
    period: when that observation arrives, or at the period's end on the newest one that it has. Its action is offered
    to the downlink then, and governs the control step in which it arrives and those after, until a newer one does. One
    that was overtaken is not carried out. So delays shorter than what is left of a period cost nothing, and all others
    whole control steps.

    ``info["link"]`` of a step holds ``observation_age`` and ``action_age``, control steps by which what the agent saw
    and what was in force are late, and ``lost``, messages lost so far in this episode (uplink, downlink).

    Args:
        env: with vectors (Box) as observations and actions.
        profile: carrier: the name of an access profile, the path of a YAML file, or a `Carrier`.
        distance: m from the base station.
        trace: CSV file of a measured link, in place of the distance.
        control_period: T, s; by default ``env.unwrapped.control_period`` or ``env.unwrapped.dt``.
        slice_type: ``urllc`` (served by the mini-slot, expires) or ``embb``.
        max_latency: s after which a urllc message is worthless and dropped.
        memory: so many of the agent's last actions, and the one that governed the step before the observation, follow
            the observation: over a radio the state alone is not enough to act on.
        observation_bytes, action_bytes: sizes of the messages, by default eight bytes a number and a header.

    Raises:
        ConfigError: no such profile, or the trace is wrong.
        ValueError: no control period is known, or spaces are not vectors.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], profile: str | Carrier = "nr", *, distance: float = 20.0,
        trace: str | Path | None = None, control_period: float | None = None, slice_type: SliceType = "urllc",
        max_latency: float = 0.1, memory: int = 0, observation_bytes: int | None = None,
        action_bytes: int | None = None,
    ) -> None:  # fmt: skip
        RecordConstructorArgs.__init__(
            self, profile=profile, distance=distance, trace=trace, control_period=control_period,
            slice_type=slice_type, max_latency=max_latency, memory=memory, observation_bytes=observation_bytes,
            action_bytes=action_bytes,
        )  # fmt: skip
        super().__init__(env)
        seen, done = _vector(env.observation_space, "observations"), _vector(env.action_space, "actions")
        period = control_period or getattr(env.unwrapped, "control_period", None) or getattr(env.unwrapped, "dt", None)
        if not period:
            raise ValueError("how long is a control step of this environment? give control_period, in seconds")
        self._period = round(float(period) * NANOSECONDS)
        self._carrier = profile if isinstance(profile, Carrier) else load_profile(profile)
        self._distance, self._trace = distance, trace
        self._spec = SliceSpec(name=_SLICE, type=slice_type, rate=1e6, max_latency=max_latency, reliability=0.99)
        self._sizes = (observation_bytes or OVERHEAD + 8 * seen.shape[0], action_bytes or OVERHEAD + 8 * done.shape[0])
        self._memory = memory
        self._idle = np.clip(np.zeros_like(done.low), done.low, done.high)
        if memory:
            low = np.concatenate([seen.low, *[done.low] * (memory + 1)])
            high = np.concatenate([seen.high, *[done.high] * (memory + 1)])
            self.observation_space = gymnasium.spaces.Box(low, high, dtype=seen.dtype.type)
        self._begin(0)

    def _begin(self, seed: int) -> None:
        """A cell in which nothing is on its way."""
        self._cell = Cell(self._carrier, seed=seed)
        self._cell.set_slice(self._spec)
        self._cell.set_allocation({_SLICE: float(self._carrier.resource_blocks)})
        self._player: TracePlayer | None = None
        self._cell.add_link(_ROBOT)
        if self._trace is None:
            x, y, z = self._carrier.position
            self._cell.set_pose(_ROBOT, (x + self._distance, y, z))
        else:
            spec = TraceSpec(robot=_ROBOT, trace=str(self._trace))
            self._player = TracePlayer(load_links([spec], Path(), self._carrier).rates, 0)
            self._player.play(self._cell.now, self._cell.set_measured)
        self._up = self._cell.flow(FlowKey(_SLICE, _ROBOT, "state", "uplink"))
        self._down = self._cell.flow(FlowKey(_SLICE, _ROBOT, "command", "downlink"))
        # on their way, by message: step and content; an observation with the action that governed the step before it
        self._observations: dict[int, tuple[int, tuple[Array, Array]]] = {}
        self._actions: dict[int, tuple[int, Array]] = {}
        self._lost = {"uplink": 0, "downlink": 0}
        self._step = 0
        self._seen: tuple[int, tuple[Array, Array]] = (0, (self._idle, self._idle))  # the newest that the agent has
        self._in_force: tuple[int, Array] = (-1, self._idle)
        self._sent = [self._idle] * self._memory

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begins an episode; its first observation is known to the agent."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._begin(int(self.env.unwrapped.np_random.integers(2**31)))
        self._seen = (0, (np.asarray(observation), self._idle))
        return self._shown(), info | {"link": self._about()}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One control period: the action is sent, what is in force acts, the observation comes back as it can."""
        action = np.array(action)
        if self._memory:
            self._sent = [*self._sent[1:], action]
        end = (self._step + 1) * self._period
        self._offer(self._down, self._sizes[1], self._actions, action)
        self._run(end - 1, until_seen=-1)
        governed = self._in_force[1]
        observation, reward, terminated, truncated, info = self.env.step(governed)
        about = self._about()
        self._step += 1
        self._run(end, until_seen=-1)
        if self._player is not None:
            self._player.play(self._cell.now, self._cell.set_measured)
        came = np.asarray(observation), governed
        self._offer(self._up, self._sizes[0], self._observations, came)
        if terminated or truncated:  # the agent is told of the end: it would ask
            self._seen = (self._step, came)
        else:
            self._run(end + self._period - 1, until_seen=self._step)
        return self._shown(), float(reward), terminated, truncated, info | {"link": about}

    def _offer(self, flow: int, size: int, held: dict[int, tuple[int, Any]], content: Any) -> None:
        number, fate = self._cell.offer(flow, size, self._cell.now)
        if fate == Fate.ACCEPTED:
            held[number] = (self._step, content)
        else:
            self._lost["uplink" if held is self._observations else "downlink"] += 1

    def _run(self, until: int, until_seen: int) -> None:
        """Lets the radio work to an instant, ns, or until the agent has the observation of a step."""
        while self._seen[0] != until_seen:
            due = min(self._cell.next_event(), until)
            for event in self._cell.advance(max(due, self._cell.now)):
                uplink = event.flow == self._up
                held: dict[int, tuple[int, Any]] = self._observations if uplink else self._actions
                step, content = held.pop(event.id)
                if event.fate != Fate.DELIVERED:
                    self._lost["uplink" if uplink else "downlink"] += 1
                elif uplink and step >= self._seen[0]:
                    self._seen = (step, content)
                elif not uplink and step > self._in_force[0]:
                    self._in_force = (step, content)
            if self._cell.now >= until or due == NEVER:
                return

    def _about(self) -> dict[str, Any]:
        return {
            "observation_age": self._step - self._seen[0],
            "action_age": self._step - self._in_force[0] if self._in_force[0] >= 0 else self._step + 1,
            "lost": (self._lost["uplink"], self._lost["downlink"]),
        }

    def _shown(self) -> Array:
        """What the agent is given."""
        observation, governed = self._seen[1]
        if not self._memory:
            return observation
        return np.concatenate([observation, *self._sent, governed]).astype(self.observation_space.dtype)


def _vector(space: gymnasium.Space[Any], what: str) -> gymnasium.spaces.Box:
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"{what} must be vectors (Box) to cross the radio, not {space}")
    return space
