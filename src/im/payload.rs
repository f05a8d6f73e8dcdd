//! Payloads from clients: what is not as it must be is refused with words that say what is wrong. Only numbers may be written
//! in several ways.

use serde::de::{DeserializeOwned, Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::Refusal;
use crate::socketio::Args;
use crate::store::{MAX_ID, MessageKey, MessageType};

/// The command's payload: its first argument, an object.
pub fn decode<T: DeserializeOwned>(args: &Args) -> Result<T, Refusal> {
    let object = || -> Result<serde_json::Map<_, _>, _> {
        args.first().map_err(|_| Refusal::new("invalid_payload", "the payload must be an object"))
    };
    T::deserialize(Value::Object(object()?))
        .or_else(|_| Err(Refusal::new("invalid_payload", why_not::<T>(object()?))))
}

/// Why an object is no `T`, with the name of the field.
pub fn why_not<T: DeserializeOwned>(object: serde_json::Map<String, Value>) -> String {
    serde_path_to_error::deserialize::<_, T>(Value::Object(object)).err().map_or_else(String::new, |error| {
        match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        }
    })
}

/// As [`decode`], for a payload that need not be there.
pub fn decode_or_default<T: DeserializeOwned + Default>(args: &Args) -> Result<T, Refusal> {
    match args.first::<Option<serde::de::IgnoredAny>>() {
        Ok(None) => Ok(T::default()),
        _ => decode(args),
    }
}

/// A text, or a number as its digits, where there is one: for what goes by either name.
pub fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(value) = Option::deserialize(deserializer)? else { return Ok(None) };
    written(value).map(Some).ok_or_else(|| D::Error::custom("a text or a number is needed"))
}

fn written(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        // One that is whole is a name by its digits, however it is written.
        Value::Number(number) => {
            let whole = Number::deserialize(&Value::Number(number.clone())).ok();
            Some(whole.map_or_else(|| number.to_string(), |Number(whole)| whole.to_string()))
        }
        _ => None,
    }
}

/// An id of a user or a group: 1 to 2^53-1, as a number or, as some clients write it, as its decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Number::deserialize(deserializer) {
            Ok(Number(id)) if id > 0 => Ok(Id(id)),
            _ => Err(D::Error::custom(format!("an id must be an integer from 1 to {MAX_ID}"))),
        }
    }
}

/// A whole number from 0 to 2^53-1: as a number, which JSON has one kind of, so `5.0` is 5, or, as some clients and all
/// forms write it, as its decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

impl Number {
    /// As fewer bits; what does not fit is more than any limit.
    pub fn saturated(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a whole number from 0 to {MAX_ID}")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
                let unexpected = || E::invalid_value(Unexpected::Unsigned(number), &self);
                Some(number).filter(|number| *number <= MAX_ID).map(Number).ok_or_else(unexpected)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Number, E> {
                if number.fract() == 0.0 && (0.0..=MAX_ID as f64).contains(&number) {
                    return Ok(Number(number as u64));
                }
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Number, E> {
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let number = is_number.then(|| digits.parse().ok()).flatten();
                number
                    .filter(|number| *number <= MAX_ID)
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("a text"), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

/// What `content` is, by its number.
pub fn message_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageType, D::Error> {
    let Number(number) = Number::deserialize(deserializer)?;
    MessageType::try_from(number).map_err(D::Error::custom)
}

/// A message by its number, or by its UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageName(pub MessageKey);

impl<'de> Deserialize<'de> for MessageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = written(Value::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("a message's id or messageId is needed"))?;
        text.parse().map(MessageName).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn a_number_is_written_in_three_ways() {
        for text in ["5", "5.0", "5e0", "\"5\""] {
            assert_eq!(from_str::<Number>(text).unwrap(), Number(5), "{text}");
            assert_eq!(from_str::<Id>(text).unwrap(), Id(5), "{text}");
        }
        assert_eq!(from_str::<Number>("0").unwrap(), Number(0));
        assert_eq!(from_str::<Number>("9007199254740991").unwrap(), Number(MAX_ID));
        for text in [
            "-1",
            "-1.0",
            "1.5",
            "1e308",
            "9007199254740992",
            "\"\"",
            "\"+5\"",
            "\"5.0\"",
            "null",
            "true",
            "[5]",
        ] {
            assert!(from_str::<Number>(text).is_err() && from_str::<Id>(text).is_err(), "{text}");
        }
        assert!(from_str::<Id>("0").is_err());
    }

    #[test]
    fn a_name_may_be_a_number() {
        for text in ["5", "5.0", "\"5\""] {
            assert_eq!(from_str::<MessageName>(text).unwrap().0, MessageKey::Id(5), "{text}");
        }
        assert!(from_str::<MessageName>("5.5").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        #[derive(Debug, Deserialize)]
        struct Payload {
            #[serde(rename = "userIds")]
            _users: Vec<Id>,
        }
        let why = |value: Value| why_not::<Payload>(value.as_object().unwrap().clone());
        assert!(why(json!({ "userIds": [1, "x"] })).starts_with("userIds[1]: "));
        assert!(why(json!({ "userIds": 1 })).starts_with("userIds: "));
        assert_eq!(why(json!({})), "missing field `userIds`");
    }
}
