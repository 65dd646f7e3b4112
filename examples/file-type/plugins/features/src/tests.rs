//! Tests of the features: cases worked by hand, properties, and the plugin around them.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

const PAD: i32 = 256;

/// Small sizes, so that cases can be worked by hand.
const SMALL: Config = Config {
    beg_size: 6,
    end_size: 4,
    block_size: 10,
    min_file_size: 3,
    padding_token: PAD,
};

/// The features of a whole file, whose windows are cut as the host cuts them.
fn whole(config: &Config, file: &[u8], window: usize) -> Result<Features, WindowError> {
    let length = file.len().min(window);
    features(
        config,
        Windows {
            head: &file[..length],
            tail: &file[file.len() - length..],
            size: file.len() as u64,
        },
    )
}

fn tokens(file: &[u8]) -> Vec<i32> {
    match whole(&SMALL, file, SMALL.block_size).unwrap() {
        Features::Tokens(tokens) => tokens,
        Features::Guess(guess) => panic!("{guess:?} for {}", file.escape_ascii()),
    }
}

fn guessed(file: &[u8]) -> Guess {
    match whole(&SMALL, file, SMALL.block_size).unwrap() {
        Features::Guess(guess) => guess,
        Features::Tokens(tokens) => panic!("{tokens:?} for {}", file.escape_ascii()),
    }
}

/// Tokens as a reader would write them: `_` for padding.
fn spelled(text: &[u8]) -> Vec<i32> {
    let token = |byte: &u8| if *byte == b'_' { PAD } else { i32::from(*byte) };
    text.iter().map(token).collect()
}

#[test]
fn a_short_file_is_padded_inside() {
    assert_eq!(tokens(b"abc"), spelled(b"abc____abc"));
    assert_eq!(tokens(b"abcd"), spelled(b"abcd__abcd"));
    assert_eq!(tokens(b"abcde"), spelled(b"abcde_bcde"));
    assert_eq!(tokens(b"abcdef"), spelled(b"abcdefcdef"));
}

#[test]
fn a_long_file_gives_its_two_ends() {
    assert_eq!(tokens(b"abcdefghijklmnop"), spelled(b"abcdefmnop"));
    assert_eq!(tokens(b"\x00\xffcdefghijklmn\x80\x01")[..2], [0, 255]);
    assert_eq!(tokens(b"\x00\xffcdefghijklmn\x80\x01")[8..], [128, 1]);
}

#[test]
fn white_space_is_stripped_on_the_outer_sides_only() {
    // The start keeps the white space behind it, the end keeps what stands before it.
    assert_eq!(tokens(b"  abc "), spelled(b"abc __ abc"));
    assert_eq!(tokens(b"\t\n\x0b\x0c\r abc"), spelled(b"abc___ abc"));
    assert_eq!(tokens(b"abc\t\n\x0b\x0c\r "), spelled(b"abc\t\n\x0b_abc"));
    // Other control characters and Unicode's spaces stay.
    assert_eq!(tokens(b"\x1cab\x1f"), spelled(b"\x1cab\x1f__\x1cab\x1f"));
    assert_eq!(tokens(b"\x85\xa0a"), spelled(b"\x85\xa0a____\x85\xa0a"));
}

#[test]
fn only_a_block_at_each_end_is_looked_at() {
    // Nine spaces and one letter fill the first block, what follows is not seen.
    assert_eq!(guessed(b"         abcdefghijk"), Guess::Text);
    assert_eq!(guessed(b"         \xffbcdefghijk"), Guess::Unknown);
    // At the end the same leaves an end of padding.
    assert_eq!(tokens(b"abcdefghij          "), spelled(b"abcdef____"));
}

#[test]
fn an_empty_file_is_empty() {
    assert_eq!(guessed(b""), Guess::Empty);
}

