# SPDX-License-Identifier: Apache-2.0
"""Service profiles, and GSMA NG.116 templates made into slices."""

import json

import pytest
import yaml

from ir_common.config import EXIT_CONFIG, ConfigError, validate
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.orchestration import service_profile
from ir_slicing.orchestration.service_profile import GST, NO_SD, ServiceProfile, from_gst, load_gst

NEST = {
    "Availability": 99.9,
    "Area of service": "hall 3",
    "Downlink throughput per network slice": {
        "Guaranteed downlink throughput per network slice": 5000,
        "Maximum downlink throughput per network slice": 9000,
    },
    "Uplink throughput per network slice": {"Guaranteed uplink throughput per network slice": 40000},
    "Number of terminals": 12,
    "Slice quality of service parameters": [
        {"3GPP 5QI": 7, "Priority level": 3, "Packet delay budget": 0.08, "Packet error rate": 0.001, "Jitter": 0.01}
    ],
    "Survival time": 0.2,
}


def test_a_template_becomes_a_profile_in_si_units():
    profile, passed = from_gst(NEST, "nest")
    assert profile == ServiceProfile(
        five_qi=7, uplink_rate=4e7, downlink_rate=5e6, max_downlink_rate=9e6, max_devices=12, max_latency=0.08,
        packet_error_rate=0.001, priority=3, availability=99.9 * 0.01, jitter=0.01, survival_time=0.2,
    )  # fmt: skip
    assert passed == ("Area of service",) and profile.differentiator == NO_SD
    assert profile.not_kept == ("max_downlink_rate", "max_devices", "availability", "jitter", "survival_time")


def test_a_profile_becomes_a_slice():
    spec = from_gst(NEST, "nest")[0].slice_spec(
        "video", [{"robots": ["cart*"], "topic": "scan", "direction": "uplink"}]
    )
    assert (spec.type, spec.rate, spec.uplink_rate, spec.max_latency) == ("embb", 4.5e7, 4e7, 0.08)
    assert spec.reliability == pytest.approx(0.999) and spec.priority == 3 and spec.differentiator == NO_SD
    assert spec.flows[0].five_qi == 7
    urgent = ServiceProfile(five_qi=82, uplink_rate=1e6, packet_error_rate=1e-4).slice_spec("urgent")
    assert urgent.type == "urllc" and urgent.max_latency == 0.01  # the budget of its 5QI


@pytest.mark.parametrize("spelling", [str.upper, lambda s: s.replace(" ", "_"), lambda s: s.title().replace(" ", "-")])
def test_names_are_known_in_any_spelling(spelling):
    for name, (field, unit) in GST.items():
        value = 82 if field == "five_qi" else 0.5 if unit == 1.0 and field in ("jitter", "packet_error_rate") else 7
        profile, passed = from_gst({spelling(name): value}, "nest")
        assert passed == () and getattr(profile, field) == pytest.approx(value * unit)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Number of terminals": "many"}, "no number"),
        ({"Maximum number of UEs": 4}, "twice"),
        ({"Availability": 120}, "availability"),
        ({"Slice differentiator": "video"}, "hexadecimal"),
        ({"Number of terminals": True}, "no number"),
    ],
)
def test_what_is_wrong_is_said(changes, said):
    with pytest.raises(ConfigError, match=said):
        from_gst(NEST | changes, "nest")


def test_the_slice_differentiator_is_hexadecimal_and_ffffff_is_none():
    assert from_gst({"Slice differentiator": "0000A1"}, "nest")[0].differentiator == 0xA1
    assert from_gst({"Slice differentiator": "FFFFFF"}, "nest")[0].differentiator == NO_SD


@pytest.mark.parametrize("left_out", ["rate", "latency", "errors"])
def test_what_a_slice_needs_and_a_template_leaves_out_is_asked_for(left_out):
    values = {"uplink_rate": 1e6, "max_latency": 0.1, "packet_error_rate": 0.01}
    del values[{"rate": "uplink_rate", "latency": "max_latency", "errors": "packet_error_rate"}[left_out]]
    with pytest.raises(ConfigError, match="is missing; add it"):
        ServiceProfile(**values).slice_spec("video")


def test_the_command_prints_a_slice_that_can_be_created(tmp_path, capsys):
    path = tmp_path / "nest.json"
    path.write_text(json.dumps(NEST))
    service_profile.main([str(path), "--name", "video", "--flow", "cart*,spider*:camera/image_raw:uplink"])
    told = capsys.readouterr()
    spec = validate(SliceSpec, yaml.safe_load(told.out), "slice")
    assert spec.flows[0].robots == ("cart*", "spider*") and spec.uplink_rate == 4e7
    assert "not enforced: max_downlink_rate, max_devices" in told.err and "Area of service" in told.err


@pytest.mark.parametrize("text", ["", "- 1", "{", "Number of terminals: 3"])
def test_a_file_that_is_no_template_is_refused_in_one_line(tmp_path, capsys, text):
    path = tmp_path / "nest.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        service_profile.main([str(path), "--name", "video"])
    assert end.value.code == EXIT_CONFIG and capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ConfigError):
        load_gst(tmp_path / "none.yaml")
