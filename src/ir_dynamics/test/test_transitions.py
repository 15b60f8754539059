# SPDX-License-Identifier: Apache-2.0
"""Task states become transitions only where the chain is whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_dynamics.transitions import Transition, TransitionLayout, TransitionMaker, heldout_mask, layout_of

LAYOUT = TransitionLayout(num_state=2, num_action=1)


def feed(maker: TransitionMaker, episode: int, step: int, **changes: object) -> Transition | None:
    content: dict[str, object] = {
        "observation": [100.0 * episode + step, -1.0], "action": [0.1 * step] if step else [], "reward": float(step),
        "terminated": False,
    }  # fmt: skip
    return maker.feed(episode=episode, step=step, **(content | changes))  # type: ignore[arg-type]


def test_consecutive_states_make_the_transition_between_them() -> None:
    maker = TransitionMaker(LAYOUT)
    assert feed(maker, 1, 0) is None
    transition = feed(maker, 1, 1)
    assert transition is not None
    np.testing.assert_array_equal(transition.state, [100, -1])
    np.testing.assert_array_equal(transition.action, [0.1])
    np.testing.assert_array_equal(transition.next_state, [101, -1])
    assert (transition.reward, transition.terminated) == (1.0, False)
    assert (maker.made, maker.gaps, maker.rejected) == (1, 0, 0)


def test_with_a_memory_states_end_with_the_action_before_them() -> None:
    layout = layout_of("ensemble", 2, 1)
    assert (layout.num_state, layout.num_observation, layout.num_action) == (3, 2, 1)
    assert layout_of("live", 2, 1) == LAYOUT and LAYOUT.num_observation == 2
    maker = TransitionMaker(layout)
    feed(maker, 1, 0)
    first, second = feed(maker, 1, 1), feed(maker, 1, 2)
    assert first is not None and second is not None
    np.testing.assert_allclose([*first.state, *first.action, *first.next_state], [100, -1, 0, 0.1, 101, -1, 0.1])
    np.testing.assert_allclose([*second.state, *second.action, *second.next_state], [101, -1, 0.1, 0.2, 102, -1, 0.2])
    np.testing.assert_array_equal(layout.unpack(layout.pack(second)).state, second.state.astype(np.float32))
    feed(maker, 1, 5)
    after = feed(maker, 1, 6)
    assert after is not None
    np.testing.assert_allclose(after.state, [105, -1, 0.5], err_msg="a state says itself what was in force before it")
    assert feed(maker, 1, 7, observation=[0.0, 0.0, 0.0]) is None and maker.rejected == 1


def test_a_lost_message_breaks_the_chain_and_is_counted() -> None:
    maker = TransitionMaker(LAYOUT)
    made = [feed(maker, 1, step) is not None for step in (0, 1, 3, 4)]
    assert made == [False, True, False, True]
    assert maker.gaps == 1


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_an_episode_end_completes_its_transition_and_starts_no_other(end: str) -> None:
    maker = TransitionMaker(LAYOUT)
    feed(maker, 1, 0)
    last = feed(maker, 1, 1, **{end: True})
    assert last is not None
    assert last.terminated == (end == "terminated")
    assert maker.state is None
    assert feed(maker, 1, 2) is None
    assert feed(maker, 2, 0) is None
    assert feed(maker, 2, 1) is not None


@pytest.mark.parametrize(
    "bad",
    [
        {"observation": [np.nan, 0.0]}, {"observation": [0.0]}, {"observation": [1e39, 0.0]}, {"action": [np.inf]},
        {"action": []}, {"action": [1.0, 2.0]}, {"reward": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_bad_content_is_refused_counted_and_breaks_the_chain(bad: dict[str, object]) -> None:
    maker = TransitionMaker(LAYOUT)
    feed(maker, 1, 0)
    assert feed(maker, 1, 1, **bad) is None
    assert maker.rejected == 1
    assert maker.state is None
    assert feed(maker, 1, 2) is None
    assert feed(maker, 1, 3) is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=40))
def test_every_transition_joins_two_successive_steps_of_one_episode(stream: list[tuple[int, int]]) -> None:
    maker = TransitionMaker(LAYOUT)
    for (episode, step), before in zip(stream, [None, *stream], strict=False):
        transition = feed(maker, episode, step)
        assert (transition is not None) == (before == (episode, step - 1))
        if transition is not None:
            assert transition.next_state[0] - transition.state[0] == 1


def test_rows_come_back_as_they_went_in() -> None:
    transition = Transition(np.array([1.0, 2]), np.array([3.0]), 4.0, np.array([5.0, 6]), True)
    row = LAYOUT.pack(transition)
    assert row.tolist() == [1, 2, 3, 4, 5, 6, 1]
    for back, went in zip(LAYOUT.unpack(row), transition, strict=True):
        np.testing.assert_array_equal(back, went)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("state", [1.0]), ("action", [1.0, 2.0]), ("action", 1.0), ("next_state", [[1.0, 2.0]] * 2), ("reward", [1.0]),
        ("terminated", [True]),
    ],
)  # fmt: skip
def test_a_part_of_another_shape_is_refused(part: str, value: object) -> None:
    good = Transition(np.array([1.0, 2]), np.array([3.0]), 4.0, np.array([5.0, 6]), True)
    with pytest.raises(ValueError, match=f"transition: {part.replace('_', ' ')} has shape"):
        LAYOUT.pack(good._replace(**{part: np.array(value)}))


def test_columns_are_where_the_parts_of_a_batch_go() -> None:
    batch = Transition(
        np.array([[1.0, 2], [7, 8]]), np.array([[3.0], [9]]), np.array([4.0, 10]), np.array([[5.0, 6], [11, 12]]),
        np.array([0.25, 1.0]),
    )  # fmt: skip
    layout = TransitionLayout(2, 1, ahead=True)
    rows = layout.pack(batch._replace(ahead=np.array([0.5, -1.0])))
    for part in ("state", "action", "reward", "next_state", "terminated"):
        np.testing.assert_array_equal(rows[:, getattr(layout, part)], getattr(batch, part))
    np.testing.assert_array_equal(rows[:, layout.pair], [[1, 2, 3], [7, 8, 9]])
    assert [layout.name(k) for k in range(layout.width)] == [
        "state[0]", "state[1]", "action[0]", "reward", "next state[0]", "next state[1]", "terminated", "ahead",
    ]  # fmt: skip


@given(st.integers(0, 500), st.lists(st.integers(0, 40), max_size=8))
def test_the_held_out_split_does_not_depend_on_how_transitions_arrive(first: int, sizes: list[int]) -> None:
    whole = heldout_mask(first, sum(sizes))
    starts = first + np.cumsum([0, *sizes])
    parts = [heldout_mask(int(start), size) for start, size in zip(starts, sizes, strict=False)]
    assert np.concatenate([*parts, []]).tolist() == whole.tolist()


def test_one_eighth_is_held_out_in_whole_blocks() -> None:
    mask = heldout_mask(0, 1024)
    assert mask.sum() == 128
    assert mask[32:48].all()
    assert not mask[:32].any()
    assert np.abs(np.diff(mask.astype(int))).sum() == 16
