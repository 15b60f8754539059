# SPDX-License-Identifier: Apache-2.0
"""Access profiles (IoR section II): carriers of `config/profiles`, by name or file."""

from __future__ import annotations

from pathlib import Path

from ir_common.config import ConfigError, load_yaml
from ir_radio.model.carrier import Carrier

_FOLDER = Path(__file__).parents[1] / "profile_files"  # a link to config/profiles; a copy of it where installed


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Carrier:
    """The carrier of an access profile.

    Args:
        name: of a profile that comes with the package, such as nr, or the path of a YAML file with the same keys.

    Raises:
        ConfigError: no such profile, or its file is wrong; the text names file, line and key.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return load_yaml(name, Carrier)
    if name not in profile_names():
        raise ConfigError(
            f"unknown access profile '{name}'; profiles are: {', '.join(profile_names())}, or the path of a YAML file"
        )
    return load_yaml(_FOLDER / f"{name}.yaml", Carrier)
