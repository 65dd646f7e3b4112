"""Models and collating outside of a component, as an author's unit tests use them."""

import unittest

import consort_sdk as consort
from consort_sdk import collate


def ints(shape, elements):
    return consort.Tensor.of(consort.INT64, shape, elements)


class Collating(unittest.TestCase):
    def test_lists_are_padded_masked_and_cut_back(self):
        lists = [ints([1], [7]), ints([3], [1, 2, 3]), ints([0], [])]
        padded, mask = collate.stack_padded(lists, -1, consort.FP32)
        self.assertEqual(padded.shape, [3, 3])
        self.assertEqual(list(padded.read()), [7, -1, -1, 1, 2, 3, -1, -1, -1])
        self.assertEqual(list(mask.read(consort.FP32)), [1, 0, 0, 1, 1, 1, 0, 0, 0])
        parts = collate.split(padded, [1, 3, 0])
        self.assertEqual([list(part.read()) for part in parts], [[7], [1, 2, 3], []])
        self.assertIsNone(collate.stack_padded(lists, 0)[1])

    def test_texts_are_padded_and_filled(self):
        one = consort.Tensor.single_text("a")
        two = consort.Tensor.of(consort.BYTES, [2], ["b", "c"])
        self.assertEqual(collate.stack_padded([one, two], "-")[0].texts(), ["a", "-", "b", "c"])
        self.assertEqual(collate.fill(consort.BYTES, [2], "x").texts(), ["x", "x"])
        self.assertEqual(list(collate.fill(consort.UINT8, [2, 2], 7).read()), [7] * 4)

    def test_what_does_not_fit_is_refused(self):
        a, square = ints([1], [1]), ints([1, 1], [1])
        text = consort.Tensor.single_text("a")
        for work, part in [
            (lambda: collate.stack_padded([], 0), "no tensors"),
            (lambda: collate.stack_padded([a, square], 0), "numbers of axes"),
            (lambda: collate.stack_padded([a, text], 0), "cannot be stacked"),
            (lambda: collate.stack_padded([a], "x"), "no INT64 element"),
            (lambda: collate.stack_padded([a], 0, consort.BYTES), "mask of BYTES"),
            (lambda: collate.split(square, [1, 1]), "2 lengths are given for 1 parts"),
            (lambda: collate.split(square, [2]), "outside of axis 0"),
            (lambda: collate.split(a, [0]), "scalars"),
            (lambda: collate.split(ints([], [1])), "scalar"),
        ]:
            with self.assertRaisesRegex(consort.TensorError, part):
                work()


class AFakeModel(unittest.TestCase):
    def setUp(self):
        signature = consort.Signature().input("x", consort.INT64, [consort.ANY])
        self.model = consort.Model.fake("twice", signature, self.infer)

    def infer(self, inputs, args):
        factor = args.get("factor", 2)
        doubled = [factor * x for x in inputs.read("x")]
        return {"y": ints([len(doubled)], doubled)}

    def test_it_stands_for_a_model(self):
        self.assertEqual(list(self.model.infer({"x": ints([2], [1, 2])})["y"].read()), [2, 4])
        outputs = self.model.infer({"x": ints([1], [1])}, {"factor": 5})
        self.assertEqual(outputs["y"].element(), 5)
        self.assertEqual((self.model.name, self.model.has_batch_axis), ("twice", True))

    def test_it_refuses_other_tensors(self):
        for inputs, part in [
            ({}, "takes the tensors x, given are none"),
            ({"x": consort.Tensor.single(consort.FP32, 1)}, "is FP32, INT64 is expected"),
        ]:
            with self.assertRaisesRegex(consort.Failed, part):
                self.model.infer(inputs)

    def test_there_are_no_models_outside_of_a_component(self):
        with self.assertRaisesRegex(consort.Failed, "Model.fake"):
            consort.Model.open("bert")


if __name__ == "__main__":
    unittest.main()
