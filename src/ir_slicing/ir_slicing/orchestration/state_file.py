# SPDX-License-Identifier: Apache-2.0
"""The state file of a manager, read when it is started anew: templates, slices, the federation's round and weights.

One JSON file, replaced as a whole: written beside, flushed to the disk, renamed. A power cut leaves the old file or
the new one, never a mixture.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from ir_common.atomic_file import replace_text
from ir_common.config import Config, ConfigError
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.orchestration.admission import Slice

Weights = NDArray[np.float32]


class SavedSlice(Config):
    """A slice in the state file."""

    spec: SliceSpec
    created: int = Field(ge=0, description="ns of ROS time")
    active: bool = Field(description="it holds resources")


class SavedModel(Config):
    """The federation's weights in the state file."""

    round: int = Field(ge=0, description="number of the current round")
    architecture: str = Field(description="of the networks")
    weights: str = Field(description="float32, little endian, base64")

    @field_validator("weights")
    @classmethod
    def _numbers(cls, text: str) -> str:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ValueError("is not base64") from None
        if len(data) % 4 or not np.isfinite(np.frombuffer(data, "<f4")).all():
            raise ValueError("are not finite float32 numbers")
        return text

    @classmethod
    def of(cls, round_number: int, architecture: str, weights: Weights) -> SavedModel:
        """From [size] float32."""
        text = base64.b64encode(np.asarray(weights, "<f4").tobytes()).decode()
        return cls(round=round_number, architecture=architecture, weights=text)

    def array(self) -> Weights:
        """[size] float32."""
        return np.frombuffer(base64.b64decode(self.weights), "<f4").astype(np.float32)


class ManagerState(Config):
    """The whole state file."""

    version: Literal[1] = 1
    sequence: int = Field(ge=0, description="of the last allocation")
    templates: tuple[SliceSpec, ...]
    slices: tuple[SavedSlice, ...]
    model: SavedModel | None = Field(None, description="nothing where no agents learn")

    def entries(self) -> list[Slice]:
        """The slices as the registry holds them."""
        return [Slice(saved.spec, saved.created, saved.active) for saved in self.slices]


def save(path: Path, state: ManagerState) -> None:
    """Replaces the file.

    Raises:
        OSError: it cannot be written; the old one is untouched.
    """
    replace_text(path, state.model_dump_json(indent=1))


def load(path: Path) -> ManagerState | None:
    """Reads the file; nothing where there is none.

    Raises:
        ConfigError: it cannot be read, or is cut short or changed; says where.
    """
    try:
        return ManagerState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: is no state of a slice manager: {where + ': ' if where else ''}{what}") from None
