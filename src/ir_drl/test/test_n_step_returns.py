# SPDX-License-Identifier: Apache-2.0
"""Transitions over several steps are the sums that their formula says, and end where the episode does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ir_drl.sac.n_step_returns import NStepReturns
from ir_dynamics.transitions import Transition

GAMMA = 0.9


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.sampled_from(["goes on", "falls", "is cut"])), max_size=40),
    st.integers(1, 6),
)
def test_returns_are_those_of_a_slow_reference(steps: list[tuple[float, str]], n: int) -> None:
    returns, made = NStepReturns(n, GAMMA), []
    for k, (reward, end) in enumerate(steps):
        made += returns.follow(Transition(np.array([k]), np.array([-k]), reward, np.array([k + 1]), end == "falls"))
        if end != "goes on":
            returns.cut()
    expected = []
    for k in range(len(steps)):
        total, lost = 0.0, None
        for i, (reward, end) in enumerate(steps[k : k + n]):
            total += GAMMA**i * reward
            if end == "falls":
                lost = 1.0
            elif i == n - 1:
                lost = 1.0 - GAMMA ** (n - 1)
            if end != "goes on" or lost is not None:
                break
        if lost is not None:
            expected.append((k, total, k + i + 1, lost))
    got = [(int(r.state[0]), r.reward, int(r.next_state[0]), r.terminated) for r in made]
    np.testing.assert_allclose(sorted(got), expected, atol=1e-9)
    assert all(r.action[0] == -r.state[0] for r in made)
