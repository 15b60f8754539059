# SPDX-License-Identifier: Apache-2.0
"""What a customer asks of a slice, in the words of 3GPP TS 28.541 (ServiceProfile) and of GSMA NG.116 (GST).

ros2 run ir_slicing import_gst NEST.json --name video --flow 'cart*:camera/image_raw:uplink' > slice.yaml
ros2 slice create --file slice.yaml
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from ir_common.config import EXIT_CONFIG, Config, ConfigError, validate
from ir_radio.model.five_qi import BUDGETS
from ir_radio.model.slice_specs import SliceSpec

NO_SD = 0xFFFFFF
"""The slice differentiator that says that there is none (TS 23.003, 28.4.2)."""

DELAY_CRITICAL = (82, 83, 84, 85, 86)
"""5QIs of the resource type "delay-critical GBR" (TS 23.501, table 5.7.4-1): URLLC here."""


class ServiceProfile(Config):
    """A ServiceProfile (TS 28.541, 6.3.3) as far as a radio carrier can be held to it, and beyond.

    Rates are of the whole slice unless they say device.
    """

    differentiator: int = Field(NO_SD, ge=0, lt=2**24, description="SD of the S-NSSAI; 0xFFFFFF: none")
    five_qi: int = Field(0, ge=0, description="5QI of its traffic; 0: not said")
    uplink_rate: float = Field(0.0, ge=0, description="uLThptPerSlice, guaranteed, bit/s")
    downlink_rate: float = Field(0.0, ge=0, description="dLThptPerSlice, guaranteed, bit/s")
    max_uplink_rate: float | None = Field(None, gt=0, description="uLThptPerSlice, maximum, bit/s")
    max_downlink_rate: float | None = Field(None, gt=0, description="dLThptPerSlice, maximum, bit/s")
    device_uplink_rate: float | None = Field(None, gt=0, description="uLThptPerUE, maximum, bit/s")
    device_downlink_rate: float | None = Field(None, gt=0, description="dLThptPerUE, maximum, bit/s")
    max_devices: int | None = Field(None, gt=0, description="maxNumberofUEs")
    max_latency: float | None = Field(None, gt=0, description="latency: packet delay budget, s")
    packet_error_rate: float | None = Field(None, gt=0, lt=1, description="1 - reliability")
    priority: int = Field(1, ge=0, le=127, description="priority level of the 5QI; lower is served first")
    availability: float | None = Field(None, gt=0, le=1, description="share of the time in which it serves")
    jitter: float | None = Field(None, ge=0, description="deviation of the latency from its mean, s")
    survival_time: float | None = Field(None, ge=0, description="for which an application goes on without messages, s")

    @property
    def not_kept(self) -> tuple[str, ...]:
        """What of it is asked for and nobody holds the radio to."""
        beyond = ("max_uplink_rate", "max_downlink_rate", "device_uplink_rate", "device_downlink_rate", "max_devices",
                  "availability", "jitter", "survival_time")  # fmt: skip
        return tuple(name for name in beyond if getattr(self, name) is not None)

    def slice_spec(self, name: str, flows: Sequence[Mapping[str, Any]] = ()) -> SliceSpec:
        """The slice that holds the radio to what it can be held to.

        Raises:
            ConfigError: no guaranteed rate, latency or reliability is said or follows from the 5QI.
        """
        latency = self.max_latency or BUDGETS.get(self.five_qi)
        missing = [what for what, value in (
            ("a guaranteed throughput", self.uplink_rate + self.downlink_rate),
            ("a packet delay budget, or a 5QI that has one", latency),
            ("a packet error rate", self.packet_error_rate),
        ) if not value]  # fmt: skip
        if missing:
            raise ConfigError(f"slice {name}: {missing[0]} is missing; add it to the template")
        values = {
            "name": name, "type": "urllc" if self.five_qi in DELAY_CRITICAL else "embb",
            "differentiator": self.differentiator, "uplink_rate": self.uplink_rate,
            "downlink_rate": self.downlink_rate, "max_latency": latency,
            "reliability": 1.0 - float(self.packet_error_rate or 0.0), "priority": self.priority,
            "flows": [{"five_qi": self.five_qi if self.five_qi in BUDGETS else 0, **flow} for flow in flows],
        }  # fmt: skip
        return validate(SliceSpec, values, f"slice {name}")


GST: dict[str, tuple[str, float]] = {
    "guaranteed downlink throughput per network slice": ("downlink_rate", 1e3),
    "guaranteed uplink throughput per network slice": ("uplink_rate", 1e3),
    "maximum downlink throughput per network slice": ("max_downlink_rate", 1e3),
    "maximum uplink throughput per network slice": ("max_uplink_rate", 1e3),
    "downlink maximum throughput per ue": ("device_downlink_rate", 1e3),
    "uplink maximum throughput per ue": ("device_uplink_rate", 1e3),
    "number of terminals": ("max_devices", 1.0),
    "maximum number of ues": ("max_devices", 1.0),
    "3gpp 5qi": ("five_qi", 1.0),
    "priority level": ("priority", 1.0),
    "packet delay budget": ("max_latency", 1.0),
    "packet error rate": ("packet_error_rate", 1.0),
    "maximum packet loss rate": ("packet_error_rate", 1.0),
    "jitter": ("jitter", 1.0),
    "availability": ("availability", 0.01),
    "survival time": ("survival_time", 1.0),
    "slice differentiator": ("differentiator", 1.0),
}
"""Attributes of the GST, in small letters: the field and its unit in that of the GST (kb/s, s, %)."""


def from_gst(values: Mapping[str, Any], where: str) -> tuple[ServiceProfile, tuple[str, ...]]:
    """A filled-in template (NEST), whose groups may nest, and the names of its attributes that mean nothing here.

    Names are those of NG.116, in any spelling of case, blanks, dashes and underscores.

    Raises:
        ConfigError: a value that is no number, an attribute that stands twice, or one out of its range.
    """
    found: dict[str, float | int] = {}
    passed: list[str] = []
    for name, value in _leaves(values):
        key = re.sub(r"[\s_-]+", " ", name).strip().lower()
        if key not in GST:
            passed.append(name)
            continue
        field, unit = GST[key]
        if field in found:
            raise ConfigError(f"{where}: {name} stands twice, or under two names; leave one out")
        found[field] = _number(value, unit, field, f"{where}: {name}")
    return validate(ServiceProfile, found, where), tuple(passed)


def _leaves(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values of all attributes; a list of one is what it holds (NG.116 allows several 5QIs)."""
    made = []
    for name, value in values.items():
        one = value[0] if isinstance(value, list) and len(value) == 1 else value
        made += _leaves(one) if isinstance(one, Mapping) else [(str(name), one)]
    return made