#[test]
fn too_little_content_is_text_if_it_is_utf8() {
    assert_eq!(guessed(b"a"), Guess::Text);
    assert_eq!(guessed(b"ab"), Guess::Text);
    assert_eq!(guessed(b"\0"), Guess::Text);
    assert_eq!(guessed("ä".as_bytes()), Guess::Text);
    assert_eq!(guessed(b"\xc3"), Guess::Unknown);
    assert_eq!(guessed(b"\xff\xfe"), Guess::Unknown);
    assert_eq!(guessed(b"     \n\n  "), Guess::Text);
    assert_eq!(guessed(b"        ab"), Guess::Text);
    assert_eq!(guessed(b"        a\xff"), Guess::Unknown);
    // White space behind the content counts as content.
    assert_eq!(tokens(b"a  "), spelled(b"a  ______a"));
    // A character that the block cuts is no UTF-8, and neither is a surrogate.
    assert_eq!(guessed("         ä".as_bytes()), Guess::Unknown);
    let config = Config {
        min_file_size: 4,
        ..SMALL
    };
    let unknown = Features::Guess(Guess::Unknown);
    assert_eq!(whole(&config, b"\xed\xa0\x80", 10), Ok(unknown));
}

#[test]
fn a_wider_window_changes_nothing() {
    let file = b" abcdefghijklmnopqrstuvw ";
    let expected = whole(&SMALL, file, 10).unwrap();
    for window in 11..40 {
        assert_eq!(whole(&SMALL, file, window).unwrap(), expected);
    }
}

#[test]
fn a_window_must_hold_what_is_needed() {
    let error = whole(&SMALL, b"abcdefghijkl", 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"head\" holds 9 bytes of a file of 12 bytes; at least 10 are needed"
    );
    let windows = Windows {
        head: b"abc",
        tail: b"abcd",
        size: 3,
    };
    assert_eq!(
        features(&SMALL, windows).unwrap_err().to_string(),
        "tensor \"tail\" holds 4 bytes of a file of 3 bytes; at most 3 are possible"
    );
    let windows = Windows {
        head: b"",
        tail: b"a",
        size: 0,
    };
    assert!(features(&SMALL, windows).is_err());
    let windows = Windows {
        head: b"0123456789",
        tail: b"0123456789",
        size: u64::MAX,
    };
    assert!(features(&SMALL, windows).is_ok());
}

/// Bytes with much white space, so that stripping has work to do.
fn content(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => Just(b' '),
        1 => Just(b'\n'),
        3 => any::<u8>(),
    ];
    vec(byte, length)
}

proptest! {
    #[test]
    fn tokens_are_the_bytes_they_stand_for(file in content(0..60)) {
        let result = whole(&SMALL, &file, SMALL.block_size).unwrap();
        let block = file.len().min(SMALL.block_size);
        let space = |byte: &&u8| b" \t\n\r\x0b\x0c".contains(byte);
        let start: Vec<i32> =
            file[..block].iter().skip_while(space).map(|b| i32::from(*b)).collect();
        let mut end: Vec<i32> = file[file.len() - block..]
            .iter().rev().skip_while(space).map(|b| i32::from(*b)).collect();
        end.truncate(SMALL.end_size);
        end.reverse();

        match result {
            Features::Guess(Guess::Empty) => prop_assert!(file.is_empty()),
            Features::Guess(guess) => {
                prop_assert!(!file.is_empty() && start.len() < SMALL.min_file_size);
                let is_text = String::from_utf8(file[..block].to_vec()).is_ok();
                prop_assert_eq!(guess == Guess::Text, is_text);
            }
            Features::Tokens(tokens) => {
                prop_assert_eq!(tokens.len(), SMALL.token_count());
                prop_assert!(start.len() >= SMALL.min_file_size);
                let (beg, rest) = tokens.split_at(SMALL.beg_size);
                let kept = start.len().min(SMALL.beg_size);
                prop_assert_eq!(&beg[..kept], &start[..kept]);
                prop_assert!(beg[kept..].iter().all(|token| *token == PAD));
                let padding = SMALL.end_size - end.len();
                prop_assert!(rest[..padding].iter().all(|token| *token == PAD));
                prop_assert_eq!(&rest[padding..], &end[..]);
            }
        }
    }

    #[test]
    fn the_middle_of_a_file_does_not_matter(
        ends in content(20..21),
        middles in (content(0..30), content(0..30)),
    ) {
        let file = |middle: &[u8]| [&ends[..10], middle, &ends[10..]].concat();
        prop_assert_eq!(
            whole(&SMALL, &file(&middles.0), 10),
            whole(&SMALL, &file(&middles.1), 10)
        );
    }
}

fn config() -> Value {
    json!({
        "beg_size": 6, "mid_size": 0, "end_size": 4, "block_size": 10,
        "min_file_size_for_dl": 3, "padding_token": PAD, "use_inputs_at_offsets": false,
        "target_labels_space": ["for the other plugin"],
    })
}

