"""What a role is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consort_sdk.datatype import Datatype
from consort_sdk.error import Failed, PluginError
from consort_sdk.tensor import Tensor


class Example:
    """One item to work on. Its readers name the tensor in every error."""

    __slots__ = ("key", "tensors")

    def __init__(self, tensors: Mapping[str, Tensor], key: str | None = None):
        """`key` is the caller's, for messages. The host forwards it by itself."""
        self.tensors = tensors
        self.key = key

    def share(self) -> Example:
        """The same example once more, with its key: to pass it on to a model, say. Copies no
        tensor."""
        return Example({name: each.share() for name, each in self.tensors.items()}, self.key)

    def tensor(self, name: str) -> Tensor:
        """A tensor by name."""
        try:
            return self.tensors[name]
        except KeyError:
            names = ", ".join(f'"{known}"' for known in self.tensors) or "none"
            raise Failed(
                f'there is no tensor "{name}" in the example; it holds {names}'
            ) from None

    def read(self, name: str, expected: Datatype | None = None) -> Sequence[Any]:
        """All elements of a tensor, as `Tensor.read`."""
        return self._named(name, lambda tensor: tensor.read(expected))

    def element(self, name: str, expected: Datatype | None = None) -> Any:
        """The one element of a tensor, as `Tensor.element`."""
        return self._named(name, lambda tensor: tensor.element(expected))

    def texts(self, name: str) -> list[str]:
        """The elements of a `BYTES` tensor, as `Tensor.texts`."""
        return self._named(name, Tensor.texts)

    def text(self, name: str) -> str:
        """The one element of a `BYTES` tensor, as `Tensor.text`."""
        return self._named(name, Tensor.text)

    def _named(self, name: str, read: Callable[[Tensor], Any]) -> Any:
        try:
            return read(self.tensor(name))
        except PluginError as error:
            if name not in self.tensors:
                raise
            raise error.within(f'tensor "{name}"') from error
