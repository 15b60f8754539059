# SPDX-License-Identifier: Apache-2.0
"""Stamps of serialised messages, read without the rest of them."""

from __future__ import annotations

import struct
from typing import Any

from ir_common.ros_time import NANOSECONDS

_STAMP = {0: struct.Struct(">iI"), 1: struct.Struct("<iI")}  # by the last bit of the second byte: CDR, big or little
_HEADER = 4  # bytes before the first field


def is_stamped(kind: type[Any]) -> bool:
    """Whether messages of a class begin with a std_msgs/Header."""
    return next(iter(kind.get_fields_and_field_types().values()), "") == "std_msgs/Header"


def stamp_of(data: bytes) -> int:
    """The stamp, ns, of a serialised message that begins with a header.

    Args:
        data: CDR, with its encapsulation header (OMG DDSI-RTPS 2.5, 10.2).
    """
    sec, nanosec = _STAMP[data[1] & 1].unpack_from(data, _HEADER)
    return int(sec) * NANOSECONDS + int(nanosec)
