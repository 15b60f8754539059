# SPDX-License-Identifier: Apache-2.0
"""Recording from a live system."""

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from nav_msgs.msg import Odometry
from programs import Program
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CompressedImage, Imu
from std_msgs.msg import String

from ir_bag.info import main as info_main
from ir_bag.reader import BagReader, repair
from ir_bag.record import record
from ir_common.config import ConfigError

BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=500)


def unpadded(data: bytes, sent: bytes) -> bytes:
    """DDS carries whole words: up to three bytes may follow."""
    return data[: len(sent)] if len(data) - len(sent) < 4 else data


@pytest.fixture
def start(ros, tmp_path):
    """Starts a recorder; the test's node is discovered by it."""
    running = []

    def begin(*arguments: object, **options: object) -> Program:
        program = Program("record", tmp_path, "-o", tmp_path / "bag", "--flush-period", "0.05", *arguments, **options)
        running.append(program)
        return program

    yield begin
    for program in running:
        program.close()


def heard(ros, *publishers) -> None:
    ros.until(lambda: all(p.get_subscription_count() for p in publishers), 20, "the recorder")


def flushed(ros, folder: Path, count: int) -> None:
    """So many messages are in the bag, as another process sees it."""
    ros.until(lambda: BagReader(folder).summary.messages >= count, 20, f"{count} messages in the bag")


def test_every_message_is_recorded_with_its_bytes_and_qos(ros, start, tmp_path):
    node = ros.node()
    early = node.create_publisher(String, "/map/name", LATCHED)
    early.publish(String(data="warehouse"))
    imu, text = (node.create_publisher(*a) for a in ((Imu, "/cart/imu", BEST_EFFORT), (String, "/words", RELIABLE)))
    recorder = start("-a")
    heard(ros, imu, text)
    sent = {"/cart/imu": [], "/words": []}
    for i in range(200):
        message = Imu()
        message.linear_acceleration.x = float(i)
        for publisher, one in ((imu, message), (text, String(data="x" * i))):
            sent[publisher.topic_name].append(serialize_message(one))
            publisher.publish(sent[publisher.topic_name][-1])  # as bytes: what stands between fields is kept, too
    late = node.create_publisher(Odometry, "/late/odom", RELIABLE)  # comes up while it runs
    heard(ros, late)
    late.publish(Odometry())
    flushed(ros, tmp_path / "bag", 402)
    recorder.process.send_signal(signal.SIGINT)
    assert recorder.ends() == 0, recorder.text()
    reader = BagReader(tmp_path / "bag")
    found = {name: [m.data for m in reader.messages([name])] for name in reader.summary.topics}
    for name, expected in sent.items():
        assert list(map(unpadded, found[name], expected)) == expected and len(found[name]) == len(expected), name
    assert len(found["/late/odom"]) == 1
    [name] = found["/map/name"]  # was published before the recorder came
    assert deserialize_message(name, String).data == "warehouse"
    qos = {name: topic.qos[0] for name, topic in reader.summary.topics.items()}
    assert qos["/map/name"].durability == "transient_local" and qos["/words"].durability == "volatile"
    assert qos["/cart/imu"].reliability == "best_effort" and qos["/words"].reliability == "reliable"
    times = [m.time for m in reader.messages(["/words"])]
    assert times == sorted(times) and abs(times[-1] - time.time_ns()) < 60e9


def test_topics_are_chosen_by_name_and_pattern(ros, start, tmp_path):
    node = ros.node()
    names = ["/cart/odom", "/cart/scan", "/spider/odom", "/spider/camera/image", "/words"]
    publishers = [node.create_publisher(String, name, RELIABLE) for name in names]
    recorder = start("-s", "sqlite3", "/words", "/nobody", "-e", "/.*/odom|/.*/camera/.*", "-x", "/spider/odom")
    heard(ros, publishers[0], publishers[3], publishers[4])
    for publisher in publishers:
        publisher.publish(String(data="a"))
    flushed(ros, tmp_path / "bag", 3)
    recorder.process.send_signal(signal.SIGTERM)
    assert recorder.ends() == 0
    assert BagReader(tmp_path / "bag").summary.counts == dict.fromkeys(
        ["/cart/odom", "/spider/camera/image", "/words"], 1
    )
    assert "/nobody was not there" in recorder.text()


def test_a_publisher_that_offers_less_is_heard_too(ros, start, tmp_path):
    """A reliable subscription would not hear it; the recorder changes over, and nothing comes twice."""
    node = ros.node()
    first = node.create_publisher(String, "/words", RELIABLE)
    recorder = start("/words")
    heard(ros, first)
    first.publish(String(data="a"))
    second = node.create_publisher(String, "/words", BEST_EFFORT)
    recorder.says("new publisher")
    heard(ros, first, second)
    second.publish(String(data="c"))
    first.publish(String(data="b"))
    flushed(ros, tmp_path / "bag", 3)
    recorder.process.send_signal(signal.SIGINT)
    assert recorder.ends() == 0
    found = [deserialize_message(m.data, String).data for m in BagReader(tmp_path / "bag").messages()]
    assert sorted(found) == ["a", "b", "c"], recorder.text()


