# SPDX-License-Identifier: Apache-2.0
"""Messages are decoded by the definition that a bag carries, as another library decodes them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ir_bag.cdr import CdrDecoder
from ir_bag.definitions import Definitions

STORE: Typestore = get_typestore(Stores.ROS2_JAZZY)
LAYOUT = """# every kind of field
uint8 NUMBER=3
string NAME = "a = b"
bool flag
string<=20 text 'some default'
float64 real 0.5
int16[] shorts
float64[<=9] reals  # bounded
uint8[3] three
string[] words
Part[] parts
pack/Part part
================================================================================
MSG: pack/Part
int64 whole
Nothing nothing
================================================================================
MSG: pack/Nothing
uint8 ONLY=1
"""


def of(name: str) -> CdrDecoder:
    found = Definitions().find(name)
    assert found
    return CdrDecoder(name, found.text)


@given(st.lists(st.text(max_size=5), max_size=3), st.lists(st.floats(allow_nan=False), max_size=4), st.booleans())
def test_a_joint_state_is_decoded(names: list[str], positions: list[float], little: bool) -> None:
    make, kind = STORE.types, "sensor_msgs/msg/JointState"
    names = [name.replace("\0", "") for name in names]
    header = make["std_msgs/msg/Header"](make["builtin_interfaces/msg/Time"](-3, 9), "base")
    numbers = np.array(positions)
    message = make[kind](header, names, numbers, numbers[::-1].copy(), np.empty(0))
    found = of(kind).decode(bytes(STORE.serialize_cdr(message, kind, little_endian=little)))
    assert found["header"] == {"stamp": {"sec": -3, "nanosec": 9}, "frame_id": "base"}
    assert found["name"] == names
    np.testing.assert_array_equal(found["position"], numbers)
    np.testing.assert_array_equal(found["velocity"], numbers[::-1])
    assert len(found["effort"]) == 0 and found["effort"].dtype == np.float64


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_field_comes_out(order: str) -> None:
    """Laid out by hand: each number at a multiple of its size, counted from behind the four bytes of the encoding."""
    parts = [struct.pack(order + "?3xI3s", True, 3, b"ab\0")]

    def add(code: str, *values: object) -> None:
        at = sum(map(len, parts))
        size = struct.calcsize(order + code[-1])
        parts.append(bytes(-at % size) + struct.pack(order + code, *values))

    add("d", 1.5)
    add("I", 2)
    add("2h", -1, 7)
    add("I", 1)
    add("d", 2.5)
    add("3B", 1, 2, 3)
    add("I", 2)
    add("I", 1)
    parts.append(b"\0")
    add("I", 2)
    parts.append(b"c\0")
    add("I", 2)
    for whole in (5, -6, 7):
        add("q", whole)
        parts.append(b"\0")
    data = {"<": b"\0\1\0\0", ">": b"\0\0\0\0"}[order] + b"".join(parts)
    found = CdrDecoder("pack/msg/All", LAYOUT).decode(data)
    assert list(found) == ["flag", "text", "real", "shorts", "reals", "three", "words", "parts", "part"]
    assert (found["flag"], found["text"], found["real"]) == (True, "ab", 1.5)
    assert (found["shorts"].tolist(), found["reals"].tolist(), found["three"].tolist()) == ([-1, 7], [2.5], [1, 2, 3])
    assert found["words"] == ["", "c"] and [part["whole"] for part in (*found["parts"], found["part"])] == [5, -6, 7]


@pytest.mark.parametrize(
    ("text", "data", "said"),
    [
        ("uint32 a", b"\0\1\0\0\1\0", "ends too early"),
        ("uint32 a", b"\0\1\0\0" + bytes(9), "9 B, its definition takes 4"),
        ("string a", b"\0\1\0\0\xff\0\0\0abc", "ends within a string"),
        ("float64[] a", b"\0\1\0\0\xff\0\0\0" + bytes(16), "buffer"),
        ("uint32 a", b"\0\3\0\0" + bytes(4), "not plain CDR"),
        ("uint32 a", b"", "not plain CDR"),
        ("wstring a", b"\0\1\0\0" + bytes(4), "wide strings"),
        ("Other a", b"\0\1\0\0" + bytes(4), "pack/msg/Other is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: str, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CdrDecoder("pack/msg/Odd", text).decode(data)
