"""What runs inside a component only, over fake bindings."""

import gc
import importlib
import sys
import types
import unittest
import weakref
from pathlib import Path

from tests import fake_bindings as host

PLUGINS = {
    "post": """
import consort_sdk as consort

@consort.export
class Post(consort.Postprocess):
    def __init__(self, config, assets):
        print("stdout of", config)
        if config == "refused":
            assets.read("nowhere")
        if config == "defect":
            raise KeyError("labels")
        self.labels = assets.text("labels.txt").split()

    def describe(self):
        return (
            consort.Signature()
            .input("n", consort.INT64, [consort.ANY, 1])
            .output("label", consort.BYTES, [1])
        )

    def postprocess(self, example):
        n = example.read("n", consort.INT64)[0]
        if n < 0:
            raise consort.InvalidInput(f"{example.key}: {n} is negative")
        if n == 9:
            return ["no tensors"]
        if n == 10:
            consort.Tensor.of(consort.FP32, [2], [1.0])
        if n == 11:
            example.read("n", consort.FP32)
        consort.log.debug(f"label {n}")
        return {"label": consort.Tensor.single_text(self.labels[n])}
""",
    "glue": """
import consort_sdk as consort
from consort_sdk import collate

@consort.export
class Glue(consort.ModelHandler):
    def describe(self, model):
        [ids] = model.inputs
        if ids.shape != (consort.ANY, consort.ANY):
            raise consort.Failed(f"the model reads {ids.shape}")
        described = consort.HandlerDescription(max_batch_size=64, ragged=True)
        return described.input("ids", ids.datatype, [consort.ANY]).output(
            "scores", consort.INT64, [consort.ANY]
        )

    def predict(self, model, examples, args):
        if args.get("refuse"):
            raise consort.InvalidInput("refused")
        lists = [example.tensor("ids") for example in examples]
        lengths = [tensor.shape[0] for tensor in lists]
        ids, mask = collate.stack_padded(lists, 0, consort.INT64)
        other = consort.Model.open("other") if args.get("other") else model
        outputs = other.infer({"ids": ids, "mask": mask}, {**args, "depth": 2})
        scores = collate.split(outputs["scores"], lengths)
        results = [{"scores": each} for each in scores]
        if args.get("fail first"):
            results[0] = consort.Failed("the first")
        return results
""",
    "pre": """
import consort_sdk as consort

@consort.export
class Pre(consort.Preprocess):
    def describe(self):
        return (
            consort.Description()
            .input("x", consort.FP32, [2, 2])
            .forwards("y", consort.FP32, [consort.ANY])
            .answers("z", consort.BOOL, [])
        )

    def preprocess(self, example):
        x = example.tensor("x")
        if not any(x.read()):
            return consort.Answer({"z": consort.Tensor.of(consort.BOOL, [], [True])})
        column = x.slice([(0, 2), (1, 2)]).reshape([2])
        row = x.rows(0, 1).reshape([2])
        both = consort.Tensor.stack([row, column]).reshape([4])
        flags = consort.Tensor.of(consort.BOOL, [1], [True])
        assert flags.widen(consort.FP32).element() == 1.0
        text = consort.Tensor.single_text("abc")
        assert (text.heads(2), text.tails(2)) == ([(b"ab", 3)], [(b"bc", 3)])
        return consort.Forward({"y": consort.Tensor.concat([both, row], 0).pad([7], 9.0)})
""",
}


