//! The JSON Schema agrees with the parser: it accepts every valid manifest and refuses
//! the invalid ones whose fault a schema can see. The evaluator below knows the keywords
//! that our schema uses and fails on any other, so none goes untested.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, and these functions are only called by tests"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;

fn manifest(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&consort_manifest::json_schema()).unwrap()
}

/// Whether `value` fits `schema`; the error is the path of the first misfit.
fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let keywords = schema.as_object().unwrap();
    let property = |key: &str| keywords.get("properties").and_then(|keys| keys.get(key));
    for (keyword, wanted) in keywords {
        let fit = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "pattern" | "then" => true,
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= wanted.as_f64().unwrap()),
            "maxLength" => {
                let chars = value.as_str().map_or(0, |text| text.chars().count());
                chars as u64 <= wanted.as_u64().unwrap()
            }
            "minItems" | "maxItems" => value.as_array().is_none_or(|items| {
                let (count, bound) = (items.len() as u64, wanted.as_u64().unwrap());
                if keyword == "minItems" {
                    count >= bound
                } else {
                    count <= bound
                }
            }),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                items
                    .iter()
                    .enumerate()
                    .all(|(at, item)| !items[..at].contains(item))
            }),
            "required" => value.as_object().is_none_or(|keys| {
                let mut wanted = wanted.as_array().unwrap().iter();
                wanted.all(|key| keys.contains_key(key.as_str().unwrap()))
            }),
            "not" => fits(wanted, value, at).is_err(),
            "oneOf" => {
                let fitting = wanted.as_array().unwrap().iter();
                fitting.filter(|one| fits(one, value, at).is_ok()).count() == 1
            }
            "allOf" => {
                let mut all = wanted.as_array().unwrap().iter();
                all.all(|one| fits(one, value, at).is_ok())
            }
            "if" => fits(wanted, value, at).is_err() || fits(&keywords["then"], value, at).is_ok(),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(wanted, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = property(key) {
                        fits(schema, inner, &format!("{at}.{key}"))?;
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|keys| keys.keys()) {
                    fits(wanted, &Value::from(key.as_str()), &format!("{at}.{key}"))?;
                }
                true
            }
            "additionalProperties" => {
                let keys = value.as_object().into_iter().flatten();
                for (key, inner) in keys.filter(|(key, _)| property(key).is_none()) {
                    match wanted {
                        Value::Bool(allowed) if !allowed => {
                            return Err(format!("{at}.{key} is not known"));
                        }
                        Value::Bool(_) => {}
                        schema => fits(schema, inner, &format!("{at}.{key}"))?,
                    }
                }
                true
            }
            other => panic!("the schema uses `{other}`, which this evaluator does not know"),
        };
        if !fit {
            return Err(format!("{at}: {keyword}"));
        }
    }
    Ok(())
}

#[test]
fn valid_manifests_fit() {
    for name in [
        "smallest",
        "file-type",
        "every-key",
        "dotted-and-inline",
        "both-ways",
    ] {
        let value = manifest(&format!("valid/{name}.toml"));
        assert_eq!(fits(&schema(), &value, name), Ok(()));
    }
}

#[test]
fn invalid_manifests_do_not_fit() {
    for name in [
        "empty",
        "no-version",
        "other-version",
        "version-as-text",
        "unknown-keys",
        "ranges",
        "words",
        "missing",
        "steps",
        "files",
        "tables-and-arrays",
        "many-at-once",
        "runtimes",
        "learned",
        "updates",
        "patterns",
    ] {
        let value = manifest(&format!("invalid/{name}.toml"));
        assert!(
            fits(&schema(), &value, name).is_err(),
            "{name} fits the schema"
        );
    }
}

#[test]
fn defaults_fit_their_own_schema() {
    fn visit(schema: &Value, at: &str, count: &mut usize) {
        if let Some(default) = schema.get("default") {
            assert_eq!(fits(schema, default, at), Ok(()));
            *count += 1;
        }
        let children = schema.as_object().into_iter().flatten();
        for (key, child) in children.filter(|(_, child)| child.is_object()) {
            let at = format!("{at}/{key}");
            if key == "properties" {
                // The names in it are keys of the manifest, `default` among them.
                for (key, child) in child.as_object().into_iter().flatten() {
                    visit(child, &format!("{at}/{key}"), count);
                }
            } else {
                visit(child, &at, count);
            }
        }
    }
    let mut count = 0;
    visit(&schema(), "", &mut count);
    assert!(count > 60, "only {count} defaults were found");
}
