# SPDX-License-Identifier: Apache-2.0
"""What the web side asks of the stack; the node answers with ROS, a test with plain objects."""

from __future__ import annotations

from typing import Any, Protocol

from ir_radio.model.slice_specs import SliceSpec


class Unavailable(Exception):
    """A part of the stack is not there or does not answer; the text says which."""


class NotAccepted(Exception):
    """The stack refused a change; the text is its reason."""


class Pictures(Protocol):
    """What is known of the stack."""

    def picture(self) -> dict[str, Any]:
        """Everything that is known now, ready for JSON (`ir_dashboard.state.LiveState.whole`)."""

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the charts so far."""


class Slices(Protocol):
    """The slice manager. Specifications are plain data in the form of `SliceSpec`; a slice is its `spec`, its
    `resource_blocks` now, and when it was `created`, s of ROS time.

    All raise `Unavailable` where there is no slice manager, and the changes `NotAccepted` where it refuses.
    """

    async def list_slices(self) -> dict[str, Any]:
        """`slices`, and `templates`: specifications."""

    async def create_slice(self, template: str, name: str, spec: SliceSpec | None) -> dict[str, Any]:
        """Creates from a template, under a name or the template's, or from a specification; `slice` and `message`."""

    async def modify_slice(self, spec: SliceSpec) -> dict[str, Any]:
        """Replaces a slice's specification; `slice` and `message`."""

    async def delete_slice(self, name: str) -> dict[str, Any]:
        """Deletes a slice; `message`."""
