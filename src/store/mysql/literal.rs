//! Values as literals in SQL. The append path sends whole scripts, which cannot be prepared.
//!
//! They rely on the `sql_mode` and the character set that each session sets: a backslash is an escape, and no byte of a
//! UTF-8 sequence is taken for a quote.

use std::fmt::{self, Display, Write as _};

use crate::store::sql::Value;

/// A value of any type.
pub(super) enum Literal<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Text.
pub(super) struct Text<'a>(pub &'a str);

/// Bytes, in hexadecimal.
pub(super) struct Bytes<'a>(pub &'a [u8]);

/// A value, or NULL.
pub(super) struct OrNull<T>(pub Option<T>);

impl<'a> From<&'a Value> for Literal<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Literal::Null,
            Value::Int(number) => Literal::Int(*number),
            Value::Text(text) => Literal::Text(text),
            Value::Bytes(bytes) => Literal::Bytes(bytes),
        }
    }
}

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("NULL"),
            Literal::Int(number) => number.fmt(f),
            Literal::Text(text) => Text(text).fmt(f),
            Literal::Bytes(bytes) => Bytes(bytes).fmt(f),
        }
    }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        f.write_char('\'')?;
        while let Some(at) = memchr::memchr2(b'\\', b'\'', rest.as_bytes()) {
            let (before, special) = rest.split_at(at);
            f.write_str(before)?;
            f.write_char('\\')?;
            f.write_str(&special[..1])?;
            rest = &special[1..];
        }
        f.write_str(rest)?;
        f.write_char('\'')
    }
}

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x'")?;
        let digit = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
        for byte in self.0 {
            f.write_char(digit(byte >> 4))?;
            f.write_char(digit(byte & 15))?;
        }
        f.write_char('\'')
    }
}

impl<T: Display> Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("NULL"),
        }
    }
}

/// Literals with commas between them.
pub(super) fn list<T: Display>(literals: impl IntoIterator<Item = T>) -> String {
    let mut list = String::new();
    for literal in literals {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a string never fails.
        let _ = write!(list, "{comma}{literal}");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_their_literal() {
        for (text, literal) in [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", r"'it\'s'"),
            (r"\", r"'\\'"),
            (r"\'; DROP TABLE messages; --", r"'\\\'; DROP TABLE messages; --'"),
            ("a\0b\n\"c\"", "'a\0b\n\"c\"'"),
            ("'ü'", r"'\'ü\''"),
        ] {
            assert_eq!(Text(text).to_string(), literal);
        }
    }

    #[test]
    fn bytes_and_nothing() {
        assert_eq!(Bytes(&[0, 0x27, 0xff]).to_string(), "x'0027ff'");
        assert_eq!(Bytes(&[]).to_string(), "x''");
        assert_eq!(OrNull(Some(7)).to_string(), "7");
        assert_eq!(OrNull(None::<Text<'_>>).to_string(), "NULL");
        assert_eq!(list([1, 2]), "1, 2");
    }
}
