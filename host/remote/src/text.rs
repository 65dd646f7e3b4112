//! What a server said, made fit for a log line or an error message.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Characters of a server's words that a message shows.
const SHOWN_CHARS_MAX: usize = 240;

/// The start of what `bytes` say, in quotes, on one line, with nothing in it that a terminal
/// or a log viewer would act on.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    // A character takes four bytes at most, so that no more than these need to be looked at.
    let head = bytes.get(..SHOWN_CHARS_MAX * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let mut chars = text.chars();
    let mut shown = String::from("\"");
    for char in chars.by_ref().take(SHOWN_CHARS_MAX) {
        if is_active(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    let is_cut = head.len() < bytes.len() || chars.next().is_some();
    shown.push_str(if is_cut { "...\"" } else { "\"" });
    shown
}

/// What the body of an error says: the protocol's `{"error": "..."}`, Google's
/// `{"error": {"message": "..."}}`, or anything else as it is. `None` for an empty one.
pub(crate) fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Detailed {
        message: String,
    }
    if body.is_empty() {
        return None;
    }
    let said = serde_json::from_slice(body)
        .ok()
        .and_then(|body: Body<'_>| {
            let error = body.error.get();
            let plain = serde_json::from_str::<String>(error).ok();
            plain.or_else(|| Some(serde_json::from_str::<Detailed>(error).ok()?.message))
        });
    Some(said.map_or_else(|| excerpt(body), |said| excerpt(said.as_bytes())))
}

/// Whether a character does something else than being shown: controls, line ends, marks that
/// turn the direction of writing or take no room.
fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_escaped_and_length_is_limited() {
        assert_eq!(excerpt(b"a\x1b[31m\nb"), "\"a\\u{1b}[31m\\nb\"");
        assert_eq!(excerpt("\u{202e}x".as_bytes()), "\"\\u{202e}x\"");
        assert_eq!(excerpt("größe".as_bytes()), "\"größe\"");
        let long = excerpt("ä".repeat(10_000).as_bytes());
        assert_eq!(long.chars().count(), 240 + 5);
        assert!(long.ends_with("ä...\""));
        assert!(!excerpt("x".repeat(240).as_bytes()).contains("..."));
    }

    #[test]
    fn errors_are_found_in_their_usual_places() {
        let text = |body: &str| error_text(body.as_bytes());
        assert_eq!(text(r#"{"error":"no\nsuch"}"#).unwrap(), "\"no\\nsuch\"");
        let google = r#"{"error":{"code":403,"message":"denied","status":"X"}}"#;
        assert_eq!(text(google).unwrap(), "\"denied\"");
        assert_eq!(text(r#"{"error":7}"#).unwrap(), "\"{\"error\":7}\"");
        assert_eq!(text("<html>").unwrap(), "\"<html>\"");
        assert_eq!(text(""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_quiet_line(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
            for shown in [Some(excerpt(&body)), error_text(&body)].into_iter().flatten() {
                prop_assert!(!shown.chars().any(is_active), "{}", shown);
                prop_assert!(shown.len() <= SHOWN_CHARS_MAX * 10 + 8);
            }
        }
    }
}
