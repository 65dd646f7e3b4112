"""Whether a converted table model says what the original says, on rows made up here.

The rows follow what the model itself knows of its inputs: means and spreads of a scaler, thresholds
of trees, categories of an encoder. A check of the conversion, and no measure of the model.
"""

ROWS = 64
# Sums of hundreds of trees in 32 bits differ by this much, relative to their size.
TOLERANCE = 1e-3
TIE = 1e-5


def agreement(model, onnx_model, path):
    """What was compared, and a warning where it differs or could not be compared."""
    try:
        import numpy
        import onnxruntime
    except ImportError:
        return None, "onnxruntime is not installed there, so that the result was not compared with the model"
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = rows(model, onnx_model, session, numpy)
        results = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))
        return compare(model, feeds, results, numpy)
    except Exception as error:
        return None, f"the result could not be compared with the model: {type(error).__name__}: {error}"


# === Rows ===


def rows(model, onnx_model, session, numpy):
    random = numpy.random.default_rng(20)
    learned = {"numbers": {}, "categories": {}}
    learn(model, learned)
    types = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(bool)": "bool"}
    feeds = {}
    for given in session.get_inputs():
        width = given.shape[1]
        if given.type == "tensor(string)":
            known = learned["categories"].get(given.name, ["a"])
            texts = [[str(random.choice(known)) for _ in range(width)] for _ in range(ROWS)]
            feeds[given.name] = numpy.array(texts, dtype=object)
        elif given.name in learned["categories"]:
            values = random.choice(learned["categories"][given.name], size=(ROWS, width))
            feeds[given.name] = values.astype(types[given.type])
        else:
            center, spread = learned["numbers"].get(given.name) or ranges(onnx_model, width, numpy)
            values = center + spread * random.standard_normal((ROWS, width))
            feeds[given.name] = values.astype(types[given.type])
    return feeds


def learn(model, learned):
    """What a ColumnTransformer's parts know of single columns."""
    first = model
    while hasattr(first, "steps"):
        first = first.steps[0][1]
    names = getattr(first, "feature_names_in_", None)
    if not hasattr(first, "transformers_") or names is None:
        return
    from consort_tabular import graph_name, picked, steps_of

    for _, transformer, selected in first.transformers_:
        for leaf in steps_of(transformer):
            for at, name in enumerate(map(graph_name, picked(selected, names))):
                if hasattr(leaf, "categories_") and at < len(leaf.categories_):
                    learned["categories"].setdefault(name, list(leaf.categories_[at]))
                if getattr(leaf, "mean_", None) is not None and getattr(leaf, "scale_", None) is not None:
                    learned["numbers"].setdefault(name, (leaf.mean_[at], leaf.scale_[at]))


def ranges(onnx_model, width, numpy):
    """Center and spread of each feature of a matrix, as the graph's own nodes have them."""
    center, spread = numpy.zeros(width), numpy.ones(width)
    for node in onnx_model.graph.node:
        values = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Scaler" and len(values["offset"].floats) == width:
            scale = numpy.array(values["scale"].floats)
            return numpy.array(values["offset"].floats), 1 / numpy.where(scale == 0, 1, scale)
        if node.op_type.startswith("TreeEnsemble") and "nodes_featureids" in values:
            features = numpy.array(values["nodes_featureids"].ints)
            thresholds = numpy.array(values["nodes_values"].floats or values["nodes_values_as_tensor"].t.float_data)
            inner = numpy.array([mode != b"LEAF" for mode in values["nodes_modes"].strings])
            for feature in range(width):
                own = thresholds[inner & (features == feature)]
                if len(own):
                    center[feature], spread[feature] = own.mean(), own.std() + abs(own.mean()) * 0.1 + 1e-3
            return center, spread
    return center, spread


# === Comparison ===


def compare(model, feeds, results, numpy):
    table = as_table(model, feeds)
    names = list(results)
    told = {"rows": ROWS, "labels_differ": 0, "worst": 0.0}
    if hasattr(model, "predict_proba"):
        probabilities = numpy.asarray(model.predict_proba(table))
        # Forests often give two classes the same probability; which wins then is rounding.
        highest = numpy.sort(probabilities, axis=1)
        clear = highest[:, -1] - highest[:, -2] > TIE
        told["labels_differ"] = differing(model.predict(table), results[names[0]], clear, numpy)
        told["worst"] = worst(probabilities, results[names[-1]], numpy)
    elif names[0] == "label" and hasattr(model, "n_features_in_"):
        told["labels_differ"] = differing(model.predict(table), results["label"], True, numpy)
    else:
        expected = booster_predictions(model, table) if not hasattr(model, "n_features_in_") else call(model, table)
        told["worst"] = worst(expected, results[names[-1]], numpy)
    if told["labels_differ"] or not told["worst"] <= TOLERANCE:
        return told, (
            f"on {ROWS} made-up rows the ONNX file and the model differ: {told['labels_differ']} labels, and values by up to "
            f"{told['worst']:.2e}; do not use it before you know why"
        )
    return told, None


def differing(expected, actual, clear, numpy):
    pairs = zip(numpy.asarray(expected).ravel(), numpy.asarray(actual).ravel())
    return int((numpy.array([str(one) != str(other) for one, other in pairs]) & clear).sum())


def call(model, table):
    return model.predict(table) if hasattr(model, "predict") else model.transform(table)


def booster_predictions(model, table):
    if type(model).__module__.startswith("xgboost"):
        import xgboost

        return model.predict(xgboost.DMatrix(table))
    return model.predict(table)


def as_table(model, feeds):
    names = getattr(model, "feature_names_in_", None)
    matrix = next(iter(feeds.values()))
    if matrix.dtype == "float32":
        # What the libraries train on, and for some the only type they take.
        matrix = matrix.astype("float64")
    if len(feeds) == 1 and names is None:
        return matrix
    import pandas

    if len(feeds) == 1 and len(names) == matrix.shape[1]:
        return pandas.DataFrame(matrix, columns=names)
    # A column that nothing reads is still asked for.
    from consort_tabular import graph_name

    inputs = {name: feeds.get(graph_name(name)) for name in names}
    columns = {name: 0.0 if values is None else values.ravel() for name, values in inputs.items()}
    return pandas.DataFrame(columns)


def worst(expected, actual, numpy):
    """The largest difference, relative for values above 1."""
    expected, actual = numpy.asarray(expected, dtype=float), numpy.asarray(actual, dtype=float)
    if expected.ndim == 1 and actual.ndim == 2 and actual.shape[1] == 2:
        # A booster gives the probability of the second of two classes.
        actual = actual[:, 1]
    actual = actual.reshape(expected.shape)
    return float(numpy.max(numpy.abs(expected - actual) / numpy.maximum(1, numpy.abs(expected))))
