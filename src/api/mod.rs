//! The HTTP port: what operators and their machines ask of a node, and the service's REST face. An ordinary HTTP library
//! serves it, apart from the shards, so nothing that is asked here delays a message.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | the process runs |
//! | `/readyz` | it can do its work, or 503 and what is missing |
//! | `/metrics` | numbers, in the Prometheus text format |
//! | `/api/…` | the REST face (SPEC, section 5), described in `/api/openapi.json` |
//! | `/`, `/app/…` | the web page |

mod accounts;
mod actor;
mod answer;
mod client;
mod cluster;
mod friends;
mod groups;
mod health;
mod listen;
mod messages;
mod metrics;
mod openapi;
mod params;
mod users;
mod web;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;

pub use self::accounts::Accounts;
use self::answer::Failure;
pub use self::web::Page;
use crate::bus::redis::RedisBus;
use crate::config::Config;
use crate::im::{Identities, Im};
use crate::presence::Presence;
use crate::shard::Node;
use crate::store::Store;

/// What the answers are made from.
#[derive(Clone)]
pub struct Sources {
    /// The settings.
    pub config: Arc<Config>,
    /// Counts of the shards.
    pub node: Arc<Node>,
    /// The store of messages.
    pub store: Arc<dyn Store>,
    /// Who is online.
    pub presence: Arc<dyn Presence>,
    /// The service.
    pub im: Arc<Im>,
    /// How those who ask show who they are.
    pub identities: Identities,
    /// Registered users.
    pub accounts: Arc<Accounts>,
    /// The way to the other nodes; `None` for a node that is alone.
    pub bus: Option<Arc<RedisBus>>,
    /// Whether the node is about to stop.
    pub draining: Arc<AtomicBool>,
}

impl Sources {
    /// Whether everybody is who they say they are.
    fn is_open(&self) -> bool {
        matches!(self.identities, Identities::Open)
    }
}

/// The largest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Serves the port until the future is dropped.
pub async fn serve(listener: TcpListener, sources: Sources, page: Page) {
    let limits = &sources.config.limits;
    let patience = limits.keep_alive_timeout.max(limits.head_timeout);
    let router = openapi::router(&sources.config)
        .merge(web::router(page))
        .fallback(|| async { Failure::new("not_found", "there is no such path") })
        .method_not_allowed_fallback(|| async {
            Failure::new("method_not_allowed", "this path is not for this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(sources);
    listen::serve(listener, router, patience).await;
}
