# SPDX-License-Identifier: Apache-2.0
"""Keys of slices, with which their updates are signed: nobody speaks for another slice (HMAC-SHA256, RFC 2104).

A file of keys is JSON: ``{"master": HEX}`` for the manager and for agents of all slices, or ``{"slices": {NAME: HEX}}``
for agents of some. A slice's key is HMAC(master, name), so that slices which are made later have theirs.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from ir_common.config import ConfigError

TAG = hashlib.sha256().digest_size
"""Bytes that a signature adds to a message."""

_CONTEXT = b"ir slice update 1\0"


class UpdateKeys:
    """Signs messages in the name of slices, and checks them.

    Args:
        master: from which the keys of all slices are made; None: only those of ``slices`` are known.
        slices: keys by name.
    """

    def __init__(self, master: bytes | None, slices: Mapping[str, bytes] | None = None) -> None:
        self._master, self._slices = master, dict(slices or {})

    def key(self, name: str) -> bytes | None:
        """The key of a slice; None: it is not known here."""
        if name in self._slices:
            return self._slices[name]
        return None if self._master is None else hmac.digest(self._master, name.encode(), "sha256")

    def sign(self, name: str, data: bytes) -> bytes | None:
        """A message of the slice with its signature; None: there is no key to sign with."""
        key = self.key(name)
        return None if key is None else data + hmac.digest(key, _CONTEXT + data, "sha256")

    def check(self, name: str, signed: bytes) -> bool:
        """Whether a signed message is the slice's."""
        key, data, tag = self.key(name), signed[:-TAG], signed[-TAG:]
        return key is not None and hmac.compare_digest(hmac.digest(key, _CONTEXT + data, "sha256"), tag)


def load_keys(path: Path) -> UpdateKeys:
    """Reads a file of keys.

    Raises:
        ConfigError: it is missing, or no such file.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        slices = {str(name): bytes.fromhex(key) for name, key in given.get("slices", {}).items()}
        master = bytes.fromhex(given["master"]) if "master" in given else None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the file of the slices' keys") from None
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(
            f'{path}: holds no keys of slices ({{"master": HEX}} or {{"slices": {{NAME: HEX}}}})'
        ) from None
    if any(len(key) < TAG for key in (*slices.values(), *([] if master is None else [master]))):
        raise ConfigError(f"{path}: a key is shorter than {TAG} bytes; make it with `slice_keys`")
    return UpdateKeys(master, slices)


def make_master(path: Path) -> Path:
    """Writes a new master key that only its owner can read; one that is there already stays."""
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"master": secrets.token_hex(TAG)}, file)
    return path


def main() -> None:
    """Entry point of the executable ``slice_keys``: prints the file for a host that has the agents of some slices."""
    parser = argparse.ArgumentParser(prog="slice_keys", description=main.__doc__)
    parser.add_argument("master", type=Path, help="file of the master key; made where there is none")
    parser.add_argument("slices", nargs="+", help="names of the slices")
    given = parser.parse_args()
    try:
        keys = load_keys(make_master(given.master))
        made = {name: key.hex() for name in given.slices if (key := keys.key(name)) is not None}
    except (ConfigError, OSError) as error:
        sys.exit(f"slice_keys: {error}")
    if len(made) < len(given.slices):
        sys.exit(f"slice_keys: {given.master}: holds no master key, so that it has keys of some slices only")
    print(json.dumps({"slices": made}, indent=1))
