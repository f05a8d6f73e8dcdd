//! `/api/cluster`: the nodes, and where users are.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Data, Failure};
use super::params::Params;
use super::{Sources, actor};
use crate::im::Id;
use crate::presence::{Device, NodeStatus};

/// The nodes that hold a lease.
pub async fn nodes(
    State(sources): State<Sources>,
    headers: HeaderMap,
) -> Result<Data<Vec<NodeStatus>>, Failure> {
    actor::require_token(&sources, &headers)?;
    Ok(Data(sources.presence.nodes().await?))
}

#[derive(Serialize)]
pub struct Whereabouts {
    online: bool,
    devices: Vec<Device>,
}

/// Where a user is connected.
pub async fn user(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Whereabouts>, Failure> {
    actor::require_token(&sources, &headers)?;
    let Id(user) = params.get("id")?;
    let devices = sources.presence.locate(vec![user]).await?.remove(&user).unwrap_or_default();
    Ok(Data(Whereabouts { online: !devices.is_empty(), devices }))
}

#[derive(Deserialize)]
struct Broadcast {
    event: String,
    #[serde(default)]
    payload: Value,
}

/// Sends an event to everybody, on all nodes. For operators: in open mode that is whoever reaches this port.
pub async fn broadcast(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    if !sources.is_open() && !actor::identity(&sources, &headers)?.admin {
        return Err(Failure::new("forbidden", "this takes a token with the claim admin"));
    }
    let Broadcast { event, payload } = params.decode()?;
    sources.im.broadcast(&event, &payload)?;
    Ok(Data(()))
}
