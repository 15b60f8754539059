# SPDX-License-Identifier: Apache-2.0
"""The replay buffer keeps the newest transitions, draws uniformly, and refuses what does not belong there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Rows, TransitionLayout

LAYOUT = TransitionLayout(2, 1)


def rows(numbers: np.ndarray | list[int]) -> Rows:
    """Transitions that are zero but for these rewards."""
    made = np.zeros((len(numbers), LAYOUT.width), np.float32)
    made[:, LAYOUT.reward] = numbers
    return made


def rewards(given_rows: Rows) -> list[float]:
    return given_rows[:, LAYOUT.reward].tolist()


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 9))
def test_the_newest_are_kept_whatever_the_portions(sizes: list[int], capacity: int) -> None:
    buffer, everything, taken = ReplayBuffer(LAYOUT, capacity), np.arange(sum(sizes)), 0
    for size in sizes:
        buffer.add(rows(everything[taken : taken + size]))
        taken += size
    newest = everything[max(taken - capacity, 0) :].tolist()
    assert buffer.added == taken and len(buffer) == len(newest)
    assert rewards(buffer.in_order()) == newest and sorted(rewards(buffer.rows)) == newest
    assert rewards(buffer.newest(3)) == newest[-3:]
    assert all(buffer.rows[k % capacity, LAYOUT.reward] == k for k in newest), "number k is in row k modulo capacity"


def test_one_row_is_taken_in_as_it_is() -> None:
    buffer, row = ReplayBuffer(LAYOUT, 3), np.arange(7, dtype=np.float32)
    buffer.add(row)
    np.testing.assert_array_equal(buffer.sample(np.random.default_rng(0), 2), [row, row])


def test_draws_are_uniform_and_the_same_for_a_batch_in_place() -> None:
    buffer, out = ReplayBuffer(LAYOUT, 10), np.empty((20_000, LAYOUT.width), np.float32)
    buffer.add(rows(list(range(15))))
    buffer.fill(out, np.random.default_rng(0))
    counts = np.bincount(out[:, LAYOUT.reward].astype(int), minlength=15)
    assert not counts[:5].any() and np.abs(counts[5:] - 2000).max() < 5 * np.sqrt(2000 * 0.9)
    np.testing.assert_array_equal(buffer.sample(np.random.default_rng(0), 20_000), out)
    np.testing.assert_array_equal(buffer.rows[np.random.default_rng(0).integers(10, size=20_000)], out)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (1, np.nan, r"state\[1\] is nan"), (4, np.inf, r"next state\[0\] is inf"), (3, np.nan, "reward is nan"),
        (2, np.nan, r"action\[0\] is nan"), (2, 1.5, r"action reaches 1\.5; it must be in \[-1, 1\]"),
    ],
)  # fmt: skip
def test_a_bad_transition_is_refused_and_nothing_is_taken_in(column: int, value: float, message: str) -> None:
    buffer, bad = ReplayBuffer(LAYOUT, 4, action_limit=1.0), rows([1, 2])
    bad[1, column] = value
    with pytest.raises(ValueError, match=message):
        buffer.add(bad)
    assert len(buffer) == 0


def test_without_a_limit_actions_are_of_any_size() -> None:
    buffer, large = ReplayBuffer(LAYOUT, 4), rows([1])
    large[0, LAYOUT.action] = 200.0
    buffer.add(large)
    assert len(buffer) == 1


def test_the_buffer_refuses_what_does_not_belong_there() -> None:
    buffer = ReplayBuffer(LAYOUT, 4)
    with pytest.raises(ValueError, match="empty"):
        buffer.sample(np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="width 7"):
        buffer.add(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="capacity"):
        ReplayBuffer(LAYOUT, 0)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_a_buffer_goes_on_exactly_from_its_state(count: int) -> None:
    first, again = ReplayBuffer(LAYOUT, 4), ReplayBuffer(LAYOUT, 4)
    first.add(rows(list(range(count))))
    again.load(first.state())
    for buffer in (first, again):
        buffer.add(rows([50, 51]))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert first.added == again.added
    with pytest.raises(ValueError, match="of 4 rows, expected"):
        ReplayBuffer(LAYOUT, 5).load(first.state())
    with pytest.raises(ValueError, match="expected"):
        ReplayBuffer(TransitionLayout(3, 1), 4).load(first.state())
