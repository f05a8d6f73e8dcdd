//! The web page: a chat client that shows the cluster working, served from the binary.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/explorer` | another one: the API explorer |
//! | `/app/config.json` | where the Socket.IO endpoint is, and how one signs in |
//! | `/app/…` | their scripts, styles and icon, out of `web/` |
//!
//! The page asks nothing of other hosts and runs no inline script, and its Content-Security-Policy says so. Files carry
//! an `ETag` and are asked for again on every visit, so a new binary is a new page at once. Never reads the disk.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, FORWARDED, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use sha1::{Digest, Sha1};

use crate::config::AuthMode;

/// What the page must know about its node.
#[derive(Clone, Debug)]
pub struct Page {
    /// The node's name.
    pub node_id: String,
    /// The port that the page itself comes from, as the node knows it.
    pub http_port: u16,
    /// The port of the Socket.IO endpoint.
    pub socketio_port: u16,
    /// Its path.
    pub socketio_path: String,
    /// How one signs in.
    pub auth_mode: AuthMode,
    /// The longest message, in characters.
    pub max_content_chars: usize,
}

/// The answer to `/app/config.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    node_id: &'a str,
    http_port: u16,
    socketio_port: u16,
    socketio_path: &'a str,
    auth_mode: &'static str,
    max_content_chars: usize,
    /// Whether the request came through a proxy, which then serves both ports as one origin.
    proxied: bool,
    version: &'static str,
}

/// A file of the page.
struct File {
    content_type: &'static str,
    etag: String,
    bytes: &'static [u8],
}

/// The files of `web/`, each with its path there.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../web/", $path)) as &[u8])),*]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "explorer.html",
    "index.html",
    "icon.svg",
    "css/base.css",
    "css/chat.css",
    "css/cluster.css",
    "css/explorer.css",
    "css/frame.css",
    "js/api.js",
    "js/chat.js",
    "js/cluster.js",
    "js/conversation.js",
    "js/dom.js",
    "js/explorer/answer.js",
    "js/explorer/document.js",
    "js/explorer/list.js",
    "js/explorer/main.js",
    "js/explorer/names.js",
    "js/explorer/operation.js",
    "js/explorer/who.js",
    "js/explorer/words.js",
    "js/i18n.js",
    "js/icons.js",
    "js/identity.js",
    "js/link.js",
    "js/main.js",
    "js/outbox.js",
    "js/people.js",
    "js/rows.js",
    "js/server.js",
    "js/timeline.js",
    "js/views/about.js",
    "js/views/charts.js",
    "js/views/cluster.js",
    "js/views/composer.js",
    "js/views/conversation-list.js",
    "js/views/frame.js",
    "js/views/link-banner.js",
    "js/views/message.js",
    "js/views/names.js",
    "js/views/new-chat.js",
    "js/views/placement.js",
    "js/views/sign-in.js",
    "js/views/thread.js",
    "js/views/words.js",
    "vendor/LICENSE-socket.io-client",
    "vendor/socket.io.esm.min.js",
];

/// Headers by which a proxy tells that it is one.
const PROXY_HEADERS: [HeaderName; 4] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// The routes of the page.
pub fn router<S: Clone + Send + Sync + 'static>(page: Page) -> Router<S> {
    let policy: Arc<str> = content_security_policy(page.socketio_port).into();
    let files: Arc<HashMap<_, _>> =
        Arc::new(FILES.iter().map(|(path, bytes)| (*path, file(path, bytes))).collect());
    let document = |name: &'static str| {
        let (policy, files) = (policy.clone(), files.clone());
        get(move |headers: HeaderMap| async move {
            ([(CONTENT_SECURITY_POLICY, policy.to_string())], answer(files.get(name), &headers))
        })
    };
    let page = Arc::new(page);
    Router::new()
        .route("/", document("index.html"))
        .route("/explorer", document("explorer.html"))
        .route("/app/config.json", get(move |headers: HeaderMap| async move { config(&page, &headers) }))
        .route(
            "/app/{*path}",
            get(move |Path(path): Path<String>, headers: HeaderMap| async move {
                answer(files.get(path.as_str()), &headers)
            }),
        )
}

fn file(path: &str, bytes: &'static [u8]) -> File {
    let content_type = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let etag = Sha1::digest(bytes)[..10].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    File { content_type, etag: format!("\"{etag}\""), bytes }
}

/// Scripts, styles and images of this origin only, and connections to it and to the Socket.IO port. The port's host is
/// left open: it is the one that the page was reached by, under whatever name that was.
fn content_security_policy(socketio_port: u16) -> String {
    let endpoint =
        ["http", "https", "ws", "wss"].map(|scheme| format!("{scheme}://*:{socketio_port}")).join(" ");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {endpoint}; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
}

fn answer(file: Option<&File>, request: &HeaderMap) -> Response {
    let Some(file) = file else { return (StatusCode::NOT_FOUND, "there is no such file\n").into_response() };
    let headers = [
        (ETAG, file.etag.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    if is_current(&file.etag, request) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, file.content_type)], file.bytes).into_response()
}

/// Whether the client holds this version (RFC 9110, section 13.1.2; the comparison is weak).
fn is_current(etag: &str, request: &HeaderMap) -> bool {
    let held = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    held.flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn config(page: &Page, request: &HeaderMap) -> Response {
    let config = Config {
        node_id: &page.node_id,
        http_port: page.http_port,
        socketio_port: page.socketio_port,
        socketio_path: &page.socketio_path,
        auth_mode: match page.auth_mode {
            AuthMode::Open => "open",
            AuthMode::Jwt => "jwt",
        },
        max_content_chars: page.max_content_chars,
        proxied: PROXY_HEADERS.iter().any(|name| request.contains_key(name)),
        version: env!("CARGO_PKG_VERSION"),
    };
    match serde_json::to_string(&config) {
        Ok(json) => ([(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.insert(path.strip_prefix("web").unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_in_the_binary() {
        let mut there = BTreeSet::new();
        walk(Path::new("web"), &mut there);
        // Tells Node.js, for the tests, that the scripts are modules; browsers don't ask for it.
        there.remove("package.json");
        let served: BTreeSet<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn a_client_that_holds_a_file_is_not_sent_it_again() {
        let file = file("js/main.js", b"x");
        assert_eq!(file.content_type, "text/javascript; charset=utf-8");
        let held =
            |value: &str| HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]);
        for current in [file.etag.clone(), format!("\"other\", W/{}", file.etag), "*".to_owned()] {
            assert_eq!(answer(Some(&file), &held(&current)).status(), StatusCode::NOT_MODIFIED, "{current}");
        }
        for other in ["\"other\"", "", file.etag.trim_matches('"')] {
            assert_eq!(answer(Some(&file), &held(other)).status(), StatusCode::OK, "{other}");
        }
        assert_eq!(answer(None, &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
