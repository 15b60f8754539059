# SPDX-License-Identifier: Apache-2.0
"""The slices of a simulated run: their manager and, under the policy learned, their agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ir_common.ros_time import to_stamp
from ir_interfaces.msg import GlobalModel, SliceRequest, SliceUpdate
from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.radio_side import RadioPart
from ir_lab.model_time.ros_samples import CellReportSample, MessageSample
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.manager.federation_rounds import FederationState
from ir_slicing.manager.manager_engine import ManagerDecision, ManagerEngine
from ir_slicing.ros.ros_manager_messages import allocation_message, event_message, federation_message, list_message

LEARNING_PER_REPORT = 1
"""Updates of agents after each report, as the live node makes where its duty allows."""


class ManagerPart:
    """Admits slices, hears reports, divides the carrier.

    Args:
        agenda, bus: of the run.
        engine: of the live manager.
        radio: that carries the slices.
        say: takes one line that is a warning.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, engine: ManagerEngine, radio: RadioPart, say: Callable[[str], None]
    ) -> None:
        self._agenda, self._bus, self.engine, self._radio, self._say = agenda, bus, engine, radio, say
        bus.listen("/radio/report", self._on_report)
        if engine.federation is not None:
            bus.listen("/slicing/requests", self._on_request)
            bus.listen("/slicing/updates", self._on_update)
        agenda.soon(self._start)  # all parts are there by then
        agenda.every(round(engine.manager.config.allocation_period * NANOSECONDS), self._on_timer)

    def _start(self) -> None:
        if self.engine.federation is not None:
            self._publish_federation(None, self.engine.federation.state)
        self._publish(self.engine.start())

    def _on_report(self, sample: CellReportSample) -> None:
        decision = self.engine.report(sample.report)
        if decision is not None:
            self._publish(decision)
        if self.engine.needs is not None:
            self.engine.needs.fit(1)

    def _on_request(self, sample: MessageSample) -> None:
        request: SliceRequest = sample.content
        time = request.header.stamp.sec + request.header.stamp.nanosec * 1e-9
        if refused := self.engine.request(self._agenda.now, time, request.slice, request.resource_blocks):
            self._say(f"refused: {refused}")
        decision = self.engine.all_asked()
        if decision is not None:
            self._publish(decision)

    def _on_timer(self) -> None:
        decision = self.engine.tick(self._agenda.now)
        if decision is not None:
            self._publish(decision)

    def _publish(self, decision: ManagerDecision) -> None:
        now = self._agenda.now
        self._publish_federation(decision.model, decision.federation)
        if decision.slices is not None:
            self._radio.set_slices({one.entry.spec.name: one.entry.spec for one in decision.slices})
            self._bus.publish("/slicing/slices", MessageSample(list_message(decision.slices, now)))
        if decision.allocation is not None:
            self._radio.set_allocation(decision.allocation.blocks, decision.allocation.sequence)
            message = allocation_message(decision.allocation, self.engine.manager.config.policy, now)
            self._bus.publish("/slicing/allocation", MessageSample(message))
        for event in decision.events:
            self._bus.publish("/slicing/events", MessageSample(event_message(event)))

    # --- federation ---

    def _publish_federation(self, model: bytes | None, state: FederationState | None) -> None:
        if model is not None:
            self._bus.publish("/slicing/model", MessageSample(GlobalModel(data=model)))
        if state is not None:
            self._bus.publish("/slicing/federation", MessageSample(federation_message(state, self._agenda.now)))

    def _on_update(self, sample: MessageSample) -> None:
        rounds = self.engine.federation
        assert rounds is not None
        if refused := rounds.receive(bytes(sample.content.data)):
            self._say(f"refused: {refused}")
            self._publish_federation(None, rounds.state)

    def whole_weights(self) -> bytes:
        """The answer to an agent that asks for the whole weights."""
        assert self.engine.federation is not None
        return self.engine.federation.whole()


class AgentsPart:
    """The slices' agents: they ask for blocks after each report, learn, and send weights when they are called for.

    Learning has its budget in updates a report, not in processor time, so that a run repeats; the forecasters are
    fitted where they are due, between two reports.

    Args:
        bus: of the run.
        engine: of the live agents.
        manager: whom they ask for the whole weights.
        blocks: resource blocks of the carrier.
        say: takes one line that is a warning.
    """

    def __init__(
        self, bus: Bus, engine: AgentsEngine, manager: ManagerPart, blocks: int, say: Callable[[str], None]
    ) -> None:
        self._bus, self._engine, self._manager = bus, engine, manager
        self._blocks, self._say = blocks, say
        bus.listen("/slicing/slices", self._on_slices)
        bus.listen("/radio/report", self._on_report)
        bus.listen("/slicing/federation", self._on_federation)
        bus.listen("/slicing/model", self._on_model)

    def _on_slices(self, sample: MessageSample) -> None:
        self._engine.set_slices({one.spec.name: one.spec.max_latency for one in sample.content.slices})

    def _on_report(self, sample: CellReportSample) -> None:
        for asked in self._engine.report(sample.report, self._blocks):
            request = SliceRequest(slice=asked.slice, resource_blocks=asked.resource_blocks)
            request.header.stamp = to_stamp(asked.time)
            self._bus.publish("/slicing/requests", MessageSample(request))
        for refused in self._engine.refusals():
            self._say(f"refused: {refused}")
        self._engine.learn(LEARNING_PER_REPORT)
        self._engine.fit(1)

    def _on_federation(self, sample: MessageSample) -> None:
        status = sample.content
        reply = self._engine.federation(
            status.round, status.collecting, status.architecture, status.participants
        )  # fmt: skip
        if reply.refused:
            self._say(reply.refused)
        if reply.behind:
            self._send(self._engine.whole(self._manager.whole_weights()))
        self._send(reply.updates)

    def _on_model(self, sample: MessageSample) -> None:
        if not self._engine.model(bytes(sample.content.data)):
            self._send(self._engine.whole(self._manager.whole_weights()))

    def _send(self, updates: Iterable[bytes]) -> None:
        for data in updates:
            self._bus.publish("/slicing/updates", MessageSample(SliceUpdate(data=data)))
