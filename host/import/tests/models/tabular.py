"""Small models of scikit-learn, XGBoost and LightGBM, one of each form, for the tests of the import."""

import pathlib
import pickle
import sys

import joblib
import lightgbm
import numpy
import pandas
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading

FOLDER = pathlib.Path(sys.argv[1])
IRIS, WINE, DIABETES = load_iris(), load_wine(), load_diabetes()
NAMES = IRIS.target_names[IRIS.target]

iris = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(IRIS.data, NAMES)
joblib.dump(iris, FOLDER / "iris.joblib")
joblib.dump(iris, FOLDER / "iris-small.joblib", compress=3)
joblib.dump(RandomForestClassifier(9, random_state=0).fit(WINE.data, WINE.target), FOLDER / "forest.joblib")
with open(FOLDER / "line.pkl", "wb") as file:
    pickle.dump(LinearRegression().fit(DIABETES.data, DIABETES.target), file)
joblib.dump(LabelSpreading().fit(IRIS.data, IRIS.target), FOLDER / "spreading.joblib")
joblib.dump({"weights": [1, 2]}, FOLDER / "dict.joblib")

table = load_wine(as_frame=True).data[["alcohol", "hue"]].copy()
table.insert(0, "strength of it", numpy.where(table["alcohol"] < 13, "light", "strong").astype(object))
table["year"] = (2000 + numpy.arange(len(table)) % 3).astype("int64")
columns = ColumnTransformer([
    ("text", OneHotEncoder(handle_unknown="ignore"), ["strength of it"]),
    ("year", make_pipeline(OrdinalEncoder()), ["year"]),
    ("number", StandardScaler(), ["hue"]),
    ("none", "drop", ["alcohol"]),
])
joblib.dump(make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, WINE.target), FOLDER / "columns.joblib")

boosted = xgboost.XGBClassifier(n_estimators=5).fit(WINE.data, WINE.target)
boosted.save_model(FOLDER / "boosted.json")
boosted.save_model(FOLDER / "boosted.ubj")
joblib.dump(boosted, FOLDER / "boosted.pkl")
xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(pandas.DataFrame(WINE.data, columns=WINE.feature_names), WINE.target > 0), 5).save_model(FOLDER / "plain.json")
joblib.dump(make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=5)).fit(WINE.data, WINE.target), FOLDER / "pipeline-xgboost.joblib")

light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(WINE.data, numpy.array(["a", "b", "c"])[WINE.target])
light.booster_.save_model(FOLDER / "light.txt")
joblib.dump(light, FOLDER / "light.pkl")
lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(DIABETES.data, DIABETES.target).booster_.save_model(FOLDER / "light-line.txt")
joblib.dump(make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)).fit(WINE.data, WINE.target), FOLDER / "pipeline-lightgbm.joblib")
