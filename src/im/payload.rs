//! Payloads from clients: decoded strictly, refused with words that say what is wrong.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::Refusal;
use crate::auth::parse_user_id;
use crate::socketio::Args;
use crate::store::{MAX_ID, MessageKey};

/// The command's payload: its first argument, an object.
pub fn decode<T: DeserializeOwned>(args: &Args) -> Result<T, Refusal> {
    let object: serde_json::Map<_, _> =
        args.first().map_err(|_| Refusal::new("invalid_payload", "the payload must be an object"))?;
    T::deserialize(Value::Object(object)).map_err(|error| Refusal::new("invalid_payload", error.to_string()))
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
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An id of a user or a group: 1 to 2^53-1, as a number or, as some clients write it, as its decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Digits(String),
        }
        let id = match Written::deserialize(deserializer) {
            Ok(Written::Number(id)) => Some(id),
            Ok(Written::Digits(digits)) => parse_user_id(&digits),
            Err(_) => None,
        };
        id.filter(|id| (1..=MAX_ID).contains(id))
            .map(Id)
            .ok_or_else(|| D::Error::custom(format!("an id must be an integer from 1 to {MAX_ID}")))
    }
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
