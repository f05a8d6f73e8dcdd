//! `application/x-www-form-urlencoded` (WHATWG URL, section 5.1), read without allocation where nothing
//! is escaped. Reading never fails: a broken escape stays as it is, bytes that are no UTF-8 become U+FFFD.

use std::borrow::Cow;

/// The names and values of a query string (without its `?`), decoded, in order, repeated ones included.
pub fn parse_query(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let Some(first) = memchr::memchr2(b'%', b'+', bytes) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        out.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *byte,
        });
    }
    Cow::Owned(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        parse_query(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values() {
        assert_eq!(pairs("EIO=4&transport=polling"), [pair("EIO", "4"), pair("transport", "polling")]);
        assert_eq!(pairs("&&a&=b&c=d=e&"), [pair("a", ""), pair("", "b"), pair("c", "d=e")]);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn escapes() {
        assert_eq!(pairs("t%6Fken=a+b%20c%2B"), [pair("token", "a b c+")]);
        assert_eq!(pairs("a=%e4%BD%A0"), [pair("a", "你")]);
        assert_eq!(
            pairs("a=%&b=%4&c=%zz&d=%%41"),
            [pair("a", "%"), pair("b", "%4"), pair("c", "%zz"), pair("d", "%A")]
        );
        assert_eq!(pairs("a=x%ffy"), [pair("a", "x\u{fffd}y")]);
    }

    #[test]
    fn what_needs_no_decoding_is_borrowed() {
        assert!(
            parse_query("sid=abc")
                .all(|(name, value)| matches!((name, value), (Cow::Borrowed(_), Cow::Borrowed(_))))
        );
    }

    proptest::proptest! {
        #[test]
        fn an_encoded_value_comes_back(value in ".{0,40}") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert_eq!(pairs(&format!("v={encoded}")), [pair("v", &value)]);
        }
    }
}
