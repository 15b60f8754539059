# SPDX-License-Identifier: Apache-2.0
"""Replay buffer and samplers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_drl.sac import MixedSampler, ReplayBuffer, UniformSampler
from ir_drl.sac.agent_replay import Layout
from ir_drl.sac.generators import Generators, generator

LAYOUT = Layout(3, 2)


def fill(buffer: ReplayBuffer, numbers: list[float]) -> None:
    for x in numbers:
        buffer.add([x, 0, 0], [0.5, -0.5], x, [x + 1, 0, 0], False)


@given(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=8))
def test_the_latest_transitions_are_kept_whatever_the_portions(capacity: int, portions: list[int]) -> None:
    buffer, reference, number = ReplayBuffer(capacity, LAYOUT), [], 0
    for count in portions:
        values = np.arange(number, number + count)
        number += count
        zero = np.zeros((count, 3))
        buffer.add(zero, np.zeros((count, 2)), values, zero, np.zeros(count, bool))
        reference = [*reference, *values][-capacity:]
    assert len(buffer) == len(reference)
    assert sorted(buffer.rows[:, LAYOUT.reward].tolist()) == reference


def test_every_part_comes_back_where_it_belongs() -> None:
    buffer = ReplayBuffer(4, LAYOUT)
    buffer.add([1, 2, 3], [0.1, 0.2], 7, [4, 5, 6], True)
    out = np.empty((2, LAYOUT.width), np.float32)
    buffer.fill(out, np.random.default_rng(0))
    for row in out:
        assert row[LAYOUT.observation].tolist() == [1, 2, 3]
        np.testing.assert_allclose(row[LAYOUT.action], [0.1, 0.2], rtol=1e-6)
        np.testing.assert_allclose(row[LAYOUT.pair], [1, 2, 3, 0.1, 0.2], rtol=1e-6)
        assert row[LAYOUT.next_observation].tolist() == [4, 5, 6]
        assert (row[LAYOUT.reward], row[LAYOUT.terminated]) == (7, 1)


GOOD = {
    "observation": [1, 2, 3],
    "action": [0.1, 0.2],
    "reward": 0.0,
    "next_observation": [4, 5, 6],
    "terminated": False,
}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("observation", [1, np.nan, 3], r"observation\[1\] is nan"),
        ("next_observation", [1, 2, np.inf], r"next observation\[2\] is inf"),
        ("reward", np.nan, "reward is nan"),
        ("action", [0.0, np.nan], r"action\[1\] is nan"),
        ("action", [0.0, 1.5], "action reaches 1.5"),
        ("observation", [1, 2], "observation has shape"),
        ("action", [1], "action has shape"),
        ("next_observation", [[1, 2, 3], [1, 2, 3]], "next observation has shape"),
        ("reward", [1.0, 2.0], "reward has shape"),
    ],
)
def test_a_bad_transition_is_refused_and_nothing_stored(key: str, value: object, message: str) -> None:
    buffer = ReplayBuffer(4, LAYOUT)
    with pytest.raises(ValueError, match=message):
        buffer.add(**(GOOD | {key: value}))
    assert len(buffer) == 0


def test_sampling_is_uniform() -> None:
    buffer = ReplayBuffer(10, LAYOUT)
    fill(buffer, list(range(15)))
    out = np.empty((20_000, LAYOUT.width), np.float32)
    UniformSampler(buffer, np.random.default_rng(0)).fill(out)
    counts = np.bincount(out[:, LAYOUT.reward].astype(int), minlength=15)
    assert not counts[:5].any()
    assert np.abs(counts[5:] - 2000).max() < 5 * np.sqrt(2000 * 0.9)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.3, 30), (1.0, 100)])
def test_the_mixed_sampler_keeps_the_share(share: float, expected: int) -> None:
    real, twin = ReplayBuffer(10, LAYOUT), ReplayBuffer(10, LAYOUT)
    fill(real, [1, 2, 3])
    sampler = MixedSampler(real, twin, share, np.random.default_rng(0))
    out = np.empty((100, LAYOUT.width), np.float32)
    sampler.fill(out)
    assert (out[:, LAYOUT.reward] <= 3).all()  # nothing of the twin's yet
    fill(twin, [100, 200])
    sampler.fill(out)
    assert (out[:, LAYOUT.reward] >= 100).sum() == expected


def test_bad_samplers_and_buffers_are_refused() -> None:
    real = ReplayBuffer(10, LAYOUT)
    with pytest.raises(ValueError, match="twin_share"):
        MixedSampler(real, real, 1.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="laid out"):
        MixedSampler(real, ReplayBuffer(10, Layout(4, 2)), 0.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="capacity"):
        ReplayBuffer(0, LAYOUT)


def test_named_generators_do_not_depend_on_each_other_and_resume() -> None:
    one, two = Generators(7, "a", "b"), Generators(7, "b")
    one["a"].random(5)
    assert one["b"].random(3).tolist() == two["b"].random(3).tolist() == generator(7, "b").random(3).tolist()
    assert generator(7, "a").random() != generator(7, "b").random() != generator(8, "b").random()
    state, ahead = one.state(), one["a"].random(4)
    one.load(state)
    assert one["a"].random(4).tolist() == ahead.tolist()
    with pytest.raises(ValueError, match="expected a, b"):
        one.load(two.state())
