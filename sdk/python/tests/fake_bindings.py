"""The modules that `componentize-py` generates, over tensors in memory.

With them the code that runs inside a component only is tested in CPython. They follow
`componentize-py bindings` for the worlds in `wit/`.
"""

import sys
import types
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from consort_sdk import _memory
from consort_sdk.datatype import Datatype
from consort_sdk.error import TensorError


@dataclass(frozen=True)
class Err(Exception):
    value: object


@dataclass
class Ok:
    value: object


@dataclass
class TensorErrorInvalid:
    value: str


HostDatatype = Enum("HostDatatype", {d.name: i for i, d in enumerate(Datatype)})
HostEnd = Enum("HostEnd", ["HEAD", "TAIL"])
Level = Enum("Level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"])


@dataclass
class HostEnds:
    lengths: list
    data: bytes


@dataclass
class AxisRange:
    start: int
    end: int


class HostTensor:
    """The tensor resource: it takes and gives the binding's types only."""

    def __init__(self, handle):
        self._handle = handle

    @classmethod
    def create(cls, datatype, shape, data):
        assert isinstance(datatype, HostDatatype) and isinstance(data, bytes)
        return cls(checked(_memory.Handle.create, Datatype[datatype.name], shape, data))

    @classmethod
    def create_from_parts(cls, datatype, shape, parts):
        return cls.create(datatype, shape, b"".join(parts))

    def datatype(self):
        return HostDatatype[self._handle.datatype().name]

    def shape(self):
        return self._handle.shape()

    def byte_length(self):
        return self._handle.byte_length()

    def read(self):
        return self._handle.read()

    def read_parts(self):
        return [self._handle.read()]

    def read_range(self, offset, length):
        return checked(self._handle.read_range, offset, length)

    def read_ends(self, end, most):
        assert isinstance(end, HostEnd)
        return HostEnds(*checked(self._handle.read_ends, end is HostEnd.TAIL, most))

    def widen(self, datatype):
        assert isinstance(datatype, HostDatatype)
        return HostTensor(checked(self._handle.widen, Datatype[datatype.name]))

    def slice(self, ranges):
        assert all(isinstance(each, AxisRange) for each in ranges)
        return HostTensor(checked(self._handle.slice, [(r.start, r.end) for r in ranges]))

    def reshape(self, shape):
        return HostTensor(checked(self._handle.reshape, shape))

    def pad(self, shape, value):
        return HostTensor(checked(self._handle.pad, shape, value))

    @classmethod
    def stack(cls, tensors):
        return cls(checked(_memory.Handle.stack, [tensor._handle for tensor in tensors]))

    @classmethod
    def concat(cls, tensors, axis):
        return cls(checked(_memory.Handle.concat, [tensor._handle for tensor in tensors], axis))


#: The real bindings keep the last error alive, and so whatever its frames hold.
last_error = None


def checked(operation, *arguments):
    global last_error
    try:
        return operation(*arguments)
    except TensorError as error:
        last_error = Err(TensorErrorInvalid(str(error)))
    raise last_error


def record(name, *fields):
    return dataclass(type(name, (), {"__annotations__": dict.fromkeys(fields, object)}))


NamedTensor = record("NamedTensor", "name", "tensor")
HostExample = record("HostExample", "key", "tensors")
HostTensorSpec = record("HostTensorSpec", "name", "datatype", "shape")
HostSignature = record("HostSignature", "inputs", "outputs")
ErrorInvalidInput = record("ErrorInvalidInput", "value")
ErrorFailed = record("ErrorFailed", "value")
HostDescription = record("HostDescription", "signature", "answers")
OutcomeForward = record("OutcomeForward", "value")
OutcomeAnswer = record("OutcomeAnswer", "value")
Padded = record("Padded", "tensor", "mask")
Arg = record("Arg", "name", "value")
ArgValueBool = record("ArgValueBool", "value")
ArgValueInt = record("ArgValueInt", "value")
ArgValueFloat = record("ArgValueFloat", "value")
ArgValueText = record("ArgValueText", "value")
HandlerDescription = record("HandlerDescription", "signature", "hints")
BatchHints = record("BatchHints", "max_batch_size", "preferred_batch_sizes", "ragged")


def stack_padded(tensors, value, mask):
    assert isinstance(value, bytes)
    handles = [tensor._handle for tensor in tensors]
    mask = None if mask is None else Datatype[mask.name]
    tensor, made = checked(_memory.stack_padded, handles, value, mask)
    return Padded(HostTensor(tensor), None if made is None else HostTensor(made))


