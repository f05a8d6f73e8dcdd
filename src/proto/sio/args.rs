//! The arguments of an event or an ack: a JSON array, found by scanning and left as text.

use std::borrow::Cow;

use serde::Deserializer as _;
use serde::de::IgnoredAny;

use super::{DecodeError, RESERVED_EVENTS, well_formed};

/// The arguments of an event or an ack, still JSON text. That they are valid JSON is only known after
/// [`Args::is_json`], or after decoding them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    /// The event's name; empty for an ack.
    pub name: Cow<'a, str>,
    /// The whole array, an event's name in front.
    pub array: &'a str,
    /// The array without its opening bracket and the name: `1,2]`, or `]` without arguments.
    pub list: &'a str,
}

impl<'a> Args<'a> {
    /// Takes the name off an event's array.
    ///
    /// # Errors
    /// It is no array, or its first element is no event's name.
    pub fn of_event(array: &'a str) -> Result<Self, DecodeError> {
        let inner = open(array)?;
        let (name, rest) = split_name(inner)?;
        if RESERVED_EVENTS.contains(&name.as_ref()) {
            return Err(DecodeError::ReservedEvent);
        }
        let rest = trim(rest);
        let list = match rest.strip_prefix(',') {
            Some(list) => Some(trim(list)).filter(|list| !list.starts_with(']')),
            None => Some(rest).filter(|rest| rest.starts_with(']')),
        };
        Ok(Args { name, array, list: list.ok_or(DecodeError::Payload)? })
    }

    pub(super) fn of_ack(array: &'a str) -> Result<Self, DecodeError> {
        Ok(Args { name: Cow::Borrowed(""), array, list: trim(open(array)?) })
    }

    /// Whether the whole array is valid JSON.
    pub fn is_json(&self) -> bool {
        is_json(self.array)
    }
}

fn open(array: &str) -> Result<&str, DecodeError> {
    trim(array).strip_prefix('[').map(trim).ok_or(DecodeError::Payload)
}

/// JSON's white space only (RFC 8259, section 2).
fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// An event's name: a string, or a number as the reference parser allows.
fn split_name(text: &str) -> Result<(Cow<'_, str>, &str), DecodeError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = memchr::memchr2(b'"', b'\\', quoted.as_bytes()).ok_or(DecodeError::Payload)?;
        if quoted.as_bytes()[end] == b'"' {
            return Ok((Cow::Borrowed(&quoted[..end]), &quoted[end + 1..]));
        }
        let decodable = well_formed(text);
        let mut names = serde_json::Deserializer::from_str(&decodable).into_iter::<String>();
        let name = names.next().and_then(Result::ok).ok_or(DecodeError::Payload)?;
        return Ok((Cow::Owned(name), &text[names.byte_offset()..]));
    }
    let end = text.find([',', ']', ' ', '\t', '\n', '\r']).ok_or(DecodeError::Payload)?;
    serde_json::from_str::<serde_json::Number>(&text[..end]).map_err(|_| DecodeError::Payload)?;
    Ok((Cow::Borrowed(&text[..end]), &text[end..]))
}

/// Whether the text is one valid JSON value, however deep. Nothing is built.
pub fn is_json(text: &str) -> bool {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_ignored_any(IgnoredAny).is_ok() && json.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(array: &str) -> Result<(Cow<'_, str>, &str), DecodeError> {
        Args::of_event(array).map(|args| (args.name, args.list))
    }

    #[test]
    fn a_name_and_its_arguments() {
        assert_eq!(event(r#"["a"]"#), Ok(("a".into(), "]")));
        assert_eq!(event(r#"["a",1,[2]]"#), Ok(("a".into(), "1,[2]]")));
        assert_eq!(event(" [ \"a\" , 1 ]"), Ok(("a".into(), "1 ]")));
        assert_eq!(event(r#"["a\n\"]\u00e9",1]"#), Ok(("a\n\"]é".into(), "1]")));
        assert_eq!(event(r#"["a\ud83d",1]"#), Ok(("a\u{fffd}".into(), "1]")));
        assert_eq!(event("[1,2]"), Ok(("1".into(), "2]")));
        assert_eq!(event(r#"["",2]"#), Ok(("".into(), "2]")));
    }

    #[test]
    fn what_is_no_event() {
        for array in [
            "[]",
            "[",
            "",
            "[\"a",
            "[\"a\\",
            "[\"a\"",
            "[\"a\",]",
            "[\"a\"1]",
            "[null]",
            "[{}]",
            "[\"\\x\"]",
            "[-]",
            "[1",
        ] {
            assert_eq!(event(array), Err(DecodeError::Payload), "{array}");
        }
        assert_eq!(event(r#"["connect"]"#), Err(DecodeError::ReservedEvent));
        assert_eq!(event(r#"["disconn\u0065ct"]"#), Err(DecodeError::ReservedEvent));
    }

    #[test]
    fn json_of_any_depth_is_checked_without_recursion() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(is_json(&deep));
        assert!(!is_json(&deep[1..]));
        assert!(!is_json("[1,]"));
        assert!(!is_json("[1] 2"));
    }
}
