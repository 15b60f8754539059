# SPDX-License-Identifier: Apache-2.0
"""Which slices exist, and whether a request for one fits into the carrier."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ir_common.config import ConfigError, load_yaml, validate
from ir_radio.model.carrier import Carrier
from ir_radio.model.channel import block_rate, snr, uplink_snr
from ir_radio.model.slice_specs import SlicesFile, SliceSpec, doubled_flow
from ir_slicing.orchestration.lifecycle import State

BlockRate = Callable[[SliceSpec], float]
"""bit/s that one resource block carries now on the links of a slice, positive."""


class SliceRefused(ValueError):
    """A request for a slice that cannot be met; the message says why, in plain words and with the numbers."""


@dataclass(frozen=True)
class Slice:
    """A slice that exists.

    Attributes:
        spec: what it is asked to be.
        created: ns of ROS time.
        active: it holds resources and carries messages; an inactive one is only defined.
    """

    spec: SliceSpec
    created: int
    active: bool = True

    @property
    def state(self) -> State:
        """ACTIVE or INACTIVE."""
        return State.ACTIVE if self.active else State.INACTIVE

    @property
    def expires(self) -> int | None:
        """ns of ROS time at which it is deleted; None: it lives on."""
        return self.created + round(self.spec.lifetime * 1e9) if self.spec.lifetime > 0.0 else None


def guaranteed_blocks(spec: SliceSpec, rate: float, carrier: Carrier, urllc_margin: float) -> float:
    """Resource blocks that a slice is entitled to.

    R (1 + margin) / r for its rate R and the rate r of one block, or its fixed share of the carrier where it has one;
    its dedicated share in any case. Where its directions are apart, R is what both take of the blocks
    (`Carrier.both_ways`). The margin is for URLLC only: bursts that come in batches (IoR section IV, step 1) must not
    queue behind each other.
    """
    if spec.share is not None:
        return spec.share * carrier.resource_blocks
    margin = 1.0 + urllc_margin if spec.type == "urllc" else 1.0
    return max(needed_rate(spec, carrier) * margin / rate, spec.dedicated_share * carrier.resource_blocks)


def needed_rate(spec: SliceSpec, carrier: Carrier) -> float:
    """The guaranteed rate of a slice as one number for both directions, bit/s."""
    return spec.rate if spec.uplink_part is None else carrier.both_ways(spec.uplink_rate, spec.downlink_rate)


def nominal_block_rate(carrier: Carrier, distance: float) -> float:
    """bit/s of one resource block at a distance (m) from the base station; the rate that is assumed until links report.

    Raises:
        ConfigError: there is no coverage at that distance.
    """
    down = snr(carrier, distance)
    rate = float(block_rate(carrier, min(down, uplink_snr(carrier, down))))
    if rate <= 0.0:
        raise ConfigError(
            f"carrier: no coverage at the reference distance of {distance:g} m "
            f"(SNR {float(snr(carrier, distance)):.1f} dB, needed {carrier.min_snr:g} dB); raise tx_power"
        )
    return rate


class Registry:
    """The slices in force. Every change is checked as a whole first; a refused one leaves all as it was.

    Args:
        carrier: what is divided.
        templates: what `create` can make by name.
        urllc_margin: fraction added to the guaranteed rates of URLLC slices.
    """

    def __init__(self, carrier: Carrier, templates: Iterable[SliceSpec], urllc_margin: float) -> None:
        self.carrier, self.urllc_margin = carrier, urllc_margin
        self.templates = {template.name: template for template in templates}
        self.slices: dict[str, Slice] = {}

    def blocks(self, spec: SliceSpec, rate: BlockRate) -> float:
        """Resource blocks that ``spec`` is entitled to at the present links."""
        return guaranteed_blocks(spec, rate(spec), self.carrier, self.urllc_margin)

    def from_template(self, template_name: str, name: str) -> SliceSpec:
        """The specification that a template makes, under ``name`` (empty: the template's).

        Raises:
            SliceRefused: there is no such template.
            ConfigError: the name cannot be one.
        """
        template = self.template(template_name)
        changes = {"template_name": template_name, "name": name or template.name}
        return validate(SliceSpec, template.model_dump() | changes, "slice request")

    def template(self, name: str) -> SliceSpec:
        """A template by name.

        Raises:
            SliceRefused: there is none.
        """
        if name not in self.templates:
            raise SliceRefused(f"unknown slice template '{name}'; templates are: {', '.join(self.templates) or 'none'}")
        return self.templates[name]

    @property
    def active(self) -> dict[str, Slice]:
        """The slices that hold resources."""
        return {name: entry for name, entry in self.slices.items() if entry.active}

    def create(self, spec: SliceSpec, now: int, rate: BlockRate) -> Slice:
        """Adds a slice at ``now`` (ns).

        Raises:
            SliceRefused: the name is taken, another slice carries one of its topics, or it does not fit.
        """
        if spec.name in self.slices:
            raise SliceRefused(f"slice '{spec.name}' exists already; modify or delete it, or choose another name")
        self._check(spec, rate)
        self.slices[spec.name] = Slice(spec, now)
        return self.slices[spec.name]

    def modify(self, spec: SliceSpec, now: int, rate: BlockRate) -> Slice:
        """Replaces the specification of the slice of that name; a lifetime counts from ``now`` (ns) on.

        Raises:
            SliceRefused: there is no such slice, another slice carries one of its topics, or the new one does not fit.
        """
        before = self.get(spec.name)
        (self._check if before.active else self.check_sense)(spec, rate)
        created = now if spec.lifetime > 0.0 else before.created
        self.slices[spec.name] = Slice(spec, created, before.active)
        return self.slices[spec.name]

    def set_active(self, name: str, active: bool, rate: BlockRate) -> Slice:
        """Activates or deactivates a slice; what an inactive one held, topics too, others may have meanwhile.

        Raises:
            SliceRefused: there is no such slice, it is so already, or it no longer fits.
        """
        entry = self.get(name)
        if entry.active == active:
            raise SliceRefused(f"slice '{name}' is {entry.state} already")
        if active:
            self._check(entry.spec, rate)
        self.slices[name] = replace(entry, active=active)
        return self.slices[name]

    def set_template(self, template: SliceSpec, rate: BlockRate) -> None:
        """Adds a template or replaces the one of its name.

        Raises:
            SliceRefused: it contradicts itself.
        """
        self.check_sense(template, rate)
        self.templates[template.name] = template.model_copy(update={"template_name": ""})

    def delete_template(self, name: str) -> SliceSpec:
        """Removes a template and returns it; slices made from it stay.

        Raises:
            SliceRefused: there is no such template.
        """
        return self.templates.pop(self.template(name).name)

    def delete(self, name: str) -> Slice:
        """Removes a slice and returns it.

        Raises:
            SliceRefused: there is no such slice.
        """
        self.get(name)
        return self.slices.pop(name)

    def expired(self, now: int) -> list[Slice]:
        """The slices whose lifetime is over at ``now`` (ns)."""
        return [entry for entry in self.slices.values() if entry.expires is not None and entry.expires <= now]

    def begin_lifetimes(self, now: int, kept: bool = False) -> None:
        """Counts all lifetimes from ``now`` (ns) on: the clock has started, or was set back.

        Args:
            now: ns of ROS time.
            kept: those that began on this clock, before a restart of the manager, go on.
        """
        self.slices = {
            name: entry if kept and 0 < entry.created <= now else replace(entry, created=now)
            for name, entry in self.slices.items()
        }

    def get(self, name: str) -> Slice:
        """A slice by name.

        Raises:
            SliceRefused: there is none.
        """
        if name not in self.slices:
            known = ", ".join(self.slices) or "none"
            raise SliceRefused(f"there is no slice '{name}'; slices are: {known}")
        return self.slices[name]

    def check_sense(self, spec: SliceSpec, rate: BlockRate) -> None:
        """Refuses what no carrier state could mend: a specification that contradicts itself or exceeds the carrier.

        Raises:
            SliceRefused: says what contradicts what.
        """
        slot = self.carrier.slot
        if spec.type == "embb" and spec.max_latency < slot:
            raise SliceRefused(
                f"slice '{spec.name}' contradicts itself: an eMBB slice is served once in a slot of {slot * 1e3:g} ms, "
                f"its latency bound is {spec.max_latency * 1e3:g} ms; raise max_latency or make it urllc"
            )
        latency = self.carrier.scheduling_latency
        if spec.max_latency <= latency:
            raise SliceRefused(
                f"slice '{spec.name}' asks for what this access cannot give: its latency bound is "
                f"{spec.max_latency * 1e3:g} ms, scheduling alone takes {latency * 1e3:g} ms; raise max_latency or "
                "take another carrier"
            )
        if 0.0 < spec.lifetime <= spec.max_latency:
            raise SliceRefused(
                f"slice '{spec.name}' contradicts itself: it lives {spec.lifetime:g} s, "
                f"its messages may take {spec.max_latency:g} s"
            )
        needed, total = self.blocks(spec, rate), self.carrier.resource_blocks
        if spec.share is not None and needed * rate(spec) < needed_rate(spec, self.carrier):
            raise SliceRefused(
                f"slice '{spec.name}' contradicts itself: its share of {spec.share:g} is {needed:.1f} resource blocks, "
                f"which carry {needed * rate(spec) / 1e6:.1f} Mb/s, its rate is {spec.rate / 1e6:g} Mb/s"
            )
        self._check_ceiling(spec, needed, rate)
        if needed > total:
            raise SliceRefused(
                f"slice '{spec.name}' can never fit: {self._calculation(spec, rate(spec))} = {needed:.1f} "
                f"resource blocks, the carrier has {total}"
            )

    def _check_ceiling(self, spec: SliceSpec, needed: float, rate: BlockRate) -> None:
        ceiling, scheduler = spec.max_share * self.carrier.resource_blocks, self.carrier.air.scheduler
        if scheduler == "fifo" and (spec.dedicated_share > 0.0 or spec.max_share < 1.0):
            raise SliceRefused(
                f"slice '{spec.name}' asks for what fifo cannot give: one line for all slices knows no dedicated_share "
                "and no max_share; take another air.scheduler"
            )
        if spec.max_share < 1.0 and needed > ceiling * (1.0 + 1e-9):
            raise SliceRefused(
                f"slice '{spec.name}' contradicts itself: its max_share of {spec.max_share:g} is {ceiling:.1f} "
                f"resource blocks, its guarantee takes {self._calculation(spec, rate(spec))} = {needed:.1f}"
            )
        if ceiling < 1.0 and spec.type == "urllc" and scheduler != "reserved":
            raise SliceRefused(
                f"slice '{spec.name}': its max_share of {spec.max_share:g} is less than the one resource block that a "
                "packet takes; raise max_share"
            )

    def _check(self, spec: SliceSpec, rate: BlockRate) -> None:
        self.check_sense(spec, rate)
        others = [entry.spec for name, entry in self.active.items() if name != spec.name]
        for other in others:
            if twice := doubled_flow([*other.flows, *spec.flows]):
                raise SliceRefused(
                    f"slice '{other.name}' carries {twice} already; a topic crosses the radio in one slice only"
                )
        taken = {other.name: self.blocks(other, rate) for other in others}
        free = self.carrier.resource_blocks - sum(taken.values())
        needed = self.blocks(spec, rate)
        if needed > free:
            held = ", ".join(f"{name} {blocks:.1f}" for name, blocks in taken.items()) or "nothing"
            raise SliceRefused(
                f"slice '{spec.name}' does not fit: {self._calculation(spec, rate(spec))} = {needed:.1f} "
                f"resource blocks, {max(free, 0.0):.1f} of {self.carrier.resource_blocks} are free (guaranteed: {held})"
            )

    def _calculation(self, spec: SliceSpec, rate: float) -> str:
        if spec.share is not None:
            return f"a share of {spec.share:g} of the carrier"
        if spec.dedicated_share > 0.0 and self.blocks(spec, lambda _: math.inf) >= self.blocks(spec, lambda _: rate):
            return f"a dedicated share of {spec.dedicated_share:g} of the carrier"
        margin = f" + {self.urllc_margin:.0%} URLLC margin" if spec.type == "urllc" else ""
        return f"{needed_rate(spec, self.carrier) / 1e6:g} Mb/s{margin} at {rate / 1e6:.3f} Mb/s per block"


def load_registry(path: Path, urllc_margin: float, reference_distance: float, now: int = 0) -> tuple[Registry, float]:
    """The registry of a slices file with its initial slices admitted, and the nominal rate of a block (bit/s).

    Args:
        path: of the slices file.
        urllc_margin: see `Registry`.
        reference_distance: m; before links report, blocks are assumed to carry what they carry at this distance.
        now: ns of ROS time at which the initial slices are created.

    Raises:
        ConfigError: the file is wrong, or its slices do not fit; names the file.
    """
    file = load_yaml(path, SlicesFile)
    try:
        nominal = nominal_block_rate(file.carrier, reference_distance)
        registry = Registry(file.carrier, file.templates, urllc_margin)
        for template in file.templates:
            registry.check_sense(template, lambda _: nominal)
        for spec in file.initial_slices():
            registry.create(spec, now, lambda _: nominal)
    except (ConfigError, SliceRefused) as error:
        raise ConfigError(f"{path}: {error}") from None
    return registry, nominal
