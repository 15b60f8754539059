# SPDX-License-Identifier: Apache-2.0
"""Slices instantiated, changed, activated and ended at run time, with an audit trail (IoR section II).

Operations are those of 3GPP TS 28.531: allocation (5.1.1), deallocation (5.1.3), feasibility check (5.1.6: admission),
activation (5.1.7), deactivation (5.1.8), modification (5.1.9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ir_common.config import ConfigError
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.orchestration.admission import BlockRate, Registry, Slice, SliceRefused
from ir_slicing.orchestration.lifecycle import MANAGER, AuditTrail, State

Done = TypeVar("Done")


class Orchestrator:
    """The operations on slices and templates. Each leaves a line in the audit trail, done or refused.

    Args:
        registry: the slices.
        trail: where the lines go.
        rate: what a block carries now.

    All requests raise `SliceRefused` or `ConfigError` with the reason and then change nothing; ``now`` is ns of ROS
    time, ``requester`` is for the trail, ``name`` is what the request calls the slice or template, in case that nothing
    comes of it.
    """

    def __init__(self, registry: Registry, trail: AuditTrail, rate: BlockRate) -> None:
        self.registry, self.trail, self._rate = registry, trail, rate

    def create(self, now: int, requester: str, name: str, spec: SliceSpec) -> Slice:
        """Admits a slice: it is commissioned and goes into operation at once."""
        entry = self._do(now, "create", name, requester, lambda: self.registry.create(spec, now, self._rate))
        reason = f"from template '{spec.template_name}'" if spec.template_name else "from a specification"
        self.trail.add(now, "create", spec.name, spec, requester, reason, State.PREPARATION, State.INACTIVE)
        self.trail.add(now, "activate", spec.name, spec, requester, "admitted", State.INACTIVE, State.ACTIVE)
        return entry

    def modify(self, now: int, requester: str, name: str, spec: SliceSpec) -> Slice:
        """Replaces a specification as a whole."""
        before = self.registry.slices.get(name)
        entry = self._do(now, "modify", name, requester, lambda: self.registry.modify(spec, now, self._rate))
        changed = [
            field for field, value in entry.spec if before is not None and value != getattr(before.spec, field)
        ]  # fmt: skip
        reason = f"changed: {', '.join(changed)}" if changed else "nothing differs"
        self.trail.add(now, "modify", name, entry.spec, requester, reason, entry.state)
        return entry

    def set_active(self, now: int, requester: str, name: str, active: bool) -> Slice:
        """Activates or deactivates a slice."""
        action = "activate" if active else "deactivate"
        entry = self._do(
            now, action, name, requester, lambda: self.registry.set_active(name, active, self._rate)
        )  # fmt: skip
        before = State.INACTIVE if active else State.ACTIVE
        self.trail.add(now, action, name, entry.spec, requester, "as asked", before, entry.state)
        return entry

    def delete(self, now: int, requester: str, name: str, reason: str = "as asked") -> Slice:
        """Takes a slice out of operation and decommissions it."""
        entry = self._do(now, "delete", name, requester, lambda: self.registry.delete(name))
        if entry.active:
            self.trail.add(now, "deactivate", name, entry.spec, requester, reason, State.ACTIVE, State.INACTIVE)
        self.trail.add(now, "delete", name, entry.spec, requester, reason, State.INACTIVE, State.TERMINATED)
        return entry

    def expire(self, now: int) -> bool:
        """Deletes the slices whose lifetime is over; returns whether there were any."""
        over = self.registry.expired(now)
        for entry in over:
            self.delete(now, MANAGER, entry.spec.name, f"its lifetime of {entry.spec.lifetime:g} s is over")
        return bool(over)

    def set_template(self, now: int, requester: str, name: str, spec: SliceSpec) -> SliceSpec:
        """Adds or replaces a template."""
        known = name in self.registry.templates
        self._do(now, "set_template", name, requester, lambda: self.registry.set_template(spec, self._rate))
        reason = "replaces the one before" if known else "new"
        self.trail.add(now, "set_template", name, spec, requester, reason, State.PREPARATION)
        return spec

    def delete_template(self, now: int, requester: str, name: str) -> SliceSpec:
        """Removes a template; slices made from it stay."""
        template = self._do(now, "delete_template", name, requester, lambda: self.registry.delete_template(name))
        self.trail.add(now, "delete_template", name, template, requester, "as asked", State.PREPARATION)
        return template

    def refuse(self, now: int, action: str, requester: str, name: str, why: Exception) -> None:
        """Puts on record a request of which no specification could be made, or which was refused."""
        before = None if action.endswith("template") else self.registry.slices.get(name)
        spec = before.spec if before else None
        state = before.state if before else State.PREPARATION
        self.trail.add(now, action, name, spec, requester, str(why), state, accepted=False)

    def _do(self, now: int, action: str, name: str, requester: str, change: Callable[[], Done]) -> Done:
        """Runs a change; a refusal, which leaves all as it was, is put on record and raised again."""
        try:
            return change()
        except (SliceRefused, ConfigError) as error:
            self.refuse(now, action, requester, name, error)
            raise
