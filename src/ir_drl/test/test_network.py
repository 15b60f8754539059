# SPDX-License-Identifier: Apache-2.0
"""Policy files: what is written is read, and every wrong file is refused with file and expectation named."""

from itertools import pairwise

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_drl.policies import load_policy, save_policy
from ir_sim.tasks import make_task

TASK = make_task("hopper")


def layers(*widths, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(o, i)), rng.normal(size=o)) for i, o in pairwise(widths)]


def write(path, drop=(), **changes):
    arrays = {"version": 1, "task": "hopper_hop", "activation": "tanh"}
    for k, (weight, bias) in enumerate(layers(11, 8, 3)):
        arrays |= {f"weight_{k}": weight, f"bias_{k}": bias}
    arrays = {key: value for key, value in (arrays | changes).items() if key not in drop}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "policy.npz"


def test_network_of_one_weight_by_hand(path):
    """Two relu units that read the height h: h and -h; action 0 = tanh(relu(h) + 0.5)."""
    hidden, output = np.zeros((2, 11)), np.zeros((3, 2))
    hidden[0, 0], hidden[1, 0], output[0] = 1.0, -1.0, 1.0
    save_policy(path, TASK, [(hidden, np.zeros(2)), (output, np.array([0.5, 0.0, 0.0]))], "relu")
    observation = np.zeros(11)
    observation[0] = 0.7
    assert load_policy(path, TASK).act(observation) == pytest.approx([np.tanh(1.2), 0.0, 0.0])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_round_trip_agrees_with_a_slow_reference(path, activation):
    made = layers(11, 16, 8, 3)
    save_policy(path, TASK, made, activation)
    rng = np.random.default_rng(1)
    policy = load_policy(path, TASK)
    for observation in rng.normal(size=(20, 11)):
        values = list(observation)
        for k, (weight, bias) in enumerate(made):
            sums = [sum(w * v for w, v in zip(row, values, strict=True)) for row in weight]
            values = [s + b for s, b in zip(sums, bias, strict=True)]
            values = [np.tanh(v) if activation == "tanh" or k == 2 else max(v, 0.0) for v in values]
        assert policy.act(observation) == pytest.approx(values)


def test_output_is_scaled_to_the_bounds_of_the_task(path):
    cart = make_task("cart")
    zero = [(np.zeros((2, 16)), np.array([100.0, -100.0]))]
    save_policy(path, cart, zero, "tanh")
    assert load_policy(path, cart).act(np.zeros(16)) == pytest.approx([cart.action_high[0], cart.action_low[1]])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "cart_navigation"}, "for task 'cart_navigation', the robot's task is 'hopper_hop'"),
        ({"version": 3}, "version is 3, this program reads versions 1 and 2"),
        ({"version": 2}, "key 'memory' is missing"),
        ({"version": 2, "memory": 0}, "memory is 0, expected 1 to 64"),
        (
            {"version": 2, "memory": 2},
            r"weight_0 has shape \(8, 11\), expected \(8, 20\): .* and 2 actions are remembered",
        ),
        ({"memory": 2}, "layers must be weight_0, bias_0"),
        ({"version": 1.5}, "key 'version' must be one whole number"),
        ({"activation": "gelu"}, "'gelu' is not known; expected one of tanh, relu"),
        ({"weight_0": np.zeros((8, 12))}, r"weight_0 has shape \(8, 12\), expected \(8, 11\): .* 11 observations"),
        ({"weight_1": np.zeros((4, 8))}, r"weight_1 has shape \(4, 8\), expected \(3, 8\)"),
        ({"weight_1": np.zeros(3)}, "weight_1 has shape"),
        ({"weight_0": np.zeros((0, 11))}, "weight_0 has shape"),
        ({"bias_0": np.zeros(7)}, r"bias_0 has shape \(7,\), expected \(8,\)"),
        ({"bias_1": np.array([0.0, np.nan, 0.0])}, "bias_1 must hold finite real numbers"),
        ({"bias_1": np.array(["a", "b", "c"])}, "bias_1 must hold finite real numbers"),
        ({"extra": 1}, "layers must be weight_0, bias_0"),
        ({"weight_1": np.array([object()], dtype=object)}, "no undamaged .npz archive of plain arrays"),
    ],
)
def test_wrong_content_is_refused(path, changes, reason):
    with pytest.raises(ConfigError, match=rf"policy.npz: .*{reason}"):
        load_policy(write(path, **changes), TASK)


@pytest.mark.parametrize("missing", ["version", "task", "activation", "bias_0"])
def test_missing_key_is_refused(path, missing):
    with pytest.raises(ConfigError, match=rf"policy.npz: .*{missing}"):
        load_policy(write(path, drop=[missing]), TASK)


def test_every_truncation_is_refused(path):
    whole = write(path).read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match="policy.npz"):
            load_policy(path, TASK)


def test_flipped_bytes_are_refused_or_harmless(path):
    whole = write(path).read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 200):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            action = load_policy(path, TASK).act(np.zeros(11))
        except ConfigError:
            continue
        assert np.all(np.isfinite(action))


def test_missing_folder_and_text_files_are_refused(tmp_path, path):
    with pytest.raises(ConfigError, match="policy.npz: policy file cannot be read"):
        load_policy(path, TASK)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path, TASK)
    path.write_text("not an archive\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no undamaged .npz archive"):
        load_policy(path, TASK)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="no undamaged .npz archive"):
        load_policy(tmp_path / "array.npy", TASK)


def test_a_policy_with_memory_sees_what_it_proposed_and_what_is_in_force(path):
    """One layer whose first output is 1 x oldest + 10 x newest + 100 x in force of the first action, small numbers."""
    weight = np.zeros((3, 11 + 3 * 3))
    weight[0, [11, 14, 17]] = 1.0, 10.0, 100.0
    save_policy(path, TASK, [(weight, np.array([1e-6, 0.0, 0.0]))], "relu", memory=2)
    policy, seen = load_policy(path, TASK), np.zeros(11)
    policy.reset(0)
    first = policy.act(seen)[0]  # nothing was proposed, and the safe action, zero, is in force
    assert first == pytest.approx(1e-6)
    second = policy.act(seen)[0]  # without a word, the newest one is in force
    assert second == pytest.approx(1e-6 + 110 * first)
    third = policy.act(seen, np.array([3e-6, 0.0, 0.0]))[0]
    assert third == pytest.approx(1e-6 + first + 10 * second + 3e-4)
    policy.reset(0)
    assert policy.act(seen)[0] == first


def test_without_a_memory_files_stay_of_version_1(path):
    save_policy(path, TASK, layers(11, 4, 3), "tanh")
    with np.load(path) as archive:
        assert archive["version"] == 1 and "memory" not in archive
