"""What `componentize-py` looks for in an author's module: the world's `init` and a role.

Importing this module fails outside of a component.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

from componentize_py_types import Err, Ok
from wit_world.imports import models, types

from consort_sdk import log
from consort_sdk._host import Handle, host_datatype, sdk_datatype
from consort_sdk.assets import HostAssets
from consort_sdk.error import Failed, InvalidInput, PluginError
from consort_sdk.example import Example
from consort_sdk.model import Model, Pending
from consort_sdk.plugin import (
    Answer,
    Ensemble,
    Forward,
    ModelHandler,
    Plugin,
    Preprocess,
    defect_text,
    forgetful,
)
from consort_sdk.signature import Signature, TensorSpec
from consort_sdk.tensor import Tensor

_plugin: Plugin | None = None


def exports(plugin: type[Plugin]) -> dict[str, type]:
    """The classes by the names that `componentize-py` looks for."""

    class WitWorld:
        def init(self, config: str) -> None:
            global _plugin
            # Not before: a component can call nothing while it is built.
            sys.stdout, sys.stderr = _LogStream(log.info), _LogStream(log.warn)
            try:
                _plugin = plugin(config, HostAssets())
            except PluginError as error:
                raise Err(str(error)) from None
            except Exception as error:
                raise Err(defect_text(error)) from None

    if issubclass(plugin, Preprocess):
        return {"WitWorld": WitWorld, "Preprocess": _PreprocessRole}
    if issubclass(plugin, ModelHandler):
        return {"WitWorld": WitWorld, "ModelHandler": _ModelHandlerRole}
    if issubclass(plugin, Ensemble):
        return {"WitWorld": WitWorld, "Ensemble": _EnsembleRole}
    return {"WitWorld": WitWorld, "Postprocess": _PostprocessRole}


class _PreprocessRole:
    def describe(self):
        from wit_world.exports.preprocess import Description

        with _defects_logged():
            description = _plugin.describe()
        signature = types.Signature(_specs(description.inputs), _specs(description.forwarded))
        return Description(signature, _specs(description.answered))

    def process(self, examples):
        from wit_world.exports.preprocess import Outcome_Answer, Outcome_Forward

        def outcome(result):
            match result:
                case Forward(outputs):
                    return Ok(Outcome_Forward(_named(outputs)))
                case Answer(outputs):
                    return Ok(Outcome_Answer(_named(outputs)))
                case _:
                    return _error(result)

        with _defects_logged():
            results = _plugin.preprocess_many(_examples(examples))
        return [outcome(result) for result in results]


class _PostprocessRole:
    def describe(self):
        with _defects_logged():
            signature: Signature = _plugin.describe()
        return types.Signature(_specs(signature.inputs), _specs(signature.outputs))

    def process(self, examples):
        def outputs(result):
            return Ok(_named(result)) if isinstance(result, dict) else _error(result)

        with _defects_logged():
            results = _plugin.postprocess_many(_examples(examples))
        return [outputs(result) for result in results]


class _ModelHandlerRole:
    def describe(self, model):
        from wit_world.exports.model_handler import BatchHints, Description

        try:
            description = _plugin.describe(_signature(model))
        except PluginError as error:
            raise Err(str(error)) from None
        except Exception as error:
            raise Err(defect_text(error)) from None
        hints = BatchHints(
            description.max_batch_size,
            list(description.preferred_batch_sizes),
            description.ragged,
        )
        signature = types.Signature(_specs(description.inputs), _specs(description.outputs))
        return Description(signature, hints)

    def predict(self, model, examples, args):
        def outputs(result):
            return Ok(_named(result)) if isinstance(result, dict) else _error(result)

        given = {arg.name: arg.value.value for arg in args}
        error = None
        try:
            results = _plugin.predict(_HostModel(model), _examples(examples), given)
        except PluginError as raised:
            error = forgetful(raised)
        except Exception as raised:
            error = Failed(defect_text(raised))
        if error is not None:
            raise _error(error)
        return [outputs(result) for result in results]


class _EnsembleRole:
    def describe(self):
        with _defects_logged():
            signature: Signature = _plugin.describe()
        return types.Signature(_specs(signature.inputs), _specs(signature.outputs))

    def run(self, examples, args):
        def outputs(result):
            return Ok(_named(result)) if isinstance(result, dict) else _error(result)

        given = {arg.name: arg.value.value for arg in args}
        with _defects_logged():
            results = _plugin.run_many(_examples(examples), given)
        return [outputs(result) for result in results]


class _HostPending(Pending):
    """A call that the host makes, behind a handle. Without it the call is abandoned."""

    def __init__(self, handle):
        self._handle = handle

    @property
    def is_done(self):
        return self._handle is None or self._handle.is_done()

    def wait(self):
        return _outputs(_asked(models.Pending.wait, self._taken()))

    def _taken(self):
        handle, self._handle = self._handle, None
        if handle is None:
            raise Failed("this call has been waited for already")
        return handle


def wait_any(calls) -> int:
    handles = [call._handle for call in calls]
    if None in handles:
        raise Failed("one of the calls has been waited for already")
    return _asked(models.wait_any, handles)


def wait_all(calls) -> list:
    handles = [call._taken() for call in calls]
    results = models.wait_all(handles)
    return [
        _outputs(result.value) if isinstance(result, Ok) else _refusal(result.value)
        for result in results
    ]


class _HostModel(Model):
    """A model of the host's, behind a handle."""

    def __init__(self, handle):
        self._handle = handle

    @property
    def name(self):
        return self._handle.name()

    @property
    def version(self):
        return self._handle.version()

    @property
    def has_batch_axis(self):
        return self._handle.has_batch_axis()

    @property
    def signature(self):
        return _signature(self._handle.signature())

    @property
    def example_signature(self):
        return _signature(self._handle.example_signature())

    def infer(self, inputs, args=None):
        return _outputs(_asked(self._handle.infer, _named(inputs), _args(args)))

    def submit(self, inputs, args=None):
        return _HostPending(_asked(self._handle.submit, _named(inputs), _args(args)))

    def submit_example(self, example, args=None):
        given = types.Example(example.key, _named(example.tensors))
        return _HostPending(_asked(self._handle.submit_example, given, _args(args)))


