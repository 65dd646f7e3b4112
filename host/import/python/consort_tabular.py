"""scikit-learn, XGBoost and LightGBM: estimators that take a table.

Two shapes of input. A model of a matrix has one input of `[rows, features]`. A pipeline that begins
with a ColumnTransformer takes named columns: an input of `[rows, 1]` for each, numbers or texts.
"""

import json
import re

from consort_convert import Failed, needed
from consort_agreement import agreement

# The name of the only input of a model of a matrix.
MATRIX = "input"


def convert(request, report):
    loaded = load(request, report)
    root = type(loaded).__module__.split(".")[0]
    report.progress(f"{type(loaded).__name__} of {root}")
    if root == "xgboost":
        return convert_xgboost(loaded, request, report)
    if root == "lightgbm":
        return convert_lightgbm(loaded, request, report)
    if hasattr(loaded, "predict") or hasattr(loaded, "transform"):
        return convert_sklearn(loaded, request, report)
    raise Failed("unsupported", f"the file holds a {type(loaded).__module__}.{type(loaded).__name__}, and that is no model")


# === Reading ===


def load(request, report):
    path, form = request["model"], request["form"]
    report.progress("loading the model")
    if form == "xgboost-native":
        return load_xgboost(path)
    if form == "lightgbm-text":
        lightgbm = needed("lightgbm", "lightgbm")
        try:
            return lightgbm.Booster(model_file=path)
        except lightgbm.basic.LightGBMError as error:
            raise Failed("file", f"LightGBM cannot read it: {error}") from error
    joblib = needed("joblib", "joblib")
    try:
        return joblib.load(path)
    except ModuleNotFoundError as error:
        raise Failed("package", error.name or str(error)) from error
    except (AttributeError, ImportError) as error:
        # A class that another version of a library had, or one of the author's own.
        raise Failed("unsupported", f"the pickle names something that is not there: {error}") from error
    except Exception as error:
        raise Failed("file", f"it cannot be unpickled: {type(error).__name__}: {error}") from error


def load_xgboost(path):
    """The estimator that was saved, if it was one, and else the booster."""
    xgboost = needed("xgboost", "xgboost")
    try:
        booster = xgboost.Booster(model_file=path)
    except xgboost.core.XGBoostError as error:
        raise Failed("file", f"XGBoost cannot read it: {str(error).splitlines()[0]}") from error
    saved = json.loads(booster.attr("scikit_learn") or "{}")
    name = {"classifier": "XGBClassifier", "regressor": "XGBRegressor"}.get(saved.get("_estimator_type"))
    if name is None:
        return booster
    estimator = getattr(xgboost, name)()
    estimator.load_model(path)
    return estimator


# === Inputs ===


def tensor_type(types, given):
    names = {
        "FP32": "FloatTensorType", "FP64": "DoubleTensorType", "INT64": "Int64TensorType",
        "INT32": "Int32TensorType", "BYTES": "StringTensorType", "BOOL": "BooleanTensorType",
    }
    name = names.get(given["datatype"])
    if name is None:
        known = ", ".join(names)
        raise Failed("inputs", f"the input {given['name']} is {given['datatype']}, and converters of tables take {known}")
    shape = [None if axis < 0 else axis for axis in given["shape"]]
    return given["name"], getattr(types, name)([None, *shape])


def matrix_types(request, features, types):
    """The type of the one input: as asked for, else FP32 and as wide as the model was trained."""
    given = request["inputs"]
    if len(given) > 1:
        raise Failed("inputs", f"the model takes one matrix of {features} columns, and {len(given)} inputs were named")
    if not given:
        return [tensor_type(types, {"name": MATRIX, "datatype": "FP32", "shape": [features]})]
    shape = given[0]["shape"]
    if shape != [features]:
        raise Failed("inputs", f"the model was trained on {features} columns: write --input {given[0]['name']}={given[0]['datatype']}[{features}]")
    return [tensor_type(types, given[0])]


def columns_of(model):
    """The named columns that a pipeline begins with: name and datatype of each, or None."""
    first = model
    while hasattr(first, "steps"):
        first = first.steps[0][1]
    names = getattr(first, "feature_names_in_", None)
    if not hasattr(first, "transformers_") or names is None:
        return None
    used = {}
    for _, transformer, selected in first.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        for at, name in enumerate(picked(selected, names)):
            used.setdefault(name, text_or_number(transformer, at))
    # In the order of training; what no transformer reads is no input.
    return [(str(name), used[name]) for name in names if name in used]