fn content_types() -> Value {
    json!({
        "empty": {"mime_type": "inode/x-empty", "group": "inode", "is_text": false},
        "txt": {"mime_type": "text/plain", "group": "text", "is_text": true},
        "unknown": {"mime_type": null, "group": null, "is_text": false},
    })
}

fn init(config: &Value, content_types: &Value) -> Result<FileFeatures, Error> {
    let assets = Assets::from_pairs([
        ("config.json", config.to_string()),
        ("content_types.json", content_types.to_string()),
    ]);
    FileFeatures::init("", &assets)
}

fn example(head: &[u8], tail: &[u8], size: i64) -> Example {
    Example::from_tensors([
        ("head", Tensor::single_bytes(head).unwrap()),
        ("tail", Tensor::single_bytes(tail).unwrap()),
        ("size", Tensor::single(size).unwrap()),
    ])
}

#[test]
fn the_plugin_forwards_tokens() {
    let plugin = init(&config(), &content_types()).unwrap();
    let outcome = plugin.preprocess(&example(b"abcde", b"abcde", 5)).unwrap();
    let Outcome::Forward(outputs) = outcome else {
        panic!("{outcome:?}");
    };
    let bytes = outputs.tensor("bytes").unwrap();
    assert_eq!(outputs.tensors().len(), 1);
    assert_eq!(bytes.shape(), [10]);
    assert_eq!(*bytes.read::<i32>().unwrap(), spelled(b"abcde_bcde"));
}

#[test]
fn all_files_at_once_are_as_one_by_one() {
    let plugin = init(&config(), &content_types()).unwrap();
    let at_once = |files: &[Example]| {
        let columns = Columns::stack(files).unwrap();
        plugin.preprocess_columns(&columns)
    };
    let files = [
        example(b"abcde", b"abcde", 5),
        example(b"0123456789", b"k23456789z", 90),
    ];
    let outputs = at_once(&files).unwrap().unwrap();
    let bytes = outputs.tensor("bytes").unwrap();
    assert_eq!(bytes.shape(), [2, 10]);
    let expected = [spelled(b"abcde_bcde"), spelled(b"012345789z")].concat();
    assert_eq!(bytes.to_vec::<i32>().unwrap(), expected);
    // One that needs no model, and one that is none.
    let [first, ..] = files;
    assert!(at_once(&[first, example(b"", b"", 0)]).unwrap().is_none());
    assert!(at_once(&[example(b"abc", b"abc", -1)]).is_err());
}

#[test]
fn the_plugin_answers_without_the_model() {
    let plugin = init(&config(), &content_types()).unwrap();
    for (content, label, mime_type, group) in [
        (&b""[..], "empty", "inode/x-empty", "inode"),
        (b"ab", "txt", "text/plain", "text"),
        (b"a\xff", "unknown", "application/octet-stream", "unknown"),
    ] {
        let example = example(content, content, content.len() as i64);
        let outcome = plugin.preprocess(&example).unwrap();
        let Outcome::Answer(outputs) = outcome else {
            panic!("{outcome:?}");
        };
        let text = |name| outputs.tensor(name).unwrap().text().unwrap();
        assert_eq!(text("label"), label);
        assert_eq!(text("mime_type"), mime_type);
        assert_eq!(text("group"), group);
        let score = outputs.tensor("score").unwrap();
        assert_eq!(score.element::<f32>().unwrap(), 1.0);
    }
}

#[test]
fn what_the_plugin_makes_is_what_it_describes() {
    let plugin = init(&config(), &content_types()).unwrap();
    let description = plugin.describe();
    let promised = |specs: &[consort_sdk::TensorSpec]| -> Vec<_> {
        let spec =
            |spec: &consort_sdk::TensorSpec| (spec.name.clone(), spec.datatype, spec.dims.clone());
        specs.iter().map(spec).collect()
    };
    let made = |outcome: &Outcome| -> Vec<_> {
        let (Outcome::Forward(outputs) | Outcome::Answer(outputs)) = outcome;
        let parts = outputs
            .tensors()
            .map(|(name, tensor)| (name.to_owned(), tensor.datatype(), tensor.shape().into()));
        parts.collect()
    };
    let forward = plugin.preprocess(&example(b"abc", b"abc", 3)).unwrap();
    assert_eq!(made(&forward), promised(&description.forwards));
    let answer = plugin.preprocess(&example(b"", b"", 0)).unwrap();
    assert_eq!(made(&answer), promised(&description.answers));
    let inputs: Vec<_> = description.inputs.iter().map(|spec| &*spec.name).collect();
    assert_eq!(inputs, ["head", "tail", "size"]);
}

