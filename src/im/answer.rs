//! What an ack says: `{success, message, code?, data?}` (SPEC, section 4).

use serde::Serialize;
use serde_json::Value;

use crate::store::StoreError;

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    success: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Answer {
    /// It was done, and this is the result.
    pub fn done(data: &impl Serialize) -> Self {
        match serde_json::to_value(data) {
            Ok(data) => Answer { success: true, message: "ok".into(), code: None, data: Some(data) },
            Err(error) => Answer::refused("internal_error", error.to_string()),
        }
    }

    /// It was not done. `code` is one of those in `docs/errors.md`.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Answer { success: false, message: message.into(), code: Some(code), data: None }
    }
}

/// A refusal, on its way to become an [`Answer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}

impl<T: Serialize> From<Result<T, Refusal>> for Answer {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(data) => Answer::done(&data),
            Err(refusal) => Answer::refused(refusal.code, refusal.message),
        }
    }
}
