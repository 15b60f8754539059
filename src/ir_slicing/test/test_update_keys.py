# SPDX-License-Identifier: Apache-2.0
"""Keys of slices: an update is taken only from who has the key of the slice in whose name it comes."""

import json
import stat

import pytest

from ir_common.config import ConfigError
from ir_slicing.learning.federation import update_keys
from ir_slicing.learning.federation.update_keys import TAG, UpdateKeys, load_keys, make_master

MASTER = bytes(range(32))


def test_only_the_slices_own_key_signs_for_it():
    keys, data = UpdateKeys(MASTER), b"weights of cart"
    signed = keys.sign("cart", data)
    assert signed[:-TAG] == data and keys.check("cart", signed)
    assert not keys.check("video", signed)
    assert not UpdateKeys(MASTER[::-1]).check("cart", signed)
    other = UpdateKeys(None, {"video": keys.key("video")})
    assert other.sign("cart", data) is None and not other.check("cart", signed)
    forged = other.sign("video", data)
    assert not keys.check("cart", forged) and keys.check("video", forged)


@pytest.mark.parametrize("place", range(0, 15 + TAG, 4))
def test_any_byte_that_changed_is_noticed(place):
    keys = UpdateKeys(MASTER)
    signed = bytearray(keys.sign("cart", b"weights of cart"))
    signed[place] ^= 1
    assert not keys.check("cart", bytes(signed))
    assert not keys.check("cart", bytes(signed[:TAG]))


def test_a_master_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = make_master(tmp_path / "keys.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = load_keys(path).key("cart")
    assert load_keys(make_master(path)).key("cart") == key != load_keys(path).key("video")


def test_a_host_is_given_the_keys_of_its_own_slices(tmp_path, capsys, monkeypatch):
    master = tmp_path / "keys.json"
    monkeypatch.setattr("sys.argv", ["slice_keys", str(master), "cart"])
    update_keys.main()
    (tmp_path / "cart.json").write_text(capsys.readouterr().out)
    given, whole = load_keys(tmp_path / "cart.json"), load_keys(master)
    assert given.key("cart") == whole.key("cart") and given.key("video") is None
    monkeypatch.setattr("sys.argv", ["slice_keys", str(tmp_path / "cart.json"), "video"])
    with pytest.raises(SystemExit, match="holds no master key"):
        update_keys.main()


@pytest.mark.parametrize("text", ["", "[]", '{"master": 3}', '{"master": "xy"}', '{"slices": 1}'])
def test_a_file_that_holds_no_keys_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"keys.json: holds no keys"):
        load_keys(path)
    path.write_text(json.dumps({"master": "00"}))
    with pytest.raises(ConfigError, match="shorter than 32 bytes"):
        load_keys(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_keys(tmp_path / "none.json")
