//! scikit-learn, XGBoost and LightGBM, in each form they are saved in.

use crate::support::{check_agreement, config, import, models, shown, tabular_python};
use consort_import::{Config, Environment, ImportError, Imported, InputSpec, Label};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

fn saved(name: &str) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| models(&tabular_python(), "tabular.py"));
    folder.path().join(name)
}

fn tabular(name: &str, output: &Path) -> Config {
    config(&tabular_python(), saved(name), output)
}

fn imported(name: &str) -> (Imported, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let imported = import(tabular(name, folder.path()));
    (
        imported.unwrap_or_else(|error| panic!("{name}: {error}")),
        folder,
    )
}

fn error(name: &str) -> ImportError {
    let folder = tempfile::tempdir().unwrap();
    let error = import(tabular(name, folder.path())).unwrap_err();
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is written when nothing was made");
    error
}

fn texts(labels: &[&str]) -> Option<Vec<Label>> {
    let text = |label: &&str| Label::Text((*label).to_owned());
    Some(labels.iter().map(text).collect())
}

fn wholes(labels: &[i64]) -> Option<Vec<Label>> {
    Some(labels.iter().map(|&label| Label::Int(label)).collect())
}

#[test]
fn every_form_is_imported_and_says_what_its_model_says() {
    const IRIS: &str = "input FP32 [-1, 4]";
    const WINE: &str = "input FP32 [-1, 13]";
    const DIABETES: &str = "input FP32 [-1, 10]";
    const TEXT: &str = "label BYTES [-1], probabilities FP32 [-1, 3]";
    const NUMBER: &str = "label INT64 [-1], probabilities FP32 [-1, 3]";
    const VALUE: &str = "variable FP32 [-1, 1]";
    let flowers = texts(&["setosa", "versicolor", "virginica"]);
    let wines = wholes(&[0, 1, 2]);
    for (name, inputs, outputs, labels) in [
        ("iris.joblib", IRIS, TEXT, flowers.clone()),
        ("iris-small.joblib", IRIS, TEXT, flowers),
        ("forest.joblib", WINE, NUMBER, wines.clone()),
        ("line.pkl", DIABETES, VALUE, None),
        ("boosted.json", WINE, NUMBER, wines.clone()),
        ("boosted.ubj", WINE, NUMBER, wines.clone()),
        ("boosted.pkl", WINE, NUMBER, wines.clone()),
        ("pipeline-xgboost.joblib", WINE, NUMBER, wines.clone()),
        ("light.txt", WINE, NUMBER, wines.clone()),
        ("light.pkl", WINE, TEXT, texts(&["a", "b", "c"])),
        ("light-line.txt", DIABETES, VALUE, None),
        ("pipeline-lightgbm.joblib", WINE, NUMBER, wines),
    ] {
        let (imported, _folder) = imported(name);
        assert_eq!(shown(&imported.inputs), inputs, "{name}");
        assert_eq!(shown(&imported.outputs), outputs, "{name}");
        assert_eq!(imported.labels, labels, "{name}");
        check_agreement(&imported);
    }
}

#[test]
fn named_columns_are_inputs_of_their_own() {
    let (imported, _folder) = imported("columns.joblib");
    // In the order of the table; the column that is dropped is no input.
    assert_eq!(
        shown(&imported.inputs),
        "strength_of_it BYTES [-1, 1], hue FP32 [-1, 1], year INT64 [-1, 1]"
    );
    check_agreement(&imported);
    // ONNX knows no blanks in names; the entry says whose they are.
    for part in [
        "#   strength_of_it  BYTES [1]\n",
        "columns in this order: strength of it, hue, year\n",
    ] {
        assert!(imported.entry.contains(part), "{}", imported.entry);
    }
}

#[test]
fn a_booster_alone_names_its_columns() {
    let (imported, _folder) = imported("plain.json");
    assert_eq!(imported.labels, wholes(&[0, 1]));
    check_agreement(&imported);
    assert!(
        imported
            .entry
            .contains("columns in this order: alcohol, malic_acid"),
        "{}",
        imported.entry
    );
}

