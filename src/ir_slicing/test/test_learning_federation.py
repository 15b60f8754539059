# SPDX-License-Identifier: Apache-2.0
"""The federation: eq. (19) by hand, what is on the wire, compression that loses nothing for good, and bad updates."""

import dataclasses
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.federation import compression
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.client import Client
from ir_slicing.learning.federation.compression import CompressionConfig, Encoder, decode, encode_plain
from ir_slicing.learning.federation.messages import Global, Update
from ir_slicing.learning.federation.round import Federation

PLAIN = ServerConfig(compression=CompressionConfig(form="float32"))
SIZE = 6


def server(config=PLAIN, slices=("a", "b", "c", "d", "e")):
    return AveragingServer(config, np.zeros(SIZE, np.float32), "arch", slices)


def update(name="a", change=1.0, samples=10, number=0, architecture="arch"):
    values = np.broadcast_to(np.float32(change), SIZE)
    return Update(number, name, samples, architecture, encode_plain(values)).to_bytes()


def test_average_by_data_size_by_hand():
    one = server()
    for name, change, samples in (("a", 1.0, 10), ("b", 4.0, 30)):
        assert one.receive(update(name, change, samples)) == ""
    one.close()
    assert one.weights == pytest.approx((10 * 1.0 + 30 * 4.0) / 40)
    assert one.round == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (update(number=1), "stale"),
        (update(name="z"), "unknown"),
        (update(architecture="other"), "architecture"),
        (update(change=np.nan), "nan"),
        (update(change=np.inf), "nan"),
        (update(samples=0), "samples"),
        (update()[:-1], "malformed"),
        (update()[:9], "malformed"),
        (b"", "malformed"),
        (b"rubbish" * 10, "malformed"),
    ],
)
def test_bad_updates_are_refused_counted_and_change_nothing(data, reason):
    one = server()
    one.receive(update("b", 2.0))
    assert one.receive(data) == reason
    assert one.refused == {reason: 1}
    one.close()
    assert one.weights == pytest.approx(2.0)


def test_duplicates_and_stragglers():
    one = server()
    assert one.receive(update("a", 1.0)) == ""
    assert one.receive(update("a", 9.0)) == "duplicate"
    one.close()
    assert one.receive(update("b", 5.0, number=0)) == "stale"  # too late for its round
    assert one.receive(update("b", 1.0, number=1)) == ""
    one.close()
    assert one.weights == pytest.approx(2.0)
    assert one.refused == {"duplicate": 1, "stale": 1}


def test_an_outlier_is_left_out_and_counted():
    one = server()
    for name, change in zip("abcde", (1.0, 1.1, 0.9, 1.0, 500.0), strict=True):
        one.receive(update(name, change))
    one.close()
    assert one.weights == pytest.approx(1.0)
    assert one.refused == {"outlier": 1}


def test_trimmed_mean_by_hand():
    config = PLAIN.model_copy(update={"aggregation": "trimmed_mean", "trim": 0.2, "norm_bound": 0.0})
    one = server(config)
    for name, change in zip("abcde", (-1000.0, 1.0, 2.0, 6.0, 500.0), strict=True):
        one.receive(update(name, change))
    one.close()
    assert one.weights == pytest.approx(3.0)


def test_less_than_the_quorum_changes_nothing():
    one = server(PLAIN.model_copy(update={"quorum": 2}))
    one.receive(update("a", 1.0))
    one.close()
    assert (one.weights == 0.0).all() and one.round == 1
    for name in "ab":
        one.receive(update(name, 1.0, number=1))
    one.close()
    assert one.weights == pytest.approx(1.0)


def test_on_the_wire_is_an_update_and_nothing_else():
    """Every byte of a message is accounted for: header, name, architecture, and as many weights as there are. Two
    slices with the same weights but other experience send the same bytes."""
    messages = []
    for seed in (1, 2):
        agent = DDPG(DDPGConfig(hidden=(8,)), 1, 0)
        rng = np.random.default_rng(seed)
        agent.remember(rng.random((4, 1, 3)), rng.random((4, 1)), rng.random((4, 1)), rng.random((4, 1, 3)))
        weights = agent.weights()[0]
        client = Client("video", PLAIN.compression, weights, agent.architecture)
        messages.append(client.update(weights + 1.0, 4))
    assert messages[0] == messages[1]
    assert {field.name for field in dataclasses.fields(Update)} == {
        "round",
        "slice",
        "samples",
        "architecture",
        "payload",
    }
    header = struct.calcsize("<4sIIBB")
    assert len(messages[0]) == header + len("video") + len(agent.architecture) + 1 + 4 * len(weights)
    assert Update.from_bytes(messages[0]).to_bytes() == messages[0]
    assert decode(Update.from_bytes(messages[0]).payload, len(weights)) == pytest.approx(1.0, abs=1e-6)