def test_a_killed_recorder_leaves_what_it_flushed(ros, start, tmp_path, capsys, monkeypatch):
    node = ros.node()
    publisher = node.create_publisher(CompressedImage, "/cart/camera", RELIABLE)
    recorder = start("/cart/camera", "--flush-period", "0.2")
    heard(ros, publisher)
    sent = []
    for i in range(60):
        sent.append(serialize_message(CompressedImage(data=bytes([i]) * 20_000)))
        publisher.publish(sent[-1])
    folder = tmp_path / "bag"
    flushed(ros, folder, len(sent))
    recorder.process.kill()
    recorder.ends()
    monkeypatch.setattr("sys.argv", ["info", str(folder), "--json"])
    with pytest.raises(SystemExit) as exit_:
        info_main()
    told = json.loads(capsys.readouterr().out)
    assert exit_.value.code == 0 and "metadata.yaml is missing" in told["problems"][0]
    assert [m.data for m in BagReader(folder).messages(["/cart/camera"])] == sent
    assert repair(folder) and BagReader(folder).summary.problems == []
    with Reader(folder) as other:
        chosen = [c for c in other.connections if c.topic == "/cart/camera"]
        assert [bytes(data) for _, _, data in other.messages(chosen)] == sent


def test_a_full_disk_ends_the_recording_with_one_line(ros, start, tmp_path):
    import resource

    limit = 400_000
    node = ros.node()
    publisher = node.create_publisher(CompressedImage, "/cart/camera", RELIABLE)
    recorder = start("-a", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    heard(ros, publisher)
    ended, rounds = False, 0
    while not ended and rounds < 4000:
        publisher.publish(CompressedImage(data=bytes(10_000)))
        with contextlib.suppress(subprocess.TimeoutExpired):
            recorder.process.wait(0.005)
            ended = True
        rounds += 1
    assert recorder.ends() == 1
    errors = [line for line in recorder.text().splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "messages are in the bag" in errors[0] and "Traceback" not in recorder.text()
    count = BagReader(tmp_path / "bag").summary.messages
    assert f" {count} messages are in the bag" in errors[0] and count > 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to record"),
        (["-a", "/x"], "takes all topics already"),
        (["-e", "["], "is no regular expression"),
        (["-a", "--flush-period", "0"], "positive"),
        (["-a", "-o", "."], "exists already"),
        (["-a", "-s", "sqlite3", "--compression", "zstd", "-o", "{tmp}/b"], "sqlite3 bags have none"),
    ],
)
def test_mistakes_are_told_in_a_line(ros_domain, tmp_path, arguments, said):
    with pytest.raises(ConfigError, match=said):
        record([a.format(tmp=tmp_path) for a in arguments])


def test_a_type_that_is_not_installed_is_told(ros, start, tmp_path, monkeypatch):
    """The recorder is started without the workspace's packages in its path of definitions."""
    import os

    node = ros.node()
    publisher = node.create_publisher(String, "/words", RELIABLE)
    other = node.create_publisher(Imu, "/imu", RELIABLE)
    missing = tmp_path / "prefix"
    for prefix in os.environ["AMENT_PREFIX_PATH"].split(":"):
        for package in Path(prefix).glob("share/*/msg"):
            target = missing / "share" / package.parent.name
            target.mkdir(parents=True, exist_ok=True)
            if package.parent.name != "sensor_msgs" and not (target / "msg").exists():  # a prefix may be named twice
                (target / "msg").symlink_to(package)
    index = os.environ["AMENT_PREFIX_PATH"]
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{missing}")
    recorder = start("/words", "/imu", env={**os.environ, "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")})
    monkeypatch.setenv("AMENT_PREFIX_PATH", index)
    heard(ros, publisher)
    recorder.says("/imu is not recorded: its type sensor_msgs/msg/Imu is not installed here")
    publisher.publish(String(data="a"))
    other.publish(Imu())
    flushed(ros, tmp_path / "bag", 1)
    recorder.process.send_signal(signal.SIGINT)
    assert recorder.ends() == 0
    assert BagReader(tmp_path / "bag").summary.counts == {"/words": 1}


def test_round_trip_of_every_type_of_the_stack(ros, start, tmp_path):
    """Each message type of ir_interfaces, and those of the robots' sensors and commands, with its definition."""
    import importlib

    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from ir_bag.definitions import Definitions

    package = importlib.import_module("ir_interfaces.msg")
    names = [f"ir_interfaces/msg/{n}" for n in dir(package) if n[0].isupper()]
    names += [f"sensor_msgs/msg/{n}" for n in ("Imu", "LaserScan", "JointState", "CompressedImage", "Image")]
    names += ["nav_msgs/msg/Odometry", "geometry_msgs/msg/Twist", "trajectory_msgs/msg/JointTrajectory"]
    names += ["rosgraph_msgs/msg/Clock", "rcl_interfaces/msg/Log"]
    node = ros.node()
    publishers, sent = {}, {}
    for name in names:
        kind = getattr(importlib.import_module(f"{name.split('/')[0]}.msg"), name.split("/")[2])
        publishers[name] = node.create_publisher(kind, "/types/" + name.replace("/", "_").lower(), RELIABLE)
        numbers = [f for f, what in kind.get_fields_and_field_types().items() if what == "sequence<double>"]
        sent[name] = serialize_message(kind(**{field: [1.0, 2.0] for field in numbers}))
    recorder = start("-e", "/types/.*")
    heard(ros, *publishers.values())
    for name, publisher in publishers.items():
        publisher.publish(sent[name])
    flushed(ros, tmp_path / "bag", len(names))
    recorder.process.send_signal(signal.SIGINT)
    assert recorder.ends() == 0
    reader = BagReader(tmp_path / "bag")
    found = {reader.summary.topics[m.topic].type: m.data for m in reader.messages()}
    assert {name: unpadded(data, sent[name]) for name, data in found.items()} == sent
    store = get_typestore(Stores.EMPTY)
    for topic in reader.summary.topics.values():  # the definition in the bag is all that another reader needs
        assert topic.definition == Definitions().find(topic.type).text
        store.register(
            {k: v for k, v in get_types_from_msg(topic.definition, topic.type).items() if k not in store.types}
        )
        store.deserialize_cdr(found[topic.type], topic.type)
        assert topic.type_hash == store.hash_rihs01(topic.type)
