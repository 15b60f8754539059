# SPDX-License-Identifier: Apache-2.0
"""The file of `./ir radio`: names of both sides, links, slices, and every mistake in one line."""

import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_radio.books.flow_counters import FlowKey
from ir_radio.engine.line_cell import LineCell
from ir_radio.engine.radio_file import RadioFile, radio_engine, read_radio_file

S = 1_000_000_000
PLAIN = {"link": {"delay": 0.01}, "uplink": ["/chatter"]}


def made(**values: object) -> RadioFile:
    return RadioFile.model_validate(PLAIN | values)


def engine(file: RadioFile, folder: Path = Path()):
    said: list[str] = []
    return radio_engine(file, folder, 0, said.append), said


@pytest.mark.parametrize(
    ("sides", "name", "other"),
    [
        ({}, "/scan", "/edge/scan"),
        ({"robot": {"namespace": "/cart"}, "edge": {"namespace": "/far/cart"}}, "/cart/scan", "/far/cart/scan"),
        ({"robot": {"namespace": "/cart"}, "edge": {"namespace": "/far"}}, "/tf", "/far/tf"),
        ({"robot": {"namespace": "/cart"}, "edge": {"namespace": "/"}}, "/cart/scan", "/scan"),
        ({"edge": {"domain": 7}}, "/scan", "/scan"),
        ({"edge": {"domain": 7, "namespace": "/up"}}, "/scan", "/up/scan"),
    ],
)
def test_names_on_the_other_side(sides: dict, name: str, other: str) -> None:
    file = made(**sides)
    assert file.edge_name(name) == other
    if name != "/tf":
        assert file.robot_name(other) == name


def test_tf_and_the_parts_of_actions_are_topics_and_services() -> None:
    file = made(tf=True, actions=[{"name": "/count", "server": "edge", "to": "/far/count"}])
    topics = [(way, entry.topic, entry.to) for way, entry in file.topics()]
    assert topics == [
        ("uplink", "/chatter", None), ("uplink", "/tf", None), ("uplink", "/tf_static", None),
        ("downlink", "/count/_action/feedback", "/far/count/_action/feedback"),
        ("downlink", "/count/_action/status", "/far/count/_action/status"),
    ]  # fmt: skip
    assert [(call.name, call.server) for call in file.calls()] == [
        (f"/count/_action/{part}", "edge") for part in ("send_goal", "cancel_goal", "get_result")
    ]


