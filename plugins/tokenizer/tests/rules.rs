//! Rules of other kinds than WordPiece: BPE on bytes and Unigram, against the tokens that
//! `reference/make.py` wrote with the package tokenizers.

#![expect(clippy::unwrap_used, reason = "a test stops at the first error")]

use consort_plugin_tokenizer::Tokenize;
use consort_sdk::{Assets, Error, Example, Outcome, Plugin, Preprocess, Tensor};
use serde_json::{Value, json};

const BPE: &str = include_str!("fixtures/bpe.json");
const UNIGRAM: &str = include_str!("fixtures/unigram.json");
/// What the package makes of texts.
const EXPECTED: &str = include_str!("fixtures/expected.jsonl");

fn plugin(rules: &str, max_length: &Value) -> Tokenize {
    let rules = match rules {
        "bpe" => BPE.to_owned(),
        "unigram" => UNIGRAM.to_owned(),
        // The same rules, but for taking words apart.
        _ => UNIGRAM.replace("\"split\":true", "\"split\":false"),
    };
    let config = json!({"max_length": max_length, "outputs": ["input_ids"]}).to_string();
    Tokenize::init(&config, &Assets::from_pairs([("tokenizer.json", rules)])).unwrap()
}

fn ids(plugin: &Tokenize, text: &str) -> Result<Vec<i64>, Error> {
    let text = Tensor::single_bytes(text)?;
    match plugin.preprocess(&Example::from_tensors([("text", text)]))? {
        Outcome::Forward(outputs) => Ok(outputs.tensor("input_ids").unwrap().to_vec()?),
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

/// The cases of these rules.
fn check(rules: &str) {
    let cases = EXPECTED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let cases: Vec<Value> = cases
        .filter(|case: &Value| case["rules"] == rules)
        .collect();
    assert!(cases.len() > 60, "{}", cases.len());
    for max_length in [64, 8].map(Value::from) {
        let plugin = plugin(rules, &max_length);
        for case in cases.iter().filter(|case| case["max_length"] == max_length) {
            let times = usize::try_from(case["times"].as_u64().unwrap()).unwrap();
            let text = case["text"].as_str().unwrap().repeat(times);
            let ids = ids(&plugin, &text).unwrap();
            assert_eq!(json!(ids), case["ids"], "{}", case["text"]);
        }
    }
}

#[test]
fn tokens_of_bpe_on_bytes() {
    check("bpe");
}

#[test]
fn tokens_of_unigram() {
    check("unigram");
}

#[test]
fn tokens_of_unigram_over_whole_texts() {
    check("whole");
}
