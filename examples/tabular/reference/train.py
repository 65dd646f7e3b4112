"""Trains the models of this example with scikit-learn, and writes them as ONNX with skl2onnx.

    python examples/tabular/reference/train.py [FOLDER]

Beside each model lie the rows it can be run on (.jsonl and .csv), what scikit-learn itself predicts
for them (.expected.jsonl), and the model as scikit-learn keeps it (.joblib). The folder is `model`
beside `reference` unless another is named. The data sets are those that come with scikit-learn.
"""

import csv
import json
import pathlib
import sys

import joblib
import numpy
import pandas
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "model")

# Models are trained on two rows of three, and asked about all of them.
TRAINED = 3


def some(rows):
    return [at for at in range(len(rows)) if at % TRAINED]


def write_lines(name, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (FOLDER / name).write_text(text, encoding="utf-8")


def write_csv(name, columns, rows):
    with open(FOLDER / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def write_model(name, model, initial_types, zipmap=False):
    """The ONNX file. Without ZipMap the probabilities are a tensor, with it a sequence of maps."""
    options = {id(model): {"zipmap": zipmap}} if hasattr(model, "predict_proba") else None
    (FOLDER / f"{name}.onnx").write_bytes(to_onnx(model, initial_types=initial_types, options=options).SerializeToString())


def plain(array):
    return array.tolist() if isinstance(array, numpy.ndarray) else array


def write_expected(name, model, table):
    """What scikit-learn says: labels and probabilities of a classifier, values of a regressor."""
    if hasattr(model, "predict_proba"):
        pairs = zip(plain(model.predict(table)), plain(model.predict_proba(table)))
        write_lines(f"{name}.expected.jsonl", [{"label": label, "probabilities": row} for label, row in pairs])
    else:
        write_lines(f"{name}.expected.jsonl", [{"value": value} for value in plain(model.predict(table))])


def write_matrix(name, model, rows, columns):
    """Rows of one dense array: one input of as many columns."""
    joblib.dump(model, FOLDER / f"{name}.joblib")
    write_expected(name, model, rows)
    write_lines(f"{name}.jsonl", [{"key": f"{name}-{at}", "inputs": {"input": row}} for at, row in enumerate(rows.tolist())])
    write_csv(f"{name}.csv", columns, rows.tolist())


def matrix(width):
    return [("input", FloatTensorType([None, width]))]


def iris():
    """Four measurements to one of three names."""
    data = load_iris()
    names = data.target_names[data.target]
    train = some(data.data)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(data.data[train], names[train])
    write_model("iris", model, matrix(4))
    write_matrix("iris", model, data.data, data.feature_names)


def iris_others():
    """Other models of the same, for the example `ab`: trees, and neighbours."""
    data = load_iris()
    names = data.target_names[data.target]
    train = some(data.data)
    forest = RandomForestClassifier(50, random_state=7)
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    for name, model in (("iris_forest", forest), ("iris_neighbours", neighbours)):
        model.fit(data.data[train], names[train])
        write_model(name, model, matrix(4))
        write_expected(name, model, data.data)


def wine():
    """Thirteen measurements to one of three numbers; the same model with ZipMap and without."""
    data = load_wine()
    train = some(data.data)
    model = RandomForestClassifier(50, random_state=7).fit(data.data[train], data.target[train])
    write_model("wine", model, matrix(13))
    write_model("wine_zipmap", model, matrix(13), zipmap=True)
    write_matrix("wine", model, data.data, data.feature_names)


def iris_zipmap():
    """The names as keys of maps."""
    write_model("iris_zipmap", joblib.load(FOLDER / "iris.joblib"), matrix(4), zipmap=True)


def diabetes():
    """Ten measurements to a number."""
    data = load_diabetes()
    train = some(data.data)
    model = make_pipeline(StandardScaler(), Ridge()).fit(data.data[train], data.target[train])
    write_model("diabetes", model, matrix(10))
    write_matrix("diabetes", model, data.data, data.feature_names)


def cellar():
    """Rows with named columns, numbers and texts: an input for each column."""
    data = load_wine(as_frame=True)
    table = data.frame[["flavanoids", "hue", "proline"]].copy()
    table["proline"] = table["proline"].round().astype("int64")
    alcohol = data.frame["alcohol"]
    table.insert(0, "strength", numpy.select([alcohol < 12.5, alcohol < 13.5], ["light", "medium"], "strong").astype(object))
    names = numpy.array(["barolo", "grignolino", "barbera"], dtype=object)[data.target]
    columns = ColumnTransformer([
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["strength"]),
        ("numbers", StandardScaler(), ["flavanoids", "hue"]),
        ("whole", StandardScaler(), ["proline"]),
    ])
    train = some(names)
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table.iloc[train], names[train])
    types = {"strength": StringTensorType, "proline": Int64TensorType}
    write_model("cellar", model, [(name, types.get(name, FloatTensorType)([None, 1])) for name in table.columns])
    # A strength that the encoder has never seen is no class at all, and no error.
    table = pandas.concat([table, table.iloc[:1].assign(strength="fortified")], ignore_index=True)
    joblib.dump(model, FOLDER / "cellar.joblib")
    write_expected("cellar", model, table)
    rows = table.to_dict("records")
    write_lines("cellar.jsonl", [{"key": f"cellar-{at}", "inputs": row} for at, row in enumerate(rows)])
    write_csv("cellar.csv", list(table.columns), [list(row.values()) for row in rows])


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for make in (iris, iris_zipmap, iris_others, wine, diabetes, cellar):
        make()
        print(f"train: {make.__name__}", flush=True)
