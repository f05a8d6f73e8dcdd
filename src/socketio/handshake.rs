//! How a client came: the request that opened its session, and what it said when it joined the namespace.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::ArgsError;
use crate::proto::http::parse_query;
use crate::proto::sio;
use crate::shard::Request;

/// The circumstances of a connection.
#[derive(Clone, Debug)]
pub struct Handshake {
    request: Arc<Request>,
    auth: Option<Arc<str>>,
}

impl Handshake {
    pub(super) fn new(request: Arc<Request>, auth: &str) -> Self {
        Handshake { request, auth: (!auth.is_empty()).then(|| auth.into()) }
    }

    /// A parameter of the query, decoded. `?userId=1`: `query("userId")` is `1`.
    pub fn query(&self, name: &str) -> Option<String> {
        self.request.head.query_get(name).map(Into::into)
    }

    /// All parameters of the query.
    pub fn queries(&self) -> Vec<(String, String)> {
        parse_query(self.request.head.query()).map(|(n, v)| (n.into_owned(), v.into_owned())).collect()
    }

    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.head.header(name)
    }

    /// All headers of the request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.request.head.headers()
    }

    /// Path and query of the request.
    pub fn url(&self) -> &str {
        self.request.head.target()
    }

    /// What the client gave as `auth`, as JSON; `{}` if nothing.
    pub fn auth_json(&self) -> &str {
        self.auth.as_deref().unwrap_or("{}")
    }

    /// What the client gave as `auth`.
    ///
    /// # Errors
    /// It is not of this type.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        Ok(serde_json::from_str(&sio::well_formed(self.auth_json()))?)
    }

    /// The other end of the TCP connection: the client, or a proxy.
    pub fn address(&self) -> SocketAddr {
        self.request.remote
    }

    /// The client's address: that of [`Handshake::address`], or, where that is a trusted proxy (see
    /// [`Limits::trusted_proxies`](crate::shard::Limits::trusted_proxies)), what it says in `X-Forwarded-For`.
    pub fn client_ip(&self) -> IpAddr {
        self.request.client_ip
    }

    /// When the request came.
    pub fn time(&self) -> SystemTime {
        self.request.time
    }
}