def graph_name(column):
    """The name that skl2onnx gives to the input of a column: ONNX wants names of plain letters."""
    return re.sub(r"[^\w+]", "_", str(column))


def picked(selected, names):
    """Names of the columns that a transformer was given: by name, number, slice or mask."""
    if isinstance(selected, str):
        return [selected]
    if isinstance(selected, slice) and (isinstance(selected.start, str) or isinstance(selected.stop, str)):
        names = list(names)
        start = names.index(selected.start) if selected.start is not None else 0
        stop = names.index(selected.stop) + 1 if selected.stop is not None else len(names)
        return names[start:stop]
    selected = [selected] if isinstance(selected, int) else selected
    if not isinstance(selected, slice) and len(selected) and isinstance(selected[0], str):
        return list(selected)
    return list(names[selected])


def text_or_number(transformer, at):
    """BYTES where the first step of a transformer learned categories that are texts."""
    while hasattr(transformer, "steps"):
        learned = [step for _, step in transformer.steps if hasattr(step, "categories_") or hasattr(step, "vocabulary_")]
        transformer = learned[0] if learned else transformer.steps[0][1]
    if hasattr(transformer, "vocabulary_"):
        return "BYTES"
    categories = getattr(transformer, "categories_", None)
    if categories is None or at >= len(categories):
        return "FP32"
    texts = any(isinstance(category, str) for category in categories[at])
    if texts:
        return "BYTES"
    return "INT64" if categories[at].dtype.kind in "iu" else "FP32"


# === Converting ===


def convert_sklearn(model, request, report):
    skl2onnx = needed("skl2onnx", "skl2onnx")
    types = needed("skl2onnx.common.data_types", "skl2onnx")
    opset = request["opset"]
    if register_boosters():
        # The newest operators for trees that the converters of boosters know.
        opset = {"": opset or skl2onnx.get_latest_tested_opset_version(), "ai.onnx.ml": 3}
        for step in steps_of(model):
            if hasattr(step, "get_booster"):
                step.get_booster().feature_names = None
    columns = columns_of(model)
    if request["inputs"] and columns:
        initial = [tensor_type(types, given) for given in request["inputs"]]
        asked = {given["name"] for given in request["inputs"]}
        missing = [name for name, _ in columns if name not in asked]
        if missing:
            raise Failed("inputs", f"the pipeline also reads these columns: {', '.join(missing)}")
    elif columns:
        initial = [tensor_type(types, {"name": name, "datatype": datatype, "shape": [1]}) for name, datatype in columns]
    else:
        features = getattr(model, "n_features_in_", None)
        if features is None and len(request["inputs"]) != 1:
            raise Failed("inputs", "the model does not say how many columns it takes: give --input NAME=FP32[COLUMNS]")
        features = features or request["inputs"][0]["shape"][0]
        initial = matrix_types(request, int(features), types)
    last = model
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    classifier = hasattr(model, "classes_") and hasattr(model, "predict_proba")
    # Probabilities as a tensor and not as a sequence of maps, which is what ZipMap makes.
    options = {id(model): {"zipmap": False}} if classifier else None
    report.progress(f"skl2onnx.to_onnx, {len(initial)} input(s)")
    missing = skl2onnx.common.exceptions
    try:
        onnx_model = skl2onnx.to_onnx(model, initial_types=initial, options=options, target_opset=opset)
    except (missing.MissingShapeCalculator, missing.MissingConverter) as error:
        names = ", ".join(type(step).__name__ for step in steps_of(model))
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise Failed("unsupported", f"skl2onnx has no converter for a step of it ({names}): {first}") from error
    except NameError as error:
        # How skl2onnx refuses an option that an estimator does not know.
        if options is None:
            raise
        report.progress(f"again without the option zipmap: {error}")
        onnx_model = skl2onnx.to_onnx(model, initial_types=initial, target_opset=opset)
    names = getattr(model, "feature_names_in_", None)
    return finish(onnx_model, model, request, report, "skl2onnx.to_onnx(zipmap=False)" if classifier else "skl2onnx.to_onnx", {
        "columns": renamed(columns) if columns else None if names is None else [str(name) for name in names],
        "classes": getattr(model, "classes_", None),
    })


