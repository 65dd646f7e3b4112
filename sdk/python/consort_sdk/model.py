"""Models that the manifest grants, called from inside a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consort_sdk._backend import host
from consort_sdk.error import Failed
from consort_sdk.example import Example
from consort_sdk.signature import Signature
from consort_sdk.tensor import Tensor

#: What a caller says about a run beside its tensors, by name.
Args = Mapping[str, bool | int | float | str]


class Model:
    """A model that the manifest grants this plugin (`models = ["..."]` in its table).

    Inside a component the host runs it, in one batch with everybody else's rows, while the
    plugin waits. In a unit test, `Model.fake` stands for it.
    """

    name: str
    """Its name in the manifest."""
    version: str
    """The version that answers now; `fake` for a fake one."""
    has_batch_axis: bool
    """Whether a call takes several rows, along a first axis that all tensors have."""
    signature: Signature
    """What one call takes and gives, the batch axis included."""

    @staticmethod
    def open(name: str) -> Model:
        """A granted model by its name in the manifest. The error for any other says what to
        write into the manifest."""
        if host is None:
            raise Failed(f'there is no model "{name}" outside of a component: use Model.fake')
        from consort_sdk import _component

        return _component.open_model(name)

    @staticmethod
    def fake(
        name: str,
        signature: Signature,
        infer: Callable[[Example, Args], Mapping[str, Tensor]],
        has_batch_axis: bool = True,
    ) -> Model:
        """Stands for a model in unit tests: `infer` gets what `Model.infer` was given, after
        a check of the names."""
        return _FakeModel(name, signature, infer, has_batch_axis)

    def infer(self, inputs: Mapping[str, Tensor], args: Args | None = None) -> dict[str, Tensor]:
        """Runs the model and waits for it; all outputs by name.

        The inputs must be exactly the tensors of `signature`. They belong to the model
        afterwards: pass `tensor.share()` to keep one.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Model({self.name})"


class _FakeModel(Model):
    def __init__(self, name, signature, infer, has_batch_axis):
        self.name = name
        self.version = "fake"
        self.has_batch_axis = has_batch_axis
        self.signature = signature
        self._infer = infer

    def infer(self, inputs, args=None):
        expected = {spec.name: spec.datatype for spec in self.signature.inputs}
        if inputs.keys() != expected.keys():
            given, wanted = (", ".join(sorted(names)) or "none" for names in (inputs, expected))
            raise Failed(f'model "{self.name}" takes the tensors {wanted}, given are {given}')
        for name, tensor in inputs.items():
            if tensor.datatype is not expected[name]:
                raise Failed(
                    f'model "{self.name}": tensor "{name}" is {tensor.datatype}, '
                    f"{expected[name]} is expected"
                )
        return dict(self._infer(Example(inputs), args or {}))