def test_personal_weights_never_leave_and_never_change():
    shared = np.array([True, True, True, True, False, False])
    client = Client("a", PLAIN.compression, np.zeros(6, np.float32), "arch", shared)
    own = np.arange(6, dtype=np.float32)
    sent = Update.from_bytes(client.update(own, 1))
    assert decode(sent.payload, 4).tolist() == [0, 1, 2, 3]
    change = Global(1, 0, "arch", encode_plain(np.full(4, 7.0, np.float32)))
    assert client.apply(change.to_bytes(), own).tolist() == [7, 7, 7, 7, 4, 5]


def round_trip(lost, learnt_since):
    """A slice sends 1, learns something, the round is closed with a change of 10, and it hears whether it was used."""
    client = Client("a", PLAIN.compression, np.zeros(2, np.float32), "arch")
    client.update(np.ones(2, np.float32), 5)
    change = Global(1, 0, "arch", encode_plain(np.full(2, 10.0, np.float32))).to_bytes()
    weights = client.apply(change, np.full(2, 1.0 + learnt_since, np.float32))
    restored = client.restored(1, not lost, weights)
    assert client.restored(1, False, weights) is None, "once"
    return client, weights if restored is None else restored


def test_what_is_learnt_between_update_and_apply_is_kept():
    _, weights = round_trip(lost=False, learnt_since=0.25)
    assert weights.tolist() == [10.25, 10.25]


def test_what_a_lost_or_refused_update_held_is_kept_and_sent_again():
    client, weights = round_trip(lost=True, learnt_since=0.25)
    assert weights.tolist() == [11.25, 11.25]
    assert decode(Update.from_bytes(client.update(weights, 1)).payload, 2).tolist() == [1.25, 1.25]


def test_the_server_says_whose_updates_it_used():
    one = server()
    for name, size in (("a", 1.0), ("b", 1.1), ("c", 90.0)):
        one.receive(update(name, size))
    one.close()
    assert one.used == ("a", "b") and one.refused == {"outlier": 1}
    one.close()
    assert one.used == ()


def test_who_missed_a_round_asks_for_the_whole():
    client = Client("a", PLAIN.compression, np.zeros(2, np.float32), "arch")
    own = np.full(2, 5.0, np.float32)
    change = encode_plain(np.ones(2, np.float32))
    assert client.apply(Global(3, 2, "arch", change).to_bytes(), own) is None
    assert client.apply(Global(1, 0, "other", change).to_bytes(), own) is None
    assert client.apply(Global(1, 0, "arch", change[:-1]).to_bytes(), own) is None
    assert client.apply(Global(1, 0, "arch", encode_plain(np.full(2, np.nan, np.float32))).to_bytes(), own) is None
    assert client.apply(b"?", own) is None and client.round == 0
    whole = Global(3, 3, "arch", change).to_bytes()
    assert client.apply(whole, own).tolist() == [6, 6] and client.round == 3, "with what it learnt itself"


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000), st.floats(0.01, 1.0), st.integers(0, 100))
def test_sparse_keeps_the_largest_within_half_a_level(size, keep, seed):
    values = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    got = decode(compression.encode_sparse(values, keep), size)
    count = max(1, round(keep * size))
    largest = np.argsort(-np.abs(values))[:count]
    assert np.abs(got - values)[largest].max() <= np.abs(values).max() / 254 * 1.01
    assert np.count_nonzero(np.delete(got, largest)) == 0


def test_error_feedback_loses_nothing():
    """What was decoded in sum follows what was meant in sum: the residual stays bounded over 200 messages."""
    rng, encoder = np.random.default_rng(0), Encoder(CompressionConfig(keep=0.1), 500)
    meant, got = np.zeros(500), np.zeros(500)
    drift = rng.standard_normal(500)
    for _ in range(200):
        change = (drift + rng.standard_normal(500)).astype(np.float32)
        meant += change
        got += decode(encoder.encode(change), 500)
    assert meant - got == pytest.approx(encoder.residual, abs=1e-2)
    assert np.linalg.norm(meant - got) < 0.15 * np.linalg.norm(meant)


