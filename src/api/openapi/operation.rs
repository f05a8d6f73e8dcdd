//! One operation: how it is served, and what the document says of it. Both come from the same line of a table.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use serde_json::{Map, Value, json};

use super::response::{content, enveloped, refused};
use super::schema::{Field, field, id, nothing, or_null};
use crate::api::Sources;
use crate::api::answer::status_of;
use crate::config::AuthMode;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Anybody.
    Anybody,
    /// Whoever has a token, where tokens are wanted.
    Holder,
    /// A user, who acts.
    Actor,
    /// A user, who acts; in open mode, whom the request is about, unless it says otherwise.
    ActorOrConcerned,
}

/// What it gives.
#[derive(Clone, Debug)]
enum Gives {
    /// Data, in the envelope.
    Data(Value),
    /// JSON without the envelope.
    Json(&'static str),
    /// Text, and text of another status.
    Text(&'static str, Option<(u16, &'static str)>),
}

/// An operation.
pub struct Operation {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<Sources>,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    who: Who,
    fields: Vec<Field>,
    /// What else the body's schema says, or may be instead.
    body: Option<Value>,
    gives: Gives,
    refusals: Vec<&'static str>,
}

macro_rules! methods {
    ($($method:ident),*) => { $(
        /// An operation by this method: its path, who serves it, its name, and what it does.
        pub fn $method<H: Handler<T, Sources>, T: 'static>(
            path: &'static str,
            handler: H,
            id: &'static str,
            summary: &'static str,
        ) -> Operation {
            Operation {
                method: stringify!($method),
                path,
                handler: routing::$method(handler),
                id,
                tag: "",
                summary,
                about: "",
                who: Who::Actor,
                fields: Vec::new(),
                body: None,
                gives: Gives::Data(nothing()),
                refusals: Vec::new(),
            }
        }
    )* };
}
methods!(get, post, put, delete);

impl Operation {
    /// What is to be known besides.
    pub fn about(self, about: &'static str) -> Self {
        Operation { about, ..self }
    }

    /// Under this heading.
    pub fn tag(self, tag: &'static str) -> Self {
        Operation { tag, ..self }
    }

    /// For anybody.
    pub fn public(self) -> Self {
        Operation { who: Who::Anybody, ..self }
    }

    /// For whoever has a token, where tokens are wanted.
    pub fn for_holders(self) -> Self {
        Operation { who: Who::Holder, ..self }
    }

    /// In open mode, whom it is about acts, unless somebody else is named.
    pub fn by_the_concerned(self) -> Self {
        Operation { who: Who::ActorOrConcerned, ..self }
    }

    /// Its parameters.
    pub fn takes(self, fields: impl Into<Vec<Field>>) -> Self {
        Operation { fields: fields.into(), ..self }
    }

    /// What else the schema of its body says.
    pub fn body(self, schema: Value) -> Self {
        Operation { body: Some(schema), ..self }
    }

    /// The data that it gives.
    pub fn gives(self, data: Value) -> Self {
        Operation { gives: Gives::Data(data), ..self }
    }

    /// It gives JSON without an envelope.
    pub fn gives_json(self, about: &'static str) -> Self {
        Operation { gives: Gives::Json(about), ..self }
    }

