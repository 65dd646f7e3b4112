"""A tensor as a plugin sees it: a handle that copies only when it is read or made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from consort_sdk._backend import Handle
from consort_sdk.datatype import BYTES, Datatype, decode, encode
from consort_sdk.error import InvalidInput, TensorError


class Tensor:
    """An immutable tensor in row-major order.

    Reading copies into the plugin, so read once and keep the result. `slice`, `rows`,
    `reshape`, `share`, `pad`, `stack` and `concat` are done by the host and cost the
    plugin no copy.
    """

    __slots__ = ("handle",)

    def __init__(self, handle: Handle):
        """For the SDK; use one of the class methods."""
        self.handle = handle

    @classmethod
    def of(cls, datatype: Datatype, shape: Sequence[int], elements: Iterable[Any]) -> Tensor:
        """A tensor of any datatype. `elements` is flat: an `array`, a list, a generator."""
        try:
            data = encode(datatype, elements)
        except (TypeError, ValueError, OverflowError) as error:
            raise TensorError(f"these are no {datatype} elements: {error}") from error
        return cls.from_raw(datatype, shape, data)

    @classmethod
    def from_raw(cls, datatype: Datatype, shape: Sequence[int], data: bytes) -> Tensor:
        """A tensor from raw elements: little-endian, row-major, each element of a `BYTES`
        tensor behind its length as a `u32`."""
        return cls(Handle.create(datatype, list(shape), data))

    @classmethod
    def single(cls, datatype: Datatype, element: Any) -> Tensor:
        """One element, as a tensor of shape `[1]`."""
        return cls.of(datatype, [1], [element])

    @classmethod
    def single_text(cls, text: str | bytes) -> Tensor:
        """One text or byte string, as a `BYTES` tensor of shape `[1]`."""
        return cls.of(BYTES, [1], [text])

    @property
    def datatype(self) -> Datatype:
        """The type of the elements."""
        return self.handle.datatype()

    @property
    def shape(self) -> list[int]:
        """The length of each axis. An example carries no batch axis."""
        return self.handle.shape()

    @property
    def byte_length(self) -> int:
        """The number of bytes that reading all elements copies."""
        return self.handle.byte_length()

    def read(self, expected: Datatype | None = None) -> Sequence[Any]:
        """All elements, flat: an `array` of numbers; a list of `bool`, of `bytes`, or of
        the half-precision types' values. Another datatype than `expected` is an error."""
        datatype = self._checked_datatype(expected)
        return decode(datatype, self.handle.read())

    def read_range(self, start: int, end: int) -> Sequence[Any]:
        """The elements from `start` to `end` of the row-major order, without the others."""
        datatype = self.datatype
        size = datatype.size_bytes
        if size is None:
            raise TensorError("the elements of a BYTES tensor vary: read them all")
        return decode(datatype, self.handle.read_range(start * size, (end - start) * size))

    def read_raw(self) -> bytes:
        """The raw elements, as `from_raw` takes them."""
        return self.handle.read()

    def element(self, expected: Datatype | None = None) -> Any:
        """The one element of a tensor that must hold exactly one, whatever its rank."""
        elements = self.read(expected)
        if len(elements) != 1:
            raise InvalidInput(f"the tensor has shape {self.shape}, 1 element is expected")
        return elements[0]

    def heads(self, most: int) -> list[tuple[bytes, int]]:
        """Of each element of a `BYTES` tensor the first `most` bytes, or all where it has
        fewer, and how many it has. Less crosses than `read` copies."""
        return self._ends(False, most)

    def tails(self, most: int) -> list[tuple[bytes, int]]:
        """As `heads`, of the last bytes of each element."""
        return self._ends(True, most)

    def _ends(self, tail: bool, most: int) -> list[tuple[bytes, int]]:
        self._checked_datatype(Datatype.BYTES)
        if most < 0:
            raise TensorError(f"{most} bytes cannot be read")
        lengths, data = self.handle.read_ends(tail, most)
        ends, start = [], 0
        for length in lengths:
            end = start + min(length, most)
            ends.append((data[start:end], length))
            start = end
        return ends

    def widen(self, datatype: Datatype) -> Tensor:
        """The same numbers, and the same shape, in a datatype that holds every number of this
        one exactly: of integers a wider integer, `FP32` for up to 16 bits and `FP64` for up to
        32; of `BOOL` any of these, as 0 and 1; of `FP32` only `FP64`. Anything else is a
        `TensorError`.

        The host does it: narrow numbers cross the sandbox for less."""
        return Tensor(self.handle.widen(datatype))

    def texts(self) -> list[str]:
        """The elements of a `BYTES` tensor, as texts."""
        texts = []
        for index, element in enumerate(self.read(BYTES)):
            try:
                texts.append(element.decode())
            except UnicodeDecodeError as error:
                raise InvalidInput(f"element {index} is not UTF-8 text: {error}") from error
        return texts

    def text(self) -> str:
        """The one element of a `BYTES` tensor, as text."""
        texts = self.texts()
        if len(texts) != 1:
            raise InvalidInput(f"the tensor has shape {self.shape}, 1 element is expected")
        return texts[0]

    def slice(self, ranges: Sequence[tuple[int, int]]) -> Tensor:
        """The part inside `ranges`: start and end, one for each axis."""
        return Tensor(self.handle.slice(list(ranges)))

    def rows(self, start: int, end: int) -> Tensor:
        """The part of the first axis from `start` to `end`, whole along the others."""
        return self.slice([(start, end), *((0, length) for length in self.shape[1:])])

    def reshape(self, shape: Sequence[int]) -> Tensor:
        """The same elements under another shape."""
        return Tensor(self.handle.reshape(list(shape)))

    def share(self) -> Tensor:
        """Another handle to the same elements, to pass an input on as an output."""
        return self.reshape(self.shape)

    def pad(self, shape: Sequence[int], value: Any) -> Tensor:
        """Grows each axis to `shape` by adding `value` at its end."""
        return Tensor(self.handle.pad(list(shape), encode(self.datatype, [value])))

    @classmethod
    def stack(cls, tensors: Sequence[Tensor]) -> Tensor:
        """Joins tensors of one datatype along a new first axis; all shapes must be equal."""
        return cls(Handle.stack([tensor.handle for tensor in tensors]))

    @classmethod
    def concat(cls, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Joins tensors of one datatype along an axis they have."""
        return cls(Handle.concat([tensor.handle for tensor in tensors], axis))

    def __repr__(self) -> str:
        return f"Tensor({self.datatype} {self.shape})"

    def _checked_datatype(self, expected: Datatype | None) -> Datatype:
        datatype = self.datatype
        if expected is not None and datatype is not expected:
            raise TensorError(f"the tensor is {datatype}, {expected} is expected")
        return datatype
