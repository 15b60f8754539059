# SPDX-License-Identifier: Apache-2.0
"""A configuration file that is wrong is refused with its file, line and key."""

from pathlib import Path

import pytest
from pydantic import Field, model_validator

from ir_common.config import Config, ConfigError, load_yaml, validate


class Wheel(Config):
    radius: float = Field(gt=0, description="m")


class Cart(Config):
    name: str
    speed: float = Field(0.5, ge=0, le=2)
    wheels: tuple[Wheel, ...] = ()

    @model_validator(mode="after")
    def check(self) -> "Cart":
        if self.name == "bad":
            raise ValueError("Bad carts are not allowed; choose another name")
        return self


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cart.yaml"
    path.write_text(text)
    return path


def test_reads_a_nested_file(tmp_path: Path) -> None:
    cart = load_yaml(write(tmp_path, "name: a\nwheels:\n- {radius: 0.1}\n- {radius: 1}\n"), Cart)
    assert cart == Cart(name="a", wheels=(Wheel(radius=0.1), Wheel(radius=1.0)))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: a\nspede: 1\n", 2, ["unknown key 'spede'", "did you mean 'speed'"]),
        ("name: a\nwheels:\n- radius: 0.1\n- raduis: 0.1\n", 4, ["raduis", "radius", "and 1 more"]),
        ("name: a\nwheels:\n- radius: -1\n", 3, ["wheels.0.radius", "greater than 0", "-1"]),
        ("speed: 1\n", 1, ["'name' is missing"]),
        ("name: a\nspeed: fast\n", 2, ["speed", "fast"]),
        ("name: a\nspeed: .nan\n", 2, ["speed", "finite"]),
        ("name: a\nname: b\n", 2, ["'name' stands twice", "line 1"]),
        ("name: bad\n", 1, ["bad carts are not allowed"]),
        ("name: [a\n", 2, ["not valid YAML"]),
        ("- a\n", 1, ["keys and values"]),
        ("", 1, ["keys and values"]),
    ],
)
def test_error_names_file_line_and_key(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Cart)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: "), message
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["name: &a [*a]\n", "&a {name: *a}\n", "name: " + "[" * 3000])
def test_a_file_that_holds_itself_or_is_nested_too_deeply_is_one_clear_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"cart\.yaml: holds itself, or is nested too deeply") as caught:
        load_yaml(write(tmp_path, text), Cart)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none.yaml: cannot be read"):
        load_yaml(tmp_path / "none.yaml", Cart)


def test_values_are_checked_like_files() -> None:
    with pytest.raises(ConfigError, match="parameters of /cart: speed: .*less than or equal to 2"):
        validate(Cart, {"name": "a", "speed": 3}, "parameters of /cart")
