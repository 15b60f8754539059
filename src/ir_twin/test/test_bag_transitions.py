# SPDX-License-Identifier: Apache-2.0
"""Bags of both kinds give the transitions that were recorded; a bad one is refused clearly; training from one works."""

import errno
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ir_bag.contents import Message, Topic
from ir_bag.definitions import Definitions
from ir_bag.writer import BagWriter
from ir_common.config import EXIT_CONFIG, ConfigError
from ir_common.verdict_kinds import Reason
from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import FittingConfig
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.termination_labels import FAR
from ir_dynamics.transitions import UNKNOWN, TransitionLayout, layout_of
from ir_sim.tasks import CartNavigation
from ir_twin.bag_transitions import STATE, read_transitions
from ir_twin.judgement import judge
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.train_twin import _config, main, train
from ir_twin.twin_config import VetoConfig

torch.set_num_threads(1)
TASK = CartNavigation()
N, M = len(TASK.observation_names), len(TASK.action_names)
KINDS = pytest.mark.parametrize("kind", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
PERIOD = 100_000_000


def states(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """TaskStates of a robot with s' = 0.9 s + 0.1 a in its first numbers, reward the first of s; episodes of 50."""
    rng, found = np.random.default_rng(seed), []
    state = rng.normal(size=N)
    for i in range(count):
        step, action = i % 50, rng.uniform(-1, 1, M)
        if step:
            state = 0.9 * state
            state[:M] += 0.1 * action
        found.append(
            {
                "episode": i // 50, "step": step, "observation": state, "action": action if step else np.empty(0),
                "reward": float(state[0]), "terminated": False, "truncated": step == 49,
            }
        )  # fmt: skip
    return found


def types() -> Any:
    """Message types of the library rosbags, with which bags are written here: it shares no code with the reader."""
    store, definition = get_typestore(Stores.ROS2_JAZZY), Definitions().find(STATE)
    assert definition
    store.register(get_types_from_msg(definition.text, STATE))
    return store


def write(
    path: Path, kind: StoragePlugin, topics: dict[str, list[dict[str, Any]]], task: str = TASK.name,
    packed: CompressionMode | None = None, version: int = 9,
) -> Path:  # fmt: skip
    store = types()
    make = store.types
    stamp = make["builtin_interfaces/msg/Time"](0, 0)
    header = make["std_msgs/msg/Header"](stamp, "cart")
    bag = Writer(path, version=version, storage_plugin=kind)  # type: ignore[arg-type]
    if packed:
        bag.set_compression(packed, CompressionFormat.ZSTD)
    with bag as writer:
        text = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
        writer.write(text, 1, store.serialize_cdr(make["std_msgs/msg/String"]("hello"), "std_msgs/msg/String"))
        for topic, messages in topics.items():
            connection = writer.add_connection(topic, STATE, typestore=store)
            for i, content in enumerate(messages):
                message = make[STATE](header=header, task=task, cause="", **content)
                writer.write(connection, 2 + i * PERIOD, store.serialize_cdr(message, STATE))
    return path


@KINDS
def test_the_recorded_transitions_come_out(kind: StoragePlugin, tmp_path: Path) -> None:
    """The edge's copy lacks messages, so the robot's own is taken; a second robot adds to the task."""
    told = states(120)
    lossy = [state for i, state in enumerate(told) if i % 3]
    bag = write(tmp_path / "bag", kind, {"/edge/cart/state": lossy, "/cart/state": told, "/cart_2/state": states(30)})
    recorded = read_transitions(bag)[TASK.name]
    assert sorted(recorded.topics) == ["/cart/state", "/cart_2/state"]
    assert (recorded.gaps, recorded.refused) == (0, 0)
    assert len(recorded.rows) == (120 - 3) + (30 - 1)
    batch = recorded.layout.unpack(recorded.rows[:49])
    np.testing.assert_allclose(batch.state, np.stack([told[i]["observation"] for i in range(49)]), rtol=1e-6)
    np.testing.assert_allclose(batch.next_state, np.stack([told[i]["observation"] for i in range(1, 50)]), rtol=1e-6)
    np.testing.assert_allclose(batch.action, np.stack([told[i]["action"] for i in range(1, 50)]), rtol=1e-6)


def test_for_the_ensemble_each_transition_says_what_it_led_to(tmp_path: Path) -> None:
    """Horizon of two control periods; a collision ends the first episode, the bag's end cuts the second off."""
    told = states(58)[44:]  # six states of one episode, eight of the next
    told[5] |= {"terminated": True, "truncated": False}
    bag = write(tmp_path / "bag", StoragePlugin.MCAP, {"/cart/state": told})
    config = FittingConfig(preset="ensemble", risk_horizon=2 * TASK.control_period)
    recorded = read_transitions(bag, config=config)[TASK.name]
    ahead = recorded.layout.unpack(recorded.rows).ahead
    assert ahead == pytest.approx([0, 0, FAR, FAR**0.5, 1] + [0] * 5 + [UNKNOWN] * 2)


def test_the_states_that_the_twin_expected_are_none_that_came(tmp_path: Path) -> None:
    told, foreseen = states(40), "/edge/cart/expected_state"
    topics = {foreseen: states(60, seed=1), "/edge/cart/state": told}
    recorded = read_transitions(write(tmp_path / "bag", StoragePlugin.MCAP, topics))[TASK.name]
    assert recorded.topics == ["/edge/cart/state"]
    first = recorded.layout.unpack(recorded.rows[0])
    np.testing.assert_allclose(first.state, told[0]["observation"], rtol=1e-6)
    with pytest.raises(ConfigError, match="no messages of type .*there are: .*expected_state"):
        read_transitions(write(tmp_path / "alone", StoragePlugin.MCAP, {foreseen: told}))


@KINDS
def test_lost_messages_break_the_chain(kind: StoragePlugin, tmp_path: Path) -> None:
    told = states(50)
    del told[20]
    recorded = read_transitions(write(tmp_path / "bag", kind, {"/edge/cart/state": told}))[TASK.name]
    assert (len(recorded.rows), recorded.gaps) == (49 - 2, 1)


@KINDS
@pytest.mark.parametrize("bad", ["nan", "width", "task", "topics", "single"])
def test_what_cannot_be_learnt_from_is_refused(kind: StoragePlugin, bad: str, tmp_path: Path) -> None:
    told, topics = states(40), {}
    if bad == "nan":
        told[7]["observation"] = told[7]["observation"] * np.nan
    if bad == "width":
        told[7]["action"] = np.zeros(M + 1)
    if bad == "single":
        told = told[:1]
    if bad != "topics":
        topics = {"/edge/cart/state": told}
    bag = write(tmp_path / "bag", kind, topics, "juggling" if bad == "task" else TASK.name)
    said = {
        "nan": r"/edge/cart/state at 0.700 s: NaN.*--skip-bad", "width": rf"wrong width \({N} and {M + 1} numbers",
        "task": "'juggling'; known: cart_navigation", "topics": r"no messages of type .*there are: /chatter",
        "single": "make no transition",
    }[bad]  # fmt: skip
    with pytest.raises(ConfigError, match=said):
        read_transitions(bag)
    if bad in ("nan", "width"):
        recorded = read_transitions(bag, skip_bad=True)[TASK.name]
        assert (recorded.refused, len(recorded.rows)) == (1, 39 - 2)


@pytest.mark.parametrize("packed", [CompressionMode.FILE, CompressionMode.MESSAGE])
@KINDS
def test_compressed_bags_are_read(kind: StoragePlugin, packed: CompressionMode, tmp_path: Path) -> None:
    told = {"/cart/state": states(60)}
    plain = read_transitions(write(tmp_path / "plain", kind, told))[TASK.name]
    found = read_transitions(write(tmp_path / "packed", kind, told, packed=packed))[TASK.name]
    np.testing.assert_array_equal(found.rows, plain.rows)


def test_a_bag_without_definitions_is_read_by_the_installed_ones(tmp_path: Path) -> None:
    """sqlite3 bags of Humble hold none."""
    bag = write(tmp_path / "bag", StoragePlugin.SQLITE3, {"/cart/state": states(60)})
    (file,) = bag.glob("*.db3")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE message_definitions")
    assert len(read_transitions(bag)[TASK.name].rows) == 60 - 2


def test_what_is_whole_of_a_bag_that_was_cut_off_is_read(tmp_path: Path) -> None:
    bag = bags_of_the_stack(tmp_path / "bag", states(3000))
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    (bag / "metadata.yaml").unlink()
    recorded = read_transitions(bag)[TASK.name]
    assert 500 < len(recorded.rows) < 2900 and recorded.refused == 0


def bags_of_the_stack(path: Path, told: list[dict[str, Any]]) -> Path:
    """A bag as `ir bag record` writes it: a flush now and then."""
    definition, store = Definitions().find(STATE), types()
    assert definition
    header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](0, 0), "cart")
    with BagWriter(path, "mcap", distro="jazzy") as bag:
        bag.add_topic(Topic("/cart/state", STATE, definition.text, "ros2msg", definition.type_hash))
        for i, content in enumerate(told):
            message = store.types[STATE](header=header, task=TASK.name, cause="", **content)
            bag.write(Message("/cart/state", 2 + i * PERIOD, bytes(store.serialize_cdr(message, STATE))))
            if i % 100 == 99:
                bag.flush()
    return path


