//! How the columns of a row become the tensors of an example.

use consort_inference::{Signature, TensorSpec};
use std::sync::Arc;

/// The column that is an example's key unless another is named.
const KEY: &str = "key";

/// Which columns become which tensors. An input that is not named here is the column of
/// its own name, or, where it is a vector and there is no such column, the columns
/// `NAME.0`, `NAME.1` and so on, as a job writes them itself. Columns that nobody names
/// are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The column that is the key; unset, `key` where there is one.
    pub key: Option<String>,
    /// For each tensor its columns: one (an element, or a list), or several elements that
    /// are stacked into a vector.
    pub tensors: Vec<(Arc<str>, Vec<String>)>,
}

/// Columns that cannot become the tensors of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// A tensor that the endpoint does not take.
    #[error("\"{name}\" is no input; the inputs are {known}")]
    NoInput {
        /// The tensor.
        name: Arc<str>,
        /// What the endpoint takes.
        known: String,
    },
    /// A tensor without a column, or with more than its shape has room for.
    #[error("input \"{name}\" is {spec}: {count} columns do not make that; give {wanted}")]
    Count {
        /// The tensor.
        name: Arc<str>,
        /// What the endpoint takes.
        spec: TensorSpec,
        /// How many columns were given.
        count: usize,
        /// What would do.
        wanted: String,
    },
}

/// Where in a row the parts of an example are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The columns that are used, by name.
    pub(crate) names: Vec<Arc<str>>,
    /// Where each of them is in the file.
    pub(crate) places: Vec<usize>,
    /// Which of `names` is the key.
    pub(crate) key: Option<usize>,
    /// For each input of the signature, in its order, the first of `names` and how many.
    pub(crate) inputs: Vec<(usize, usize)>,
    /// Whether columns were named, so that others may be passed over.
    pub(crate) named: bool,
}

// === impl Columns ===

