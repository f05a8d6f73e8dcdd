//! The HTTP port: what operators and their machines ask of a node, and the service's REST face. An ordinary HTTP library
//! serves it, apart from the shards, so nothing that is asked here delays a message.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | the process runs |
//! | `/readyz` | it can do its work, or 503 and what is missing |
//! | `/metrics` | numbers, in the Prometheus text format |
//! | `/api/…` | the REST face (SPEC, section 5) |
//! | `/`, `/app/…` | the web page |

mod accounts;
mod actor;
mod answer;
mod cluster;
mod health;
mod metrics;
mod params;
mod web;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use tokio::net::TcpListener;

pub use self::accounts::Accounts;
use self::answer::Failure;
pub use self::web::Page;
use crate::bus::redis::RedisBus;
use crate::config::Config;
use crate::im::Im;
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
    /// Registered users.
    pub accounts: Arc<Accounts>,
    /// The way to the other nodes; `None` for a node that is alone.
    pub bus: Option<Arc<RedisBus>>,
    /// Whether the node is about to stop.
    pub draining: Arc<AtomicBool>,
}

/// The largest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Serves the port until the future is dropped.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, sources: Sources, page: Page) -> std::io::Result<()> {
    let api = Router::new()
        .route("/cluster/nodes", get(cluster::nodes))
        .route("/cluster/users/{id}", get(cluster::user))
        .fallback(|| async { Failure::new("not_found", "there is no such path") })
        .method_not_allowed_fallback(|| async {
            Failure::new("method_not_allowed", "this path is not for this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::numbers))
        .nest("/api", api)
        .merge(web::router(page))
        .with_state(sources);
    axum::serve(listener, router).await
}
