"""Element types, as the Open Inference Protocol v2 names them."""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

if sys.byteorder != "little":
    raise ImportError("consort_sdk reads tensors in place and so needs a little-endian CPU")


class Datatype(Enum):
    """The type of a tensor's elements: its name, size and `array` code.

    `BYTES` has no size, since its elements vary. The half-precision types have no code:
    `array` does not know them.
    """

    BOOL = ("BOOL", 1, None)
    UINT8 = ("UINT8", 1, "B")
    UINT16 = ("UINT16", 2, "H")
    UINT32 = ("UINT32", 4, "I")
    UINT64 = ("UINT64", 8, "Q")
    INT8 = ("INT8", 1, "b")
    INT16 = ("INT16", 2, "h")
    INT32 = ("INT32", 4, "i")
    INT64 = ("INT64", 8, "q")
    FP16 = ("FP16", 2, None)
    BF16 = ("BF16", 2, None)
    FP32 = ("FP32", 4, "f")
    FP64 = ("FP64", 8, "d")
    BYTES = ("BYTES", None, None)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of one element, `None` for `BYTES`."""
        return self.value[1]

    def __str__(self) -> str:
        return self.name


BOOL = Datatype.BOOL
UINT8 = Datatype.UINT8
UINT16 = Datatype.UINT16
UINT32 = Datatype.UINT32
UINT64 = Datatype.UINT64
INT8 = Datatype.INT8
INT16 = Datatype.INT16
INT32 = Datatype.INT32
INT64 = Datatype.INT64
FP16 = Datatype.FP16
BF16 = Datatype.BF16
FP32 = Datatype.FP32
FP64 = Datatype.FP64
BYTES = Datatype.BYTES


def decode(datatype: Datatype, data: bytes) -> Sequence[Any]:
    """The elements of a tensor: an `array` where there is one for the type, else a list."""
    code = datatype.value[2]
    if code is not None:
        elements = array(code)
        elements.frombytes(data)
        return elements
    if datatype is BOOL:
        return [byte != 0 for byte in data]
    if datatype is FP16:
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    if datatype is BF16:
        halves = array("H", data)
        return list(array("f", array("I", (half << 16 for half in halves)).tobytes()))
    return decode_bytes(data)


def encode(datatype: Datatype, elements: Iterable[Any]) -> bytes:
    """The raw elements of a tensor; raises `TypeError`, `OverflowError` or `ValueError`
    for elements that do not fit the type."""
    code = datatype.value[2]
    if code is not None:
        if isinstance(elements, array) and elements.typecode == code:
            return elements.tobytes()
        return array(code, elements).tobytes()
    if datatype is BOOL:
        return bytes(_truth(element) for element in elements)
    if datatype is FP16:
        elements = list(elements)
        return struct.pack(f"<{len(elements)}e", *elements)
    if datatype is BF16:
        words = array("I", array("f", elements).tobytes())
        return array("H", (_rounded_upper_half(word) for word in words)).tobytes()
    return encode_bytes(elements)


def decode_bytes(data: bytes) -> list[bytes]:
    """The elements of a `BYTES` tensor, each behind its length in `data`."""
    elements = []
    offset = 0
    while offset < len(data):
        end = offset + 4
        if end <= len(data):
            end += int.from_bytes(data[offset:end], "little")
        if end > len(data):
            raise ValueError(f"BYTES element {len(elements)} is truncated")
        elements.append(data[offset + 4 : end])
        offset = end
    return elements


def encode_bytes(elements: Iterable[bytes | str]) -> bytes:
    """The data of a `BYTES` tensor; texts become UTF-8."""
    data = bytearray()
    for element in elements:
        if isinstance(element, str):
            element = element.encode()
        data += len(element).to_bytes(4, "little")
        data += element
    return bytes(data)


def _truth(element: Any) -> bool:
    if element in (0, 1):
        return bool(element)
    raise ValueError(f"{element!r} is no truth value")


def _rounded_upper_half(word: int) -> int:
    """The upper half of an `f32`'s bits, rounded to nearest, ties to even."""
    if word & 0x7FFFFFFF > 0x7F800000:  # a NaN stays one
        return word >> 16 | 0x40
    return word + 0x7FFF + (word >> 16 & 1) >> 16
