//! Who a request is from, where proxies stand in between: `X-Forwarded-For`, believed only from those that are trusted.
//!
//! Each proxy appends the address that it was spoken to from, so the list is read from its end: whatever stands before the
//! first address that is no trusted proxy's may have been made up by the client.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A range of addresses: `10.0.0.0/8`, or a single one: `::1`.
///
/// ```
/// use tokio_socketio::proto::http::Network;
/// let lan: Network = "10.0.0.0/8".parse().unwrap();
/// assert!(lan.contains([10, 1, 2, 3].into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Never an IPv4 address in IPv6 clothes.
    address: IpAddr,
    /// So many leading bits of it count.
    bits: u8,
}

/// The text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address, nor a network such as 10.0.0.0/8")]
pub struct BadNetwork;

impl Network {
    /// Whether the address lies within. An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`) is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differs = u32::from(ours) ^ u32::from(theirs);
                differs.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differs = u128::from(ours) ^ u128::from(theirs);
                differs.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| BadNetwork)?,
            Some(_) => return Err(BadNetwork),
        };
        let canonical = address.to_canonical();
        let taken_off = if canonical.is_ipv4() && address.is_ipv6() { MAPPED_BITS } else { 0 };
        match u8::checked_sub(bits, taken_off) {
            Some(rest) if bits <= all => Ok(Network { address: canonical, bits: rest }),
            _ => Err(BadNetwork),
        }
    }
}

/// In front of an IPv4 address in IPv6 clothes (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.bits) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => self.address.fmt(f),
            (address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// The field in which proxies say whom they speak for.
pub const X_FORWARDED_FOR: &str = "X-Forwarded-For";

/// Whether this is the address of a trusted proxy.
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The address of the client: the peer's, or what trusted proxies say that it is. What is no address ends the search:
/// then the last proxy that is known for sure stands for whoever is behind it.
///
/// `forwarded`: the values of the `X-Forwarded-For` fields, in their order.
pub fn client_ip<'a>(peer: IpAddr, forwarded: impl Iterator<Item = &'a [u8]>, trusted: &[Network]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    let fields: Vec<&[u8]> = forwarded.collect();
    let hops = fields.iter().rev().flat_map(|field| field.rsplit(|byte| *byte == b','));
    for hop in hops {
        let Some(address) = address_of(hop.trim_ascii()) else { break };
        client = address;
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok();
    let address = text.parse().ok().or_else(|| with_port().map(|a| a.ip()));
    address.or_else(|| in_brackets().map(IpAddr::V6)).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::{HeadLimits, RequestHead};
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|_| panic!("{text} is a network"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        for (text, within, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "::a00:1"][..],
            ),
            ("127.0.0.1", &["127.0.0.1"], &["127.0.0.2", "::1"]),
            ("192.168.1.128/25", &["192.168.1.200"], &["192.168.1.1"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("fd00::/8", &["fd12::1", "fdff::"], &["fe00::", "10.0.0.1"]),
            ("::1", &["::1"], &["::2"]),
            ("::/0", &["::1"], &["1.2.3.4"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.1"]),
        ] {
            let network = network(text);
            assert!(within.iter().all(|address| network.contains(ip(address))), "{text}");
            assert!(!outside.iter().any(|address| network.contains(ip(address))), "{text}");
            assert_eq!(network.to_string().parse(), Ok(network), "{text}");
        }
        for text in
            ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "1.2.3.4/+8", "1.2.3.4/8/8"]
        {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork), "{text:?}");
        }
        assert_eq!("::ffff:1.2.3.4/8".parse::<Network>(), Err(BadNetwork), "wider than all of IPv4");
    }

    fn seen(peer: &str, fields: &[&str]) -> String {
        let mut raw = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
        for field in fields {
            raw.extend_from_slice(format!("X-Forwarded-For: {field}\r\n").as_bytes());
        }
        raw.extend_from_slice(b"\r\n");
        let (head, _) = RequestHead::decode(&raw, &HeadLimits::default()).unwrap().unwrap();
        client_ip(ip(peer), head.header_values(X_FORWARDED_FOR), &[network("10.0.0.0/8"), network("::1")])
            .to_string()
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_clients() {
        for (peer, fields, client) in [
            ("9.9.9.9", &["1.1.1.1"][..], "9.9.9.9"), // nobody to be believed
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"), // what the client made up stands before
            ("::ffff:10.0.0.1", &["1.1.1.1, 10.2.2.2,10.3.3.3"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.3.3.3"], "1.1.1.1"), // several fields are one list
            ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            assert_eq!(seen(peer, fields), client, "{peer} {fields:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_believed_and_nothing_before_it() {
        for (fields, client) in [
            (&["1.1.1.1, unknown"][..], "10.0.0.1"),
            (&["1.1.1.1, , 10.2.2.2"], "10.2.2.2"),
            (&["1.1.1.1", ""], "10.0.0.1"),
            (&["1.1.1.256"], "10.0.0.1"),
            (&["1.1.1.1:99999"], "10.0.0.1"),
            (&["[1.1.1.1]"], "10.0.0.1"),
        ] {
            assert_eq!(seen("10.0.0.1", fields), client, "{fields:?}");
        }
    }

    proptest! {
        /// Whatever a client puts in front, it is seen as what the proxy saw.
        #[test]
        fn a_client_can_not_choose_its_address(made_up in "[ -~]{0,60}") {
            prop_assert_eq!(seen("10.0.0.1", &[&format!("{made_up}, 1.1.1.1, 10.4.4.4")]), "1.1.1.1");
        }
    }
}
