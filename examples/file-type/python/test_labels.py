"""Tests of the labels in Python: each way from scores to a label, and bad assets."""

import json
import unittest
from array import array

import consort_sdk as consort
from labels import FileLabels

CONFIG = {
    "target_labels_space": ["pdf", "awk", "csv", "randomtxt", "randombytes", "swift"],
    "medium_confidence_threshold": 0.5,
    "thresholds": {"csv": 0.9},
    "overwrite_map": {"randombytes": "unknown", "randomtxt": "txt"},
    "block_size": 4096,
}

CONTENT_TYPES = {
    "pdf": {"mime_type": "application/pdf", "group": "document", "is_text": False},
    "awk": {"mime_type": "text/awk", "group": "code", "is_text": True},
    "csv": {"mime_type": "text/csv", "group": "code", "is_text": True},
    "randomtxt": {"mime_type": None, "group": None, "is_text": True},
    "randombytes": {"mime_type": None, "group": None, "is_text": False},
    "swift": {"mime_type": None, "group": None, "is_text": True},
    "txt": {"mime_type": "text/plain", "group": "text", "is_text": True},
    "unknown": {"mime_type": None, "group": None, "is_text": False},
}

#: 0.9 as the model gives it is below 0.9 as the settings give it.
BELOW, ABOVE = 0.9, 0.90000004


def plugin(config=None, content_types=None, text=""):
    assets = {
        "config.json": json.dumps(CONFIG | (config or {})),
        "content_types.json": json.dumps(content_types or CONTENT_TYPES),
    }
    return FileLabels(text, consort.Assets(assets))


def label(*scores, config=None):
    (found, _, _), _ = plugin(config).verdict(array("f", scores))
    return found


class Labels(unittest.TestCase):
    def test_the_highest_score_counts_and_the_first_of_equals(self):
        self.assertEqual(label(0.1, 0.7, 0.2, 0, 0, 0), "awk")
        self.assertEqual(label(0.1, 0.1, 0.1, 0, 0, 0.7), "swift")
        self.assertEqual(label(0.5, 0.5, 0, 0, 0, 0), "pdf")
        self.assertEqual(label(0, 0.5, 0, 0, 0, 0.5), "awk")

    def test_a_low_score_leaves_text_or_unknown(self):
        self.assertEqual(label(0.49, 0, 0, 0, 0, 0), "unknown")
        self.assertEqual(label(0, 0.49, 0, 0, 0, 0), "txt")
        self.assertEqual(label(0, 0, 0, 0, 0, 0), "unknown")

    def test_thresholds(self):
        self.assertEqual(label(0, 0, BELOW, 0, 0, 0), "txt")
        self.assertEqual(label(0, 0, ABOVE, 0, 0, 0), "csv")
        self.assertEqual(label(0.5, 0, 0, 0, 0, 0), "pdf")

    def test_overwritten_labels(self):
        for score in 0.9, 0.2:
            self.assertEqual(label(0, 0, 0, score, 0, 0), "txt")
            self.assertEqual(label(0, 0, 0, 0, score, 0), "unknown")
        # Text or not is asked of the overwritten label, the threshold is the model's.
        config = {"overwrite_map": {"pdf": "awk"}}
        self.assertEqual(label(0.3, 0, 0, 0, 0, 0, config=config), "txt")
        config["thresholds"] = {"pdf": 0.2, "awk": 0.9}
        self.assertEqual(label(0.3, 0, 0, 0, 0, 0, config=config), "awk")

    def test_the_plugin_writes_what_it_describes(self):
        labels = plugin()
        signature = labels.describe()
        self.assertEqual([spec.shape for spec in signature.inputs], [(6,)])
        scores = consort.Tensor.of(consort.FP32, [6], [0, 0, 0, 0, 0, 0.75])
        outputs = labels.postprocess(consort.Example({"target_label": scores}))
        made = [
            consort.TensorSpec(name, tensor.datatype, tuple(tensor.shape))
            for name, tensor in outputs.items()
        ]
        self.assertEqual(made, signature.outputs)
        self.assertEqual(outputs["label"].text(), "swift")
        self.assertEqual(outputs["score"].element(), 0.75)
        self.assertEqual(outputs["mime_type"].text(), "text/plain")
        self.assertEqual(outputs["group"].text(), "unknown")

    def test_nulls_become_generic(self):
        answer, _ = plugin().verdict([0.1] * 6)
        self.assertEqual(answer, ("unknown", "application/octet-stream", "unknown"))

    def test_scores_that_fit_no_label_are_refused(self):
        for scores, message in [
            ([0.5] * 5, 'tensor "target_label": there are 5 scores, 6 are expected'),
            ([float("nan")] * 6, 'tensor "target_label": a score is not a number'),
        ]:
            tensor = consort.Tensor.of(consort.FP32, [len(scores)], scores)
            with self.assertRaisesRegex(consort.InvalidInput, message):
                plugin().postprocess(consort.Example({"target_label": tensor}))


