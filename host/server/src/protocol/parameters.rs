//! `parameters` objects: names with a text, a number or a truth value each.

use super::DecodeError;
use consort_inference::{ArgValue, InferenceArgs, Key, StreamPart};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;

/// Parameters of one object.
const PARAMETERS_MAX: usize = 64;

/// Names that only a server may use.
const RESERVED_PREFIX: &str = "triton_";

/// Those of a request that the protocol knows; all others are arguments of the models.
const KNOWN: [&str; 8] = [
    "binary_data_output",
    "keep_example",
    "key",
    "priority",
    "sequence_end",
    "sequence_id",
    "sequence_start",
    "timeout",
];

/// Those of the sequence extension, which only a request as a whole has.
const SEQUENCE: [&str; 3] = ["sequence_id", "sequence_start", "sequence_end"];

/// A `parameters` object. Unknown names are allowed, since clients put their own there:
/// those of a request go to the models that take arguments, all others are ignored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parameters(Vec<(String, Parameter)>);

/// The value of a parameter. The protocol knows no others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Parameter {
    Bool(bool),
    Unsigned(u64),
    /// Only negative numbers.
    Negative(i64),
    Float(f64),
    Text(String),
}

struct ParameterVisitor;
struct ParametersVisitor;

// === impl Parameters ===

