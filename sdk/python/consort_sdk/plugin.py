"""The classes that an author derives from, and the decorator that makes a component of one."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consort_sdk._backend import host
from consort_sdk.assets import Assets
from consort_sdk.error import Failed, PluginError
from consort_sdk.example import Example
from consort_sdk.model import Args, Model
from consort_sdk.signature import Description, HandlerDescription, Signature
from consort_sdk.tensor import Tensor

#: The tensors that a role gives back, by name.
Outputs = dict[str, Tensor]


@dataclass
class Forward:
    """Go on to the next step with these tensors."""

    outputs: Outputs


@dataclass
class Answer:
    """This is already the ensemble's answer: the remaining steps are skipped."""

    outputs: Outputs


class Plugin(ABC):
    """A plugin. The host makes one, at load."""

    def __init__(self, config: str, assets: Assets):
        """Parse tables here, not per example.

        `config` is the text of the manifest's `config` key (a TOML table arrives as
        JSON), empty when there is none. An error stops the load and is shown to the
        operator.
        """


class Preprocess(Plugin):
    """The role before a model: from a request's tensors to the model's inputs."""

    @abstractmethod
    def describe(self) -> Description:
        """What this role reads, forwards and answers. Called once, after `__init__`."""

    @abstractmethod
    def preprocess(self, example: Example) -> Forward | Answer:
        """Prepares one example."""

    def preprocess_many(
        self, examples: Sequence[Example]
    ) -> list[Forward | Answer | PluginError]:
        """Prepares several examples: exactly one result each, in order. Override it where
        work can be shared between examples; return an error, do not raise it."""
        return [_attempt(self.preprocess, example) for example in examples]


class Postprocess(Plugin):
    """The role after a model: from the model's outputs to an answer."""

    @abstractmethod
    def describe(self) -> Signature:
        """What this role reads and writes. Called once, after `__init__`."""

    @abstractmethod
    def postprocess(self, example: Example) -> Outputs:
        """Finishes one example."""

    def postprocess_many(self, examples: Sequence[Example]) -> list[Outputs | PluginError]:
        """Finishes several examples: exactly one result each, in order. Override it where
        work can be shared between examples; return an error, do not raise it."""
        return [_attempt(self.postprocess, example) for example in examples]


class ModelHandler(Plugin):
    """The role around a model: collates examples into what the model reads, calls it any
    number of times, and splits what it wrote. `consort_sdk.collate` does both on the host."""

    @abstractmethod
    def describe(self, model: Signature) -> HandlerDescription:
        """What this role is around a model, given what one call of the model takes and gives
        (its batch axis included, if it has one). Called once after `__init__` for each
        granted model. An error says why it is none for that model."""

    @abstractmethod
    def predict(
        self, model: Model, examples: Sequence[Example], args: Args
    ) -> Sequence[Outputs | PluginError]:
        """Predicts on a batch of one tenant's examples: exactly one result each, in order;
        return an error for an example that failed. An error that is raised fails the batch,
        which the host then runs again in halves until the example at fault is alone.

        Keep no reference to `model` beyond this call."""


class Ensemble(Plugin):
    """An ensemble in code: calls models as it sees fit, several at a time, and makes an
    answer of theirs. The manifest grants it models, model maps and other ensembles."""

    @abstractmethod
    def describe(self) -> Signature:
        """What this ensemble reads and writes. Called once, after `__init__`; it may depend
        on what the granted models say of themselves."""

    @abstractmethod
    def run(self, example: Example, args: Args) -> Outputs:
        """Answers one example. `args` are what the caller says beside the tensors; pass them
        on to the models that they are for."""

    def run_many(self, examples: Sequence[Example], args: Args) -> list[Outputs | PluginError]:
        """Answers several examples: exactly one result each, in order; return an error, do
        not raise it. The host spreads examples over instances that run at the same time;
        override it where the calls to models for those of one instance are to be under way
        at the same time as well."""
        return [_attempt(lambda each: self.run(each, args), example) for example in examples]


_ROLES = (Preprocess, Postprocess, ModelHandler, Ensemble)


def export(plugin: type[Plugin]) -> type[Plugin]:
    """Makes the component of this module's plugin: decorate one class with it.

    The module must be the one named to `componentize-py`. In plain CPython it only checks
    the class.
    """
    roles = [role.__name__ for role in _ROLES if issubclass(plugin, role)]
    if not roles:
        names = ", ".join(role.__name__ for role in _ROLES)
        raise TypeError(f"{plugin.__name__} derives from none of {names}")
    if len(roles) > 1:
        # Each role has a `describe`, and one class can have only one.
        raise TypeError(
            f"{plugin.__name__} derives from {' and '.join(roles)}; write a component for each"
        )
    missing = ", ".join(sorted(plugin.__abstractmethods__))
    if missing:
        raise TypeError(f"{plugin.__name__} does not define {missing}")
    if host is not None:
        from consort_sdk import _component

        vars(sys.modules[plugin.__module__]).update(_component.exports(plugin))
    return plugin


def _attempt(work: Callable, example: Example):
    """What `work` returns, or why this one example failed."""
    try:
        return work(example)
    except PluginError as error:
        return forgetful(error)
    except Exception as error:  # a defect in the plugin: this example fails, no other
        return Failed(defect_text(error))


def forgetful(error: PluginError) -> PluginError:
    """The same error without the frames it came through, which would keep the example's
    tensors alive until the garbage collector runs."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def defect_text(error: BaseException) -> str:
    """An error that the plugin did not mean to raise, and where. (The `traceback` module
    would look for the source, and there are no files inside a component.)"""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = ""
    if frame is not None:
        code = frame.tb_frame.f_code
        place = f" (in {code.co_name}, {code.co_filename.rpartition('/')[2]}:{frame.tb_lineno})"
    return f"{type(error).__name__}: {error}{place}"
