//! Where a request comes from: behind a proxy that is trusted, from whom it says.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use super::Sources;
use crate::proto::http::{X_FORWARDED_FOR, client_ip};

/// The client's address.
pub fn address(sources: &Sources, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = &sources.config.limits.trusted_proxies;
    let forwarded = headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.as_bytes());
    client_ip(peer.ip(), forwarded, trusted)
}
