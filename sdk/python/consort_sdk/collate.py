"""One tensor of many and many of one, on the host: examples of different lengths become a
batch, and a batch becomes examples again, without a byte crossing into the plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consort_sdk import _backend
from consort_sdk.datatype import Datatype, encode
from consort_sdk.error import TensorError
from consort_sdk.tensor import Tensor


def stack_padded(
    tensors: Sequence[Tensor], value: Any, mask: Datatype | None = None
) -> tuple[Tensor, Tensor | None]:
    """Joins tensors of one datatype and one number of axes along a new first axis, each
    padded with `value` at the end of every axis to the longest.

    With `mask`, a second tensor of that datatype and the same shape: one where an element is
    given, zero where it is padding.
    """
    if not tensors:
        raise TensorError("there are no tensors to stack")
    padding = _element(tensors[0].datatype, value)
    handles = [tensor.handle for tensor in tensors]
    tensor, made = _backend.stack_padded(handles, padding, mask)
    return Tensor(tensor), None if made is None else Tensor(made)


def split(tensor: Tensor, lengths: Sequence[int] | None = None) -> list[Tensor]:
    """Takes a tensor apart along its first axis, which the parts do not have. With
    `lengths`, one for each part, a part is cut back to that many elements along its own
    first axis: what `stack_padded` added is gone again."""
    lengths = None if lengths is None else list(lengths)
    return [Tensor(part) for part in _backend.split(tensor.handle, lengths)]


def fill(datatype: Datatype, shape: Sequence[int], value: Any) -> Tensor:
    """A tensor in which every element is `value`."""
    return Tensor(_backend.fill(datatype, list(shape), _element(datatype, value)))


def _element(datatype: Datatype, value: Any) -> bytes:
    try:
        return encode(datatype, [value])
    except (TypeError, ValueError, OverflowError) as error:
        raise TensorError(f"{value!r} is no {datatype} element: {error}") from error
