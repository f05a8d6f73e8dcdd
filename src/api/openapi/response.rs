//! What an operation answers with, by status.

use serde_json::{Value, json};

use super::schema::{named, object};

/// A body of one type.
pub fn content(about: &str, media_type: &str, schema: Value) -> Value {
    json!({ "description": about, "content": { media_type: { "schema": schema } } })
}

/// Data, in the envelope.
pub fn enveloped(data: &Value) -> Value {
    let envelope = object(
        "The data, in its envelope.",
        [
            ("code", json!({ "const": 200 })),
            ("message", json!({ "type": "string" })),
            ("data", data.clone()),
            ("timestamp", named("Timestamp")),
        ],
    );
    content("Done.", "application/json", envelope)
}

/// A refusal with one of these codes, which all have that status.
pub fn refused(status: u16, codes: &[&str]) -> Value {
    let mut schema = named("Refusal");
    schema["properties"] = json!({ "code": { "const": status }, "error": { "enum": codes } });
    let mut response = content(&format!("Refused: {}.", codes.join(", ")), "application/json", schema);
    let header = match status {
        401 => Some(("WWW-Authenticate", "What would do.", json!({ "const": "Bearer" }))),
        429 | 503 => Some(("Retry-After", "Seconds.", json!({ "type": "integer", "minimum": 1 }))),
        _ => None,
    };
    if let Some((name, about, schema)) = header {
        response["headers"] = json!({ name: { "description": about, "required": true, "schema": schema } });
    }
    response
}
