# SPDX-License-Identifier: Apache-2.0
"""Samplers draw batches in the shares that they are given; generators of one seed do not depend on each other."""

from __future__ import annotations

import numpy as np
import pytest

from ir_drl.sac import MixedSampler, UniformSampler
from ir_drl.sac.generators import Generators, generator
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Transition, TransitionLayout

LAYOUT = TransitionLayout(3, 2)


def holding(numbers: list[float]) -> ReplayBuffer:
    """A buffer for 10 of transitions with these rewards."""
    buffer = ReplayBuffer(LAYOUT, 10)
    for x in numbers:
        buffer.add(
            LAYOUT.pack(Transition(np.array([x, 0, 0]), np.array([0.5, -0.5]), x, np.array([x + 1, 0, 0]), False))
        )
    return buffer


def test_sampling_is_uniform() -> None:
    out = np.empty((20_000, LAYOUT.width), np.float32)
    UniformSampler(holding(list(range(15))), np.random.default_rng(0)).fill(out)
    counts = np.bincount(out[:, LAYOUT.reward].astype(int), minlength=15)
    assert not counts[:5].any()
    assert np.abs(counts[5:] - 2000).max() < 5 * np.sqrt(2000 * 0.9)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.3, 30), (1.0, 100)])
def test_the_mixed_sampler_keeps_the_share(share: float, expected: int) -> None:
    real, model = holding([1, 2, 3]), holding([])
    sampler = MixedSampler(real, model, share, np.random.default_rng(0))
    out = np.empty((100, LAYOUT.width), np.float32)
    sampler.fill(out)
    assert (out[:, LAYOUT.reward] <= 3).all()  # nothing of the model's yet
    model.add(holding([100, 200]).rows)
    sampler.fill(out)
    assert (out[:, LAYOUT.reward] >= 100).sum() == expected


def test_samplers_that_cannot_be_are_refused() -> None:
    real = holding([])
    with pytest.raises(ValueError, match="share 1.1"):
        MixedSampler(real, real, 1.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="laid out"):
        MixedSampler(real, ReplayBuffer(TransitionLayout(4, 2), 10), 0.5, np.random.default_rng(0))


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
