//! Halves of surrogate pairs, which JavaScript has in strings and JSON can escape (RFC 8259, section 8.2), and UTF-8 has not:
//! what a client cuts off in the middle of an emoji ends with one.

use std::borrow::Cow;

/// What stands for a character that is none.
const REPLACEMENT: &str = "fffd";

/// The JSON with U+FFFD for each escaped half of a pair that stands alone. Nothing moves: the text is as long as before.
///
/// What is passed on is not to be changed; this is for whoever decodes strings.
pub fn well_formed(json: &str) -> Cow<'_, str> {
    let mut mended = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        at += found;
        at += match escaped(json, at) {
            Some(0xd800..0xdc00) if matches!(escaped(json, at + 6), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                mended.to_mut().replace_range(at + 2..at + 6, REPLACEMENT);
                6
            }
            // Whatever is escaped: it may be a backslash.
            _ => 2,
        };
        at = at.min(json.len());
    }
    mended
}

/// The code unit that an escape at this place means.
fn escaped(json: &str, at: usize) -> Option<u16> {
    let digits = json.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_that_stand_alone_are_replaced() {
        for (json, expected) in [
            (r#"["\ud83d"]"#, r#"["\ufffd"]"#),
            (r#"["\uDE00a\uD83D\uDE00\uD83D"]"#, r#"["\ufffda\uD83D\uDE00\ufffd"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\\ud83d"]"#, r#"["\\ud83d"]"#),
            (r#"["\\\ud83d\n"]"#, r#"["\\\ufffd\n"]"#),
            (r#"["é\ud83d","\u00e9","\ud7ff\ue000"]"#, r#"["é\ufffd","\u00e9","\ud7ff\ue000"]"#),
            (r#"["\ud83dx\ude00"]"#, r#"["\ufffdx\ufffd"]"#),
            // No JSON.
            ("\\", "\\"),
            (r"\ud83", r"\ud83"),
            (r"\ud83é", r"\ud83é"),
            (r"\ud83d\", r"\ufffd\"),
        ] {
            assert_eq!(well_formed(json), expected);
        }
        assert!(matches!(well_formed(r#"["\ud83d\ude00 \" \\ \u0041"]"#), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn strings_of_javascript_are_as_rust_would_have_them(units in prop::collection::vec(
            prop_oneof![Just(u16::from(b'\\')), Just(u16::from(b'"')), 0xd7f0_u16..0xe010, any::<u16>()], 0..20))
        {
            let json: String = units.iter().map(|unit| match unit {
                0x5c => r"\\".to_owned(),
                0x22 => r#"\""#.to_owned(),
                unit => format!("\\u{unit:04x}"),
            }).collect();
            let decoded: String = serde_json::from_str(&format!("\"{}\"", well_formed(&json))).unwrap();
            prop_assert_eq!(decoded, String::from_utf16_lossy(&units));
        }

        #[test]
        fn any_text_keeps_its_length(text in r#"(\\|u|d83d|DE00|"|é|.){0,30}"#) {
            prop_assert_eq!(well_formed(&text).len(), text.len());
        }
    }
}