impl Columns {
    /// Whether the tensors are those of `signature`.
    pub fn check(&self, signature: &Signature) -> Result<(), ColumnsError> {
        for (name, columns) in &self.tensors {
            let Some(spec) = signature.inputs.iter().find(|spec| spec.name == *name) else {
                let known = signature.inputs.iter();
                let known: Vec<_> = known.map(|spec| format!("\"{}\"", spec.name)).collect();
                return Err(ColumnsError::NoInput {
                    name: name.clone(),
                    known: known.join(", "),
                });
            };
            let wanted = match (columns.len(), spec.shape.as_slice()) {
                (1, _) => continue,
                (count, [Some(length)]) if count == *length => continue,
                (count, [None]) if count > 0 => continue,
                (_, [Some(length)]) => format!("one column (a list) or {length}"),
                (_, [None]) => "one column (a list) or one for each element".to_owned(),
                _ => "one column".to_owned(),
            };
            return Err(ColumnsError::Count {
                name: name.clone(),
                spec: spec.clone(),
                count: columns.len(),
                wanted,
            });
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Option<&[String]> {
        let mut tensors = self.tensors.iter();
        let found = tensors.find(|(tensor, _)| &**tensor == name);
        found.map(|(_, columns)| columns.as_slice())
    }

    /// Finds the columns in a header; says which is not there.
    pub(crate) fn plan(&self, signature: &Signature, header: &[&str]) -> Result<Plan, String> {
        let mut plan = Plan {
            names: Vec::new(),
            places: Vec::new(),
            key: None,
            inputs: Vec::new(),
            named: true,
        };
        for spec in &signature.inputs {
            let begin = plan.names.len();
            match self.named(&spec.name) {
                Some(columns) => {
                    for column in columns {
                        plan.add(header, column)?;
                    }
                }
                None if header.contains(&&*spec.name) => plan.add(header, &spec.name)?,
                None => {
                    let numbered = |index: usize| format!("{}.{index}", spec.name);
                    match spec.shape.as_slice() {
                        [Some(length)] if header.contains(&numbered(0).as_str()) => {
                            for index in 0..*length {
                                plan.add(header, &numbered(index))?;
                            }
                        }
                        // It is not there: that is said.
                        _ => plan.add(header, &spec.name)?,
                    }
                }
            }
            plan.inputs.push((begin, plan.names.len() - begin));
        }
        let key = self.key.as_deref();
        if key.is_some() || header.contains(&KEY) {
            plan.key = Some(plan.names.len());
            plan.add(header, key.unwrap_or(KEY))?;
        }
        Ok(plan)
    }

    /// The columns as members of a JSON object, which has no header.
    pub(crate) fn plan_members(&self, signature: &Signature) -> Plan {
        let mut plan = Plan {
            names: Vec::new(),
            places: Vec::new(),
            key: None,
            inputs: Vec::new(),
            named: !self.tensors.is_empty(),
        };
        for spec in &signature.inputs {
            let begin = plan.names.len();
            match self.named(&spec.name) {
                Some(columns) => plan
                    .names
                    .extend(columns.iter().map(|name| name.as_str().into())),
                None => plan.names.push(spec.name.clone()),
            }
            plan.inputs.push((begin, plan.names.len() - begin));
        }
        plan.key = Some(plan.names.len());
        plan.names.push(self.key.as_deref().unwrap_or(KEY).into());
        plan
    }
}

// === impl Plan ===

impl Plan {
    fn add(&mut self, header: &[&str], name: &str) -> Result<(), String> {
        let place = header.iter().position(|column| *column == name);
        let Some(place) = place else {
            const NAMES_SHOWN_MAX: usize = 20;
            let names = header.iter().take(NAMES_SHOWN_MAX);
            let mut names: Vec<String> = names.map(|name| format!("\"{name:.40}\"")).collect();
            if header.len() > NAMES_SHOWN_MAX {
                names.push("...".to_owned());
            }
            let names = names.join(", ");
            return Err(format!(
                "there is no column \"{name}\"; the columns are {names}"
            ));
        };
        self.names.push(name.into());
        self.places.push(place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Datatype;

    fn signature() -> Signature {
        Signature {
            inputs: vec![
                TensorSpec::new("x", Datatype::Fp32, vec![Some(2)]),
                TensorSpec::new("name", Datatype::Bytes, vec![Some(1)]),
            ],
            outputs: vec![],
        }
    }

    fn columns(tensors: &[(&str, &[&str])]) -> Columns {
        let tensor = |(name, columns): &(&str, &[&str])| {
            let columns = columns.iter().map(|column| (*column).to_owned());
            ((*name).into(), columns.collect())
        };
        Columns {
            key: None,
            tensors: tensors.iter().map(tensor).collect(),
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let plan = |columns: &Columns, header: &[&str]| columns.plan(&signature(), header);
        let none = Columns::default();
        let found = plan(&none, &["name", "z", "x"]).unwrap();
        assert_eq!((found.places, found.key), (vec![2, 0], None));
        let found = plan(&none, &["x.1", "key", "x.0", "name"]).unwrap();
        assert_eq!((found.places, found.key), (vec![2, 0, 3, 1], Some(3)));
        assert_eq!(found.inputs, [(0, 2), (2, 1)]);
        let named = columns(&[("x", &["a", "b"])]);
        let found = plan(&named, &["b", "name", "a"]).unwrap();
        assert_eq!(found.places, [2, 0, 1]);
        let error = plan(&named, &["b", "name"]).unwrap_err();
        let expected = "there is no column \"a\"; the columns are \"b\", \"name\"";
        assert_eq!(error, expected);
    }

    #[test]
    fn columns_must_fit_the_signature() {
        let check = |named: &[(&str, &[&str])]| {
            let error = columns(named).check(&signature()).err();
            error.map_or("ok".to_owned(), |error| error.to_string())
        };
        assert_eq!(check(&[("x", &["a"]), ("name", &["b"])]), "ok");
        assert_eq!(check(&[("x", &["a", "b"])]), "ok");
        let expected = "\"y\" is no input; the inputs are \"x\", \"name\"";
        assert_eq!(check(&[("y", &["a"])]), expected);
        let expected =
            "input \"x\" is FP32 [2]: 3 columns do not make that; give one column (a list) or 2";
        assert_eq!(check(&[("x", &["a", "b", "c"])]), expected);
    }
}
