"""What a role promises about its tensors, in the order an author writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consort_sdk.datatype import Datatype

#: An axis of any length.
ANY = None


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as promised: `shape` has an entry an axis, `ANY` where any length will do."""

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]


@dataclass
class Signature:
    """What a post-processor reads and writes. The host checks it against the neighbouring
    steps when it loads the manifest, and against every tensor that passes."""

    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[TensorSpec] = field(default_factory=list)

    def input(self, name: str, datatype: Datatype, shape: Sequence[int | None]) -> Signature:
        """Adds a tensor that the role reads."""
        self.inputs.append(TensorSpec(name, datatype, tuple(shape)))
        return self

    def output(self, name: str, datatype: Datatype, shape: Sequence[int | None]) -> Signature:
        """Adds a tensor that the role writes."""
        self.outputs.append(TensorSpec(name, datatype, tuple(shape)))
        return self


@dataclass
class HandlerDescription:
    """What a model handler is from outside, and how it wants its batches."""

    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[TensorSpec] = field(default_factory=list)
    #: The most examples that one `predict` takes; `None` for any number.
    max_batch_size: int | None = None
    #: Sizes at which it runs best, in rising order; empty when unknown.
    preferred_batch_sizes: list[int] = field(default_factory=list)
    #: Whether examples whose shapes differ may come in one batch, because `predict` pads them.
    ragged: bool = False

    def input(
        self, name: str, datatype: Datatype, shape: Sequence[int | None]
    ) -> HandlerDescription:
        """Adds a tensor that the role reads, without a batch axis."""
        self.inputs.append(TensorSpec(name, datatype, tuple(shape)))
        return self

    def output(
        self, name: str, datatype: Datatype, shape: Sequence[int | None]
    ) -> HandlerDescription:
        """Adds a tensor that the role writes, without a batch axis."""
        self.outputs.append(TensorSpec(name, datatype, tuple(shape)))
        return self


@dataclass
class Description:
    """What a pre-processor reads, what it forwards, and what it answers with when it
    answers by itself."""

    inputs: list[TensorSpec] = field(default_factory=list)
    forwarded: list[TensorSpec] = field(default_factory=list)
    answered: list[TensorSpec] = field(default_factory=list)

    def input(self, name: str, datatype: Datatype, shape: Sequence[int | None]) -> Description:
        """Adds a tensor that the role reads."""
        self.inputs.append(TensorSpec(name, datatype, tuple(shape)))
        return self

    def forwards(self, name: str, datatype: Datatype, shape: Sequence[int | None]) -> Description:
        """Adds a tensor that goes on to the next step."""
        self.forwarded.append(TensorSpec(name, datatype, tuple(shape)))
        return self

    def answers(self, name: str, datatype: Datatype, shape: Sequence[int | None]) -> Description:
        """Adds a tensor of an answer that skips the remaining steps."""
        self.answered.append(TensorSpec(name, datatype, tuple(shape)))
        return self
