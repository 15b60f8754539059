# SPDX-License-Identifier: Apache-2.0
"""The memory of proposed actions against a list that is kept by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_sim.action_memory import ActionMemory
from ir_sim.tasks import CartNavigation

CART = CartNavigation()
action = st.tuples(*[st.floats(-1, 1)] * 2).map(np.array)
happening = st.one_of(
    st.tuples(st.just("propose"), action),
    st.tuples(st.just("correct"), action),
    st.tuples(st.just("repeat"), st.integers(-1, 9)),
)


@given(st.integers(1, 5), st.lists(happening, max_size=30), action)
def test_it_holds_the_last_actions_oldest_first(length, happenings, in_force):
    memory, said = ActionMemory(CART, length), [CART.safe_action] * length
    for what, value in happenings:
        getattr(memory, what)(value)
        if what == "propose":
            said.append(value)
        elif what == "correct":
            said[-1] = value
        else:
            said += [said[-1]] * max(value, 0)
    seen = np.arange(16.0)
    expected = np.concatenate([seen, *said[-length:], in_force])
    assert np.array_equal(memory.extend(seen, in_force), expected)
    assert len(expected) == 16 + memory.width
    memory.begin()
    assert np.array_equal(memory.extend(seen), np.concatenate([seen, np.zeros(memory.width)]))


def test_without_a_length_nothing_is_remembered():
    memory, seen = ActionMemory(CART, 0), np.arange(16.0)
    memory.propose(np.ones(2))
    memory.repeat(3)
    memory.correct(np.ones(2))
    assert memory.extend(seen, np.ones(2)) is seen and memory.width == 0
    with pytest.raises(ValueError, match="-1 actions"):
        ActionMemory(CART, -1)
