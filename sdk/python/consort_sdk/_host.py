"""Tensors, collating, assets and log inside a component: the generated bindings, with the SDK's types.

Importing this module fails outside of a component.
"""

from __future__ import annotations

import componentize_py_runtime  # noqa: F401  (exists inside a component only)
from componentize_py_types import Err
from wit_world.imports import assets, collate, log, tensors

from consort_sdk.datatype import Datatype
from consort_sdk.error import Failed, TensorError

_TO_HOST = {datatype: tensors.Datatype[datatype.name] for datatype in Datatype}
_FROM_HOST = {host: datatype for datatype, host in _TO_HOST.items()}


class Handle:
    """A handle to a tensor of the host's."""

    __slots__ = ("host",)

    def __init__(self, host: tensors.Tensor):
        self.host = host

    @classmethod
    def create(cls, datatype: Datatype, shape: list[int], data: bytes) -> Handle:
        return cls(_checked(tensors.Tensor.create, _TO_HOST[datatype], shape, data))

    def datatype(self) -> Datatype:
        return _FROM_HOST[self.host.datatype()]

    def shape(self) -> list[int]:
        return self.host.shape()

    def byte_length(self) -> int:
        return self.host.byte_length()

    def read(self) -> bytes:
        return self.host.read()

    def read_range(self, offset: int, length: int) -> bytes:
        return _checked(self.host.read_range, offset, length)

    def read_ends(self, tail: bool, most: int) -> tuple[list[int], bytes]:
        end = tensors.End.TAIL if tail else tensors.End.HEAD
        ends = _checked(self.host.read_ends, end, min(most, 2**32 - 1))
        return ends.lengths, ends.data

    def widen(self, datatype: Datatype) -> Handle:
        return Handle(_checked(self.host.widen, _TO_HOST[datatype]))

    def slice(self, ranges: list[tuple[int, int]]) -> Handle:
        ranges = [tensors.AxisRange(start, end) for start, end in ranges]
        return Handle(_checked(self.host.slice, ranges))

    def reshape(self, shape: list[int]) -> Handle:
        return Handle(_checked(self.host.reshape, shape))

    def pad(self, shape: list[int], value: bytes) -> Handle:
        return Handle(_checked(self.host.pad, shape, value))

    @classmethod
    def stack(cls, handles: list[Handle]) -> Handle:
        return cls(_checked(tensors.Tensor.stack, [handle.host for handle in handles]))

    @classmethod
    def concat(cls, handles: list[Handle], axis: int) -> Handle:
        return cls(_checked(tensors.Tensor.concat, [handle.host for handle in handles], axis))


def stack_padded(
    handles: list[Handle], value: bytes, mask: Datatype | None
) -> tuple[Handle, Handle | None]:
    hosts = [handle.host for handle in handles]
    mask = None if mask is None else _TO_HOST[mask]
    padded = _checked(collate.stack_padded, hosts, value, mask)
    return Handle(padded.tensor), None if padded.mask is None else Handle(padded.mask)


def split(handle: Handle, lengths: list[int] | None) -> list[Handle]:
    return [Handle(part) for part in _checked(collate.split, handle.host, lengths)]


def fill(datatype: Datatype, shape: list[int], value: bytes) -> Handle:
    return Handle(_checked(collate.fill, _TO_HOST[datatype], shape, value))


def asset_names() -> list[str]:
    return assets.names()


def read_asset(name: str) -> bytes:
    try:
        return assets.read(name)
    except Err as error:
        message = error.value
    raise Failed(message)


def write_log(level: str, message: str) -> None:
    log.log(log.Level[level], message)


def sdk_datatype(datatype: tensors.Datatype) -> Datatype:
    return _FROM_HOST[datatype]


def host_datatype(datatype: Datatype) -> tensors.Datatype:
    return _TO_HOST[datatype]


def _checked(operation, *arguments):
    try:
        return operation(*arguments)
    except Err as error:
        # The bindings keep the last error alive: without its frames it keeps no tensors.
        message = error.with_traceback(None).value.value
    raise TensorError(message)
