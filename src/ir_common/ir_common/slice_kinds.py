# SPDX-License-Identifier: Apache-2.0
"""The slice types of ir_interfaces/msg/SliceSpec by number, key and label; needs no ROS.

Forms, reports, messages and the page take them from here. A test asserts that the numbers are those of the message.
"""

from __future__ import annotations

import enum


class SliceKind(enum.IntEnum):
    """Type of a slice: its number is the slice/service type (SST) of the S-NSSAI, 3GPP TS 23.003."""

    EMBB = 1
    """Enhanced mobile broadband."""
    URLLC = 2
    """Ultra-reliable low latency."""

    @property
    def key(self) -> str:
        """As in a slices file: embb or urllc."""
        return self.name.lower()

    @property
    def label(self) -> str:
        """As it is written for people: eMBB or URLLC."""
        return _LABELS[self]


_LABELS = {SliceKind.EMBB: "eMBB", SliceKind.URLLC: "URLLC"}
KEYS = {int(kind): kind.key for kind in SliceKind}
"""Keys by number."""
LABELS = {kind.key: kind.label for kind in SliceKind}
"""Labels by key."""