def split(tensor, lengths):
    return [HostTensor(part) for part in checked(_memory.split, tensor._handle, lengths)]


def fill(datatype, shape, value):
    return HostTensor(checked(_memory.fill, Datatype[datatype.name], shape, value))


class HostModel:
    """A model that answers with what it is told."""

    def __init__(self, name, signature, infer):
        self._name, self._signature, self._infer = name, signature, infer

    def name(self):
        return self._name

    def version(self):
        return "7"

    def has_batch_axis(self):
        return True

    def signature(self):
        return self._signature

    def example_signature(self):
        return self._signature

    def infer(self, inputs, args):
        assert all(isinstance(named.tensor, HostTensor) for named in inputs)
        outputs = self._infer({named.name: named.tensor for named in inputs}, args)
        return [NamedTensor(name, tensor) for name, tensor in outputs.items()]

    def submit(self, inputs, args):
        return HostPending(lambda: self.infer(inputs, args))

    def submit_example(self, example, args):
        assert isinstance(example, HostExample)
        self.keys = [*getattr(self, "keys", []), example.key]
        return self.submit(example.tensors, args)


class HostPending:
    """A call that is made when somebody waits for it."""

    def __init__(self, work):
        self._work = work

    def is_done(self):
        return False

    @classmethod
    def wait(cls, call):
        work, call._work = call._work, None
        return work()


def wait_any(calls):
    assert all(isinstance(call, HostPending) for call in calls)
    if not calls:
        raise Err(ErrorFailed("the list is empty"))
    return len(calls) - 1


def wait_all(calls):
    def result(call):
        try:
            return Ok(HostPending.wait(call))
        except Err as error:
            return error

    return [result(call) for call in calls]


@contextmanager
def component(assets=None, logged=None, models=None):
    """Inside, `import consort_sdk` finds itself in a component. Log lines go to `logged`."""
    assets = assets or {}
    models = models or {}
    logged = [] if logged is None else logged

    def read(name):
        if name not in assets:
            raise Err(f'there is no asset "{name}"')
        return assets[name]

    def open_model(name):
        if name not in models:
            raise Err(ErrorFailed(f'the model "{name}" is not granted'))
        return models[name]

    contents = {
        "componentize_py_runtime": {},
        "componentize_py_types": {"Err": Err, "Ok": Ok},
        "wit_world": {},
        "wit_world.exports": {},
        "wit_world.exports.preprocess": {
            "Description": HostDescription,
            "Outcome_Forward": OutcomeForward,
            "Outcome_Answer": OutcomeAnswer,
        },
        "wit_world.exports.model_handler": {
            "BatchHints": BatchHints,
            "Description": HandlerDescription,
        },
        "wit_world.imports": {},
        "wit_world.imports.collate": {
            "Padded": Padded,
            "fill": fill,
            "split": split,
            "stack_padded": stack_padded,
        },
        "wit_world.imports.models": {
            "Arg": Arg,
            "ArgValue_Bool": ArgValueBool,
            "ArgValue_Float": ArgValueFloat,
            "ArgValue_Int": ArgValueInt,
            "ArgValue_Text": ArgValueText,
            "Pending": HostPending,
            "open": open_model,
            "wait_all": wait_all,
            "wait_any": wait_any,
        },
        "wit_world.imports.assets": {"names": lambda: sorted(assets), "read": read},
        "wit_world.imports.log": {
            "Level": Level,
            "log": lambda level, message: logged.append((level.name, message)),
        },
        "wit_world.imports.tensors": {
            "AxisRange": AxisRange,
            "Datatype": HostDatatype,
            "End": HostEnd,
            "Tensor": HostTensor,
        },
        "wit_world.imports.types": {
            "Error_Failed": ErrorFailed,
            "Error_InvalidInput": ErrorInvalidInput,
            "Example": HostExample,
            "NamedTensor": NamedTensor,
            "Signature": HostSignature,
            "TensorSpec": HostTensorSpec,
        },
    }
    before = dict(sys.modules)
    streams = sys.stdout, sys.stderr
    for name in [name for name in sys.modules if name.partition(".")[0] == "consort_sdk"]:
        del sys.modules[name]
    for name, content in contents.items():
        sys.modules[name] = module = types.ModuleType(name)
        vars(module).update(content)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        sys.modules.clear()
        sys.modules.update(before)