def test_a_constant_link_with_ways_that_differ() -> None:
    radio, _ = engine(made(link={"rate": 8e6, "delay": 0.01, "downlink": {"delay": 0.5}}))
    assert isinstance(radio.cell, LineCell) and radio.linked == {"robot"}
    flows = {way: radio.cell.flow(FlowKey("all", "robot", "x", way)) for way in ("uplink", "downlink")}
    for flow in flows.values():
        radio.offer(flow, 1000, 0)
    assert [(e.flow, e.time) for e in radio.advance(S)] == [(flows["uplink"], 11_000_000), (flows["downlink"], S // 2)]


def test_a_carrier_is_divided_by_share_and_rate() -> None:
    slices = [{"name": "a", "share": 0.5}, {"name": "b", "rate": 3e6}, {"name": "c", "rate": 1e6}]
    radio, said = engine(made(link={"profile": "nr", "distance": 5.0}, slices=slices))
    assert radio.linked == {"robot"} and not said
    report = radio.report()
    assert [row.resource_blocks for row in report.slices] == pytest.approx([53.0, 39.75, 13.25])
    assert report.links[0].distance == pytest.approx(5.0)


def test_a_trace_gives_rate_and_delay_with_and_without_a_carrier(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("Timestamp,mbps,ping\n0,8,100\n1,16,10\n9999,16,10\n")
    trace = {"trace": "a.csv", "rate": {"column": "mbps", "unit": "Mbit/s"}, "delay": {"column": "ping", "unit": "ms"}}
    line, said = engine(made(link={"trace": trace}), tmp_path)
    assert len(said) == 1 and "the clock jumps ahead" in said[0]
    carrier, _ = engine(made(link={"profile": "nr", "trace": trace}), tmp_path)
    for radio in (line, carrier):
        radio.play()
        flow = radio.cell.flow(FlowKey("all", "robot", "x", "uplink"))
        radio.offer(flow, 10_000, 0)
        ends = [event.time / S for event in radio.advance(S // 2)]
        assert ends == [pytest.approx(0.11 if radio is line else 0.1)]
    assert 106 * carrier.report().links[0].rate == pytest.approx(8e6)


WRONG = {
    "nothing crosses": ({"uplink": []}, "nothing crosses; give uplink, downlink, tf, services or actions"),
    "relative": ({"uplink": ["chatter"]}, r":2: uplink.0.topic: 'chatter' is no absolute name or pattern"),
    "relative service": ({"services": ["switch"]}, r"services.0.name: 'switch' is no absolute name; give one such"),
    "pattern for a service": ({"services": ["/a*"]}, r"'/a\*' is no absolute name"),
    "pattern with a type": ({"uplink": [{"topic": "/*", "type": "std_msgs/msg/String"}]}, "stands for several topics"),
    "no type": ({"uplink": [{"topic": "/a", "type": "String"}]}, "'String' is no type; give one such as std_msgs"),
    "twice": ({"uplink": ["/a", "/a"]}, "uplink topic /a stands twice"),
    "tf twice": ({"uplink": ["/tf"], "tf": True}, "uplink topic /tf stands twice"),
    "round": ({"uplink": ["/a"], "downlink": ["/a"]}, "/a crosses both ways and would go round"),
    "one namespace": ({"edge": {"namespace": "/"}}, "both sides are / of one domain; give the edge another namespace"),
    "one name": ({"services": [{"name": "/a", "to": "/a"}]}, "/a has the same name on both sides of one domain"),
    "namespace": ({"edge": {"namespace": "edge"}}, "'edge' is no absolute namespace"),
    "domain": ({"edge": {"domain": 300}}, "edge.domain"),
    "unknown slice": ({"uplink": [{"topic": "/a", "slice": "b"}]}, "unknown slice 'b'; slices are: none"),
    "slices twice": ({"slices": [{"name": "a"}, {"name": "a"}]}, "slice 'a' stands twice"),
    "shares": ({"slices": [{"name": "a", "share": 0.6}, {"name": "b", "share": 0.6}]}, "add up to more than 1"),
    "misspelt": ({"link": {"dealy": 0.1}}, r":1: unknown key 'link.dealy'; did you mean 'delay'\?"),
    "negative": ({"link": {"delay": -1.0}}, r"link.delay: input should be greater than or equal to 0 \(given: -1"),
    "giant": ({"link": {"rate": 1e300}}, "link.rate: input should be less than"),
    "loss": ({"link": {"loss": 2.0}}, "link.loss"),
    "distance alone": ({"link": {"distance": 5.0}}, "distance needs a profile, such as profile: nr"),
    "profile alone": ({"link": {"profile": "nr"}}, "takes one of distance, pose, or a trace of .*; none is given"),
    "both": ({"link": {"profile": "nr", "distance": 1.0, "pose": "/p"}}, "distance and pose are given"),
    "constant carrier": ({"link": {"profile": "nr", "distance": 1.0, "loss": 0.1}}, "loss is for a link without a pro"),
    "no profile": ({"link": {"profile": "6g", "distance": 1.0}}, "unknown access profile '6g'; profiles are: lte"),
    "snr without": ({"link": {"trace": {"trace": "a", "snr": "x"}}}, "a trace of snr needs a profile"),
    "two rates": ({"link": {"rate": 1e6, "trace": {"trace": "a", "rate": "x"}}}, "rate and the trace both give"),
    "two delays": ({"link": {"jitter": 1e-3, "trace": {"trace": "a", "delay": "x"}}}, "the trace both give the delay"),
    "no link": ({"link": None}, "link"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line(case: str, tmp_path) -> None:
    values, told = WRONG[case]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(PLAIN | values, default_flow_style=None))
    with pytest.raises(ConfigError, match=told) as error:
        read_radio_file(tmp_path / "r.yaml")
    assert str(error.value).startswith(str(tmp_path / "r.yaml")) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.yaml", None, "cannot be read"),
        ("list.yaml", "- 1\n", "must hold keys"),
        ("bad.yaml", "a: [\n", "valid YAML"),
    ],
)
def test_files_that_are_none(tmp_path, name, text, told) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_radio_file(tmp_path / name)


def test_a_trace_that_is_missing_or_ends_early_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"a\.csv: there is no such file"):
        engine(made(link={"trace": {"trace": "a.csv", "rate": "x"}}), tmp_path)
    (tmp_path / "a.csv").write_text("Timestamp,x\n0,1\n")
    with pytest.raises(ConfigError, match="start at 5 s is after its end at 1 s"):
        engine(made(link={"trace": {"trace": "a.csv", "rate": "x", "start": 5.0}}), tmp_path)


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-10, 10**400), st.just("nr"), st.none())
keys = ("rate", "delay", "jitter", "loss", "queue_limit", "distance", "profile", "pose")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(keys), numbers, max_size=4))
def test_whatever_numbers_stand_in_a_link_it_is_refused_in_a_line_or_runs(tmp_path_factory, link) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(yaml.safe_dump(PLAIN | {"link": link}))
    try:
        file = read_radio_file(path)
    except ConfigError as error:
        told = str(error)
    else:
        told = ""
        radio, _ = engine(file)
        if radio.linked:
            flow = radio.cell.flow(FlowKey("all", "robot", "x", "uplink"))
            for time in itertools.islice(itertools.count(0, 10_000_000), 20):
                radio.offer(flow, 100, time)
                radio.advance(time)
            assert radio.cell.counters().balance() == (0, 0)
            radio.report()
    assert "\n" not in told