#[test]
fn what_was_run_is_said_and_written() {
    let (imported, folder) = imported("iris.joblib");
    let written = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(imported.name, "iris");
    assert_eq!(imported.commands.len(), 1);
    assert!(
        imported.commands[0].contains("-I -B "),
        "{:?}",
        imported.commands
    );
    for package in ["python", "scikit-learn", "skl2onnx", "onnx"] {
        let found = imported.versions.iter().any(|(name, _)| name == package);
        assert!(found, "{package}: {:?}", imported.versions);
    }
    assert!(!imported.opsets.is_empty());
    assert_eq!(
        written("labels.json"),
        "[\"setosa\",\"versicolor\",\"virginica\"]"
    );
    assert_eq!(
        imported.manifest,
        (folder.path().join("consort.toml"), true)
    );
    let manifest: toml::Table = written("consort.toml").parse().unwrap();
    let model = &manifest["model"]["iris"];
    assert_eq!(model["path"].as_str(), Some("model.onnx"));
    assert_eq!(model["sha256"].as_str(), Some(&*imported.sha256));
    assert!(model.get("batching").is_none());
}

#[test]
fn a_model_that_is_there_is_only_replaced_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let config = || tabular("line.pkl", folder.path());
    import(config()).unwrap();
    let manifest = folder.path().join("consort.toml");
    std::fs::write(&manifest, "mine").unwrap();
    let error = import(config()).unwrap_err();
    assert!(matches!(error, ImportError::OutputExists(_)), "{error}");
    let mut again = config();
    again.overwrite = true;
    let imported = import(again).unwrap();
    assert_eq!(imported.manifest, (manifest.clone(), false));
    assert_eq!(std::fs::read_to_string(manifest).unwrap(), "mine");
}

#[test]
fn an_input_may_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = tabular("iris.joblib", folder.path());
    asked.inputs = vec!["measurements=FP64[4]".parse::<InputSpec>().unwrap()];
    asked.opset = Some(17);
    asked.name = Some("flowers".to_owned());
    let imported = import(asked).unwrap();
    assert_eq!(shown(&imported.inputs), "measurements FP64 [-1, 4]");
    assert!(
        imported.opsets.iter().all(|(_, version)| *version <= 17),
        "{:?}",
        imported.opsets
    );
    assert!(imported.entry.contains("[model.flowers]"));

    let mut wrong = tabular("iris.joblib", &folder.path().join("other"));
    wrong.inputs = vec!["x=FP32[5]".parse::<InputSpec>().unwrap()];
    let error = import(wrong).unwrap_err().to_string();
    assert!(error.contains("--input x=FP32[4]"), "{error}");
}

#[test]
fn what_cannot_be_converted_is_named() {
    let unsupported = error("spreading.joblib");
    assert!(
        matches!(&unsupported, ImportError::Unsupported { message } if message.contains("LabelSpreading")),
        "{unsupported}"
    );
    let no_model = error("dict.joblib").to_string();
    assert!(no_model.contains("builtins.dict"), "{no_model}");
}

#[test]
fn a_damaged_file_is_told_from_one_that_cannot_be_converted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["iris.joblib", "boosted.ubj"] {
        let whole = std::fs::read(saved(name)).unwrap();
        let cut = folder.path().join(name);
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let output = folder.path().join("out");
        let error = import(config(&tabular_python(), cut, &output)).unwrap_err();
        assert!(
            matches!(error, ImportError::Damaged { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_library_that_crashes_crashes_alone() {
    // LightGBM reads beyond the end of a text that is cut off.
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(saved("light.txt")).unwrap();
    let cut = folder.path().join("light.txt");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let output = folder.path().join("out");
    let error = import(config(&tabular_python(), cut, &output)).unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::NoAnswer { .. } | ImportError::Damaged { .. }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_python_without_the_converters_names_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let venv = folder.path().join("bare");
    let mut make = Command::new(tabular_python());
    make.args(["-m", "venv", "--without-pip"]).arg(&venv);
    assert!(make.status().unwrap().success());
    let mut bare = tabular("boosted.json", &folder.path().join("out"));
    bare.environment = Environment::Python(venv.join("bin/python"));
    let error = import(bare).unwrap_err();
    assert!(
        matches!(&error, ImportError::PackageMissing { package, .. } if package == "xgboost"),
        "{error}"
    );
}

#[test]
#[ignore = "fetches about 150 MB; makes an environment as users get it"]
fn an_environment_of_its_own_is_made_and_used() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut own = tabular("boosted.json", &folder.path().join("out"));
        own.environment = Environment::Cache(folder.path().join("environments"));
        own.overwrite = true;
        check_agreement(&import(own).unwrap());
    }
}
