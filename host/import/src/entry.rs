//! The model's entry in a manifest, with what it takes and gives in comments.

use crate::report::{Label, Port, Told, plain};
use crate::{ImportError, Kind};

/// How many labels or columns a comment names before it breaks off.
const NAMED_MAX: usize = 30;

/// The file beside the model that holds all labels.
pub(crate) const LABELS_FILE: &str = "labels.json";

/// What is known of the model that was made.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    /// The file that was imported, without its folder.
    pub(crate) source: &'a str,
    pub(crate) kind: Kind,
    pub(crate) told: &'a Told,
    pub(crate) sha256: &'a str,
}

// === impl Entry ===

impl Entry<'_> {
    /// `[model.NAME]`, its path relative to the folder of the model.
    pub(crate) fn render(&self) -> String {
        let told = self.told;
        let batched = is_batched(told);
        let mut lines = vec![format!(
            "Made from {} ({}) by {}.",
            plain(self.source),
            self.kind,
            plain(&told.converter)
        )];
        let versions = told.versions.iter().chain([]);
        let versions = versions.map(|(name, version)| format!("{name} {version}"));
        let opsets = told.opsets.iter();
        let opsets = opsets.map(|(domain, version)| format!("{domain} {version}"));
        lines.push(format!(
            "With {}.",
            plain(&versions.collect::<Vec<_>>().join(", "))
        ));
        lines.push(format!(
            "Operator sets: {}.",
            plain(&opsets.collect::<Vec<_>>().join(", "))
        ));
        if let Some(agreement) = told.agreement {
            lines.push(format!(
                "Compared with the model itself on {} rows: {} other labels, largest difference \
                 {:.1e}.",
                agreement.rows, agreement.labels_differ, agreement.worst
            ));
        }
        let example = if batched { " of one example" } else { "" };
        lines.push(format!("Inputs{example}:"));
        lines.extend(told.inputs.iter().map(|port| shown(port, batched)));
        if let Some(columns) = &told.columns {
            lines.push(format!("  columns in this order: {}", some(columns)));
        }
        lines.push(format!("Outputs{example}:"));
        lines.extend(told.outputs.iter().map(|port| shown(port, batched)));
        if let Some(labels) = &told.labels {
            lines.push(format!(
                "  labels, in the order of the probabilities: {}",
                some(labels)
            ));
        }
        let mut text: String = lines
            .iter()
            .map(|line| format!("# {line}").trim_end().to_owned() + "\n")
            .collect();
        text.push_str(&format!(
            "[model.{}]\nruntime = \"onnx\"\npath = \"model.onnx\"\nsha256 = \"{}\"\n",
            key(self.name),
            self.sha256
        ));
        if !batched {
            text.push_str("batching = \"off\"\n");
        }
        text
    }
}

/// Whether the first axis of every input and output counts examples.
pub(crate) fn is_batched(told: &Told) -> bool {
    let free = |port: &Port| {
        let ends = ["sequence", "map", "optional"];
        port.shape.first() == Some(&-1) || ends.iter().any(|end| port.datatype == *end)
    };
    !told.inputs.is_empty() && told.inputs.iter().chain(&told.outputs).all(free)
}

/// All labels, as JSON.
pub(crate) fn labels(labels: &[Label]) -> Result<String, ImportError> {
    let value = |label: &Label| match label {
        Label::Bool(value) => serde_json::Value::from(*value),
        Label::Int(value) => serde_json::Value::from(*value),
        Label::Float(value) => serde_json::Value::from(*value),
        Label::Text(text) => serde_json::Value::from(text.clone()),
    };
    let values: Vec<serde_json::Value> = labels.iter().map(value).collect();
    serde_json::to_string(&values).map_err(|error| ImportError::Garbled(error.to_string()))
}

fn shown(port: &Port, batched: bool) -> String {
    let axes = port.shape.iter().skip(usize::from(batched));
    let axes: Vec<String> = axes.map(i64::to_string).collect();
    format!(
        "  {}  {} [{}]",
        plain(&port.name),
        plain(&port.datatype),
        axes.join(", ")
    )
}

fn some(items: &[impl std::fmt::Display]) -> String {
    let named = items.iter().take(NAMED_MAX);
    let mut text: Vec<String> = named.map(|item| plain(&item.to_string())).collect();
    if items.len() > NAMED_MAX {
        text.push(format!("... {} in all", items.len()));
    }
    text.join(", ")
}

/// A name as a key of TOML: with a point it would be two.
fn key(name: &str) -> String {
    if name.contains('.') {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, datatype: &str, shape: &[i64]) -> Port {
        Port {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
        }
    }

    fn told() -> Told {
        Told {
            converter: "skl2onnx.to_onnx".to_owned(),
            inputs: vec![port("input", "FP32", &[-1, 4])],
            outputs: vec![
                port("label", "BYTES", &[-1]),
                port("probabilities", "FP32", &[-1, 3]),
            ],
            labels: Some(vec![Label::Text("a\n[server]".into()), Label::Int(2)]),
            columns: None,
            opsets: vec![("ai.onnx".into(), 22)],
            versions: vec![("onnx".into(), "1.23.2".into())],
            agreement: Some(crate::Agreement {
                rows: 64,
                labels_differ: 0,
                worst: 1.2e-7,
            }),
            warnings: vec![],
            files: vec!["model.onnx".into()],
        }
    }

    fn rendered(name: &str, told: &Told) -> String {
        Entry {
            name,
            source: "iris.joblib",
            kind: Kind::Sklearn,
            told,
            sha256: "00",
        }
        .render()
    }

    #[test]
    fn an_entry_says_what_the_model_takes_and_gives() {
        let expected = "\
# Made from iris.joblib (sklearn) by skl2onnx.to_onnx.
# With onnx 1.23.2.
# Operator sets: ai.onnx 22.
# Compared with the model itself on 64 rows: 0 other labels, largest difference 1.2e-7.
# Inputs of one example:
#   input  FP32 [4]
# Outputs of one example:
#   label  BYTES []
#   probabilities  FP32 [3]
#   labels, in the order of the probabilities: a [server], 2
[model.iris]
runtime = \"onnx\"
path = \"model.onnx\"
sha256 = \"00\"
";
        assert_eq!(rendered("iris", &told()), expected);
    }

    #[test]
    fn without_a_free_first_axis_batching_is_off() {
        let mut told = told();
        told.inputs = vec![port("x", "FP32", &[4, 4])];
        let text = rendered("a.b", &told);
        assert!(text.contains("[model.\"a.b\"]"), "{text}");
        assert!(text.ends_with("batching = \"off\"\n"), "{text}");
        assert!(text.contains("#   x  FP32 [4, 4]\n"), "{text}");
    }

    #[test]
    fn nothing_that_the_converter_says_leaves_its_comment() {
        let mut told = told();
        told.inputs[0].name = "x\n[server]\nlisten = \"0.0.0.0:1\"".into();
        told.columns = Some((0..100).map(|i| format!("c{i}\r\n")).collect());
        told.converter = "c\n[limits]".into();
        let text = rendered("iris", &told);
        let outside = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(outside.count(), 4, "{text}");
        assert!(text.contains("... 100 in all"), "{text}");
    }

    #[test]
    fn labels_are_written_as_they_are() {
        let text = labels(&told().labels.unwrap()).unwrap();
        assert_eq!(text, "[\"a\\n[server]\",2]");
    }
}