def _number(value: object, unit: float, field: str, where: str) -> float | int:
    if field == "differentiator" and isinstance(value, str):
        if re.fullmatch(r"[0-9a-fA-F]{6}", value):
            return int(value, 16)
        raise ConfigError(f"{where}: '{value}' is no slice differentiator; give six hexadecimal digits, such as 0000A1")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: {value!r} is no number; give it without its unit")
    return int(value) if field in ("max_devices", "five_qi", "priority", "differentiator") else float(value) * unit


def load_gst(path: Path) -> tuple[ServiceProfile, tuple[str, ...]]:
    """A template from a JSON or YAML file, as `from_gst`.

    Raises:
        ConfigError: names the file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: {reason}; give a JSON or YAML file of a GSMA NG.116 template") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: it holds no attributes; give a JSON or YAML file of a GSMA NG.116 template")
    return from_gst(values, str(path))


def _flow(text: str) -> dict[str, Any]:
    parts = text.rsplit(":", 2)
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"'{text}' is no flow; give ROBOTS:TOPIC:uplink or ROBOTS:TOPIC:downlink")
    return {"robots": parts[0].split(","), "topic": parts[1], "direction": parts[2]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the slice that a template asks for as YAML, and on standard error what it does not hold the radio to."""
    parser = argparse.ArgumentParser(prog="import_gst", description="a slice from a GSMA NG.116 template")
    parser.add_argument("file", type=Path, help="JSON or YAML with the attributes' names of NG.116")
    parser.add_argument("--name", required=True, help="of the slice")
    parser.add_argument("--flow", type=_flow, action="append", default=[], help="ROBOTS:TOPIC:DIRECTION; repeatable")
    given = parser.parse_args(arguments)
    try:
        profile, passed = load_gst(given.file)
        spec = profile.slice_spec(given.name, given.flow)
    except ConfigError as error:
        print(f"import_gst: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    for what, names in (("not enforced", profile.not_kept), ("not understood, left out", passed)):
        if names:
            print(f"import_gst: {what}: {', '.join(names)}", file=sys.stderr)
    yaml.safe_dump(spec.model_dump(mode="json", exclude_defaults=True), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
