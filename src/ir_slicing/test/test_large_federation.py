# SPDX-License-Identifier: Apache-2.0
"""Federated runs of many slices: in this process, and the same under Flower where it is installed."""

import numpy as np
import pytest

from ir_slicing.learning.federation.large_federation import FederationRun, make_server, run_in_process, site_round

RUN = FederationRun(slices=3, rounds=2, steps=12, devices=4, seed=3)


def test_rounds_move_the_weights_and_repeat():
    first, history = run_in_process(RUN)
    assert history.updates == [3, 3] and all(np.isfinite(history.reward))
    assert 0 < history.bytes_up[0] < 3 * 4 * len(first.weights) / 8, "compressed"
    assert np.abs(first.weights - make_server(RUN).weights).max() > 0.0
    again, _ = run_in_process(RUN)
    assert np.array_equal(first.weights, again.weights)


def test_what_a_message_could_not_hold_goes_on_with_the_next():
    whole = make_server(RUN).whole().to_bytes()
    _, rest, _ = site_round(RUN, 0, whole, None)
    assert np.abs(rest).max() > 0.0
    data, _, _ = site_round(RUN, 0, whole, rest)
    assert data != site_round(RUN, 0, whole, None)[0]


def test_weights_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="another architecture"):
        site_round(RUN, 0, make_server(RUN).whole().to_bytes()[:-4], None)


@pytest.mark.timeout(300)
def test_flower_does_the_same(capfd):
    """The same bytes through Flower's messages: as many updates, and the same rewards.

    Nearly all of its time goes by until Ray's processes have come up.
    """
    pytest.importorskip("flwr", reason="flwr is not installed (requirements/federation.txt)")
    pytest.importorskip("ray", reason="flwr's simulation engine is not installed (requirements/federation.txt)")
    from ir_slicing.learning.federation.flower import simulate

    run = RUN.model_copy(update={"slices": 2})
    mine, theirs = run_in_process(run)[1], simulate(run)
    assert theirs.updates == mine.updates
    assert theirs.bytes_up == mine.bytes_up
    assert np.allclose(theirs.reward, mine.reward)
