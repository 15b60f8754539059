# SPDX-License-Identifier: Apache-2.0
"""The test that notices when a robot is another than the one that its twin knows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_common.diagnosis import OK, WARN
from ir_common.ros_diagnosis_messages import diagnostics_message
from ir_dynamics.calibration import SHARES, surprise
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.transitions import Transition
from ir_twin.drift import (
    DriftState,
    DriftWatch,
    KnownRobot,
    bet,
    block_scores,
    block_steps,
    load_known,
    save_scores,
    scores_file,
)  # fmt: skip

PERIOD, NAMES = 0.05, ("position", "velocity")
BLOCK = block_steps(PERIOD)


def network() -> EnsembleNetwork:
    """One that expects a change of 0 with a deviation of 1 in each of two quantities and the reward."""
    zero = np.zeros((1, 3, 7), np.float32)  # mean 0, no logit, raw log variance 0 within wide limits
    limits = np.array([[[30.0] * 3, [-30.0] * 3]], np.float32)
    normal = np.abs(np.quantile(np.random.default_rng(9).normal(size=20_000), 0.5 + SHARES / 2)).astype(np.float32)
    return EnsembleNetwork(
        (zero,), (np.zeros((1, 1, 7), np.float32),), limits, 1, np.zeros(3, np.float32), np.ones(3, np.float32),
        np.zeros(3, np.float32), np.ones(3, np.float32), 10.0, tails=np.tile(normal, (3, 1)),
    )  # fmt: skip


def steps(count: int, rng: np.random.Generator, offset: float = 0.0, spread: float = 1.0) -> list[Transition]:
    """Transitions whose velocity changes by offset and spread; the position is as expected."""
    change = np.column_stack([rng.normal(size=count), offset + spread * rng.normal(size=count)])
    return [Transition(np.zeros(2), np.zeros(1), float(rng.normal()), one, False) for one in change]


def scored(blocks: int, rng: np.random.Generator, spread: float = 1.0) -> NDArray[np.float32]:
    """Scores of blocks of a robot that is as expected, or whose errors are larger; as `block_scores` has them."""
    z, widths = spread * rng.normal(size=(blocks * BLOCK, 2)), network().tails
    assert widths is not None
    u = surprise(z, widths[:2])
    a, b = (part.reshape(blocks, BLOCK, 2).mean(axis=1) for part in (u, np.sign(z) * u))
    return np.hstack([a, np.abs(b)]).astype(np.float32)


def known(blocks: int = 200, seed: int = 0) -> KnownRobot:
    return KnownRobot(network(), (scored(blocks, np.random.default_rng(seed)),))


def watched(given: list[Transition], watch: DriftWatch) -> list[str]:
    for k, step in enumerate(given):
        watch.add((k + 1) * PERIOD, step)
    return watch.look()


def test_scores_of_a_block_by_hand() -> None:
    """Errors of one size and sign: surprise and its mean with sign are the same; of both signs, the latter is 0."""
    net = network()
    one = [Transition(np.zeros(2), np.zeros(1), 0.0, np.array([0.0, 1.0]), False)] * 4
    a = float(np.interp(1.0, np.append(0.0, net.tails[1]), np.append(0.0, SHARES)))
    assert a == pytest.approx(0.683, abs=0.01)
    assert block_scores(net, one, 2) == pytest.approx([0, a, 0, a], abs=1e-6)
    other = [step._replace(next_state=-step.next_state) for step in one]
    assert block_scores(net, one + other, 2) == pytest.approx([0, a, 0, 0], abs=1e-6)


def test_a_bet_has_mean_one_at_most() -> None:
    """Of p-values that are even between 0 and 1, and of those of a finite practice, whatever its size."""
    assert bet((np.arange(1_000_000) + 0.5) / 1_000_000).mean() == pytest.approx(1.0, abs=0.12)  # a heavy tail at 0
    for blocks in (10, 100, 1000):
        assert bet((np.arange(blocks + 1) + 1) / (blocks + 1)).mean() <= 1.0


def test_no_alarm_in_hours_of_the_robot_that_is_known() -> None:
    """Two hours of blocks that are alike, three robots: by design at most six on average."""
    rng, alarms = np.random.default_rng(5), 0
    for robot in range(3):
        watch = DriftWatch(known(seed=robot), NAMES, PERIOD)
        for k, scores in enumerate(scored(7200, rng)):
            watch.take(scores.astype(np.float64), float(k), k + 1.0)
        assert watch.state.blocks == 7200
        alarms += watch.state.alarms
    assert alarms <= 6


@pytest.mark.parametrize(("offset", "spread", "what"), [(1.5, 1.0, "one-sided errors"), (0.0, 4.0, "errors")])
def test_a_change_is_noticed_and_named(offset: float, spread: float, what: str) -> None:
    rng, watch = np.random.default_rng(2), DriftWatch(known(), NAMES, PERIOD)
    lines = watched([*steps(60 * BLOCK, rng), *steps(30 * BLOCK, rng, offset, spread)], watch)
    assert len(lines) == 1
    assert "is not the robot that the twin knows" in lines[0]
    assert watch.state.what == f"{what} of velocity"
    assert 60.0 < watch.state.first < 80.0
    assert watch.state.began == pytest.approx(60.0, abs=5.0)
    assert 0 < watch.state.took < 20.0
    assert watch.state.changed(watch.state.noticed + 59) and not watch.state.changed(watch.state.noticed + 61)


def test_a_change_is_a_warning_of_the_diagnosis_for_a_minute() -> None:
    """As it stands on /diagnostics and on the page: the robot is the hardware, and the time it took is said."""
    state = DriftState(limit=3600.0)
    assert state.diagnosis("leg", 5.0).level == OK
    state.alarms, state.what, state.began, state.first, state.noticed = 1, "errors of velocity", 60.0, 67.5, 67.5
    message = diagnostics_message([state.diagnosis("leg", 70.0), state.diagnosis("leg", 130.0)], 70 * 10**9)
    warned, calm = message.status
    assert (warned.name, warned.hardware_id, warned.level) == ("twin: leg", "leg", bytes([WARN]))
    assert "errors of velocity, noticed after 7.5 s" in warned.message
    assert {value.key: value.value for value in warned.values}["noticed after (s)"] == "7.5"
    assert calm.level == bytes([OK]) and message.header.stamp.sec == 70


def test_what_was_practised_in_one_condition_is_no_change() -> None:
    """Twice the error that is usual, as where a controller explores: known from one of two conditions."""
    rng, alone = np.random.default_rng(3), known()
    both = replace(alone, scores=(*alone.scores, scored(200, rng, spread=2.0)))
    found = []
    for robot in (alone, both):
        watch = DriftWatch(robot, NAMES, PERIOD)
        for k, scores in enumerate(scored(600, rng, spread=2.0)):
            watch.take(scores.astype(np.float64), float(k), k + 1.0)
        found.append(watch.state.alarms)
    assert found[0] > 10 and found[1] == 0


def test_scores_are_kept_beside_a_checkpoint(tmp_path: Path) -> None:
    path, made = tmp_path / "toy.npz", known()
    assert load_known(path, made.network, 2) is None
    save_scores(path, made.scores)
    loaded = load_known(path, made.network, 2)
    assert loaded is not None and np.array_equal(loaded.scores[0], made.scores[0])
    assert load_known(path, object(), 2) is None
    with pytest.raises(ConfigError, match="3 quantities"):
        load_known(path, made.network, 3)
    scores_file(path).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ConfigError, match="damaged"):
        load_known(path, made.network, 2)