def open_model(name: str) -> Model:
    return _HostModel(_asked(models.open, name))


def _asked(operation, *arguments):
    """What the host answers; its errors become those of the SDK."""
    try:
        return operation(*arguments)
    except Err as error:
        # The bindings keep the last error alive: without its frames it keeps no tensors.
        refused = error.with_traceback(None).value
    raise _refusal(refused)


def _refusal(refused) -> PluginError:
    kind = InvalidInput if isinstance(refused, types.Error_InvalidInput) else Failed
    return kind(refused.value)


def _outputs(outputs: list[types.NamedTensor]) -> dict[str, Tensor]:
    return {named.name: Tensor(Handle(named.tensor)) for named in outputs}


def _args(args) -> list[models.Arg]:
    return [models.Arg(name, _arg_value(name, value)) for name, value in (args or {}).items()]


def _arg_value(name, value):
    match value:
        case bool():
            return models.ArgValue_Bool(value)
        case int():
            return models.ArgValue_Int(value)
        case float():
            return models.ArgValue_Float(value)
        case str():
            return models.ArgValue_Text(value)
    raise Failed(f'argument "{name}" is a {type(value).__name__}; bool, int, float or str is expected')


class _LogStream:
    """Standard output or standard error: each line goes to the host's log."""

    encoding = "utf-8"

    def __init__(self, write_line):
        self._write_line = write_line
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._write_line(line)
        return len(text)

    def flush(self) -> None:
        if self._begun:
            self._write_line(self._begun)
            self._begun = ""

    def isatty(self) -> bool:
        return False


@contextmanager
def _defects_logged():
    """Says what is wrong where an error ends the call: the host sees only a trap then."""
    try:
        yield
    except Exception as error:
        log.error(defect_text(error))
        raise


def _examples(examples: list[types.Example]) -> list[Example]:
    return [
        Example(
            {named.name: Tensor(Handle(named.tensor)) for named in example.tensors},
            example.key,
        )
        for example in examples
    ]


def _named(outputs: dict[str, Tensor]) -> list[types.NamedTensor]:
    return [types.NamedTensor(name, tensor.handle.host) for name, tensor in outputs.items()]


def _specs(specs: list[TensorSpec]) -> list[types.TensorSpec]:
    return [
        types.TensorSpec(spec.name, host_datatype(spec.datatype), list(spec.shape))
        for spec in specs
    ]


def _signature(signature: types.Signature) -> Signature:
    def specs(given):
        return [
            TensorSpec(spec.name, sdk_datatype(spec.datatype), tuple(spec.shape))
            for spec in given
        ]

    return Signature(specs(signature.inputs), specs(signature.outputs))


def _error(error) -> Err:
    match error:
        case InvalidInput():
            return Err(types.Error_InvalidInput(str(error)))
        case PluginError():
            return Err(types.Error_Failed(str(error)))
        case _:
            text = f"the plugin returned {type(error).__name__} instead of tensors or an error"
            return Err(types.Error_Failed(text))
