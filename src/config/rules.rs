//! The rules that a type and a range cannot say: the form of single values, and what must not stand together.

#![expect(clippy::ptr_arg, reason = "a rule's function takes a reference to the setting's own type")]

use std::collections::HashSet;
use std::net::SocketAddr;

use super::{AuthMode, ByteSize, Config, ConfigError, Effective, Transport};
use crate::auth::{KeySpec, MIN_SECRET_BYTES};

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn is_node_id(id: &String) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub(super) fn is_path(path: &String) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    path.starts_with('/') && path.ends_with('/') && path.len() <= 256 && path.bytes().all(plain)
}

pub(super) fn is_transports(transports: &Vec<Transport>) -> bool {
    match transports[..] {
        [_] => true,
        [first, second] => first != second,
        _ => false,
    }
}

/// An origin as a browser sends it (RFC 6454, section 6.2): scheme and authority, no path.
pub(super) fn is_origins(origins: &Vec<String>) -> bool {
    origins.iter().all(|origin| {
        origin == "*"
            || origin.split_once("://").is_some_and(|(scheme, authority)| {
                !scheme.is_empty()
                    && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                    && !authority.is_empty()
                    && authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\,*\"".contains(&byte))
            })
    })
}

/// RFC 6265, section 4.1.1: a cookie name is a token of RFC 9110.
pub(super) fn is_cookie_name(name: &String) -> bool {
    name.len() <= 256
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(super) fn is_jwt_secret(secret: &String) -> bool {
    secret.is_empty() || secret.len() >= MIN_SECRET_BYTES
}

pub(super) fn is_jwt_keys(keys: &Vec<String>) -> bool {
    let mut kids = HashSet::new();
    keys.iter().all(|key| key.parse().is_ok_and(|spec: KeySpec| kids.insert(spec.kid)))
}

pub(super) fn is_names(names: &Vec<String>) -> bool {
    names.iter().all(|name| !name.is_empty())
}

/// Before the path of the database. What follows is no authority: `sqlite://data/x.db` would be a file in `/data`.
pub(super) const SQLITE: &str = "sqlite:";

pub(super) fn is_store_url(url: &String) -> bool {
    match url.strip_prefix(SQLITE) {
        Some(path) => !path.is_empty() && !path.starts_with("//") && !path.contains('\0'),
        None => {
            mysql_async::Opts::from_url(url).is_ok_and(|opts| opts.db_name().is_some_and(|db| !db.is_empty()))
        }
    }
}

/// How a URL says what kind of Redis is there.
pub(super) const REDIS_SCHEMES: [&str; 3] = ["redis://", "redis-cluster://", "redis-sentinel://"];

pub(super) fn is_redis_url(url: &String) -> bool {
    let Some(rest) = REDIS_SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return url.is_empty();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let is_host =
        |host: &str| !host.is_empty() && !host.contains(char::is_whitespace) && !host.starts_with(':');
    let needs_master = url.starts_with("redis-sentinel:");
    hosts.split(',').all(is_host)
        && (!url.starts_with("redis://") || !hosts.contains(','))
        && (!needs_master || !path.split('?').next().unwrap_or_default().is_empty())
}

/// Empty, or an address with a port that can be reached.
pub(super) fn is_address(text: &String) -> bool {
    let is_reachable = |address: SocketAddr| address.port() > 0 && !address.ip().is_unspecified();
    text.is_empty() || text.parse().is_ok_and(is_reachable)
}

/// A level, or `target=level`, or several of them. Stricter than the filter's own parser, which takes a
/// misspelled level for a module's name.
pub(super) fn is_log_filter(filter: &String) -> bool {
    filter.split(',').all(|directive| match directive.split_once('=') {
        None => LOG_LEVELS.contains(&directive),
        Some((target, level)) => {
            !target.is_empty()
                && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
                && LOG_LEVELS.contains(&level)
        }
    })
}

/// Refuses settings that are fine alone and wrong together.
pub(super) fn check_together(effective: &Effective) -> Result<(), ConfigError> {
    let Config { node, socketio, limits, auth, im, cluster, store, .. } = &effective.config;
    let refuse = |text: String| Err(ConfigError::Together(text));
    let origin = |section, key| effective.source(section, key);

    if auth.mode == AuthMode::Jwt && auth.jwt_secret.is_empty() && auth.jwt_keys.is_empty() {
        return refuse(format!(
            "{}: auth.mode = \"jwt\" needs a key: set auth.jwt_secret, for which `openssl rand -hex 32` is good, or \
             auth.jwt_keys",
            origin("auth", "mode")
        ));
    }
    let kids = || auth.jwt_keys.iter().filter_map(|key| Some(key.parse::<KeySpec>().ok()?.kid));
    if !auth.jwt_issue_key.is_empty() && !kids().any(|kid| kid == auth.jwt_issue_key) {
        return refuse(format!(
            "{}: auth.jwt_issue_key = {:?} is none of auth.jwt_keys, which are: {}",
            origin("auth", "jwt_issue_key"),
            auth.jwt_issue_key,
            kids().collect::<Vec<_>>().join(", ")
        ));
    }
    if auth.password_min_chars > auth.password_max_chars {
        return refuse(format!(
            "{}: auth.password_min_chars is {}, above auth.password_max_chars, which is {}",
            origin("auth", "password_min_chars"),
            auth.password_min_chars,
            auth.password_max_chars
        ));
    }
    for (section, key, address) in
        [("socketio", "listen", socketio.listen), ("node", "http_listen", node.http_listen)]
    {
        if auth.mode == AuthMode::Open
            && !address.ip().to_canonical().is_loopback()
            && !node.insecure_open_auth
        {
            return refuse(format!(
                "{}: {section}.{key} = \"{address}\" can be reached from other machines, and with auth.mode = \
                 \"open\" anyone there can be any user. Listen on 127.0.0.1, or accept that with \
                 --insecure-open-auth",
                origin(section, key)
            ));
        }
    }
    if socketio.listen == node.http_listen && socketio.listen.port() != 0 {
        return refuse(format!(
            "{}: socketio.listen and node.http_listen are both \"{}\"; give them different ports",
            origin("node", "http_listen"),
            node.http_listen
        ));
    }
    if socketio.cors_credentials && socketio.cors_origins.iter().any(|origin| origin == "*") {
        return refuse(format!(
            "{}: socketio.cors_credentials = true needs socketio.cors_origins to name its origins instead of \"*\"",
            origin("socketio", "cors_credentials")
        ));
    }
    let ByteSize(soft) = limits.outbox_soft;
    let ByteSize(hard) = limits.outbox_hard;
    if soft > hard {
        return refuse(format!(
            "{}: limits.outbox_soft is {soft} bytes, above limits.outbox_hard, which is {hard} bytes",
            origin("limits", "outbox_soft")
        ));
    }
    if !cluster.redis_url.is_empty() && store.sqlite_path().is_some() {
        return refuse(format!(
            "{}: cluster.redis_url makes this node one of several, and store.url = \"{}\" is a file of this node alone. \
             Give all nodes the same database: store.url = \"mysql://USER:PASSWORD@HOST:PORT/DATABASE\"",
            origin("cluster", "redis_url"),
            store.url
        ));
    }
    if cluster.lease_renewal * 2 > cluster.node_lease {
        return refuse(format!(
            "{}: cluster.lease_renewal is {:?}, more than half of cluster.node_lease, which is {:?}: one late renewal \
             would give the node up",
            origin("cluster", "lease_renewal"),
            cluster.lease_renewal,
            cluster.node_lease
        ));
    }
    if im.sync_page > im.sync_page_max {
        return refuse(format!(
            "{}: im.sync_page is {}, above im.sync_page_max, which is {}",
            origin("im", "sync_page"),
            im.sync_page,
            im.sync_page_max
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accepts: fn(&String) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(accepts(&(*text).to_owned()), "{text:?} should be allowed");
        }
        for text in bad {
            assert!(!accepts(&(*text).to_owned()), "{text:?} should be refused");
        }
    }

    #[test]
    fn forms() {
        let long = "n".repeat(65);
        check(is_node_id, &["node-1", "a", "A.b_c-9"], &["", "node 1", "node/1", "nöde", &long]);
        check(
            is_path,
            &["/socket.io/", "/", "/a/b/"],
            &["", "socket.io/", "/socket.io", "/a b/", "/a?b/", "/%41/", "/é/"],
        );
        check(is_cookie_name, &["", "io", "__Host-io"], &["a b", "a=b", "a;b", "ä"]);
        check(
            is_store_url,
            &["sqlite:x.db", "sqlite:/var/x y.db", "mysql://im:secret@127.0.0.1:3306/im", "mysql://h/db"],
            &["", "sqlite:", "sqlite://data/x.db", "mysql://h", "mysql://", "postgres://h/db", "x.db"],
        );
        check(
            is_redis_url,
            &[
                "",
                "redis://127.0.0.1:6379",
                "redis://user:p@h:1/3",
                "redis-cluster://a:1,b:2",
                "redis-sentinel://:p@a:26379,b/mymaster",
            ],
            &[
                "127.0.0.1:6379",
                "redis://",
                "redis://a,b",
                "redis-cluster://a,,b",
                "redis-sentinel://a:1",
                "http://h",
            ],
        );
        check(
            is_address,
            &["", "10.0.0.2:7000", "[2001:db8::1]:7000"],
            &["10.0.0.2", "10.0.0.2:0", "0.0.0.0:7000", "[::]:7000", "node-2:7000", ":7000"],
        );
        check(
            is_log_filter,
            &["info", "off", "warn,tokio_socketio=debug", "tokio_socketio::store=trace"],
            &["", "infoo", "INFO", "info,", "=info", "a=loud", "a b=info"],
        );
    }

    #[test]
    fn keys() {
        let keys = |list: &[&str]| is_jwt_keys(&list.iter().map(|text| (*text).to_owned()).collect());
        assert!(keys(&[]) && keys(&["a=HS256:x"]) && keys(&["a=HS256:x", "b=RS256:x", "c=EdDSA:/k/c.pem"]));
        assert!(!keys(&["a=HS256:x", "a=RS256:y"]), "the same name twice");
        for bad in ["", "x", "a=none:x", "a=hs256:x", "a=HS256:", "=HS256:x", "a b=HS256:x"] {
            assert!(!keys(&["z=HS256:x", bad]), "{bad:?}");
        }
        check(is_jwt_secret, &["", &"s".repeat(32)], &["s", &"s".repeat(31)]);
    }

    #[test]
    fn origins() {
        let origins = |list: &[&str]| is_origins(&list.iter().map(|text| (*text).to_owned()).collect());
        assert!(origins(&[]) && origins(&["*"]) && origins(&["https://a.example", "http://[::1]:3000"]));
        for bad in
            ["", "a.example", "https://", "https://a.example/", "https://*.example", "null", "https://a b"]
        {
            assert!(!origins(&["https://a.example", bad]), "{bad:?}");
        }
    }
}
