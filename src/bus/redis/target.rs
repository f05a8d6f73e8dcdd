//! What a URL says about where Redis is.

use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

/// Where Redis is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// One server.
    Single(ConnectionInfo),
    /// Redis Cluster: some of its servers.
    Cluster(Vec<ConnectionInfo>),
    /// Sentinels, and the name of the master that they watch.
    Sentinel {
        /// The sentinels. Credentials are the servers', and tried on the sentinels, too.
        sentinels: Vec<ConnectionInfo>,
        /// The master's name.
        master: String,
    },
}

/// Why a URL is none of a Redis. Without the URL itself, for it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with none of the schemes.
    #[error("a Redis URL begins with redis://, redis-cluster:// or redis-sentinel://")]
    Scheme,
    /// A host, a port, the credentials or the database are not written as they should be.
    #[error(
        "the Redis URL's server number {0} is not USER:PASSWORD@HOST:PORT, or what follows it is not a database's number"
    )]
    Server(usize),
    /// A Sentinel URL without the master's name.
    #[error("the Redis URL lacks the master's name: redis-sentinel://HOST:PORT,HOST:PORT/MASTER")]
    Master,
}

const SENTINEL_PORT: u16 = 26379;

impl Target {
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if url.starts_with("redis://") {
            server(url, 1).map(Self::Single)
        } else if let Some(rest) = url.strip_prefix("redis-cluster://") {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            servers(rest, None).map(Self::Cluster)
        } else if let Some(rest) = url.strip_prefix("redis-sentinel://") {
            let (rest, master) = rest.rsplit_once('/').ok_or(UrlError::Master)?;
            if master.is_empty() {
                return Err(UrlError::Master);
            }
            let sentinels = servers(rest, Some(SENTINEL_PORT))?;
            Ok(Self::Sentinel { sentinels, master: master.to_owned() })
        } else {
            Err(UrlError::Scheme)
        }
    }
}

/// `[USER:PASSWORD@]HOST:PORT,HOST:PORT,…`
fn servers(list: &str, default_port: Option<u16>) -> Result<Vec<ConnectionInfo>, UrlError> {
    let (credentials, hosts) = match list.rfind('@') {
        Some(at) => list.split_at(at + 1),
        None => ("", list),
    };
    let one = |(n, host): (usize, &str)| {
        let port = match default_port {
            Some(port) if !has_port(host) => format!(":{port}"),
            _ => String::new(),
        };
        server(&format!("redis://{credentials}{host}{port}"), n + 1)
    };
    hosts.split(',').enumerate().map(one).collect()
}

fn has_port(host: &str) -> bool {
    // Colons in brackets belong to an IPv6 address.
    host.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

fn server(url: &str, number: usize) -> Result<ConnectionInfo, UrlError> {
    let info = url.into_connection_info().map_err(|_| UrlError::Server(number))?;
    // RESP3 lets a connection that listens answer PING and ROLE like any other.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    // A connection that is given up takes what it has not sent with it. Otherwise the kernel would go on trying, and after
    // a broken network has healed, old messages might arrive behind new ones.
    let tcp = info.tcp_settings().clone().set_nodelay(true).set_linger_time(Duration::ZERO);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, UrlError> {
        let list = |servers: &[ConnectionInfo]| {
            let one = |server: &ConnectionInfo| {
                let settings = server.redis_settings();
                let (user, password) = (settings.username(), settings.password());
                format!("{} {} {}", server.addr(), user.unwrap_or("-"), password.unwrap_or("-"))
            };
            servers.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        Target::parse(url).map(|target| match target {
            Target::Single(server) => {
                format!("single {} db {}", list(std::slice::from_ref(&server)), server.redis_settings().db())
            }
            Target::Cluster(servers) => format!("cluster {}", list(&servers)),
            Target::Sentinel { sentinels, master } => format!("{master} of {}", list(&sentinels)),
        })
    }

    #[test]
    fn urls() {
        let is = |url, expected: &str| assert_eq!(parse(url).as_deref(), Ok(expected), "{url}");
        is("redis://127.0.0.1:7000", "single 127.0.0.1:7000 - - db 0");
        is("redis://u:p%40s@h:1/3", "single h:1 u p@s db 3");
        is("redis://:p@h", "single h:6379 - p db 0");
        is("redis-cluster://a:1,b:2", "cluster a:1 - -, b:2 - -");
        is("redis-cluster://u:p@a:1,b/", "cluster a:1 u p, b:6379 u p");
        is("redis-sentinel://a:1,b/mymaster", "mymaster of a:1 - -, b:26379 - -");
        is("redis-sentinel://u:p@[::1],[::2]:7/m", "m of ::1:26379 u p, ::2:7 u p");
    }

    #[test]
    fn what_is_no_url() {
        assert_eq!(parse("http://a"), Err(UrlError::Scheme));
        assert_eq!(parse(""), Err(UrlError::Scheme));
        assert_eq!(parse("redis://h:port"), Err(UrlError::Server(1)));
        assert_eq!(parse("redis://h/x"), Err(UrlError::Server(1)));
        assert_eq!(parse("redis-cluster://a:1,b:x"), Err(UrlError::Server(2)));
        assert_eq!(parse("redis-cluster://a,,b"), Err(UrlError::Server(2)));
        assert_eq!(parse("redis-sentinel://a:1"), Err(UrlError::Master));
        assert_eq!(parse("redis-sentinel://a:1/"), Err(UrlError::Master));
    }
}