    /// It gives text, perhaps another one with another status.
    pub fn gives_text(self, about: &'static str, other: Option<(u16, &'static str)>) -> Self {
        Operation { gives: Gives::Text(about, other), ..self }
    }

    /// Codes of refusals, besides those that are possible everywhere.
    pub fn refuses(self, codes: &[&'static str]) -> Self {
        Operation { refusals: codes.to_vec(), ..self }
    }

    /// Serves it.
    pub fn serve(&self, router: Router<Sources>) -> Router<Sources> {
        router.route(self.path, self.handler.clone())
    }

    /// Writes it into the paths of the document.
    pub fn describe(&self, mode: AuthMode, paths: &mut Map<String, Value>) {
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
        });
        if !self.about.is_empty() {
            operation["description"] = self.about.into();
        }
        let parameters = self.parameters(mode);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = self.request_body() {
            operation["requestBody"] = body;
        }
        operation["responses"] = self.responses(mode);
        if mode == AuthMode::Jwt && self.who != Who::Anybody {
            operation["security"] = json!([{ "bearer": [] }]);
        }
        let path = paths.entry(self.path).or_insert_with(|| json!({}));
        path[self.method] = operation;
    }

    fn is_in_path(&self, field: &Field) -> bool {
        self.path.contains(&format!("{{{}}}", field.name))
    }

    fn has_body(&self) -> bool {
        ["post", "put"].contains(&self.method) && self.fields.iter().any(|field| !self.is_in_path(field))
    }

    fn parameters(&self, mode: AuthMode) -> Vec<Value> {
        let place = |field: &Field| match self.is_in_path(field) {
            true => Some("path"),
            false => (!self.has_body()).then_some("query"),
        };
        let own = self.fields.iter().filter_map(|field| Some((field.clone(), place(field)?)));
        let actor =
            field("operatorId", id(), "Who acts. For development: anybody can be anybody.").example(1);
        let actor = match (mode, self.who) {
            (AuthMode::Open, Who::Actor) => Some(actor),
            (AuthMode::Open, Who::ActorOrConcerned) => Some(actor.optional()),
            _ => None,
        };
        let all = own.chain(actor.map(|actor| (actor, "query")));
        all.map(|(field, place)| {
            let mut parameter = json!({
                "name": field.name,
                "in": place,
                "required": field.is_required,
                "description": field.about,
                "schema": field.schema,
            });
            if let Some(example) = field.example {
                parameter["example"] = example;
            }
            parameter
        })
        .collect()
    }

    fn request_body(&self) -> Option<Value> {
        if !self.has_body() {
            return None;
        }
        let fields: Vec<_> = self.fields.iter().filter(|field| !self.is_in_path(field)).collect();
        let (mut properties, mut example, mut required) = (Map::new(), Map::new(), Vec::new());
        for field in fields {
            let mut schema = match field.is_required {
                true => field.schema.clone(),
                false => or_null(field.schema.clone()),
            };
            schema["description"] = match schema.get("description").and_then(Value::as_str) {
                Some(meaning) => format!("{} ({meaning})", field.about).into(),
                None => field.about.into(),
            };
            properties.insert(field.name.to_owned(), schema);
            if field.is_required {
                required.push(field.name);
            }
            if let Some(value) = &field.example {
                example.insert(field.name.to_owned(), value.clone());
            }
        }
        let is_required = !required.is_empty() || self.body.is_some();
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        match &self.body {
            Some(more) if more.get("type").is_some() => schema = json!({ "anyOf": [schema, more] }),
            Some(Value::Object(more)) => {
                for (key, value) in more {
                    schema[key] = value.clone();
                }
            }
            _ => (),
        }
        Some(json!({
            "required": is_required,
            "content": { "application/json": { "schema": schema, "example": example } },
        }))
    }

    fn responses(&self, mode: AuthMode) -> Value {
        let (ok, is_enveloped) = match &self.gives {
            Gives::Data(data) => (enveloped(data), true),
            Gives::Json(about) => (content(about, "application/json", json!({ "type": "object" })), false),
            Gives::Text(about, _) => (content(about, "text/plain", json!({ "type": "string" })), false),
        };
        let mut responses = BTreeMap::from([(200, ok)]);
        if let Gives::Text(_, Some((status, about))) = &self.gives {
            responses.insert(*status, content(about, "text/plain", json!({ "type": "string" })));
        }
        if is_enveloped {
            responses.extend(self.refusals(mode));
        }
        responses
            .into_iter()
            .map(|(status, response)| (status.to_string(), response))
            .collect::<Map<_, _>>()
            .into()
    }

    /// A response for each status that its refusals have.
    fn refusals(&self, mode: AuthMode) -> BTreeMap<u16, Value> {
        let mut codes = self.refusals.clone();
        codes.extend(["store_unavailable", "store_overloaded", "store_corrupt", "internal_error"]);
        if !self.parameters(mode).is_empty() || self.has_body() {
            codes.push("invalid_parameter");
        }
        if self.has_body() {
            codes.extend(["invalid_body", "request_timeout", "body_too_large", "unsupported_media_type"]);
        }
        match (mode, self.who) {
            (_, Who::Anybody) | (AuthMode::Open, Who::Holder | Who::ActorOrConcerned) => (),
            (AuthMode::Open, Who::Actor) => codes.push("unauthenticated"),
            (AuthMode::Jwt, _) => codes.extend([
                "token_missing",
                "token_malformed",
                "token_invalid",
                "token_expired",
                "token_not_yet_valid",
            ]),
        }
        let mut by_status = BTreeMap::<u16, Vec<&str>>::new();
        for code in codes {
            by_status.entry(status_of(code).as_u16()).or_default().push(code);
        }
        by_status.into_iter().map(|(status, codes)| (status, refused(status, &codes))).collect()
    }
}
