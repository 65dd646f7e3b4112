//! No text, however odd, makes the parser panic, hang or say nothing.

use std::fmt::Write;

use consort_manifest::{Problems, parse};
use proptest::prelude::*;

const MANIFESTS: &[&str] = &[
    include_str!("valid/every-key.toml"),
    include_str!("valid/file-type.toml"),
    include_str!("valid/dotted-and-inline.toml"),
    include_str!("invalid/many-at-once.toml"),
    include_str!("invalid/syntax.toml"),
];

/// What is put into a manifest: pieces of TOML that matter, and noise.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\n",
    "\r",
    "#",
    "\t",
    "\u{0}",
    "\u{feff}",
    "ä",
    "\u{1f600}",
    "\\u0000",
    "= =",
    "a.b.c = 1\n",
    "[model]\n",
    "[model.a]\n",
    "[[model]]\n",
    "[limits]\n",
    "path = \"x\"\n",
    "nan",
    "-inf",
    "0x",
    "1_",
    "1979-",
    "9223372036854775808",
    "[[ensemble.e.step]]\n",
    "consort = 1\n",
    "''' \"\"\"",
];

/// Every promise about the answer to any text.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Err(problems) = parse("any.toml", text) else {
        return Ok(());
    };
    prop_assert!(problems.count() > 0, "refused without a reason: {text:?}");
    let shown = problems.to_string();
    prop_assert!(
        !shown.chars().any(|c| c.is_control() && c != '\n'),
        "a control character reaches the terminal: {shown:?}"
    );
    check_places(&problems, text)
}

fn check_places(problems: &Problems, text: &str) -> Result<(), TestCaseError> {
    for problem in problems {
        prop_assert!(problem.place.start <= problem.place.end, "{problem:?}");
        prop_assert!(problem.place.end <= text.len(), "{problem:?}");
        prop_assert!(
            !problem.message.is_empty() && !problem.help.is_empty(),
            "{problem:?}"
        );
        prop_assert!(problem.message.chars().count() < 1000, "{problem:?}");
    }
    Ok(())
}

/// A cut, a copy or an insertion, at any character.
fn mutate(text: &mut String, at: usize, length: usize, piece: &str, how: usize) {
    let floor = |mut byte: usize| {
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    };
    let start = floor(at % (text.len() + 1));
    let end = floor((start + length).min(text.len()));
    match how % 3 {
        0 => text.replace_range(start..end, piece),
        1 => text.insert_str(start, piece),
        _ => {
            let copy = text[start..end].to_owned();
            text.push_str(&copy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_manifests(
        which in 0..MANIFESTS.len(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..40_usize, 0..PIECES.len(), 0..3_usize), 1..6),
    ) {
        let mut text = MANIFESTS[which].to_owned();
        for (at, length, piece, how) in edits {
            let at = at.index(text.len().max(1));
            mutate(&mut text, at, length, PIECES[piece], how);
        }
        check(&text)?;
    }

    #[test]
    fn pieces_in_any_order(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        check(&text)?;
    }

    #[test]
    fn any_characters(text in any::<String>()) {
        check(&text)?;
    }
}

#[test]
fn a_wrong_line_never_hides_another() {
    // Every line is wrong by itself, so every line has its own problem.
    let mut text = String::from("consort = 1\n[model.m]\npath = \"m.onnx\"\n");
    for wrong in 0..100 {
        writeln!(text, "wrong{wrong} = 1").unwrap();
    }
    let problems = parse("m.toml", &text).unwrap_err();
    assert_eq!(problems.count(), 100);
}

#[test]
fn a_flood_of_problems_is_counted_but_not_shown() {
    let mut text = String::from("consort = 1\n");
    for wrong in 0..50_000 {
        writeln!(text, "key_number_{wrong} = 1").unwrap();
    }
    let problems = parse("flood.toml", &text).unwrap_err();
    assert_eq!(problems.count(), 50_000);
    let shown = problems.to_string();
    assert!(shown.len() < 1 << 20, "{} bytes", shown.len());
    assert!(shown.ends_with("... and 49800 more, not shown\n\nflood.toml: 50000 problems"));
}

#[test]
fn hostile_depth_does_not_overflow_the_stack() {
    let deep = 500_000;
    for text in [
        format!("{}a = 1", "a.".repeat(deep)),
        format!("{}a = 1", "a . ".repeat(deep / 2)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("[[{}a]]", "a.".repeat(deep)),
        format!("{}a\" = 1", "\"a\".".repeat(deep / 4)),
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{ a = ".repeat(deep / 8)),
        format!("a = {{ {}a = 1 }}", "a.".repeat(deep)),
        // The deepest that passes the first check: parts times nesting.
        format!(
            "{0} = {1}1{2}",
            "a.".repeat(15) + "a",
            format!("{{ {}a = ", "a.".repeat(14)).repeat(79),
            "}".repeat(79)
        ),
    ] {
        let problems = parse("deep.toml", &text).unwrap_err();
        assert!(problems.count() > 0);
        assert!(problems.to_string().len() < 1 << 20);
    }
}

/// Each takes a fraction of a second; an algorithm that compares everything with
/// everything would take hours.
#[test]
fn hostile_size_is_no_trouble() {
    let many = |line: &dyn Fn(usize) -> String| {
        let mut text = String::from("consort = 1\n");
        let mut number = 0;
        while text.len() < (1 << 20) - 100 {
            text.push_str(&line(number));
            number += 1;
        }
        text
    };
    for text in [
        many(&|n| format!("[model.a{n}]\n")),
        many(&|n| format!("[model.a{n}]\n[ensemble.a{n}]\n")),
        many(&|n| {
            format!(
                "[model.name{n}]\npath='x'\n[[ensemble.e{}.step]]\nmodel='nam{n}'\n",
                n / 200
            )
        }),
        many(&|n| format!("[[ensemble.e{n}.step]]\nmodel='e{n}'\n")),
        many(&|n| format!("k{n}\n")),
        many(&|n| format!("k{n} = \n")),
        many(&|_| "a = 1\n".to_owned()),
        many(&|_| "[model.a]\n".to_owned()),
        many(&|_| "[[server]]\n".to_owned()),
        format!(
            "server = {{ {} }}",
            many(&|n| format!("k{n}=1,")).replace("consort = 1\n", "")
        ),
        format!(
            "consort = 1\nplugin.p = {{ path = 'x', config = [{}] }}",
            "nan,".repeat(250_000)
        ),
        format!(
            "consort = 1\nmodel.m = {{ path = 'x', providers = [{}] }}",
            "1,".repeat(500_000)
        ),
        "[".repeat(1 << 20),
        "\"".repeat(1 << 20),
    ] {
        let problems = parse("big.toml", &text).unwrap_err();
        assert!(problems.count() > 0);
        assert!(problems.to_string().len() < 1 << 20);
    }
}

#[test]
fn a_text_that_is_too_long_is_not_read() {
    let text = format!("consort = 1\n#{}", "x".repeat(1 << 20));
    let problems = parse("long.toml", &text).unwrap_err();
    assert_eq!(problems.count(), 1);
    let problem = problems.iter().next().unwrap();
    assert!(
        problem.message.contains("more than the 1048576 allowed"),
        "{problem:?}"
    );
    let text = format!("consort = 1\n#{}", "x".repeat((1 << 20) - 13));
    assert!(parse("long.toml", &text).is_ok());
}
