//! What operators and their machines ask for.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::operation::{Operation, get};
use crate::api::health;

pub fn operations(document: Arc<OnceLock<Bytes>>) -> Vec<Operation> {
    let answer = move || async move {
        let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
        (headers, document.get().cloned().unwrap_or_default())
    };
    vec![
        get("/healthz", health::alive, "isAlive", "Whether the process runs")
            .public()
            .gives_text("It does.", None),
        get("/readyz", health::ready, "isReady", "Whether the node can do its work")
            .public()
            .gives_text("It can.", Some((503, "It can't: what is missing, a line each."))),
        get("/metrics", health::numbers, "getMetrics", "Numbers, for Prometheus")
            .public()
            .gives_text("The numbers, in the Prometheus text format.", None),
        get("/api/openapi.json", answer, "getDocument", "This document").public().gives_json("OpenAPI 3.1."),
    ]
}