impl Parameters {
    /// A truth value.
    pub(crate) fn truth(&self, name: &'static str) -> Result<Option<bool>, DecodeError> {
        match self.value(name) {
            None => Ok(None),
            Some(Parameter::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(DecodeError::Parameter {
                name,
                expected: "true or false",
            }),
        }
    }

    /// A number that is not negative and has no fraction.
    pub(crate) fn count(&self, name: &'static str) -> Result<Option<u64>, DecodeError> {
        match self.value(name) {
            None => Ok(None),
            Some(Parameter::Unsigned(value)) => Ok(Some(*value)),
            Some(_) => Err(DecodeError::Parameter {
                name,
                expected: "a whole number from 0",
            }),
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, DecodeError> {
        match self.value(name) {
            None => Ok(None),
            Some(Parameter::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(DecodeError::Parameter {
                name,
                expected: "a text",
            }),
        }
    }

    /// What the request's rows are called: `key`, else `sequence_id`.
    pub(crate) fn key(&self) -> Result<Option<Key>, DecodeError> {
        match self.name("key")? {
            Some(key) => Ok(Some(key)),
            None => self.name("sequence_id"),
        }
    }

    /// Where in its stream a request is that has parameters of the sequence extension.
    pub(crate) fn stream(&self) -> Result<Option<StreamPart>, DecodeError> {
        let begins = self.truth("sequence_start")?;
        let ends = self.truth("sequence_end")?;
        let named = self.name("sequence_id")?.is_some();
        let part = StreamPart {
            begins: begins.unwrap_or(false),
            ends: ends.unwrap_or(false),
        };
        Ok((named || part != StreamPart::default()).then_some(part))
    }

    /// A text or a number that is a name. As in Triton, an empty text and 0 are none.
    fn name(&self, name: &'static str) -> Result<Option<Key>, DecodeError> {
        match self.value(name) {
            None | Some(Parameter::Unsigned(0)) => Ok(None),
            Some(Parameter::Unsigned(number)) => Ok(Some(number.to_string().into())),
            Some(Parameter::Text(text)) if text.is_empty() => Ok(None),
            Some(Parameter::Text(text)) => Ok(Some(text.as_str().into())),
            Some(_) => Err(DecodeError::Parameter {
                name,
                expected: "a text or a whole number from 0",
            }),
        }
    }

    /// All names, in the order given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// What the client says to the models.
    pub(crate) fn args(&self) -> InferenceArgs {
        let args = self.0.iter();
        let args = args.filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        args.map(|(name, value)| (name.as_str().into(), value.to_arg()))
            .collect()
    }

    /// Refuses what asks for a part of the protocol that is not offered: to ignore it
    /// would give a wrong answer. These are the parameters of an input or output.
    pub(crate) fn check_offered(&self) -> Result<(), DecodeError> {
        let mut names = SEQUENCE.into_iter();
        match names.find(|name| self.value(name).is_some()) {
            None => self.check_request(),
            Some(parameter) => Err(DecodeError::Unsupported {
                parameter,
                extension: "the sequence extension for a single tensor",
            }),
        }
    }

    /// The same for the parameters of a whole request.
    pub(crate) fn check_request(&self) -> Result<(), DecodeError> {
        const NOT_OFFERED: [(&str, &str); 4] = [
            ("shared_memory_region", "the shared memory extension"),
            ("shared_memory_byte_size", "the shared memory extension"),
            ("shared_memory_offset", "the shared memory extension"),
            ("classification", "the classification extension"),
        ];
        for (name, _) in &self.0 {
            if name.starts_with(RESERVED_PREFIX) {
                return Err(DecodeError::ReservedParameter { name: name.clone() });
            }
            let known = NOT_OFFERED.into_iter().find(|(known, _)| known == name);
            if let Some((parameter, extension)) = known {
                return Err(DecodeError::Unsupported {
                    parameter,
                    extension,
                });
            }
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&Parameter> {
        let found = self.0.iter().find(|(existing, _)| existing == name);
        found.map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParametersVisitor)
    }
}

// === impl ParametersVisitor ===

impl<'de> Visitor<'de> for ParametersVisitor {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut parameters = Parameters::default();
        while let Some((name, value)) = map.next_entry::<String, Parameter>()? {
            if parameters.value(&name).is_some() {
                return Err(A::Error::custom(format_args!(
                    "parameter {} is given twice",
                    super::quoted(&name)
                )));
            }
            if parameters.0.len() == PARAMETERS_MAX {
                return Err(A::Error::custom(format_args!(
                    "there are more than {PARAMETERS_MAX} parameters, which is the limit"
                )));
            }
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }
}

// === impl Parameter ===

impl Parameter {
    /// Whole numbers beyond 64 bits with a sign become floats.
    fn to_arg(&self) -> ArgValue {
        match self {
            Self::Bool(value) => ArgValue::Bool(*value),
            Self::Unsigned(value) => {
                i64::try_from(*value).map_or(ArgValue::Float(*value as f64), ArgValue::Int)
            }
            Self::Negative(value) => ArgValue::Int(*value),
            Self::Float(value) => ArgValue::Float(*value),
            Self::Text(text) => ArgValue::Text(text.as_str().into()),
        }
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParameterVisitor)
    }
}

// === impl ParameterVisitor ===

impl Visitor<'_> for ParameterVisitor {
    type Value = Parameter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false as the value of a parameter")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Parameter, E> {
        Ok(Parameter::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Parameter, E> {
        Ok(Parameter::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Parameter, E> {
        Ok(u64::try_from(value).map_or(Parameter::Negative(value), Parameter::Unsigned))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Parameter, E> {
        Ok(Parameter::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Parameters, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_scalars() {
        let parameters = read(r#"{"a": true, "b": 5, "c": -5, "d": 1.5, "e": "x"}"#).unwrap();
        assert_eq!(parameters.truth("a"), Ok(Some(true)));
        assert_eq!(parameters.count("b"), Ok(Some(5)));
        assert_eq!(parameters.count("z"), Ok(None));
        for wrong in ["a", "c", "d", "e"] {
            let error = parameters.count(wrong).unwrap_err().to_string();
            let expected = format!("parameter \"{wrong}\": a whole number from 0 is expected");
            assert_eq!(error, expected);
        }
        for wrong in [r#"{"a": []}"#, r#"{"a": {}}"#, r#"{"a": null}"#] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("expected a text, a number"), "{error}");
        }
    }

    #[test]
    fn what_the_protocol_does_not_know_is_for_the_models() {
        let given = r#"{"top": 3, "under": -1, "scale": 0.5, "style": "short", "exact": true,
            "huge": 18446744073709551615, "priority": 2, "timeout": 5, "keep_example": true}"#;
        let args = read(given).unwrap().args();
        let shown: Vec<String> = args
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "exact=true",
            "huge=18446744073709552000",
            "scale=0.5",
            "style=short",
            "top=3",
            "under=-1",
        ];
        assert_eq!(shown, expected);
        assert_eq!(args.value("top"), Some(&ArgValue::Int(3)));
        assert!(read(r#"{"priority": 2}"#).unwrap().args().is_empty());
    }

    #[test]
    fn a_request_can_name_its_stream() {
        let part = |begins, ends| Some(StreamPart { begins, ends });
        let read = |json: &str| {
            let parameters = read(json).unwrap();
            assert!(parameters.args().is_empty());
            (parameters.key().unwrap(), parameters.stream().unwrap())
        };
        assert_eq!(read(r#"{"key": "a"}"#), (Some("a".into()), None));
        assert_eq!(
            read(r#"{"sequence_id": 7, "sequence_start": true, "sequence_end": false}"#),
            (Some("7".into()), part(true, false))
        );
        let both = read(r#"{"sequence_id": "b", "sequence_end": true, "key": 3}"#);
        assert_eq!(both, (Some("3".into()), part(false, true)));
        assert_eq!(read(r#"{"sequence_id": 0, "key": ""}"#), (None, None));
        assert_eq!(read("{}"), (None, None));
        let parameters: Parameters = serde_json::from_str(r#"{"key": -1}"#).unwrap();
        let error = parameters.key().unwrap_err().to_string();
        assert!(error.contains("a text or a whole number"), "{error}");
    }

    #[test]
    fn names_are_unique_and_few() {
        let error = read(r#"{"a": 1, "a": 2}"#).unwrap_err();
        assert!(error.contains("parameter \"a\" is given twice"), "{error}");
        let many: Vec<String> = (0..65).map(|i| format!("\"p{i}\": 1")).collect();
        let error = read(&format!("{{{}}}", many.join(","))).unwrap_err();
        assert!(error.contains("more than 64 parameters"), "{error}");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let check = |json| read(json).unwrap().check_offered();
        assert_eq!(check(r#"{"priority": 3, "mine": "x"}"#), Ok(()));
        let error = check(r#"{"sequence_id": 3}"#).unwrap_err().to_string();
        let expected = "parameter \"sequence_id\": the sequence extension for a single tensor is not offered \
             by this server";
        assert_eq!(error, expected);
        let error = check(r#"{"triton_x": 3}"#).unwrap_err().to_string();
        assert!(error.contains("are reserved"), "{error}");
    }
}
