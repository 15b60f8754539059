# SPDX-License-Identifier: Apache-2.0
"""The models of slices.yaml: what they take, and the one line they say about what they do not."""

import pytest
from pydantic import ValidationError

from ir_common.config import ConfigError, load_yaml
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SlicesFile, SliceSpec

GOOD = """\
carrier:
  tx_power: 3.0
templates:
  - name: video
    type: embb
    rate: 45.0e+6
    max_latency: 0.2
    reliability: 0.95
    flows:
      - {robots: "*", topic: camera/compressed, direction: uplink}
  - name: control
    type: urllc
    rate: 2.0e+6
    max_latency: 0.01
    reliability: 0.999
    flows:
      - {robots: [cart, spider], topic: cmd_vel, message_type: geometry_msgs/msg/Twist, direction: downlink}
slices: [video, control]
"""


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / "slices.yaml"
        path.write_text(text)
        return load_yaml(path, SlicesFile)

    return read


def test_good_file(load):
    file = load(GOOD)
    video, control = file.initial_slices()
    assert file.carrier.tx_power == 3.0
    assert (video.name, video.template_name, video.lifespan) == ("video", "video", 0.0)
    assert control.lifespan == control.max_latency == 0.01
    assert video.flows[0].carries("anyone") and not control.flows[0].carries("hopper")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("rate: 45.0e+6", "rate: -1.0", 6, "greater than 0"),
        ("rate: 45.0e+6", "rate: .nan", 6, "finite"),
        ("rate: 45.0e+6", "rates: 45.0e+6", 6, "did you mean 'rate'"),
        ("type: urllc", "type: mmtc", 12, "'embb' or 'urllc'"),
        ("reliability: 0.95", "reliability: 1.0", 8, "less than 1"),
        ("reliability: 0.95", "reliability: 0.9\n    share: 1.5", 9, "less than or equal to 1"),
        ("max_latency: 0.01", "max_latency: 0", 14, "greater than or equal to 0.000000001"),
        ("name: video", "name: Video-1", 4, "pattern"),
        ("topic: cmd_vel", "topic: /cmd_vel", 17, "relative topic"),
        ("geometry_msgs/msg/Twist", "Twist", 17, "sensor_msgs/msg/Imu"),
        ("[cart, spider]", "[cart, Spider!]", 17, "robot name"),
        ("direction: uplink", "direction: up", 10, "'uplink' or 'downlink'"),
        ("slices: [video, control]", "slices: [vidio]", 18, "unknown slice template 'vidio'"),
        ("slices: [video, control]", "slices: [video, video]", 18, "stands twice"),
        ("name: control", "name: video", 3, "stands twice"),
        ("tx_power: 3.0", "resource_blocks: 300", 1, "at most 222 fit"),
    ],
)
def test_mistake_is_named_with_its_line(load, old, new, line, words):
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        load(GOOD.replace(old, new))
    text = str(error.value)
    assert words in text and "\n" not in text
    assert f"slices.yaml:{line}:" in text


def spec(*flows, name="one"):
    return SliceSpec(name=name, type="embb", rate=1e6, max_latency=0.1, reliability=0.9, flows=flows)


def test_a_topic_stands_in_one_flow_only():
    everyone = FlowSpec(topic="odom", direction="uplink")
    cart = FlowSpec(robots=("cart",), topic="odom", direction="uplink")
    with pytest.raises(ValueError, match="odom"):
        spec(everyone, cart)
    spec(cart, FlowSpec(robots=("spider",), topic="odom", direction="uplink"))
    with pytest.raises(ValueError, match="one slice only"):
        SlicesFile(slices=(spec(cart), spec(everyone, name="two")))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("air: {epsilon: 0.0}", "carrier.air.epsilon"),
        ("air: {epsilon: 1.0}", "carrier.air.epsilon"),
        ("air: {packets_per_minislot: 0}", "carrier.air.packets_per_minislot"),
        ("air: {scheduler: fast}", "'reserved', 'puncturing', 'putd', 'euad' or 'fifo'"),
        ("air: {loss: quadratic}", "'linear', 'threshold' or 'convex'"),
        ("air: {loss_threshold: 1001}", "carrier.air.loss_threshold"),
        ("air: {block_error: 1.0}", "carrier.air.block_error"),
        ("air: {outage: 2}", "outage"),
        ("resource_blocks: 0", "carrier.resource_blocks"),
        ("computing: {shared: 500}", "carrier.computing.rate"),
        ("computing: {rate: 0}", "carrier.computing.rate"),
        ("computing: {rate: 1.0e+6}\n  air: {scheduler: euad}", "leaves eMBB nothing under euad"),
        ("neighbours: [[1.0, 2.0]]", "carrier.neighbours"),
        ("handover: {hysteresis: -1}", "carrier.handover.hysteresis"),
    ],
)
def test_a_radio_that_cannot_be_is_refused_in_one_line(tmp_path, line, words):
    file = tmp_path / "slices.yaml"
    file.write_text(f"carrier:\n  {line}\n")
    with pytest.raises(ConfigError) as error:
        load_yaml(str(file), SlicesFile)
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_flow_has_the_budget_of_its_5qi():
    """5QI 82: 10 ms; without one, and for other topics, the latency bound of the slice."""
    flows = ({"topic": "a", "direction": "uplink", "five_qi": 82}, {"topic": "b", "direction": "uplink"})
    spec = SliceSpec(name="x", type="embb", rate=1e6, max_latency=0.5, reliability=0.9, flows=flows)
    assert (spec.budget("r", "a", "uplink"), spec.budget("r", "a", "downlink")) == (0.01, 0.5)
    assert spec.budget("r", "b", "uplink") == 0.5
    with pytest.raises(ValidationError, match="81 is no standardised 5QI with a delay budget"):
        FlowSpec(topic="a", direction="uplink", five_qi=81)


def test_messages_over_the_budget_of_their_flow_are_late():
    """12 kB over 2.4 Mb/s or less take 40 ms or more: late for 5QI 82, not for the slice; a change counts at once."""
    cell = Cell(Carrier())
    for five_qi, late in ((82, 3), (0, 3), (82, 6)):
        flow = {"topic": "a", "direction": "uplink", "five_qi": five_qi}
        spec = SliceSpec(name="x", type="embb", rate=1e6, max_latency=0.5, reliability=0.9, flows=(flow,))
        cell.set_slice(spec)
        cell.set_allocation({"x": 1.0})
        cell.set_pose("r", (1.0, 0.0, 3.0))
        number = cell.flow(FlowKey("x", "r", "a", "uplink"))
        for _ in range(3):
            cell.offer(number, 12_000, cell.now)
        cell.advance(cell.now + 10**9)
        assert cell.report().flows[0].deadline_missed == late
