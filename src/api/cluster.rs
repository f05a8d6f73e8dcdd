//! `/api/cluster`: the nodes, and where users are.

use axum::extract::State;
use serde::Serialize;

use super::Sources;
use super::answer::{Data, Failure};
use super::params::Params;
use crate::im::Id;
use crate::presence::{Device, NodeStatus};

/// The nodes that hold a lease.
pub async fn nodes(State(sources): State<Sources>) -> Result<Data<Vec<NodeStatus>>, Failure> {
    Ok(Data(sources.presence.nodes().await?))
}

#[derive(Serialize)]
pub struct Whereabouts {
    online: bool,
    devices: Vec<Device>,
}

/// Where a user is connected.
pub async fn user(State(sources): State<Sources>, params: Params) -> Result<Data<Whereabouts>, Failure> {
    let Id(user) = params.get("id")?;
    let devices = sources.presence.locate(vec![user]).await?.remove(&user).unwrap_or_default();
    Ok(Data(Whereabouts { online: !devices.is_empty(), devices }))
}
