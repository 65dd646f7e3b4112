"""Examples, assets, signatures and roles as an author's unit tests use them."""

import contextlib
import io
import unittest

import consort_sdk as consort
from consort_sdk import Example, Failed, InvalidInput, Tensor


class Examples(unittest.TestCase):
    def setUp(self):
        self.example = Example(
            {"ids": Tensor.of(consort.INT32, [2], [5, 6]), "text": Tensor.single_text(b"\xff")},
            key="row 7",
        )

    def test_tensors_are_read_by_name(self):
        self.assertEqual(list(self.example.read("ids", consort.INT32)), [5, 6])
        self.assertEqual(self.example.element("text"), b"\xff")
        self.assertEqual(self.example.key, "row 7")

    def test_errors_name_the_tensor(self):
        for read, kind, message in [
            (
                lambda: self.example.read("ids", consort.INT64),
                Failed,
                'tensor "ids": the tensor is INT32, INT64 is expected',
            ),
            (
                lambda: self.example.element("ids"),
                InvalidInput,
                'tensor "ids": the tensor has shape [2], 1 element is expected',
            ),
            (
                lambda: self.example.read("mask"),
                Failed,
                'there is no tensor "mask" in the example; it holds "ids", "text"',
            ),
        ]:
            with self.assertRaises(kind) as raised:
                read()
            self.assertEqual(str(raised.exception), message)
        for read in self.example.text, self.example.texts:
            with self.assertRaisesRegex(InvalidInput, 'tensor "text": element 0 is not UTF-8'):
                read("text")


class TheAssets(unittest.TestCase):
    def test_assets_are_found_by_name(self):
        assets = consort.Assets({"b.txt": "bee", "a.bin": b"\xff"})
        self.assertEqual(assets.names(), ["a.bin", "b.txt"])
        self.assertEqual(assets.read("b.txt"), b"bee")
        self.assertEqual(assets.text("b.txt"), "bee")
        with self.assertRaisesRegex(Failed, 'asset "a.bin" is not UTF-8 text'):
            assets.text("a.bin")

    def test_a_missing_asset_is_told_with_those_there_are(self):
        with self.assertRaises(Failed) as raised:
            consort.Assets({"b": "", "a": ""}).read("c")
        message = 'there is no asset "c"; the names are "a", "b"'
        self.assertEqual(str(raised.exception), message)
        with self.assertRaisesRegex(Failed, "there are none"):
            consort.Assets().read("c")


class Halves(consort.Preprocess):
    """Halves even numbers; odd ones are the caller's fault, 0 is already an answer."""

    def describe(self):
        return (
            consort.Description()
            .input("n", consort.INT64, [1])
            .forwards("half", consort.INT64, [1])
            .answers("zero", consort.BOOL, [1])
        )

    def preprocess(self, example):
        n = example.element("n", consort.INT64)
        if n == 0:
            return consort.Answer({"zero": Tensor.single(consort.BOOL, True)})
        if n % 2:
            raise InvalidInput(f"{n} is odd")
        return consort.Forward({"half": Tensor.single(consort.INT64, n // 2)})


class Roles(unittest.TestCase):
    def test_many_examples_give_one_result_each_in_order(self):
        plugin = Halves("", consort.Assets())
        examples = [Example({"n": Tensor.single(consort.INT64, n)}) for n in (4, 3, 0)]
        forward, error, answer = plugin.preprocess_many(examples)
        self.assertEqual(forward.outputs["half"].element(), 2)
        self.assertIsInstance(error, InvalidInput)
        self.assertEqual(str(error), "3 is odd")
        self.assertEqual(answer.outputs["zero"].element(), True)

    def test_a_defect_fails_one_example_and_says_where(self):
        [error] = Halves("", consort.Assets()).preprocess_many([None])
        self.assertIsInstance(error, Failed)
        text = r"^AttributeError: 'NoneType' .* \(in preprocess, test_plugin.py:\d+\)$"
        self.assertRegex(str(error), text)

    def test_a_description_keeps_the_order(self):
        description = Halves("", consort.Assets()).describe()
        names = [
            spec.name
            for spec in description.inputs + description.forwarded + description.answered
        ]
        self.assertEqual(names, ["n", "half", "zero"])
        signature = consort.Signature().input("a", consort.FP32, [consort.ANY, 3])
        spec = consort.TensorSpec("a", consort.FP32, (None, 3))
        self.assertEqual((signature.inputs, signature.outputs), ([spec], []))

    def test_export_checks_the_class(self):
        self.assertIs(consort.export(Halves), Halves)
        with self.assertRaisesRegex(TypeError, "Exports derives from none of"):

            @consort.export
            class Exports:
                pass

        with self.assertRaisesRegex(TypeError, "Half does not define describe, postprocess"):

            @consort.export
            class Half(consort.Postprocess):
                pass

        with self.assertRaisesRegex(TypeError, "derives from Preprocess and Postprocess"):

            @consort.export
            class Both(Halves, consort.Postprocess):
                def postprocess(self, example):
                    return {}


class TheLog(unittest.TestCase):
    def test_lines_go_to_standard_error(self):
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            for write in "trace", "debug", "info", "warn", "error":
                getattr(consort.log, write)(f"a {write}")
        lines = ["TRACE: a trace", "DEBUG: a debug", "INFO: a info", "WARN: a warn"]
        self.assertEqual(stderr.getvalue().splitlines(), [*lines, "ERROR: a error"])


if __name__ == "__main__":
    unittest.main()