def plugin(name):
    """The module with a plugin's exports."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(PLUGINS[name], f"/src/{name}.py", "exec"), vars(module))
    return module


def example(name, datatype, shape, elements, key=None):
    sdk = importlib.import_module("consort_sdk")
    data = sdk.Tensor.of(sdk.Datatype[datatype], shape, elements).read_raw()
    tensor = host.HostTensor.create(host.HostDatatype[datatype], shape, data)
    return host.HostExample(key, [host.NamedTensor(name, tensor)])


class APostprocessor(unittest.TestCase):
    def setUp(self):
        self.logged = []
        inside = host.component({"labels.txt": b"cat dog"}, self.logged)
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)
        self.module = plugin("post")

    def init(self, config=""):
        self.module.WitWorld().init(config)

    def process(self, *ns, key=None):
        examples = [example("n", "INT64", [1, 1], [n], key) for n in ns]
        return self.module.Postprocess().process(examples)

    def test_it_exports_its_role_only(self):
        self.assertFalse(hasattr(self.module, "Preprocess"))

    def test_it_describes_itself(self):
        self.init()
        signature = self.module.Postprocess().describe()
        [n], [label] = signature.inputs, signature.outputs
        self.assertEqual((n.name, n.datatype), ("n", host.HostDatatype.INT64))
        self.assertEqual(n.shape, [None, 1])
        self.assertEqual((label.name, label.shape), ("label", [1]))

    def test_one_result_an_example_in_order(self):
        self.init()
        results = self.process(1, 0)
        texts = []
        for result in results:
            self.assertIsInstance(result, host.Ok)
            [named] = result.value
            self.assertEqual(named.name, "label")
            self.assertIsInstance(named.tensor, host.HostTensor)
            texts.append(named.tensor.read()[4:])
        self.assertEqual(texts, [b"dog", b"cat"])
        self.assertEqual(self.logged[-2:], [("DEBUG", "label 1"), ("DEBUG", "label 0")])

    def test_an_error_of_one_example_harms_no_other(self):
        self.init()
        results = self.process(-1, 5, 9, 10, 11, 1, key="row 3")
        errors = [result.value for result in results[:-1]]
        self.assertIsInstance(results[-1], host.Ok)
        self.assertEqual(errors[0], host.ErrorInvalidInput("row 3: -1 is negative"))
        failed = [error.value for error in errors[1:]]
        self.assertTrue(all(isinstance(error, host.ErrorFailed) for error in errors[1:]))
        self.assertEqual(
            failed,
            [
                "IndexError: list index out of range (in postprocess, post.py:32)",
                "the plugin returned list instead of tensors or an error",
                "FP32 of shape [2] takes 8 bytes, 4 were given",
                'tensor "n": the tensor is INT64, FP32 is expected',
            ],
        )

    def test_a_failed_example_keeps_no_tensor_alive(self):
        self.init()
        gc.disable()
        self.addCleanup(gc.enable)
        for n in -1, 5, 10, 11:
            given = example("n", "INT64", [1, 1], [n])
            tensor = weakref.ref(given.tensors[0].tensor)
            results = self.module.Postprocess().process([given])
            del given
            self.assertIsInstance(results[0], host.Err)
            self.assertIsNone(tensor(), f"after {results[0].value}")

    def test_an_error_in_init_stops_the_load(self):
        for config, message in [
            ("refused", 'there is no asset "nowhere"'),
            ("defect", "KeyError: 'labels' (in __init__, post.py:11)"),
        ]:
            with self.assertRaises(host.Err) as raised:
                self.init(config)
            self.assertEqual(raised.exception.value, message)

    def test_standard_output_goes_to_the_log(self):
        self.init("x")
        self.assertIn(("INFO", "stdout of x"), self.logged)
        sys.stderr.write("half a")
        self.assertEqual(len(self.logged), 1)
        sys.stderr.write(" line\nand more")
        sys.stderr.flush()
        self.assertEqual(self.logged[1:], [("WARN", "half a line"), ("WARN", "and more")])

    def test_a_defect_outside_of_an_example_is_logged(self):
        self.init()
        self.module.Post.describe = lambda self: self.nowhere
        with self.assertRaises(AttributeError):
            self.module.Postprocess().describe()
        level, line = self.logged[-1]
        self.assertEqual(level, "ERROR")
        self.assertRegex(line, "^AttributeError: .*nowhere")


class APreprocessor(unittest.TestCase):
    def setUp(self):
        inside = host.component()
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)
        self.module = plugin("pre")
        self.module.WitWorld().init("")

    def process(self, elements):
        given = example("x", "FP32", [2, 2], elements)
        [result] = self.module.Preprocess().process([given])
        return result.value

    def test_it_describes_itself(self):
        description = self.module.Preprocess().describe()
        specs = [*description.signature.inputs, *description.signature.outputs]
        found = [(spec.name, spec.shape) for spec in specs + description.answers]
        self.assertEqual(found, [("x", [2, 2]), ("y", [None]), ("z", [])])

    def test_it_forwards(self):
        outcome = self.process([1.0, 2.0, 3.0, 4.0])
        self.assertIsInstance(outcome, host.OutcomeForward)
        [named] = outcome.value
        sdk = importlib.import_module("consort_sdk.datatype")
        elements = list(sdk.decode(sdk.FP32, named.tensor.read()))
        self.assertEqual(elements, [1, 2, 2, 4, 1, 2, 9])

    def test_it_answers(self):
        outcome = self.process([0.0] * 4)
        self.assertIsInstance(outcome, host.OutcomeAnswer)
        self.assertEqual([named.name for named in outcome.value], ["z"])

    def test_assets_and_datatypes_are_the_hosts(self):
        sdk = importlib.import_module("consort_sdk.assets")
        self.assertEqual(sdk.HostAssets().names(), [])
        backend = importlib.import_module("consort_sdk._host")
        for datatype in importlib.import_module("consort_sdk").Datatype:
            self.assertEqual(backend.host_datatype(datatype).name, datatype.name)


class AModelHandler(unittest.TestCase):
    def setUp(self):
        self.asked = []
        spec = host.HostTensorSpec("ids", host.HostDatatype.INT64, [None, None])
        self.signature = host.HostSignature([spec], [])
        self.model = host.HostModel("bert", self.signature, self.infer)
        inside = host.component()
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)
        self.module = plugin("glue")
        self.module.WitWorld().init("")

    def infer(self, inputs, args):
        self.asked.append((inputs, args))
        return {"scores": inputs["ids"]}

    def predict(self, *lists, args=()):
        examples = [example("ids", "INT64", [len(ids)], ids) for ids in lists]
        return self.module.ModelHandler().predict(self.model, examples, list(args))

    def values(self, tensor):
        sdk = importlib.import_module("consort_sdk.datatype")
        return list(sdk.decode(sdk.INT64, tensor.read()))

    def test_it_describes_itself_by_the_model(self):
        description = self.module.ModelHandler().describe(self.signature)
        [ids] = description.signature.inputs
        self.assertEqual((ids.name, ids.shape), ("ids", [None]))
        self.assertEqual(description.hints, host.BatchHints(64, [], True))
        self.signature.inputs[0].shape = [None]
        with self.assertRaises(host.Err) as raised:
            self.module.ModelHandler().describe(self.signature)
        self.assertEqual(raised.exception.value, "the model reads (None,)")

    def test_it_pads_calls_and_splits(self):
        arg = host.Arg("top", host.ArgValueFloat(0.5))
        results = self.predict([7], [1, 2, 3], args=[arg])
        scores = [self.values(result.value[0].tensor) for result in results]
        self.assertEqual(scores, [[7], [1, 2, 3]])
        [(inputs, args)] = self.asked
        self.assertEqual(self.values(inputs["ids"]), [7, 0, 0, 1, 2, 3])
        self.assertEqual(self.values(inputs["mask"]), [1, 0, 0, 1, 1, 1])
        self.assertEqual(args, [arg, host.Arg("depth", host.ArgValueInt(2))])

    def test_errors_are_one_examples_or_the_batchs(self):
        told = host.Arg("fail first", host.ArgValueBool(True))
        results = self.predict([1], [2], args=[told])
        self.assertEqual(results[0].value, host.ErrorFailed("the first"))
        self.assertIsInstance(results[1], host.Ok)
        for name, error in [
            ("refuse", host.ErrorInvalidInput("refused")),
            ("other", host.ErrorFailed('the model "other" is not granted')),
        ]:
            with self.assertRaises(host.Err) as raised:
                self.predict([1], args=[host.Arg(name, host.ArgValueBool(True))])
            self.assertEqual(raised.exception.value, error)

    def test_a_models_error_keeps_its_fault(self):
        def refuse(inputs, args):
            raise host.Err(host.ErrorInvalidInput("too long"))

        self.model._infer = refuse
        with self.assertRaises(host.Err) as raised:
            self.predict([1])
        self.assertEqual(raised.exception.value, host.ErrorInvalidInput("too long"))

    def test_a_model_tells_of_itself(self):
        component = importlib.import_module("consort_sdk._component")
        model = component._HostModel(self.model)
        self.assertEqual((model.name, model.version), ("bert", "7"))
        self.assertTrue(model.has_batch_axis)
        self.assertEqual(model.signature.inputs[0].shape, (None, None))


class TheFakes(unittest.TestCase):
    def test_they_name_what_the_contract_names(self):
        """The fakes would be worthless if `wit/` had other functions and datatypes."""
        wit = (Path(__file__).parents[3] / "wit" / "tensors.wit").read_text()
        resource = wit[wit.index("resource tensor") :]
        functions = [
            line.split(":")[0].strip().lstrip("%").replace("-", "_")
            for line in resource.splitlines()
            if "func(" in line
        ]
        fakes = [name for name in vars(host.HostTensor) if not name.startswith("_")]
        self.assertEqual(sorted(fakes), sorted(functions))
        models = (host.HostModel, host.HostPending, host)
        for interface, fakes in [("models", models), ("collate", (host,))]:
            text = (Path(__file__).parents[3] / "wit" / f"{interface}.wit").read_text()
            for line in text.splitlines():
                name = line.split(":")[0].strip().replace("-", "_")
                if "func(" in line and name != "open":
                    self.assertTrue(any(hasattr(fake, name) for fake in fakes), name)
        listed = wit[wit.index("enum datatype") : wit.index("variant tensor-error")]
        names = [
            line.strip().strip("%,").upper()
            for line in listed.splitlines()[1:]
            if line.strip().endswith(",") and "//" not in line
        ]
        self.assertEqual(names, [datatype.name for datatype in host.HostDatatype])


if __name__ == "__main__":
    unittest.main()
