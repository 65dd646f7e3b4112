"""Models that the manifest grants, called from inside a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from consort_sdk._backend import host
from consort_sdk.error import Failed, PluginError
from consort_sdk.example import Example
from consort_sdk.signature import Signature, TensorSpec
from consort_sdk.tensor import Tensor

#: What a caller says about a run beside its tensors, by name.
Args = Mapping[str, bool | int | float | str]


class Pending:
    """A call to a model that has begun: see `Model.submit`. It goes on while the plugin does
    something else. When nobody holds it any more, the call is abandoned; so it is at the end
    of the role's own call."""

    is_done: bool
    """Whether it has ended, so that `wait` would return at once. Calls to fake models have,
    unless the model has patience."""

    def wait(self) -> dict[str, Tensor]:
        """Waits for its end: what `Model.infer` would have returned or raised. Once only."""
        raise NotImplementedError


class Model:
    """A model, model map or ensemble that the manifest grants this plugin
    (`models = ["..."]` in its table).

    Inside a component the host runs it, in one batch with everybody else's rows. `infer`
    waits for it; `submit` does not, so that several run at the same time. In a unit test,
    `Model.fake` stands for it.
    """

    name: str
    """Its name in the manifest."""
    version: str
    """The version that answers now; `fake` for a fake one."""
    has_batch_axis: bool
    """Whether a call takes several rows, along a first axis that all tensors have."""
    signature: Signature
    """What one call takes and gives, the batch axis included."""
    example_signature: Signature
    """What one example takes and gives: no batch axis."""

    @staticmethod
    def open(name: str) -> Model:
        """A granted model by its name in the manifest. The error for any other says what to
        write into the manifest."""
        if host is None:
            if name in _granted:
                return _granted[name]
            raise Failed(
                f'there is no model "{name}" outside of a component: make a Model.fake, and '
                "`grant` it where the plugin opens it by its name"
            )
        from consort_sdk import _component

        return _component.open_model(name)

    @staticmethod
    def fake(
        name: str,
        signature: Signature,
        infer: Callable[[Example, Args], Mapping[str, Tensor]],
        has_batch_axis: bool = True,
        patience: int = 0,
    ) -> Model:
        """Stands for a model in unit tests: `infer` gets what `Model.infer` was given, after
        a check of the names. `wait_any` finds calls to models of less patience ended before
        those to models of more."""
        return _FakeModel(name, signature, infer, has_batch_axis, patience)

    def grant(self) -> Model:
        """Grants a fake model: `Model.open` finds it by its name from now on."""
        _granted[self.name] = self
        return self

    def infer(self, inputs: Mapping[str, Tensor], args: Args | None = None) -> dict[str, Tensor]:
        """Runs the model and waits for it; all outputs by name.

        The inputs must be exactly the tensors of `signature`. They belong to the model
        afterwards: pass `tensor.share()` to keep one.
        """
        raise NotImplementedError

    def submit(self, inputs: Mapping[str, Tensor], args: Args | None = None) -> Pending:
        """Begins what `infer` does and does not wait for it. Inputs that do not fit are an
        error here; what happens later is one of `Pending.wait`."""
        raise NotImplementedError

    def submit_example(self, example: Example, args: Args | None = None) -> Pending:
        """Begins a call of one example, whose tensors are those of `example_signature`: there
        is no batch axis to add and to take away. Its key chooses the model of a model map.
        Its tensors belong to the model afterwards: pass `example.share()` to keep them.
        Outputs that an ensemble leaves out, because an optional step failed, are not among
        the outputs."""
        raise NotImplementedError

    def infer_example(self, example: Example, args: Args | None = None) -> dict[str, Tensor]:
        """Runs the model on one example and waits for it: see `submit_example`."""
        return self.submit_example(example, args).wait()

    def __repr__(self) -> str:
        return f"Model({self.name})"


def wait_any(calls: Sequence[Pending]) -> int:
    """Waits until at least one of the calls has ended: the place of the first one that has.
    Having nothing to wait for is an error."""
    if host is not None:
        from consort_sdk import _component

        return _component.wait_any(calls)
    if not calls:
        raise Failed("there are no calls to wait for: the list is empty")
    return min(range(len(calls)), key=lambda place: calls[place]._patience)


def wait_all(calls: Sequence[Pending]) -> list[dict[str, Tensor] | PluginError]:
    """Waits for all of the calls: one result each, in order; an error is returned, not
    raised."""
    if host is not None:
        from consort_sdk import _component

        return _component.wait_all(calls)
    results = []
    for call in calls:
        try:
            results.append(call.wait())
        except PluginError as error:
            results.append(error)
    return results


#: Fake models that `Model.open` finds.
_granted: dict[str, Model] = {}


class _FakePending(Pending):
    def __init__(self, patience, work):
        self._patience = patience
        self._error = None
        try:
            self._outputs = work()
        except PluginError as error:
            self._error = error

    @property
    def is_done(self):
        return self._patience == 0

    def wait(self):
        if self._error is not None:
            raise self._error
        return self._outputs


class _FakeModel(Model):
    def __init__(self, name, signature, infer, has_batch_axis, patience):
        self.name = name
        self.version = "fake"
        self.has_batch_axis = has_batch_axis
        self.signature = signature
        self._infer = infer
        self._patience = patience

    @property
    def example_signature(self):
        def without_axis(specs):
            return [TensorSpec(spec.name, spec.datatype, spec.shape[1:]) for spec in specs]

        if not self.has_batch_axis:
            return self.signature
        return Signature(without_axis(self.signature.inputs), without_axis(self.signature.outputs))

    def submit(self, inputs, args=None):
        return _FakePending(self._patience, lambda: self.infer(inputs, args))

    def submit_example(self, example, args=None):
        def infer():
            if not self.has_batch_axis:
                return self.infer(example.tensors, args)
            # One example is a batch of one.
            batch = {name: Tensor.stack([each]) for name, each in example.tensors.items()}
            outputs = self.infer(batch, args)
            for name, tensor in outputs.items():
                if tensor.shape[:1] != [1]:
                    raise Failed(
                        f'output "{name}" of the fake model "{self.name}" has no row for the '
                        "one example"
                    )
            return {name: each.reshape(each.shape[1:]) for name, each in outputs.items()}

        return _FakePending(self._patience, infer)

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
