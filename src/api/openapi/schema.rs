//! The small pieces that schemas are made of (JSON Schema, 2020-12), and those that have names.

use serde_json::{Map, Value, json};

use crate::store::MAX_ID;

/// One parameter of an operation.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: &'static str,
    pub schema: Value,
    pub about: &'static str,
    pub is_required: bool,
    pub example: Option<Value>,
}

/// A parameter that is needed.
pub fn field(name: &'static str, schema: Value, about: &'static str) -> Field {
    Field { name, schema, about, is_required: true, example: None }
}

impl Field {
    /// It need not be there.
    pub fn optional(self) -> Self {
        Field { is_required: false, ..self }
    }

    /// With a value that fits those of other operations: user 1 is in group 1, and has written message 1 to user 2.
    pub fn example(self, example: impl Into<Value>) -> Self {
        Field { example: Some(example.into()), ..self }
    }
}

/// An id of a user or a group.
pub fn id() -> Value {
    named("Id")
}

/// A whole number.
pub fn whole(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// A text, its length in characters.
pub fn text(least: usize, most: usize) -> Value {
    json!({ "type": "string", "minLength": least, "maxLength": most })
}

/// Yes or no.
pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A list.
pub fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// One of the numbers from 1 on, each with its meaning.
pub fn kinds(meanings: &[&str]) -> Value {
    let words = meanings.iter().enumerate().map(|(i, meaning)| format!("{} {meaning}", i + 1));
    json!({
        "type": "integer",
        "enum": (1..=meanings.len()).collect::<Vec<_>>(),
        "description": words.collect::<Vec<_>>().join(", "),
    })
}

/// This, or `null`.
pub fn or_null(schema: Value) -> Value {
    match schema {
        Value::Object(mut schema) if schema.get("type").is_some_and(Value::is_string) => {
            let kind = schema["type"].take();
            schema["type"] = json!([kind, "null"]);
            if let Some(Value::Array(allowed)) = schema.get_mut("enum") {
                allowed.push(Value::Null);
            }
            schema.into()
        }
        Value::Object(anything) if anything.is_empty() => anything.into(),
        other => json!({ "anyOf": [other, { "type": "null" }] }),
    }
}

/// A schema that has a name.
pub fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Nothing but `null`.
pub fn nothing() -> Value {
    json!({ "type": "null" })
}

/// An object of just these properties, all of them there.
pub fn object<const N: usize>(about: &str, properties: [(&str, Value); N]) -> Value {
    some_of(about, properties, &[])
}

/// As [`object`]; these properties may be absent.
fn some_of<const N: usize>(about: &str, properties: [(&str, Value); N], absent: &[&str]) -> Value {
    let required: Vec<_> =
        properties.iter().map(|(name, _)| *name).filter(|name| !absent.contains(name)).collect();
    let properties: Map<_, _> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "type": "object",
        "description": about,
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn described(mut schema: Value, about: &str) -> Value {
    schema["description"] = about.into();
    schema
}

/// The schemas that have names.
pub fn components() -> Value {
    let (timestamp, text_or_null) = (named("Timestamp"), or_null(string()));
    json!({
        "Id": described(whole(1, MAX_ID), "Of a user or a group: an integer that JavaScript counts exactly."),
        "MessageName": {
            "description": "A message: its `id`, or its `messageId`.",
            "anyOf": [whole(1, MAX_ID), { "type": "string", "format": "uuid" }],
        },
        "Timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, in UTC, with milliseconds.",
            "examples": ["2026-11-23T08:15:30.042Z"],
        },
        "Refusal": object("Why something was not done. Nothing was changed.", [
            ("code", described(json!({ "type": "integer", "minimum": 400, "maximum": 599 }), "The HTTP status.")),
            ("message", described(string(), "For people.")),
            ("error", described(string(), "For programs: docs/errors.md says what it means.")),
            ("data", nothing()),
            ("timestamp", timestamp.clone()),
        ]),
        "User": object("A user, as they see themselves.", [
            ("id", id()),
            ("username", string()),
            ("phone", text_or_null.clone()),
            ("email", text_or_null.clone()),
            ("nickname", text_or_null.clone()),
            ("avatar", text_or_null.clone()),
            ("isAdmin", flag()),
            ("createdAt", timestamp.clone()),
        ]),
        "Profile": some_of("A user as others see them; `phone` and `email` are there for the user alone.", [
            ("id", id()),
            ("username", string()),
            ("nickname", text_or_null.clone()),
            ("avatar", text_or_null.clone()),
            ("createdAt", timestamp.clone()),
            ("phone", string()),
            ("email", string()),
        ], &["phone", "email"]),
        "Login": object("`token` and `expiresAt` are null where tokens are not wanted.", [
            ("token", text_or_null.clone()),
            ("expiresAt", or_null(timestamp.clone())),
            ("user", named("User")),
        ]),
        "Message": object("A stored message. One that was recalled or deleted keeps its place, without content.", [
            ("id", id()),
            ("messageId", json!({ "type": "string", "format": "uuid" })),
            ("conversation", json!({
                "type": "string",
                "pattern": "^(p:[1-9][0-9]*:[1-9][0-9]*|g:[1-9][0-9]*)$",
                "description": "`p:` and its two users, the lower id first, or `g:` and its group.",
            })),
            ("seq", described(whole(1, MAX_ID), "Its place in the conversation: from 1 on, without a gap.")),
            ("fromUserId", id()),
            ("toUserId", or_null(id())),
            ("groupId", or_null(id())),
            ("messageType", kinds(&MESSAGE_TYPES)),
            ("content", string()),
            ("fileUrl", text_or_null.clone()),
            ("fileSize", or_null(whole(0, MAX_ID))),
            ("fileName", text_or_null.clone()),
            ("replyToMessageId", text_or_null.clone()),
            ("clientMessageId", text_or_null.clone()),
            ("isRead", described(flag(), "Whether the recipient of a private message has read it.")),
            ("isDeleted", flag()),
            ("createdAt", timestamp.clone()),
        ]),
        "History": object("A page of a conversation, newest message first.", [
            ("records", list(named("Message"))),
            ("total", described(count(), "Messages in the whole conversation.")),
            ("page", whole(1, MAX_ID)),
            ("size", count()),
            ("hasMore", described(flag(), "Whether there are older ones.")),
        ]),
        "Group": object("A group.", [
            ("id", id()),
            ("name", string()),
            ("description", text_or_null.clone()),
            ("avatar", text_or_null.clone()),
            ("ownerId", id()),
            ("memberCount", described(count(), "The owner too.")),
            ("maxMembers", count()),
            ("isPublic", described(flag(), "Whether everybody may join, and every member invite.")),
            ("createdAt", timestamp.clone()),
        ]),
        "Member": object("A member of a group.", [
            ("userId", id()),
            ("role", json!({ "type": "integer", "enum": [0, 1, 2], "description": "0 member, 1 admin, 2 owner" })),
            ("joinedAt", timestamp.clone()),
            ("mutedUntil", described(or_null(timestamp.clone()), "May have passed.")),
        ]),
        "Friends": object("Friends, and who asks to be one.", [
            ("friends", list(object("A friend.", [
                ("userId", id()), ("remark", text_or_null), ("since", timestamp.clone()),
            ]))),
            ("requests", list(object("A request.", [("fromUserId", id()), ("at", timestamp.clone())]))),
        ]),
        "Node": object("A node that holds a lease, and what it carries.", [
            ("nodeId", string()),
            ("epoch", described(count(), "Grows with each start of a node of that name.")),
            ("socketio", described(string(), "Address of its Socket.IO port.")),
            ("http", described(string(), "Address of its HTTP port.")),
            ("since", timestamp.clone()),
            ("leaseMs", described(count(), "How long its lease still lasts if it is not renewed; 0 for a node that is alone.")),
            ("connections", count()),
            ("sessions", count()),
            ("users", count()),
            ("messages", described(count(), "Stored since its start.")),
            ("draining", described(flag(), "Whether it is about to stop.")),
        ]),
        "Whereabouts": object("Where a user is connected.", [
            ("online", flag()),
            ("devices", list(object("The user's connections to one node.", [
                ("nodeId", string()), ("connections", count()), ("since", timestamp),
            ]))),
        ]),
    })
}

/// What a message may be, from 1 on.
pub const MESSAGE_TYPES: [&str; 5] = ["text", "image", "file", "voice", "video"];
