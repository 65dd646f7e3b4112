"""Tensors in memory: every datatype, the operations, and what is refused."""

import math
import random
import unittest
from array import array
from math import prod

import consort_sdk as consort
from consort_sdk import (
    BF16,
    BOOL,
    BYTES,
    FP16,
    FP32,
    FP64,
    INT8,
    INT32,
    INT64,
    UINT8,
    UINT64,
    Datatype,
    InvalidInput,
    Tensor,
    TensorError,
)


def numbers(*shape):
    return Tensor.of(INT32, shape, range(prod(shape)))


def values(tensor):
    return tensor.shape, list(tensor.read())


class Reading(unittest.TestCase):
    def test_every_datatype_reads_back(self):
        for datatype in Datatype:
            elements = {
                BOOL: [True, False, True],
                BYTES: [b"", b"ab", b"\xff"],
                FP16: [0.5, -2.0, 65504.0],
                BF16: [0.5, -2.0, 2.0**100],
                FP32: [0.5, -2.0, 2.0**-100],
                FP64: [0.1, -0.1, 1e300],
            }.get(datatype, [0, 1, 100])
            with self.subTest(datatype):
                tensor = Tensor.of(datatype, [3], elements)
                self.assertIs(tensor.datatype, datatype)
                self.assertEqual(list(tensor.read(datatype)), elements)
                if datatype.size_bytes is not None:
                    self.assertEqual(tensor.byte_length, 3 * datatype.size_bytes)
                again = Tensor.from_raw(datatype, [3], tensor.read_raw())
                self.assertEqual(list(again.read()), elements)

    def test_elements_are_little_endian(self):
        self.assertEqual(Tensor.single(consort.UINT32, 0x01020304).read_raw(), b"\4\3\2\1")
        self.assertEqual(Tensor.single_text("ab").read_raw(), b"\2\0\0\0ab")
        self.assertEqual(Tensor.single(FP16, 1.0).read_raw(), b"\x00\x3c")
        self.assertEqual(Tensor.single(BF16, 1.0).read_raw(), b"\x80\x3f")

    def test_sizes_of_array_codes(self):
        for datatype in Datatype:
            code = datatype.value[2]
            if code is not None:
                self.assertEqual(array(code).itemsize, datatype.size_bytes, datatype)

    def test_numbers_come_as_an_array(self):
        self.assertEqual(numbers(2).read(), array("i", [0, 1]))
        self.assertEqual(Tensor.of(FP32, [2], array("f", [1, 2])).read(), array("f", [1, 2]))
        # An array of another code is converted, not reinterpreted.
        self.assertEqual(Tensor.of(FP32, [1], array("d", [3])).read(), array("f", [3]))

    def test_bf16_rounds_to_nearest_even(self):
        def rounded(bits):
            [value] = array("f", array("I", [bits]).tobytes())
            return int.from_bytes(Tensor.single(BF16, value).read_raw(), "little")

        self.assertEqual(rounded(0x3F80_8000), 0x3F80)
        self.assertEqual(rounded(0x3F80_8001), 0x3F81)
        self.assertEqual(rounded(0x3F81_8000), 0x3F82)
        self.assertEqual(rounded(0x8000_0000), 0x8000)
        self.assertEqual(rounded(0x7F7F_FFFF), 0x7F80)
        self.assertTrue(math.isnan(Tensor.single(BF16, math.nan).element()))

    def test_a_single_element_may_have_any_rank(self):
        for shape in [], [1], [1, 1]:
            self.assertEqual(Tensor.of(INT64, shape, [7]).element(INT64), 7)
        self.assertEqual(Tensor.single_text("ä").text(), "ä")
        with self.assertRaisesRegex(InvalidInput, r"has shape \[2\], 1 element is expected"):
            numbers(2).element()
        with self.assertRaisesRegex(InvalidInput, r"has shape \[2\], 1 element is expected"):
            Tensor.of(BYTES, [2], ["a", "b"]).text()

    def test_text_must_be_utf8(self):
        self.assertEqual(Tensor.of(BYTES, [2], ["ä", b"b"]).texts(), ["ä", "b"])
        with self.assertRaisesRegex(InvalidInput, "element 1 is not UTF-8 text: .*0xff"):
            Tensor.of(BYTES, [2], ["a", b"\xff"]).texts()

    def test_another_datatype_is_refused(self):
        with self.assertRaisesRegex(TensorError, "the tensor is INT32, FP32 is expected"):
            numbers(2).read(FP32)
        with self.assertRaisesRegex(TensorError, "the tensor is INT32, BYTES is expected"):
            numbers(2).texts()

    def test_a_range_reads_a_part(self):
        tensor = numbers(2, 3)
        self.assertEqual(list(tensor.read_range(2, 5)), [2, 3, 4])
        self.assertEqual(list(tensor.read_range(6, 6)), [])
        with self.assertRaisesRegex(TensorError, "bytes 20 to 28 are outside of 24 bytes"):
            tensor.read_range(5, 7)
        with self.assertRaisesRegex(TensorError, "elements of a BYTES tensor vary"):
            Tensor.single_text("a").read_range(0, 1)


    def test_ends_of_texts(self):
        texts = Tensor.of(BYTES, [3], ["abcdef", "", "xy"])
        self.assertEqual(texts.heads(4), [(b"abcd", 6), (b"", 0), (b"xy", 2)])
        self.assertEqual(texts.tails(4), [(b"cdef", 6), (b"", 0), (b"xy", 2)])
        self.assertEqual(texts.tails(0), [(b"", 6), (b"", 0), (b"", 2)])
        with self.assertRaisesRegex(TensorError, "the tensor is INT32, BYTES is expected"):
            numbers(2).heads(1)
        with self.assertRaisesRegex(TensorError, "-1 bytes cannot be read"):
            texts.heads(-1)

    def test_numbers_are_widened_where_none_is_lost(self):
        flags = Tensor.of(Datatype.BOOL, [2], [True, False])
        self.assertEqual(list(flags.widen(FP32).read(FP32)), [1.0, 0.0])
        bytes_ = Tensor.of(Datatype.UINT8, [2, 1], [0, 255])
        wide = bytes_.widen(Datatype.INT32)
        self.assertEqual((wide.shape, list(wide.read(Datatype.INT32))), ([2, 1], [0, 255]))
        with self.assertRaisesRegex(TensorError, "INT32 cannot be widened to FP32"):
            wide.widen(FP32)


