"""Tensors in native unit tests: plain memory that keeps the host's rules.

It has the methods of the tensor resource in `wit/tensors.wit`, so that the SDK's `Tensor`
can stand on either. Components do not use it.
"""

from __future__ import annotations

from itertools import product
from math import prod

from consort_sdk.datatype import BYTES, Datatype, decode, decode_bytes, encode, encode_bytes
from consort_sdk.error import TensorError


_UNSIGNED = [Datatype.UINT16, Datatype.UINT32, Datatype.UINT64]
_SIGNED = [Datatype.INT16, Datatype.INT32, Datatype.INT64]
_REAL = [Datatype.FP32, Datatype.FP64]
#: Datatypes that hold every number of another.
_WIDER = {
    Datatype.BOOL: [Datatype.UINT8, Datatype.INT8, *_UNSIGNED, *_SIGNED, *_REAL],
    Datatype.UINT8: [*_UNSIGNED, *_SIGNED, *_REAL],
    Datatype.UINT16: [*_UNSIGNED[1:], *_SIGNED[1:], *_REAL],
    Datatype.UINT32: [Datatype.UINT64, Datatype.INT64, Datatype.FP64],
    Datatype.INT8: [*_SIGNED, *_REAL],
    Datatype.INT16: [*_SIGNED[1:], *_REAL],
    Datatype.INT32: [Datatype.INT64, Datatype.FP64],
    Datatype.FP32: [Datatype.FP64],
}

class Handle:
    """A tensor of which the elements are kept one by one, as raw bytes."""

    def __init__(self, datatype: Datatype, shape: list[int], elements: list[bytes]):
        self._datatype = datatype
        self._shape = shape
        self._elements = elements

    @classmethod
    def create(cls, datatype: Datatype, shape: list[int], data: bytes) -> Handle:
        size = datatype.size_bytes
        count = prod(shape)
        if size is None:
            try:
                elements = [encode_bytes([element]) for element in decode_bytes(data)]
            except ValueError as error:
                raise TensorError(str(error)) from error
            if len(elements) != count:
                raise TensorError(
                    f"shape {shape} takes {count} elements, {len(elements)} were given"
                )
        else:
            if len(data) != count * size:
                raise TensorError(
                    f"{datatype} of shape {shape} takes {count * size} bytes, "
                    f"{len(data)} were given"
                )
            elements = [data[i : i + size] for i in range(0, len(data), size)]
        return cls(datatype, list(shape), elements)

    def datatype(self) -> Datatype:
        return self._datatype

    def shape(self) -> list[int]:
        return list(self._shape)

    def byte_length(self) -> int:
        return sum(map(len, self._elements))

    def read(self) -> bytes:
        return b"".join(self._elements)

    def read_range(self, offset: int, length: int) -> bytes:
        if offset + length > self.byte_length():
            raise TensorError(
                f"bytes {offset} to {offset + length} are outside of "
                f"{self.byte_length()} bytes"
            )
        return self.read()[offset : offset + length]

    def read_ends(self, tail: bool, most: int) -> tuple[list[int], bytes]:
        texts = decode_bytes(self.read())
        ends = [text[max(len(text) - most, 0) :] if tail else text[:most] for text in texts]
        return [len(text) for text in texts], b"".join(ends)

    def widen(self, datatype: Datatype) -> Handle:
        if datatype is self._datatype:
            return self
        if datatype not in _WIDER.get(self._datatype, ()):
            raise TensorError(f"{self._datatype} cannot be widened to {datatype}")
        numbers = decode(self._datatype, self.read())
        return Handle.create(datatype, self._shape, encode(datatype, [+number for number in numbers]))

    def slice(self, ranges: list[tuple[int, int]]) -> Handle:
        if len(ranges) != len(self._shape):
            raise TensorError(
                f"{len(ranges)} ranges were given for the shape {self._shape}"
            )
        for axis, ((start, end), length) in enumerate(zip(ranges, self._shape)):
            if not start <= end <= length:
                raise TensorError(
                    f"range {start} to {end} is outside of axis {axis}, "
                    f"whose length is {length}"
                )
        return self._built(
            [end - start for start, end in ranges],
            lambda index: self._element([i + start for i, (start, _) in zip(index, ranges)]),
        )

    def reshape(self, shape: list[int]) -> Handle:
        if prod(shape) != len(self._elements):
            raise TensorError(
                f"shape {shape} takes {prod(shape)} elements, "
                f"the tensor has {len(self._elements)}"
            )
        return Handle(self._datatype, list(shape), self._elements)

    def pad(self, shape: list[int], value: bytes) -> Handle:
        if len(shape) != len(self._shape) or any(
            new < old for new, old in zip(shape, self._shape)
        ):
            raise TensorError(f"shape {self._shape} cannot be padded to {shape}")
        [element] = Handle.create(self._datatype, [1], value)._elements
        return self._built(
            shape,
            lambda index: (
                self._element(index)
                if all(i < length for i, length in zip(index, self._shape))
                else element
            ),
        )

    @classmethod
    def stack(cls, handles: list[Handle]) -> Handle:
        shapes = [handle._shape for handle in handles]
        for shape in shapes:
            if shape != shapes[0]:
                raise TensorError(f"shapes {shapes[0]} and {shape} cannot be stacked")
        return cls.concat([h.reshape([1, *h._shape]) for h in handles], 0)

    @classmethod
    def concat(cls, handles: list[Handle], axis: int) -> Handle:
        if not handles:
            raise TensorError("no tensors were given to join")
        first = handles[0]
        if axis >= len(first._shape):
            raise TensorError(f"axis {axis} is outside of shape {first._shape}")
        rows = []  # along `axis`: each row of the result, as a handle and a row in it
        for handle in handles:
            if handle._datatype is not first._datatype:
                raise TensorError(
                    f"{first._datatype} and {handle._datatype} cannot be joined"
                )
            others = [
                shape[:axis] + shape[axis + 1 :] for shape in (handle._shape, first._shape)
            ]
            if len(handle._shape) != len(first._shape) or others[0] != others[1]:
                raise TensorError(
                    f"shapes {first._shape} and {handle._shape} cannot be joined "
                    f"along axis {axis}"
                )
            rows += [(handle, row) for row in range(handle._shape[axis])]

        def element(index: list[int]) -> bytes:
            handle, row = rows[index[axis]]
            return handle._element([*index[:axis], row, *index[axis + 1 :]])

        shape = [*first._shape[:axis], len(rows), *first._shape[axis + 1 :]]
        return first._built(shape, element)

    def _element(self, index: list[int]) -> bytes:
        offset = 0
        for i, length in zip(index, self._shape):
            offset = offset * length + i
        return self._elements[offset]

    def _built(self, shape, element) -> Handle:
        """A tensor made by asking for the element at each index."""
        indices = product(*(range(length) for length in shape))
        return Handle(self._datatype, list(shape), [element(list(i)) for i in indices])


