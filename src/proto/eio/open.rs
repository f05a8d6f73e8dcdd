//! The open packet: what a client must know of its session (protocol document, "Handshake").

use std::time::Duration;

use serde::Serialize;

/// The transports that a session may still change to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrades {
    /// None: it has what it wants, or upgrades are off.
    None,
    /// From polling to WebSocket.
    WebSocket,
}

/// The session's parameters.
#[derive(Clone, Debug)]
pub struct Open<'a> {
    /// The session id.
    pub sid: &'a str,
    /// What the client may upgrade to.
    pub upgrades: Upgrades,
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long the server waits for the pong.
    pub ping_timeout: Duration,
    /// The longest message or POST body that the server takes, in bytes.
    pub max_payload: usize,
}

impl Open<'_> {
    /// Appends the packet, its type digit included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            sid: &'a str,
            upgrades: &'a [&'a str],
            ping_interval: u64,
            ping_timeout: u64,
            max_payload: usize,
        }
        let json = Json {
            sid: self.sid,
            upgrades: match self.upgrades {
                Upgrades::None => &[],
                Upgrades::WebSocket => &["websocket"],
            },
            ping_interval: millis(self.ping_interval),
            ping_timeout: millis(self.ping_timeout),
            max_payload: self.max_payload,
        };
        out.push(b'0');
        // Writing plain fields into memory has no way to fail.
        let _ = serde_json::to_writer(out, &json);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_example() {
        let open = Open {
            sid: "lv_VI97HAXpY6yYWAAAC",
            upgrades: Upgrades::WebSocket,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
        };
        let mut out = Vec::new();
        open.encode(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
    }
}
