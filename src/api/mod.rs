//! The HTTP port: what operators and their machines ask of a node. An ordinary HTTP library serves it, apart from
//! the shards, so nothing that is asked here delays a message.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | the process runs |
//! | `/readyz` | it can do its work, or 503 and what is missing |
//! | `/metrics` | numbers, in the Prometheus text format |
//! | `/`, `/app/…` | the web page |

mod metrics;
mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

pub use web::Page;

use crate::shard::Node;
use crate::store::{Conversation, SqliteStore, Store};

/// What the answers are made from.
#[derive(Clone)]
pub struct Sources {
    /// Counts of the shards.
    pub node: Arc<Node>,
    /// The store of messages.
    pub store: Arc<SqliteStore>,
}

/// How long the store may take to show that it works.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Serves the port until the future is dropped.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, sources: Sources, page: Page) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .merge(web::router(page))
        .with_state(sources);
    axum::serve(listener, router).await
}

async fn ready(State(sources): State<Sources>) -> impl IntoResponse {
    let probe = sources.store.sync(Conversation::between(1, 1), 0, 1);
    match tokio::time::timeout(READY_WITHIN, probe).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the message store does not answer\n".to_owned())
        }
    }
}

async fn numbers(State(sources): State<Sources>) -> impl IntoResponse {
    let text = metrics::render(&sources.node, &sources.store.stats());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
