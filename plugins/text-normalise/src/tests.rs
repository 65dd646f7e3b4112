//! Against Python's unicodedata, by the fixtures that `reference/make.py` wrote, and limits.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// What Python makes of texts.
const FIXTURES: &str = include_str!("../tests/fixtures/unicodedata.jsonl");

fn run(config: &str, texts: &[&[u8]]) -> Result<Vec<String>, Error> {
    let plugin = TextNormalise::init(config, &Assets::none())?;
    let texts = Tensor::from_byte_strings(&[texts.len()], texts)?;
    match plugin.preprocess(&Example::from_tensors([("text", texts)]))? {
        Outcome::Forward(outputs) => {
            let texts = outputs.tensor("text").unwrap().byte_strings()?;
            Ok(texts.texts()?.into_iter().map(str::to_owned).collect())
        }
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

#[test]
fn every_text_is_as_unicodedata_has_it() {
    let cases = FIXTURES.lines().map(|line| {
        let case: Value = serde_json::from_str(line).unwrap();
        let data = bytes(case["data"].as_str().unwrap());
        (
            case["config"].to_string(),
            data,
            case["text"].as_str().unwrap().to_owned(),
        )
    });
    let mut count = 0;
    for (config, data, expected) in cases {
        assert_eq!(run(&config, &[&data]), Ok(vec![expected]), "{config}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}

#[test]
fn an_example_holds_any_number_of_texts() {
    let config = r#"{"lowercase": true, "trim": true}"#;
    assert_eq!(run(config, &[]), Ok(vec![]));
    let texts: [&[u8]; 3] = [b" A ", b"", "Ä".as_bytes()];
    assert_eq!(
        run(config, &texts).unwrap(),
        ["a".to_owned(), String::new(), "ä".to_owned()]
    );
    let plugin = TextNormalise::init(r#"{"elements": 1}"#, &Assets::none()).unwrap();
    assert_eq!(
        plugin.describe(),
        Description::new()
            .input("text", Datatype::Bytes, [1])
            .forwards("text", Datatype::Bytes, [1])
    );
}

#[test]
fn a_text_that_cannot_be_taken_is_its_callers_fault() {
    let texts: [&[u8]; 2] = [b"right", b"caf\xe9!"];
    assert_eq!(
        run("", &texts),
        Err(Error::InvalidInput(
            "tensor \"text\": element 1 is not UTF-8 text: invalid utf-8 sequence of 1 bytes \
             from index 3 (`invalid = \"replace\"` would take it)"
                .into()
        ))
    );
    assert_eq!(
        run(r#"{"bytes_max": 3}"#, &[b"abc", b"abcd"]),
        Err(Error::InvalidInput(
            "tensor \"text\": element 1 has 4 bytes, and `bytes_max` in the plugin's \
             configuration allows 3"
                .into()
        ))
    );
    let mib = vec![b'a'; 1 << 20];
    assert_eq!(run("", &[&mib]).unwrap()[0].len(), 1 << 20);
    assert!(run("", &[&[&mib[..], b"a"].concat()]).is_err());
}

#[test]
fn flaws_of_the_configuration_are_named() {
    for (config, expected) in [
        (r#"{"upper": true}"#, "`config`: unknown field `upper`"),
        (
            r#"{"trim": 1}"#,
            "`config`: `trim`: invalid type: integer `1`",
        ),
        (
            r#"{"form": "NFC"}"#,
            "`config`: `form`: unknown variant `NFC`, expected one of `none`, `nfc`",
        ),
        (
            r#"{"invalid": "drop"}"#,
            "`config`: `invalid`: unknown variant `drop`, expected `error` or `replace`",
        ),
        (r#"{"bytes_max": 0}"#, "`config`: `bytes_max` is 0"),
        (r#"{"elements": 0}"#, "`config`: `elements` is 0"),
    ] {
        let error = TextNormalise::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn twice_is_as_once(text in ".{0,40}", form in 0usize..5, flags in any::<[bool; 5]>()) {
        let [lowercase, strip_accents, strip_control, collapse_whitespace, trim] = flags;
        let form = [Form::None, Form::Nfc, Form::Nfkc, Form::Nfd, Form::Nfkd][form];
        let config = Config {
            form, lowercase, strip_accents, strip_control, collapse_whitespace, trim,
            ..Config::default()
        };
        let normaliser = Normaliser::new(&config);
        let once = normaliser.apply(text.as_bytes()).unwrap().into_owned();
        let twice = normaliser.apply(once.as_bytes()).unwrap().into_owned();
        // A compatibility form may make capitals, and small letters of them change at last.
        prop_assume!(!(lowercase && matches!(form, Form::Nfkc | Form::Nfkd)));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        let config = r#"{"invalid": "replace", "form": "nfkc", "lowercase": true,
            "strip_accents": true, "strip_control": true, "collapse_whitespace": true}"#;
        prop_assert!(run(config, &[&text]).is_ok());
    }
}
