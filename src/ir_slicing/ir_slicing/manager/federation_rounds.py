# SPDX-License-Identifier: Apache-2.0
"""The manager's side of the federation in time: it calls for updates, averages them, and says what became of them.

A round: every `federation_period` the state says *collecting*; agents answer with their update; when all active slices
have answered, or `federation_timeout` later, the round is closed and the change of the weights goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ir_slicing.learning.agent_weights import load
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.messages import Update
from ir_slicing.learning.federation.update_keys import TAG, load_keys
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.orchestration.lifecycle import MANAGER, State
from ir_slicing.orchestration.state_file import SavedModel


@dataclass(frozen=True)
class FederationState:
    """The public state of the federation, for agents and readers.

    Attributes:
        round: number of the current round, from 0.
        collecting: agents that have not sent their update of this round are to send it now.
        architecture: of the networks.
        participants: slices whose updates were used in the round that was closed last.
        silent: active slices that sent nothing in it.
        refused: reason -> number of updates since the start.
        bytes_up: received from agents since the start.
        bytes_down: sent since the start.
    """

    round: int
    collecting: bool
    architecture: str
    participants: tuple[str, ...]
    silent: tuple[str, ...]
    refused: Mapping[str, int]
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class RoundStep:
    """The outcome of a `FederationRounds.tick`.

    Attributes:
        changed: a round was begun or closed: the state is another one.
        model: message of the change of the weights; none where no round was closed, or nobody took part.
    """

    changed: bool = False
    model: bytes | None = None


class FederationRounds:
    """Rounds of FedAvg among the agents of the active slices.

    Args:
        manager: whose slices take part; its `model` is what was saved before a restart, and is kept up to date.
        now: ns of ROS time.

    Raises:
        ConfigError: the file of the first weights, or of the keys, is missing or wrong.
    """

    def __init__(self, manager: SliceManager, now: int) -> None:
        self._manager = manager
        first, config = load(manager.config.weights_file), manager.config
        rules = ServerConfig(aggregation=config.aggregation, norm_bound=config.norm_bound)
        self.server = AveragingServer(rules, first.values, first.architecture, ())
        self._keys = load_keys(config.keys_file) if config.keys_file else None
        self._participants: tuple[str, ...] = ()
        self._silent: tuple[str, ...] = ()
        self._answered: set[str] = set()
        self._deadline: float | None = None
        self._due = 0.0
        self._bytes_down = 0
        self._restore(now)

    def _restore(self, now: int) -> None:
        saved, server = self._manager.model, self.server
        if saved is None:
            return
        values = saved.array()
        if saved.architecture != server.architecture or values.shape != server.weights.shape:
            why = (
                f"saved weights are of architecture {saved.architecture} with {len(values)} numbers, the agents' of "
                f"{server.architecture} with {len(server.weights)}; the federation begins anew"
            )
            self._manager.trail.add(now, "restore", "", None, MANAGER, why, State.PREPARATION, accepted=False)
            self._manager.model = None
            return
        server.weights, server.round = values, saved.round

    @property
    def state(self) -> FederationState:
        """The state now."""
        server = self.server
        return FederationState(
            server.round, self._deadline is not None, server.architecture, self._participants, self._silent,
            dict(server.refused), server.received_bytes, self._bytes_down,
        )  # fmt: skip

    def tick(self, nanoseconds: int) -> RoundStep:
        """Begins and closes rounds as time (ns of ROS time) goes on; to be called every period."""
        now, config = nanoseconds * 1e-9, self._manager.config
        self.server.slices = set(self._manager.registry.active)
        if self._deadline is not None and now + config.federation_timeout < self._deadline:
            self._deadline, self._due = None, now  # the clock was set back
        if self._deadline is None:
            self._due = min(self._due or now + config.federation_period, now + config.federation_period)
            if now < self._due or not self.server.slices:
                return RoundStep()
            self._deadline = now + config.federation_timeout
            return RoundStep(changed=True)
        if now >= self._deadline or self._answered >= self.server.slices:
            self._deadline, self._due = None, now + config.federation_period
            return RoundStep(changed=True, model=self._close())
        return RoundStep()

    def _close(self) -> bytes | None:
        server = self.server
        self._silent = tuple(sorted(server.slices - self._answered))
        if not self._answered:
            self._participants = ()
            return None
        self._answered.clear()
        data = server.close().to_bytes()
        self._participants = server.used
        self._bytes_down += len(data)
        self._manager.model = SavedModel.of(server.round, server.architecture, server.weights)
        return data

    def receive(self, data: bytes) -> str:
        """Takes the message of an update; returns why it was refused, or nothing.

        Weights of another architecture or round, not finite, from nobody known, or not signed with the key of the slice
        in whose name they come are refused and counted.
        """
        reason: str
        if self._signed(data):
            message = data if self._keys is None else data[:-TAG]
            reason = self.server.receive(message)
        else:
            reason = "key"
            self.server.refused[reason] += 1
            self.server.received_bytes += len(data)
        if not reason:
            self._answered.add(Update.from_bytes(message).slice)
            return ""
        return f"update of {len(data)} bytes: {reason} ({self.server.refused[reason]} so far)"

    def _signed(self, data: bytes) -> bool:
        """Whether a message is signed by the slice in whose name it comes; where nobody signs, all are."""
        if self._keys is None:
            return True
        try:
            name = Update.from_bytes(data[:-TAG]).slice
        except ValueError:
            return False
        return self._keys.check(name, data)

    def whole(self) -> bytes:
        """The message of the whole weights, for agents that are new or missed a round."""
        data = self.server.whole().to_bytes()
        self._bytes_down += len(data)
        return data
