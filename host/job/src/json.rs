//! A reader of one line of JSON that keeps its place and builds no tree.
//!
//! It knows where each fault is, so that a message can name the column.

use std::borrow::Cow;

/// What was wrong with a line, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of the line before the place.
    pub(crate) at: usize,
    /// What was wrong there.
    pub(crate) what: String,
}

/// A number as it is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'a> {
    pub(crate) text: &'a str,
    /// Whether it has neither fraction nor exponent.
    pub(crate) integer: bool,
    /// Its digits as one number and the power of ten that they are times of, while they
    /// are few enough.
    decimal: Option<(u64, i32)>,
}

/// A place in a line.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

// === impl Number ===

impl Number<'_> {
    /// Its value, if one step of double precision yields it exactly rounded: both the
    /// digits and the power of ten are exact as doubles.
    pub(crate) fn exact(&self) -> Option<f64> {
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        let (digits, exponent) = self.decimal.filter(|(digits, _)| *digits <= 1 << 53)?;
        let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
        let value = match exponent < 0 {
            true => digits as f64 / power,
            false => digits as f64 * power,
        };
        Some(match self.text.starts_with('-') {
            true => -value,
            false => value,
        })
    }

    /// Its value in single precision, if that is certain to be exactly rounded.
    pub(crate) fn exact_single(&self) -> Option<f32> {
        /// The bits of a double that a single has no room for, and half of what they hold.
        const DROPPED: u64 = (1 << 29) - 1;
        const HALF: u64 = 1 << 28;
        let value = self.exact()?;
        let single = value as f32;
        // Rounded twice is rounded right, but for a double that lies half-way between two
        // singles, or is so small that a single drops more of its bits.
        let certain = value.to_bits() & DROPPED != HALF;
        let normal = value == 0.0 || single.abs() >= f32::MIN_POSITIVE && single.is_finite();
        (certain && normal).then_some(single)
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes before the place.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes before the next that is not white space.
    pub(crate) fn place(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// Bytes from the place on.
    pub(crate) fn rest_len(&self) -> usize {
        self.text.len() - self.at
    }

    /// The next byte that is not white space; stays before it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while matches!(self.here(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.here()
    }

    /// Passes `byte` if it is the next.
    pub(crate) fn pass(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A fault at the next byte: `wanted` was expected there.
    pub(crate) fn expected(&mut self, wanted: &str) -> Fault {
        let found = match self.peek() {
            None => "the line ends".to_owned(),
            Some(b'"') => "a string was found".to_owned(),
            Some(b'{') => "an object was found".to_owned(),
            Some(b'[') => "an array was found".to_owned(),
            Some(b'-' | b'0'..=b'9') => "a number was found".to_owned(),
            Some(_) => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let word = rest.split(|c: char| !c.is_alphanumeric()).next();
                match word.filter(|word| !word.is_empty()) {
                    Some(word) => format!("'{word:.16}' was found"),
                    None => format!("{:?} was found", rest.chars().next().unwrap_or_default()),
                }
            }
        };
        self.fault(format!("{wanted} is expected, {found}"))
    }

    /// A fault at this place.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Fault {
        Fault {
            at: self.at,
            what: what.into(),
        }
    }

    /// Passes the opening byte of an object or array.
    pub(crate) fn open(&mut self, byte: u8, wanted: &str) -> Result<(), Fault> {
        match self.pass(byte) {
            true => Ok(()),
            false => Err(self.expected(wanted)),
        }
    }

    /// Whether another element follows in an object or array; otherwise passes its end.
    pub(crate) fn another(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        if self.pass(close) {
            return Ok(false);
        }
        if first {
            return Ok(true);
        }
        match self.pass(b',') {
            true => Ok(true),
            false => Err(self.expected(&format!("',' or '{}'", char::from(close)))),
        }
    }

    /// Passes a member's name and the colon.
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        let name = self.string("a name in quotes")?;
        self.open(b':', "':'")?;
        Ok(name)
    }

    /// Passes a string.
    pub(crate) fn string(&mut self, wanted: &str) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(wanted));
        }
        let open = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.here() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..0x20) => return Err(self.fault("a control character must be escaped")),
                Some(_) => self.at += 1,
                None => {
                    self.at = open;
                    return Err(self.fault("the string has no end"));
                }
            }
        }
        self.at += 1;
        let quoted = self.text.get(open..self.at).unwrap_or_default();
        if escaped {
            return serde_json::from_str(quoted)
                .map(Cow::Owned)
                .map_err(|_| Fault {
                    at: open,
                    what: "the string has an escape that JSON does not know".to_owned(),
                });
        }
        let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        Ok(Cow::Borrowed(inside))
    }

    /// Passes a value that nobody needs, if it is JSON.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        /// Arrays and objects within each other, as far as a reader without a stack of
        /// its own should go.
        const DEPTH_MAX: usize = 64;
        self.skip_within(DEPTH_MAX)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), Fault> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.fault("there are too many arrays and objects within each other"));
        };
        match self.peek() {
            Some(b'"') => self.string("a value").map(drop),
            Some(b'-' | b'0'..=b'9') => self.number("a value").map(drop),
            Some(open @ (b'{' | b'[')) => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                let mut first = true;
                while self.another(first, close)? {
                    first = false;
                    if open == b'{' {
                        self.name()?;
                    }
                    self.skip_within(depth)?;
                }
                Ok(())
            }
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let words = ["true", "false", "null"].into_iter();
                let mut words = words.filter(|word| rest.starts_with(word));
                let Some(word) = words.next() else {
                    return Err(self.expected("a value"));
                };
                self.at += word.len();
                Ok(())
            }
        }
    }

    /// Passes a number.
    pub(crate) fn number(&mut self, wanted: &str) -> Result<Number<'a>, Fault> {
        self.peek();
        let start = self.at;
        let mut integer = true;
        self.at += usize::from(self.here() == Some(b'-'));
        let leading_zero = self.here() == Some(b'0');
        let mut value = 0;
        let mut count = self.digits(&mut value);
        let digits = count;
        let mut good = digits == 1 || digits > 1 && !leading_zero;
        let mut exponent = 0i32;
        if self.here() == Some(b'.') {
            self.at += 1;
            integer = false;
            let fraction = self.digits(&mut value);
            good &= fraction > 0;
            count += fraction;
            exponent = -i32::try_from(fraction).unwrap_or(i32::MAX);
        }
        if matches!(self.here(), Some(b'e' | b'E')) {
            self.at += 1;
            integer = false;
            let minus = self.here() == Some(b'-');
            self.at += usize::from(matches!(self.here(), Some(b'+' | b'-')));
            let mut power = 0;
            let digits = self.digits(&mut power);
            good &= digits > 0;
            // Beyond that no power of ten is exact.
            let power = i32::try_from(power).ok().filter(|_| digits < 9);
            match power {
                Some(power) if minus => exponent = exponent.saturating_sub(power),
                Some(power) => exponent = exponent.saturating_add(power),
                None => count = usize::MAX,
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if good {
            // So many digits fit, whatever they are.
            const DIGITS_MAX: usize = 19;
            return Ok(Number {
                text,
                integer,
                decimal: (count <= DIGITS_MAX).then_some((value, exponent)),
            });
        }
        self.at = start;
        match text.is_empty() {
            true => Err(self.expected(wanted)),
            false => Err(self.fault("this is not a number as JSON writes it")),
        }
    }

    /// Passes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        self.peek();
        for (word, value) in [("true", true), ("false", false)] {
            if self
                .text
                .get(self.at..)
                .unwrap_or_default()
                .starts_with(word)
            {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("true or false"))
    }

    /// Makes sure that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes digits and appends them to a number, which wraps where they are too many.
    fn digits(&mut self, value: &mut u64) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.here() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        self.at - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_those_of_json() {
        for (text, integer) in [
            ("0", true),
            ("-0", true),
            ("120", true),
            ("1.5", false),
            ("-2e10", false),
            ("1E+2", false),
            ("0.1e-1", false),
        ] {
            let number = Cursor::new(text).number("a number").unwrap();
            assert_eq!((number.text, number.integer), (text, integer));
        }
        for text in ["-", "01", "1.", "1e", ".5", "+1", "NaN", "1e+", "--1", ""] {
            let mut cursor = Cursor::new(text);
            assert!(cursor.number("a number").is_err(), "{text}");
            assert_eq!(cursor.at(), 0);
        }
    }

    #[test]
    fn faults_say_what_was_found() {
        let fault = |text| Cursor::new(text).number("a number").unwrap_err().what;
        assert_eq!(fault("  [1]"), "a number is expected, an array was found");
        assert_eq!(fault("null"), "a number is expected, 'null' was found");
        assert_eq!(fault("}"), "a number is expected, '}' was found");
        assert_eq!(fault(""), "a number is expected, the line ends");
        assert_eq!(fault("01"), "this is not a number as JSON writes it");
    }

    #[test]
    fn strings_that_are_none() {
        for (text, at, what) in [
            ("\"ab", 0, "the string has no end"),
            ("\"ab\\", 0, "the string has no end"),
            ("\"ab\\\"", 0, "the string has no end"),
            ("\"a\tb\"", 2, "a control character must be escaped"),
            (
                "\"\\x\"",
                0,
                "the string has an escape that JSON does not know",
            ),
            (
                "\"\\ud800\"",
                0,
                "the string has an escape that JSON does not know",
            ),
        ] {
            let fault = Cursor::new(text).string("a string").unwrap_err();
            assert_eq!((fault.at, fault.what.as_str()), (at, what), "{text}");
        }
    }

    proptest! {
        /// Where the short way says anything, it says what the long way says.
        #[test]
        fn exact_numbers_are_exact(
            text in "-?(0|[1-9][0-9]{0,9}|16777217|9007199254740993)(\\.[0-9]{1,11})?([eE][-+]?[0-9]{1,2})?",
        ) {
            let number = Cursor::new(&text).number("a number").unwrap();
            if let Some(value) = number.exact() {
                prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
            }
            if let Some(value) = number.exact_single() {
                prop_assert_eq!(value.to_bits(), text.parse::<f32>().unwrap().to_bits());
            }
        }

        /// Singles as they are written read back the short way or the long.
        #[test]
        fn singles_read_back(bits: u32, above in 0u64..(1 << 29)) {
            let single = f32::from_bits(bits);
            prop_assume!(single.is_finite());
            // A double near the half-way point between two singles, to the last digit.
            let near = f64::from_bits(f64::from(single).to_bits() | above);
            for text in [format!("{single:?}"), format!("{single}"), format!("{near:?}")] {
                let number = Cursor::new(&text).number("a number").unwrap();
                if let Some(value) = number.exact_single() {
                    prop_assert_eq!(value.to_bits(), text.parse::<f32>().unwrap().to_bits());
                }
            }
        }

        #[test]
        fn strings_are_read_as_serde_json_reads_them(text in "\\PC*|[\"\\\\a-cu0-9{}/\n]{0,12}") {
            let quoted = format!("\"{text}\"");
            let mut cursor = Cursor::new(&quoted);
            let read = cursor.string("a string");
            let whole = read.is_ok() && cursor.end().is_ok();
            let expected: Option<String> = serde_json::from_str(&quoted).ok();
            prop_assert_eq!(read.ok().filter(|_| whole).map(Cow::into_owned), expected);
        }

        #[test]
        fn numbers_are_read_as_serde_json_reads_them(text in "[-+0-9.eE]{0,8}") {
            let mut cursor = Cursor::new(&text);
            let good = cursor.number("a number").is_ok() && cursor.end().is_ok();
            let read = serde_json::from_str::<f64>(&text);
            // Of a number too large for f64 it does not say whether it is one at all.
            let too_large = |error: &serde_json::Error| error.to_string().contains("out of range");
            prop_assume!(!read.as_ref().is_err_and(too_large));
            prop_assert_eq!(good, read.is_ok());
        }
    }
}
