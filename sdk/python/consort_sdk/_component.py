"""What `componentize-py` looks for in an author's module: the world's `init` and a role.

Importing this module fails outside of a component.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

from componentize_py_types import Err, Ok
from wit_world.imports import types

from consort_sdk import log
from consort_sdk._host import Handle, host_datatype
from consort_sdk.assets import HostAssets
from consort_sdk.error import InvalidInput, PluginError
from consort_sdk.example import Example
from consort_sdk.plugin import Answer, Forward, Plugin, Preprocess, defect_text
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


def _error(error) -> Err:
    match error:
        case InvalidInput():
            return Err(types.Error_InvalidInput(str(error)))
        case PluginError():
            return Err(types.Error_Failed(str(error)))
        case _:
            text = f"the plugin returned {type(error).__name__} instead of tensors or an error"
            return Err(types.Error_Failed(text))