#[test]
fn bad_examples_are_the_callers_fault() {
    let plugin = init(&config(), &content_types()).unwrap();
    let error = plugin.preprocess(&example(b"", b"", -1)).unwrap_err();
    assert_eq!(
        error,
        Error::InvalidInput(
            "tensor \"size\" is -1, the size of a file in bytes is expected".into()
        )
    );
    let error = plugin.preprocess(&example(b"ab", b"ab", 7)).unwrap_err();
    assert_eq!(
        error,
        Error::InvalidInput(
            "tensor \"head\" holds 2 bytes of a file of 7 bytes; at least 7 are needed".into()
        )
    );
}

/// The tokens of a file of whose windows so many bytes are at hand; `None` when more are needed.
fn of_ends<T: Token>(file: &[u8], at_hand: usize, padding: Option<T>) -> Option<Vec<T>> {
    let length = file.len().min(SMALL.block_size);
    let size = length.min(at_hand);
    let ends = Windows {
        head: &file[..size],
        tail: &file[file.len() - size..],
        size: file.len() as u64,
    };
    let mut tokens = Vec::new();
    let added = add_ends(&SMALL, ends, (length, length), padding, &mut tokens).unwrap();
    assert!(added || tokens.is_empty());
    added.then_some(tokens)
}

#[test]
fn ends_are_enough_without_white_space() {
    let long = b"abcdefghijklmnopqrstuvwxyz";
    assert_eq!(of_ends::<u8>(long, 6, None).unwrap(), *b"abcdefwxyz");
    let spaced = b" abcdefghijklmnopqrstuvwxyz";
    assert_eq!(of_ends::<u8>(spaced, 6, None), None);
    assert_eq!(of_ends::<u8>(spaced, 7, None).unwrap(), *b"abcdefwxyz");
    // A short file has padding, for which there is no byte.
    assert_eq!(of_ends::<u8>(b"abc", 6, None), None);
    let tokens = of_ends(b"abc", 6, Some(256u16)).unwrap();
    let tokens: Vec<i32> = tokens.into_iter().map(i32::from).collect();
    assert_eq!(tokens, spelled(b"abc____abc"));
    // Files for which there is nothing to see are for the whole windows.
    for file in [&b""[..], b"ab", b"        "] {
        assert_eq!(of_ends(file, 10, Some(256u16)), None);
    }
}

proptest! {
    #[test]
    fn ends_give_what_windows_give(
        file in vec(prop_oneof![Just(b' '), Just(b'a'), any::<u8>()], 0..40),
        at_hand in 0usize..12,
    ) {
        let expected = whole(&SMALL, &file, SMALL.block_size).unwrap();
        if let Some(tokens) = of_ends(&file, at_hand, Some(256u16)) {
            let tokens = tokens.into_iter().map(i32::from).collect();
            prop_assert_eq!(&Features::Tokens(tokens), &expected);
        }
        if let Some(tokens) = of_ends::<u8>(&file, at_hand, None) {
            let tokens = tokens.into_iter().map(i32::from).collect();
            prop_assert_eq!(&Features::Tokens(tokens), &expected);
        }
    }
}

#[test]
fn bad_assets_stop_the_load() {
    let mut no_key = config();
    no_key.as_object_mut().unwrap().remove("block_size");
    let mut bad_value = config();
    bad_value["mid_size"] = json!(3);
    let mut no_label = content_types();
    no_label.as_object_mut().unwrap().remove("unknown");
    for (config, types, message) in [
        (
            no_key,
            content_types(),
            "asset \"config.json\": missing field `block_size`",
        ),
        (
            bad_value,
            content_types(),
            "asset \"config.json\": `mid_size` is 3, only 0 is supported",
        ),
        (
            config(),
            no_label,
            "asset \"content_types.json\" has no entry \"unknown\", \
             which a file without enough content uses",
        ),
    ] {
        let error = init(&config, &types).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let error = FileFeatures::init("", &Assets::none()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no asset \"config.json\"; there are none"
    );
    let error = FileFeatures::init("{}", &Assets::none()).unwrap_err();
    assert!(error.to_string().contains("takes no `config`"), "{error}");
}
