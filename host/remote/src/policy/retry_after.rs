//! The header `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// How long the server asks to be left alone; `None` where the header says nothing readable.
/// A date that has passed asks for no wait.
pub(crate) fn retry_after(header: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(header).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |text: &str| retry_after(text.as_bytes(), now).map(|wait| wait.as_secs());
        assert_eq!(read("3"), Some(3));
        assert_eq!(read(" 120 "), Some(120));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for nothing in ["", "-1", "1.5", "soon", "1 s"] {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(header in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = retry_after(&header, SystemTime::UNIX_EPOCH);
        }
    }
}
