//! What the API answers: `{code, message, data, timestamp}`, and beside it `error` where something was refused.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::im::Refusal;
use crate::store::Timestamp;

#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    data: Option<T>,
    timestamp: Timestamp,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Data<T>(pub T);

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        json(
            StatusCode::OK,
            &Envelope {
                code: 200,
                message: "ok",
                error: None,
                data: Some(self.0),
                timestamp: Timestamp::now(),
            },
        )
    }
}

/// Why it is not given or not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure(Refusal);

impl Failure {
    /// A failure with one of the codes in `docs/errors.md`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Failure(Refusal::new(code, message))
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

/// The HTTP status of a code.
pub fn status_of(code: &str) -> StatusCode {
    match code {
        "unauthenticated"
        | "token_missing"
        | "token_malformed"
        | "token_expired"
        | "token_invalid"
        | "token_not_yet_valid"
        | "wrong_credentials" => StatusCode::UNAUTHORIZED,
        "forbidden"
        | "not_a_member"
        | "muted"
        | "blocked"
        | "not_friends"
        | "registration_closed"
        | "login_closed" => StatusCode::FORBIDDEN,
        "group_not_found" | "user_not_found" | "message_not_found" | "request_not_found" | "not_found" => {
            StatusCode::NOT_FOUND
        }
        "already_a_member" | "already_friends" | "group_full" | "too_many_groups" | "username_taken"
        | "email_taken" | "phone_taken" | "too_late" | "owner_cannot_leave" | "oneself" | "conflict" => {
            StatusCode::CONFLICT
        }
        "request_timeout" => StatusCode::REQUEST_TIMEOUT,
        "body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "unsupported_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        "store_unavailable" | "store_overloaded" | "presence_unavailable" | "overloaded" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        "internal_error" | "store_corrupt" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl<T: Into<Refusal>> From<T> for Failure {
    fn from(refusal: T) -> Self {
        Failure(refusal.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status_of(self.code());
        let Refusal { code, message, retry_in_ms } = &self.0;
        let envelope = Envelope {
            code: status.as_u16(),
            message,
            error: Some(code),
            data: None::<()>,
            timestamp: Timestamp::now(),
        };
        let mut response = json(status, &envelope);
        let seconds = match retry_in_ms {
            Some(ms) => Some(ms.div_ceil(1000).max(1)),
            None => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        };
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (status, headers, json).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer can't be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