class Making(unittest.TestCase):
    def test_data_must_fit_the_shape(self):
        for make, message in [
            (lambda: Tensor.of(FP32, [2, 3], [0.0] * 5), "takes 24 bytes, 20 were given"),
            (lambda: Tensor.of(BYTES, [3], ["a"]), "takes 3 elements, 1 were given"),
            (lambda: Tensor.from_raw(BYTES, [1], b"\2\0\0\0x"), "element 0 is truncated"),
            (lambda: Tensor.from_raw(BYTES, [2], b"\0\0\0\0\1"), "element 1 is truncated"),
        ]:
            with self.subTest(message), self.assertRaisesRegex(TensorError, message):
                make()

    def test_elements_must_fit_the_datatype(self):
        for datatype, element in [
            (UINT8, 256),
            (INT8, -129),
            (INT32, 1.5),
            (UINT64, -1),
            (FP32, "1"),
            (FP16, 1e9),
            (BOOL, 2),
            (BYTES, 3),
        ]:
            with self.subTest(f"{element!r} as {datatype}"):
                with self.assertRaisesRegex(TensorError, f"these are no {datatype} elements"):
                    Tensor.single(datatype, element)

    def test_a_tensor_says_what_it_is(self):
        self.assertEqual(repr(numbers(2, 3)), "Tensor(INT32 [2, 3])")


class Operations(unittest.TestCase):
    def test_slice(self):
        tensor = numbers(3, 4)
        self.assertEqual(values(tensor.slice([(1, 3), (1, 3)])), ([2, 2], [5, 6, 9, 10]))
        self.assertEqual(values(tensor.slice([(1, 1), (0, 4)])), ([0, 4], []))
        self.assertEqual(values(tensor.rows(2, 3)), ([1, 4], [8, 9, 10, 11]))
        texts = Tensor.of(BYTES, [2, 2], ["a", "bb", "", "dddd"])
        self.assertEqual(texts.slice([(0, 2), (1, 2)]).texts(), ["bb", "dddd"])
        with self.assertRaisesRegex(TensorError, r"1 ranges were given for the shape \[3, 4\]"):
            tensor.slice([(0, 1)])
        with self.assertRaisesRegex(TensorError, "2 to 5 is outside of axis 1, whose length is 4"):
            tensor.slice([(0, 3), (2, 5)])

    def test_reshape(self):
        tensor = numbers(2, 3)
        self.assertEqual(values(tensor.reshape([6])), ([6], list(range(6))))
        self.assertEqual(values(tensor.share()), values(tensor))
        with self.assertRaisesRegex(TensorError, "takes 4 elements, the tensor has 6"):
            tensor.reshape([4])

    def test_pad(self):
        padded = numbers(2, 2).pad([3, 3], -1)
        self.assertEqual(values(padded), ([3, 3], [0, 1, -1, 2, 3, -1, -1, -1, -1]))
        self.assertEqual(Tensor.single_text("a").pad([3], "pad").texts(), ["a", "pad", "pad"])
        with self.assertRaisesRegex(TensorError, r"shape \[2\] cannot be padded to \[1\]"):
            numbers(2).pad([1], 0)

    def test_join(self):
        a, b = numbers(2, 2), numbers(2, 2)
        self.assertEqual(values(Tensor.stack([a, b])), ([2, 2, 2], [0, 1, 2, 3] * 2))
        wide = Tensor.concat([a, numbers(2, 1)], 1)
        self.assertEqual(values(wide), ([2, 3], [0, 1, 0, 2, 3, 1]))
        long = Tensor.concat([a, numbers(1, 2)], 0)
        self.assertEqual(values(long), ([3, 2], [0, 1, 2, 3, 0, 1]))
        floats = Tensor.of(FP32, [2, 2], [0.0] * 4)
        for join, message in [
            (lambda: Tensor.concat([a, floats], 0), "INT32 and FP32 cannot be joined"),
            (lambda: Tensor.concat([a, numbers(1, 2)], 1), "cannot be joined along axis 1"),
            (lambda: Tensor.stack([a, numbers(4)]), r"\[2, 2\] and \[4\] cannot be stacked"),
            (lambda: Tensor.concat([a], 2), r"axis 2 is outside of shape \[2, 2\]"),
            (lambda: Tensor.stack([]), "no tensors were given to join"),
        ]:
            with self.subTest(message), self.assertRaisesRegex(TensorError, message):
                join()

    def test_cutting_and_joining_gives_the_whole_again(self):
        random_cuts = random.Random(0)
        for _ in range(50):
            shape = random_cuts.choices(range(1, 5), k=2)
            axis = random_cuts.randrange(2)
            cut = random_cuts.randint(0, shape[axis])
            tensor = numbers(*shape)
            ranges = [(0, length) for length in shape]
            parts = []
            for ranges[axis] in (0, cut), (cut, shape[axis]):
                parts.append(tensor.slice(ranges))
            self.assertEqual(values(Tensor.concat(parts, axis)), values(tensor))


if __name__ == "__main__":
    unittest.main()
