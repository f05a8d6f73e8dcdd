//! What an ack says: `{success, message, code?, data?}` (SPEC, section 4).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::store::StoreError;

/// The longest message of a refusal, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The answer to a command.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    success: bool,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
}

impl Answer {
    /// It was done, and there is nothing to say.
    fn ok() -> Self {
        let message = Cow::Borrowed("ok");
        Answer { success: true, message, code: None, data: None, next_cursor: None, retry_in_ms: None }
    }
}

/// What a command has done.
#[derive(Clone, Debug)]
pub struct Done<T> {
    pub data: T,
    /// Where the next page begins, if there are more.
    pub next_cursor: Option<String>,
}

impl<T> From<T> for Done<T> {
    fn from(data: T) -> Self {
        Done { data, next_cursor: None }
    }
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// One of those in `docs/errors.md`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// When to try again, where that is known.
    pub retry_in_ms: Option<u64>,
}

impl Refusal {
    /// With a code for programs, and a message for people. A long one is cut: it quotes what somebody sent.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        Refusal { code, message, retry_in_ms: None }
    }

    /// Too often: to be tried again after this time.
    pub fn rate_limited(after: Duration) -> Self {
        // Rounded up: who comes back then is let in.
        let ms = u64::try_from(after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).max(1);
        let message = format!("too often: try again in {ms} ms");
        Refusal { code: "rate_limited", message, retry_in_ms: Some(ms) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}

impl<T: Serialize> From<Result<Done<T>, Refusal>> for Answer {
    fn from(result: Result<Done<T>, Refusal>) -> Self {
        let encoded = result.and_then(|Done { data, next_cursor }| match to_raw_value(&data) {
            Ok(data) => Ok((data, next_cursor)),
            Err(error) => Err(Refusal::new("internal_error", error.to_string())),
        });
        match encoded {
            Ok((data, next_cursor)) => {
                let data = Some(data).filter(|data| data.get() != "null");
                Answer { data: data.map(Arc::from), next_cursor, ..Answer::ok() }
            }
            Err(refusal) => refusal.into(),
        }
    }
}

impl From<Result<Arc<RawValue>, Refusal>> for Answer {
    fn from(result: Result<Arc<RawValue>, Refusal>) -> Self {
        match result {
            Ok(data) => Answer { data: Some(data), ..Answer::ok() },
            Err(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal { code, message, retry_in_ms }: Refusal) -> Self {
        let message = Cow::Owned(message);
        Answer { success: false, message, code: Some(code), data: None, next_cursor: None, retry_in_ms }
    }
}
