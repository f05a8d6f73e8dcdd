//! `/api/cluster`.

use serde_json::json;

use super::operation::{Operation, get, post};
use super::schema::{field, id, list, named};
use crate::api::cluster;
use crate::config::{AuthMode, Config};
use crate::im::reserved_events;

pub fn operations(config: &Config) -> Vec<Operation> {
    let name =
        json!({ "type": "string", "minLength": 1, "not": { "enum": reserved_events().collect::<Vec<_>>() } });
    let refusals: &[_] = match config.auth.mode {
        AuthMode::Open => &["invalid_payload"],
        AuthMode::Jwt => &["invalid_payload", "forbidden"],
    };
    vec![
        get("/api/cluster/nodes", cluster::nodes, "getNodes", "The nodes that hold a lease")
            .for_holders()
            .gives(list(named("Node")))
            .refuses(&["presence_unavailable"]),
        get("/api/cluster/users/{id}", cluster::user, "locateUser", "Where a user is connected")
            .for_holders()
            .takes([field("id", id(), "The user").example(1)])
            .gives(named("Whereabouts"))
            .refuses(&["presence_unavailable"]),
        post(
            "/api/cluster/broadcast",
            cluster::broadcast,
            "broadcast",
            "Sends an event to everybody, on all nodes",
        )
        .about("For operators: where tokens are wanted, it takes one with the claim `admin`.")
        .for_holders()
        .takes([
            field("event", name, "Its name, none of the service's own").example("news"),
            field("payload", json!({}), "Anything").optional().example(json!({ "text": "hello, all" })),
        ])
        .refuses(refusals),
    ]
}
