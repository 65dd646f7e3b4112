"""Ensembles in code: calls under way to fake models, and inside of a component."""

import importlib
import sys
import types
import unittest

import consort_sdk as consort
from tests import fake_bindings as host

SOURCE = """
import consort_sdk as consort

@consort.export
class Two(consort.Ensemble):
    def __init__(self, config, assets):
        self.what = config

    def describe(self):
        shape = consort.Model.open("a").example_signature.inputs[0].shape
        return consort.Signature().input("x", consort.INT64, shape).output("x", consort.INT64, [1])

    def run(self, example, args):
        a, b = (consort.Model.open(name) for name in "ab")
        calls = [model.submit_example(example.share(), args) for model in (a, b)]
        if self.what == "any":
            first = consort.wait_any(calls)
            return calls[first].wait()
        if self.what == "twice":
            consort.wait_all(calls)
            calls[0].wait()
        results = consort.wait_all(calls)
        for result in results:
            if isinstance(result, consort.PluginError):
                raise result
        total = sum(result["x"].element() for result in results)
        return {"x": consort.Tensor.single(consort.INT64, total)}
"""


def module():
    made = types.ModuleType("two")
    sys.modules["two"] = made
    exec(compile(SOURCE, "/src/two.py", "exec"), vars(made))
    return made


class WithFakeModels(unittest.TestCase):
    def setUp(self):
        one = consort.Signature().input("x", consort.INT64, [consort.ANY, 1])
        one.output("x", consort.INT64, [consort.ANY, 1])
        for name, what, patience in [("a", 1, 2), ("b", 10, 0)]:
            infer = self.adds(what)
            consort.Model.fake(name, one, infer, patience=patience).grant()

    @staticmethod
    def adds(what):
        def infer(inputs, args):
            if args.get("fail"):
                raise consort.InvalidInput("as told")
            x = inputs.tensor("x")
            sums = [each + what for each in x.read()]
            return {"x": consort.Tensor.of(consort.INT64, x.shape, sums)}

        return infer

    def run_it(self, what, x, args=None):
        given = consort.Example({"x": consort.Tensor.single(consort.INT64, x)}, "key")
        [result] = module().Two(what, consort.Assets({})).run_many([given], args or {})
        return result

    def test_both_are_asked(self):
        self.assertEqual(self.run_it("all", 5)["x"].element(), 6 + 15)

    def test_the_one_of_less_patience_is_first(self):
        self.assertEqual(self.run_it("any", 5)["x"].element(), 15)

    def test_an_error_is_returned_and_keeps_its_fault(self):
        result = self.run_it("all", 5, {"fail": True})
        self.assertIsInstance(result, consort.InvalidInput)

    def test_an_example_has_no_batch_axis(self):
        model = consort.Model.open("a")
        self.assertEqual(model.example_signature.inputs[0].shape, (1,))
        batch = {"x": consort.Tensor.of(consort.INT64, [2, 1], [1, 2])}
        call = model.submit(batch)
        self.assertFalse(call.is_done)
        self.assertEqual(list(call.wait()["x"].read()), [2, 3])
        whole = consort.Model.fake("w", model.signature, self.adds(1), has_batch_axis=False)
        self.assertEqual(whole.example_signature, whole.signature)

    def test_nothing_to_wait_for(self):
        with self.assertRaisesRegex(consort.Failed, "the list is empty"):
            consort.wait_any([])
        self.assertEqual(consort.wait_all([]), [])


class InAComponent(unittest.TestCase):
    def setUp(self):
        spec = host.HostTensorSpec("x", host.HostDatatype.INT64, [1])
        signature = host.HostSignature([spec], [spec])
        self.models = {
            name: host.HostModel(name, signature, lambda inputs, args: inputs) for name in "ab"
        }
        inside = host.component(models=self.models)
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)

    def run_it(self, what, args=()):
        made = module()
        made.WitWorld().init(what)
        self.assertEqual(made.Ensemble().describe().inputs[0].shape, [1])
        sdk = importlib.import_module("consort_sdk")
        data = sdk.Tensor.of(sdk.INT64, [1], [21]).read_raw()
        tensor = host.HostTensor.create(host.HostDatatype.INT64, [1], data)
        given = host.HostExample("key", [host.NamedTensor("x", tensor)])
        [result] = made.Ensemble().run([given], list(args))
        return result

    def value(self, result):
        self.assertIsInstance(result, host.Ok)
        [named] = result.value
        return int.from_bytes(named.tensor.read(), "little")

    def test_both_are_asked_with_the_key(self):
        self.assertEqual(self.value(self.run_it("all")), 42)
        self.assertEqual([model.keys for model in self.models.values()], [["key"], ["key"]])

    def test_the_first_is_taken(self):
        self.assertEqual(self.value(self.run_it("any")), 21)

    def test_a_models_error_keeps_its_fault(self):
        def refuse(inputs, args):
            raise host.Err(host.ErrorInvalidInput("too long"))

        self.models["b"]._infer = refuse
        self.assertEqual(self.run_it("all").value, host.ErrorInvalidInput("too long"))

    def test_a_call_is_waited_for_once(self):
        error = self.run_it("twice").value
        self.assertEqual(error, host.ErrorFailed("this call has been waited for already"))


if __name__ == "__main__":
    unittest.main()