def renamed(columns):
    """The names of the columns, if the inputs have others."""
    names = [name for name, _ in columns]
    return names if any(graph_name(name) != name for name in names) else None


def steps_of(model):
    if not hasattr(model, "steps"):
        return [model]
    return [leaf for _, step in model.steps for leaf in steps_of(step)]


def register_boosters():
    """Lets skl2onnx convert pipelines that end in XGBoost or LightGBM; says whether any is used."""
    import sys

    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as classes
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes as values

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if "xgboost" in sys.modules:
        import xgboost
        convert_one = needed("onnxmltools.convert.xgboost.operator_converters.XGBoost", "onnxmltools").convert_xgboost
        update_registered_converter(xgboost.XGBClassifier, "XGBoostXGBClassifier", classes, convert_one, options=options)
        update_registered_converter(xgboost.XGBRegressor, "XGBoostXGBRegressor", values, convert_one)
    if "lightgbm" in sys.modules:
        import lightgbm
        convert_one = needed("onnxmltools.convert.lightgbm.operator_converters.LightGbm", "onnxmltools").convert_lightgbm
        update_registered_converter(lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classes, convert_one, options=options)
        update_registered_converter(lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", values, convert_one, options={"split": None})
    return "xgboost" in sys.modules or "lightgbm" in sys.modules


def convert_xgboost(model, request, report):
    onnxmltools = needed("onnxmltools", "onnxmltools")
    types = needed("onnxmltools.convert.common.data_types", "onnxmltools")
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    columns = booster.feature_names
    # The converter knows features by number alone.
    booster.feature_names = None
    initial = matrix_types(request, int(booster.num_features()), types)
    report.progress("onnxmltools.convert_xgboost")
    onnx_model = onnxmltools.convert_xgboost(model, initial_types=initial, target_opset=request["opset"])
    return finish(onnx_model, model, request, report, "onnxmltools.convert_xgboost", {
        "columns": columns,
        "classes": getattr(model, "classes_", None),
    })


def convert_lightgbm(model, request, report):
    onnxmltools = needed("onnxmltools", "onnxmltools")
    types = needed("onnxmltools.convert.common.data_types", "onnxmltools")
    booster = getattr(model, "booster_", model)
    names = booster.feature_name()
    columns = None if names == [f"Column_{at}" for at in range(len(names))] else names
    initial = matrix_types(request, int(booster.num_feature()), types)
    report.progress("onnxmltools.convert_lightgbm")
    onnx_model = onnxmltools.convert_lightgbm(model, initial_types=initial, target_opset=request["opset"], zipmap=False)
    return finish(onnx_model, model, request, report, "onnxmltools.convert_lightgbm(zipmap=False)", {
        "columns": columns,
        "classes": getattr(model, "classes_", None),
    })


# === Writing ===


def finish(onnx_model, model, request, report, converter, found):
    onnx = needed("onnx", "onnx")
    mend_labels(onnx_model)
    onnx.save_model(onnx_model, request["out"])
    report.progress("comparing with the model's own predictions")
    agreed, problem = agreement(model, onnx_model, request["out"])
    return {
        "converter": converter,
        "labels": labels(found["classes"], onnx_model),
        "columns": found["columns"],
        "agreement": agreed,
        "warnings": [problem] if problem else [],
        "files": ["model.onnx"],
    }


def mend_labels(onnx_model):
    """LightGBM's converter declares one label, whatever the batch; it makes one for each row."""
    for output in onnx_model.graph.output:
        axes = output.type.tensor_type.shape.dim if output.type.HasField("tensor_type") else []
        if output.name == "label" and len(axes) == 1 and axes[0].dim_value == 1:
            axes[0].Clear()
            axes[0].dim_param = "batch"


def labels(classes, onnx_model):
    """The classes in the order of the probabilities, or of the graph where the model has none."""
    values = list(classes) if classes is not None else graph_labels(onnx_model)
    # A classifier of several outputs has several lists, of which none is the labels.
    if not values or any(hasattr(value, "__len__") and not isinstance(value, (str, bytes)) for value in values):
        return None
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    return [value if isinstance(value, (bool, int, float, str)) else str(value) for value in plain]


def graph_labels(onnx_model):
    for node in onnx_model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_int64s" and len(attribute.ints) > 1:
                return list(attribute.ints)
            if attribute.name == "classlabels_strings" and len(attribute.strings) > 1:
                return [text.decode() for text in attribute.strings]
    return None
