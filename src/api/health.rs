//! `/readyz` and `/metrics`: for load balancers, and for those who are woken at night.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::{Sources, metrics};
use crate::bus::Bus as _;
use crate::store::{StoreExt as _, messages};

/// How long the store may take to show that it works.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// That the process runs.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Whether the node can do its work. If not, what is missing, a line each.
pub async fn ready(State(sources): State<Sources>) -> impl IntoResponse {
    let missing = missing(&sources).await;
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines: String = missing.iter().map(|what| format!("not ready: {what}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn missing(sources: &Sources) -> Vec<String> {
    let mut missing = Vec::new();
    if sources.draining.load(Relaxed) {
        missing.push("the node is draining".to_owned());
    }
    missing.extend(what_ails_the_store(sources).await);
    if sources.bus.as_ref().is_some_and(|bus| !bus.is_up()) {
        missing.push("the cluster bus is down: Redis does not answer".to_owned());
    }
    if !sources.presence.is_up() {
        missing.push("this node has no lease: Redis does not answer".to_owned());
    }
    missing
}

async fn what_ails_the_store(sources: &Sources) -> Option<String> {
    let probe = sources.store.reading(|tx| Box::pin(messages::last_id(tx)));
    match tokio::time::timeout(READY_WITHIN, probe).await {
        Ok(Ok(_)) if sources.store.takes_messages() => None,
        Ok(Ok(_)) => Some("the database takes no messages: the log says why".to_owned()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the message store does not answer".to_owned()),
    }
}

/// All numbers.
pub async fn numbers(State(sources): State<Sources>) -> impl IntoResponse {
    let store_is_up = what_ails_the_store(&sources).await.is_none();
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics::render(&metrics::of(&sources, store_is_up)),
    )
}