def stack_padded(
    handles: list[Handle], value: bytes, mask: Datatype | None
) -> tuple[Handle, Handle | None]:
    first = handles[0]
    for handle in handles:
        if handle.datatype() is not first.datatype():
            raise TensorError(f"{first.datatype()} and {handle.datatype()} cannot be stacked")
        if len(handle.shape()) != len(first.shape()):
            raise TensorError(
                f"shapes {first.shape()} and {handle.shape()} have different numbers of axes"
            )
    longest = [max(lengths) for lengths in zip(*(handle.shape() for handle in handles))]
    tensor = Handle.stack([handle.pad(longest, value) for handle in handles])
    if mask is None:
        return tensor, None
    if mask is BYTES:
        raise TensorError(
            "a mask of BYTES says nothing: choose a datatype of numbers or BOOL"
        )
    one, zero = encode(mask, [1]), encode(mask, [0])
    ones = [fill(mask, handle.shape(), one).pad(longest, zero) for handle in handles]
    return tensor, Handle.stack(ones)


def split(handle: Handle, lengths: list[int] | None) -> list[Handle]:
    shape = handle.shape()
    if not shape:
        raise TensorError("a scalar has no first axis to take apart")
    count, row = shape[0], shape[1:]
    if lengths is not None and len(lengths) != count:
        raise TensorError(f"{len(lengths)} lengths are given for {count} parts")
    if lengths is not None and not row:
        raise TensorError("the parts are scalars: they have no axis to cut")
    parts = []
    for index in range(count):
        whole = [(0, length) for length in row]
        part = handle.slice([(index, index + 1), *whole]).reshape(row)
        if lengths is not None:
            part = part.slice([(0, lengths[index]), *whole[1:]])
        parts.append(part)
    return parts


def fill(datatype: Datatype, shape: list[int], value: bytes) -> Handle:
    return Handle.create(datatype, shape, value * prod(shape))