class BadAssets(unittest.TestCase):
    def test_bad_settings_stop_the_load(self):
        for config, message in [
            ({"target_labels_space": []}, "`target_labels_space` is empty"),
            (
                {"target_labels_space": ["pdf", "awk", "pdf"]},
                '`target_labels_space` has "pdf" twice, at 0 and 2',
            ),
            ({"target_labels_space": [3]}, "`target_labels_space` has 3, a label is expected"),
            ({"target_labels_space": "pdf"}, "`target_labels_space` is of type str"),
            (
                {"thresholds": {"png": 0.5}},
                '`thresholds` has "png", which is not in `target_labels_space`',
            ),
            (
                {"overwrite_map": {"png": "pdf"}},
                '`overwrite_map` has "png", which is not in `target_labels_space`',
            ),
            ({"overwrite_map": {"pdf": 1}}, '`overwrite_map`: "pdf" is 1, a label is expected'),
            ({"thresholds": {"csv": 90}}, '`thresholds`: "csv" is 90, 0 to 1 is expected'),
            ({"thresholds": {"csv": "x"}}, '`thresholds`: "csv" is x, 0 to 1 is expected'),
            (
                {"medium_confidence_threshold": -1},
                "`medium_confidence_threshold` is -1, 0 to 1 is expected",
            ),
            (
                {"medium_confidence_threshold": True},
                "`medium_confidence_threshold` is of type bool",
            ),
        ]:
            with self.subTest(message), self.assertRaises(consort.Failed) as raised:
                plugin(config)
            self.assertEqual(str(raised.exception), f'asset "config.json": {message}')

    def test_a_missing_field_is_named(self):
        for name in "target_labels_space", "thresholds", "overwrite_map":
            assets = {
                "config.json": json.dumps({k: v for k, v in CONFIG.items() if k != name}),
                "content_types.json": json.dumps(CONTENT_TYPES),
            }
            with self.assertRaisesRegex(consort.Failed, f"missing field `{name}`"):
                FileLabels("", consort.Assets(assets))

    def test_a_bad_table_stops_the_load(self):
        def without(label):
            return {k: v for k, v in CONTENT_TYPES.items() if k != label}

        for types, message in [
            (without("awk"), 'has no entry "awk", which `target_labels_space` uses'),
            (without("txt"), 'has no entry "txt", which '),
            (CONTENT_TYPES | {"awk": {"group": None, "is_text": True}}, "missing field `mime_type`"),
            (CONTENT_TYPES | {"awk": []}, 'asset "content_types.json": "awk" is not a JSON object'),
            ([1], 'asset "content_types.json" is not a JSON object'),
        ]:
            with self.subTest(message), self.assertRaisesRegex(consort.Failed, message):
                plugin(content_types=types)

    def test_bad_json_and_config(self):
        with self.assertRaisesRegex(consort.Failed, 'asset "config.json": Expecting'):
            FileLabels("", consort.Assets({"config.json": "{"}))
        with self.assertRaisesRegex(consort.Failed, 'there is no asset "config.json"'):
            FileLabels("", consort.Assets())
        with self.assertRaisesRegex(consort.Failed, "takes no `config`"):
            plugin(text="x")


if __name__ == "__main__":
    unittest.main()
