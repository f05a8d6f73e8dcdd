//! The operations of the HTTP port, in one table: the router serves them, and `GET /api/openapi.json` describes them
//! (OpenAPI 3.1). So what is served is described, and the other way round.
//!
//! The document is that of this node: with its limits, and with tokens or `operatorId`, as its settings say. Which
//! statuses an operation answers with follows from the codes of its refusals.

mod cluster;
mod friends;
mod groups;
mod messages;
mod operation;
mod response;
mod schema;
mod system;
mod users;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use serde_json::{Map, Value, json};

use self::operation::Operation;
use super::Sources;
use crate::config::{AuthMode, Config};

const ABOUT: &str = "\
The instant-messaging service over HTTP: the same commands as the Socket.IO events.

An answer is `{code, message, data, timestamp}`. `code` is the HTTP status; with any but 200 there is `error` beside it, a \
word for programs. A parameter is taken from the path, the query, a form or the JSON body, wherever it stands; numbers may be \
written as texts of their digits, and unknown parameters are ignored. A body has at most 1 MiB.";

const IN_OPEN_MODE: &str = "\
This node believes whoever says who acts: in `operatorId`, else `ownerId`, `fromUserId`, `userId`. For development.";

const TAGS: [(&str, &str); 6] = [
    ("user", "Accounts, and what users say of themselves."),
    ("message", "Sending, history, read marks, recall."),
    ("group", "Groups and their members."),
    ("friend", "Friends, requests, and blocks."),
    ("cluster", "The nodes, and where users are."),
    ("system", "For operators and their machines."),
];

/// Routes of everything in the table, and of the document.
pub fn router(config: &Config) -> Router<Sources> {
    let document = Arc::new(OnceLock::new());
    let operations = operations(config, document.clone());
    document.get_or_init(|| Bytes::from(describe(config, &operations).to_string()));
    operations.iter().fold(Router::new(), |router, operation| operation.serve(router))
}

/// `document` is served among them, once it is there.
fn operations(config: &Config, document: Arc<OnceLock<Bytes>>) -> Vec<Operation> {
    let tables = [
        ("user", users::operations(config)),
        ("message", messages::operations(config)),
        ("group", groups::operations(config)),
        ("friend", friends::operations()),
        ("cluster", cluster::operations(config)),
        ("system", system::operations(document)),
    ];
    tables
        .into_iter()
        .flat_map(|(tag, table)| table.into_iter().map(|operation| operation.tag(tag)))
        .collect()
}

fn describe(config: &Config, operations: &[Operation]) -> Value {
    let mode = config.auth.mode;
    let mut paths = Map::new();
    for operation in operations {
        operation.describe(mode, &mut paths);
    }
    let mut components = json!({ "schemas": schema::components() });
    let mut about = ABOUT.to_owned();
    match mode {
        AuthMode::Open => about = format!("{about}\n\n{IN_OPEN_MODE}"),
        AuthMode::Jwt => {
            components["securitySchemes"] = json!({
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of `POST /api/user/login`, or of an issuer of your own. It says who acts.",
                },
            });
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tokio-socketio",
            "version": env!("CARGO_PKG_VERSION"),
            "description": about,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "paths": paths,
        "components": components,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn with_mode(mode: AuthMode) -> (Vec<Operation>, Value) {
        let mut config = Config::default();
        config.auth.mode = mode;
        let operations = operations(&config, Arc::default());
        let document = describe(&config, &operations);
        (operations, document)
    }

    /// Every value of this name, anywhere.
    fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get(name));
                object.values().for_each(|value| all(value, name, found));
            }
            Value::Array(list) => list.iter().for_each(|value| all(value, name, found)),
            _ => (),
        }
    }

    #[test]
    fn every_operation_stands_in_the_document_under_a_name_of_its_own() {
        for mode in [AuthMode::Open, AuthMode::Jwt] {
            let (operations, document) = with_mode(mode);
            let mut names = Vec::new();
            all(&document["paths"], "operationId", &mut names);
            assert_eq!(names.len(), operations.len());
            let different: BTreeSet<_> = names.iter().map(|name| name.as_str()).collect();
            assert_eq!(different.len(), operations.len());
        }
    }

    #[test]
    fn what_is_named_is_there() {
        let (_, document) = with_mode(AuthMode::Jwt);
        let mut references = Vec::new();
        all(&document, "$ref", &mut references);
        for reference in references.into_iter().filter_map(Value::as_str) {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
                let named: Vec<_> =
                    in_path.map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap())).collect();
                assert_eq!(path.matches('{').count(), named.len(), "{method} {path}");
                assert!(named.iter().all(|name| path.contains(name)), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_code_is_explained() {
        let explained = include_str!("../../../docs/errors.md");
        for mode in [AuthMode::Open, AuthMode::Jwt] {
            let (_, document) = with_mode(mode);
            let mut errors = Vec::new();
            all(&document["paths"], "error", &mut errors);
            for code in errors.into_iter().flat_map(|error| error["enum"].as_array().unwrap()) {
                let code = code.as_str().unwrap();
                assert!(explained.contains(&format!("`{code}`")), "{code}");
            }
        }
    }
}
