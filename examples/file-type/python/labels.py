"""The file-type model's post-processor in Python: from its scores to a label, as sure as
the model's own settings ask for. It gives the same answers as `plugins/labels` in Rust."""

import json
import math

import consort_sdk as consort

CONFIG_ASSET = "config.json"
CONTENT_TYPES_ASSET = "content_types.json"
SCORES = "target_label"

#: What is left to say of text and of other content when the model is not sure.
TEXT, UNKNOWN = "txt", "unknown"


@consort.export
class FileLabels(consort.Postprocess):
    """All lookups are done once, at load: one row for each of the model's outputs, with
    the score from which it is believed, the answer when it is and the answer when not."""

    def __init__(self, config, assets):
        if config:
            raise consort.Failed(
                "this plugin takes no `config`; "
                f'its settings come from the asset "{CONFIG_ASSET}"'
            )
        settings = Fields(CONFIG_ASSET, parsed(assets, CONFIG_ASSET))
        labels = settings.field("target_labels_space", list)
        medium = settings.field("medium_confidence_threshold", (int, float))
        thresholds = settings.field("thresholds", dict)
        overwrite_map = settings.field("overwrite_map", dict)
        check(labels, medium, thresholds, overwrite_map)

        types = ContentTypes(parsed(assets, CONTENT_TYPES_ASSET))
        self.rows = []
        for label in labels:
            if label in overwrite_map:
                sure = types.answer(overwrite_map[label], "`overwrite_map`")
            else:
                sure = types.answer(label, "`target_labels_space`")
            # The model is trusted to have told text from other content at least.
            generic = TEXT if types.is_text(sure[0]) else UNKNOWN
            unsure = types.answer(generic, "a score below its threshold")
            self.rows.append((thresholds.get(label, medium), sure, unsure))

    def describe(self):
        return (
            consort.Signature()
            .input(SCORES, consort.FP32, [len(self.rows)])
            .output("label", consort.BYTES, [1])
            .output("score", consort.FP32, [1])
            .output("mime_type", consort.BYTES, [1])
            .output("group", consort.BYTES, [1])
        )

    def postprocess(self, example):
        scores = example.read(SCORES, consort.FP32)
        (label, mime_type, group), score = self.verdict(scores)
        return {
            "label": consort.Tensor.single_text(label),
            "score": consort.Tensor.single(consort.FP32, score),
            "mime_type": consort.Tensor.single_text(mime_type),
            "group": consort.Tensor.single_text(group),
        }

    def verdict(self, scores):
        """The answer for these scores, and the highest of them. Of equal scores the first
        counts."""
        if len(scores) != len(self.rows):
            raise consort.InvalidInput(
                f'tensor "{SCORES}": there are {len(scores)} scores, {len(self.rows)} are '
                "expected, one for each of `target_labels_space`"
            )
        # The sum is fast, and it is a number where all scores are.
        if math.isnan(sum(scores)) and any(map(math.isnan, scores)):
            raise consort.InvalidInput(f'tensor "{SCORES}": a score is not a number')
        score = max(scores)
        threshold, sure, unsure = self.rows[scores.index(score)]
        return (sure if score >= threshold else unsure), score


class ContentTypes:
    """The meaning of each label."""

    def __init__(self, rows):
        if not isinstance(rows, dict):
            raise consort.Failed(f'asset "{CONTENT_TYPES_ASSET}" is not a JSON object')
        self.rows = rows

    def answer(self, label, user):
        """A label with its MIME type and group; `user` says who uses it, for the error."""
        if label not in self.rows:
            raise consort.Failed(
                f'asset "{CONTENT_TYPES_ASSET}" has no entry "{label}", which {user} uses'
            )
        row = Fields(f'{CONTENT_TYPES_ASSET}": "{label}', self.rows[label])
        generic = "text/plain" if self.is_text(label) else "application/octet-stream"
        mime_type = row.field("mime_type", (str, type(None)))
        group = row.field("group", (str, type(None)))
        return (
            label,
            generic if mime_type is None else mime_type,
            "unknown" if group is None else group,
        )

    def is_text(self, label):
        row = Fields(f'{CONTENT_TYPES_ASSET}": "{label}', self.rows[label])
        return row.field("is_text", bool)


class Fields:
    """A JSON object of which fields are asked for by name and type."""

    def __init__(self, place, value):
        self.place = place
        self.value = value
        if not isinstance(value, dict):
            raise consort.Failed(f'asset "{place}" is not a JSON object')

    def field(self, name, expected):
        if name not in self.value:
            raise consort.Failed(f'asset "{self.place}": missing field `{name}`')
        value = self.value[name]
        is_number = not isinstance(value, bool) or expected is bool
        if not isinstance(value, expected) or not is_number:
            found = type(value).__name__
            raise consort.Failed(f'asset "{self.place}": `{name}` is of type {found}')
        return value


def parsed(assets, name):
    try:
        return json.loads(assets.read(name))
    except ValueError as error:
        raise consort.Failed(f'asset "{name}": {error}') from error


def check(labels, medium, thresholds, overwrite_map):
    """Refuses settings that cannot be meant."""

    def refuse(message):
        raise consort.Failed(f'asset "{CONFIG_ASSET}": {message}')

    if not labels:
        refuse("`target_labels_space` is empty")
    first_at = {}
    for index, label in enumerate(labels):
        if not isinstance(label, str):
            refuse(f"`target_labels_space` has {label!r}, a label is expected")
        first = first_at.setdefault(label, index)
        if first != index:
            refuse(f'`target_labels_space` has "{label}" twice, at {first} and {index}')
    for key, table in [("thresholds", thresholds), ("overwrite_map", overwrite_map)]:
        for label in table:
            if label not in first_at:
                refuse(f'`{key}` has "{label}", which is not in `target_labels_space`')
    for place, threshold in [
        *((f'`thresholds`: "{label}"', value) for label, value in thresholds.items()),
        ("`medium_confidence_threshold`", medium),
    ]:
        is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
        if not is_number or not 0 <= threshold <= 1:
            refuse(f"{place} is {threshold}, 0 to 1 is expected")
    for label, other in overwrite_map.items():
        if not isinstance(other, str):
            refuse(f'`overwrite_map`: "{label}" is {other!r}, a label is expected')