def test_a_slice_sends_later_what_a_message_could_not_hold():
    """Nothing new is learnt after the first message; the rest still arrives, piece by piece."""
    config = ServerConfig(compression=CompressionConfig(keep=0.2), norm_bound=0.0)
    one = AveragingServer(config, np.zeros(50, np.float32), "arch", ("a",))
    client = Client("a", config.compression, np.zeros(50, np.float32), "arch")
    weights = learnt = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    for _ in range(40):
        assert one.receive(client.update(weights, 1)) == ""
        weights = client.apply(one.close().to_bytes(), weights)
    assert one.weights == pytest.approx(learnt, abs=0.01) and weights == pytest.approx(learnt, abs=0.01)


def test_zero_change_and_bad_payloads():
    assert (decode(compression.encode_sparse(np.zeros(10, np.float32), 0.5), 10) == 0).all()
    good = compression.encode_sparse(np.arange(10, dtype=np.float32), 0.5)
    for bad in (
        b"",
        b"X123",
        good[:6],
        good[:-3],
        good[:5] + b"\xff" + good[6:],
        encode_plain(np.zeros(9, np.float32)),
    ):
        with pytest.raises(ValueError, match="payload"):
            decode(bad, 10)
    with pytest.raises(ValueError, match="payload"):
        decode(good, 5)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 40))
def test_the_server_survives_any_bytes(noise, cut):
    one, data = server(), update()[:cut] + noise
    reason = one.receive(data)
    assert one.refused == ({reason: 1} if reason else {})
    one.close()
    assert np.isfinite(one.weights).all() and one.received_bytes == len(data)


def spread(agent, rng):
    """Every slice's weights moved apart."""
    weights = agent.weights()
    agent.load_weights(weights + 0.01 * rng.standard_normal(weights.shape).astype(np.float32))


def test_rounds_make_slices_equal_and_cost_ten_times_fewer_bytes_when_compressed():
    spent = {}
    for form in ("float32", "sparse"):
        agent, rng = DDPG(DDPGConfig(), 3, 0), np.random.default_rng(1)
        federation = Federation(ServerConfig(compression=CompressionConfig(form=form)), agent, ("a", "b", "c"))
        for _ in range(5):
            spread(agent, rng)
            federation.round(agent, 80)
            weights = agent.weights()
            change = np.abs(weights - federation.server.weights).max()
            assert change == 0.0 if form == "float32" else 0.0 < change < 0.1  # what was not sent stays in the slice
        assert not federation.server.refused
        spent[form] = federation.bytes_up + federation.bytes_down
    assert spent["float32"] / spent["sparse"] > 10.0


def test_absent_slices_keep_their_weights_and_come_back_with_what_they_learnt():
    agent, rng = DDPG(DDPGConfig(hidden=(8,)), 3, 0), np.random.default_rng(1)
    federation, first = Federation(PLAIN, agent, ("a", "b", "c")), agent.weights()[2]
    spread(agent, rng)
    before = agent.weights()
    federation.round(agent, 80, np.array([True, True, False]))
    assert (agent.weights()[2] == before[2]).all() and (agent.weights()[0] == agent.weights()[1]).all()
    spread(agent, rng)
    own = agent.weights()[2]
    federation.round(agent, 80)
    assert federation.server.refused == {"stale": 1}  # it still stood at the round before
    after = agent.weights()
    assert (after[0] == after[1]).all()
    assert after[2] - after[0] == pytest.approx(own - first, abs=1e-5), "its own beside the global weights"


def test_personal_layers_stay_apart():
    agent, rng = DDPG(DDPGConfig(hidden=(8,)), 2, 0), np.random.default_rng(1)
    federation = Federation(PLAIN, agent, ("a", "b"), personal_layers=1)
    spread(agent, rng)
    before, shared = agent.weights(), agent.shared(1)
    federation.round(agent, 80)
    after = agent.weights()
    assert (after[0, shared] == after[1, shared]).all() and (after[:, ~shared] == before[:, ~shared]).all()