def test_states_of_another_version_of_the_stack_are_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag", "mcap", distro="jazzy") as bag:
        bag.add_topic(Topic("/cart/state", STATE, "string task\nuint32 step\n"))
        bag.write(Message("/cart/state", 1, b"\0\1\0\0" + bytes(8)))
    with pytest.raises(ConfigError, match=r"is no bag that can be read \(its .* lacks action, episode, observation"):
        read_transitions(tmp_path / "bag")


@pytest.mark.parametrize("bad", ["missing", "truncated", "text"])
def test_what_is_no_bag_is_refused(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "bag"
    if bad != "missing":
        write(path, StoragePlugin.MCAP, {"/edge/cart/state": states(300)})
        (file,) = path.glob("*.mcap")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if bad == "truncated" else b"no bag")
    with pytest.raises(ConfigError, match=r"bag: is no bag that can be read"):
        read_transitions(path)


def test_training_beats_persistence_and_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write(tmp_path / "bag", StoragePlugin.MCAP, {"/edge/cart/state": states(1000)})
    arguments = ["--bag", str(bag), "--out", str(tmp_path / "out"), "--steps", "600"]
    main(arguments)
    path = model_checkpoint.file_of(tmp_path / "out", TASK.name)
    first = model_checkpoint.load(path, TASK.name, TransitionLayout(N, M), "live")
    assert (first.version, first.transitions) == (1, 980)
    assert first.error.state < 0.1  # persistence: 0.1 of the state and the action's part
    said = capsys.readouterr().out
    assert "persistence" in said and "held-out error" in said and str(TASK.observation_names[0]) in said
    recorded = read_transitions(bag)[TASK.name]
    model, _ = train(recorded, path, "live", seed=1, steps=400, patience=3)
    assert model is None or (model.version == 2 and model.error.state < 1.2 * first.error.state)
    assert sum(map(len, model_checkpoint.load_rows(path, TransitionLayout(N, M)))) == 980, (
        "the same bag again adds nothing"
    )
    with pytest.raises(ConfigError, match="preset"):
        train(recorded, path, "paper", seed=1, steps=1, patience=1)
    wider = read_transitions(bag, config=FittingConfig(preset="ensemble"))[TASK.name]
    with pytest.raises(ConfigError, match="or the preset it was made with"):
        train(wider, path, "ensemble", seed=1, steps=1, patience=1)
    recorded.rows = recorded.rows[:20]
    with pytest.raises(ConfigError, match="too few"):
        train(recorded, tmp_path / "none.npz", "live", seed=1, steps=1, patience=1)


def test_the_command_says_a_mistake_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ir_twin.train_twin", "--bag", str(tmp_path)], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == EXIT_CONFIG
    assert done.stderr.startswith("train: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "file"], "train: file: checkpoints cannot be written there (File exists)"),
        (["--out", "file/below"], "train: file/below: checkpoints cannot be written there (Not a directory)"),
        (["--seed", "9999999999"], "train: options: seed: input should be less than or equal to 4294967295"),
        (["--seed", "-1"], "train: options: seed: input should be greater than or equal to 0"),
    ],
)
def test_a_mistake_in_the_options_is_said_before_any_training(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "bag", StoragePlugin.MCAP, {"/edge/cart/state": states(100)})
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TaskLearner, "step", None)
    with pytest.raises(SystemExit) as ended:
        main(["--bag", "bag", *options])
    assert ended.value.code == EXIT_CONFIG
    assert capsys.readouterr().err.startswith(said)


def test_a_disk_that_is_full_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(tmp_path / "bag", StoragePlugin.MCAP, {"/edge/cart/state": states(100)})
    monkeypatch.setattr(model_checkpoint, "save_rows", full)
    with pytest.raises(SystemExit) as ended:
        main(["--bag", str(tmp_path / "bag"), "--out", str(tmp_path), "--steps", "1"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "train: [Errno 28] No space left on device\n"


def test_there_is_room_for_a_bag_of_any_length() -> None:
    """One eighth is held out; over ten million the oldest are left out."""
    before = np.empty((896, 1), np.float32), np.empty((128, 1), np.float32)
    for fresh, replay, heldout in ((1024, 1792, 256), (1_024_000, 896_896, 128_128), (20_000_000, 10**7, 10**6)):
        config = _config("live", 0, before, fresh)
        assert (config.replay_capacity, config.heldout_capacity) == (replay, heldout)


@pytest.mark.parametrize("rule", ["reward", "risk", "risk_to_go"])
def test_what_was_recorded_gives_the_same_verdicts_again(rule: str, tmp_path: Path) -> None:
    """The same states and proposals with the same version, through its file, give the same verdicts bit for bit."""
    count = 2600 if rule == "risk_to_go" else 400  # the risk to go is learnt from 2,000 on
    bag = write(tmp_path / "bag", StoragePlugin.MCAP, {"/edge/cart/state": states(count)})
    preset = "live" if rule == "reward" else "ensemble"
    recorded = read_transitions(bag, config=FittingConfig(preset=preset))[TASK.name]
    path = tmp_path / "model.npz"
    model, _ = train(recorded, path, preset, seed=0, steps=30, patience=1)
    assert model is not None
    model_checkpoint.save(path, model, preset)
    config, runs = VetoConfig(mode="shadow", rule=rule, trial_steps=50), []  # type: ignore[arg-type]
    for version in (model, model_checkpoint.load(path, TASK.name, layout_of(preset, N, M), preset)):
        task = TaskTwin(TASK.name, layout_of(preset, N, M), 1000)
        task.adopt(version, config)
        twin, rng, verdicts = RobotTwin("cart", task, TASK.safe_action, TASK.clip), np.random.default_rng(5), []
        for i, state in enumerate(states(400)):
            twin.observe(i * PERIOD, TASK.name, **state)
            if i % 100 == 99:
                task.reconsider(config)
            verdict = judge(twin, rng.uniform(-1, 1, M), i * PERIOD, config)
            verdicts.append(
                (verdict.accepted, verdict.reason, verdict.predicted_reward, verdict.risk, verdict.threshold)
            )
        runs.append(verdicts)
    assert repr(runs[0]) == repr(runs[1])
    reasons = {verdict[1] for verdict in runs[0][120:] if verdict[1] is not Reason.STALE_STATE}  # an episode's end
    assert reasons <= {Reason.ACCEPTED, Reason.LOW_REWARD, Reason.HIGH_RISK}
