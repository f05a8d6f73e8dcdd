//! The types of settings: how each is written in TOML and in text, and what it is called in an error.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::http::Network;

/// A value as it came in.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// From the file.
    Toml(&'a toml::Value),
    /// From the environment or a flag.
    Text(&'a str),
}

impl<'a> Raw<'a> {
    /// The text, or the string in the file.
    fn text(self) -> Option<&'a str> {
        match self {
            Raw::Toml(value) => value.as_str(),
            Raw::Text(text) => Some(text),
        }
    }

    /// Digits alone, or the integer in the file.
    fn integer(self) -> Option<u64> {
        match self {
            Raw::Toml(value) => value.as_integer()?.try_into().ok(),
            Raw::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Raw::Text(_) => None,
        }
    }

    /// A whole number and one of the units, as the number times the unit's factor.
    fn with_unit(self, units: &[(&str, u64)]) -> Option<u64> {
        let text = self.text()?;
        let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    }
}

/// A type that a setting can have. What `to_toml` and `to_text` write, `parse` reads.
pub(super) trait Value: Sized {
    /// What to write, in words.
    const EXPECTED: &'static str;
    fn parse(raw: Raw<'_>) -> Option<Self>;
    fn to_toml(&self) -> toml::Value;

    fn to_text(&self) -> String {
        match self.to_toml() {
            toml::Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

impl Value for String {
    const EXPECTED: &'static str = "any text";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        raw.text().map(str::to_owned)
    }
    fn to_toml(&self) -> toml::Value {
        self.clone().into()
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(value) => value.as_bool(),
            Raw::Text(text) => text.parse().ok(),
        }
    }
    fn to_toml(&self) -> toml::Value {
        (*self).into()
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Value for $type {
            const EXPECTED: &'static str = "a whole number";
            fn parse(raw: Raw<'_>) -> Option<Self> {
                raw.integer()?.try_into().ok()
            }
            fn to_toml(&self) -> toml::Value {
                i64::try_from(*self).unwrap_or(i64::MAX).into()
            }
        }
    )* };
}

integers!(u16, u32, usize);

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        raw.text()?.parse().ok()
    }
    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}

const DURATION_UNITS: &[(&str, u64)] =
    &[("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)];

/// Kept to the microsecond. A number without a unit means milliseconds.
impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as 200us, 300ms, 25s, 5m or 1h (a number alone is ms)";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        let plain = raw.integer().map(Duration::from_millis);
        plain.or_else(|| raw.with_unit(DURATION_UNITS).map(Duration::from_micros))
    }
    fn to_toml(&self) -> toml::Value {
        let us = u64::try_from(self.as_micros()).unwrap_or(u64::MAX);
        shortest(us, "0s", DURATION_UNITS).into()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        self.0
    }
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

impl Value for ByteSize {
    const EXPECTED: &'static str = "a size such as 1024, 64KiB or 1MB";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        let bytes = raw.integer().or_else(|| raw.with_unit(SIZE_UNITS))?;
        bytes.try_into().ok().map(Self)
    }
    fn to_toml(&self) -> toml::Value {
        shortest(self.0 as u64, "0B", SIZE_UNITS).into()
    }
}

/// The amount in the largest unit that divides it.
fn shortest(amount: u64, zero: &str, units: &[(&str, u64)]) -> String {
    match units.iter().find(|(_, factor)| amount.is_multiple_of(*factor)) {
        Some((unit, factor)) if amount > 0 => format!("{}{unit}", amount / factor),
        _ => zero.to_owned(),
    }
}

/// Lists of names. As text they are separated by commas.
impl Value for Vec<String> {
    const EXPECTED: &'static str = "a list of texts";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(value) => {
                value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Raw::Text("") => Some(Vec::new()),
            Raw::Text(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
        }
    }
    fn to_toml(&self) -> toml::Value {
        self.clone().into()
    }
}

impl Value for Vec<Network> {
    const EXPECTED: &'static str = "a list of addresses and networks such as 127.0.0.1, ::1 or 10.0.0.0/8";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        Vec::<String>::parse(raw)?.iter().map(|text| text.parse().ok()).collect()
    }
    fn to_toml(&self) -> toml::Value {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().into()
    }
}

impl Value for Vec<Transport> {
    const EXPECTED: &'static str = "a list of polling and websocket";
    fn parse(raw: Raw<'_>) -> Option<Self> {
        Vec::<String>::parse(raw)?.iter().map(|name| Transport::parse(Raw::Text(name))).collect()
    }
    fn to_toml(&self) -> toml::Value {
        self.iter().map(Value::to_toml).collect::<Vec<_>>().into()
    }
}

/// An enum whose variants are words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $( $(#[$variant_doc])* $variant, )* }

        impl Value for $name {
            const EXPECTED: &'static str = $expected;
            fn parse(raw: Raw<'_>) -> Option<Self> {
                match raw.text()? {
                    $( $word => Some(Self::$variant), )*
                    _ => None,
                }
            }
            fn to_toml(&self) -> toml::Value {
                match self { $( Self::$variant => $word.into(), )* }
            }
        }
    };
}

words! {
    /// How a client's bytes travel.
    Transport, "polling or websocket" {
        /// HTTP long-polling.
        Polling = "polling",
        /// WebSocket.
        WebSocket = "websocket",
    }
}

words! {
    /// How a connection proves who it is.
    AuthMode, "open or jwt" {
        /// It says so, and is believed.
        Open = "open",
        /// With a signed token.
        Jwt = "jwt",
    }
}

words! {
    /// What is done about a message with a word of `im.words_file`.
    WordsMode, "mask or refuse" {
        /// Its characters become `*`.
        Mask = "mask",
        /// The message is not accepted.
        Refuse = "refuse",
    }
}

words! {
    /// Which publish/subscribe of Redis is used.
    PubSub, "auto, classic or sharded" {
        /// The best that the server has.
        Auto = "auto",
        /// `SUBSCRIBE`, which every Redis has.
        Classic = "classic",
        /// `SSUBSCRIBE`, from Redis 7.0 on.
        Sharded = "sharded",
    }
}

words! {
    /// How a line of the log is written.
    LogFormat, "text or json" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

// Short names for the table of settings.

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) const fn kib(kib: usize) -> ByteSize {
    ByteSize(kib << 10)
}

pub(super) const fn mib(mib: usize) -> ByteSize {
    ByteSize(mib << 20)
}

pub(super) fn text(text: &str) -> String {
    text.to_owned()
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(text: &str) -> Option<Duration> {
        Duration::parse(Raw::Text(text))
    }

    fn size(text: &str) -> Option<usize> {
        ByteSize::parse(Raw::Text(text)).map(ByteSize::bytes)
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("25s", 25_000),
            ("300ms", 300),
            ("300", 300),
            ("0", 0),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("10 s", 10_000),
            ("1S", 1000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(duration("200us"), Some(Duration::from_micros(200)));
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1 week",
            "1s ",
            " 1s",
            "25sec",
            "+5",
            "99999999999999999999",
            "18446744073709551615h",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        assert_eq!(Duration::parse(Raw::Toml(&toml::Value::Integer(250))), Some(Duration::from_millis(250)));
        assert_eq!(Duration::parse(Raw::Toml(&toml::Value::Integer(-250))), None);
        assert_eq!(Duration::parse(Raw::Toml(&toml::Value::Float(1.0))), None);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1MB", 1_000_000),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1024", 1024),
            ("7B", 7),
            ("2GiB", 2 << 30),
            ("3GB", 3_000_000_000),
            ("5KB", 5000),
            ("1MiB", 1_048_576),
            ("0", 0),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "1M", "1K", "-1", "1.5MB", "0x10", "99999999999GiB", "１MB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn networks() {
        let list = |text| Vec::<Network>::parse(Raw::Text(text)).map(|list| list.to_text());
        assert_eq!(list("").as_deref(), Some("[]"));
        assert_eq!(list("127.0.0.1, fd00::/8").as_deref(), Some(r#"["127.0.0.1", "fd00::/8"]"#));
        for text in ["localhost", "10.0.0.0/33", "10.0.0.1,"] {
            assert_eq!(list(text), None, "{text:?}");
        }
    }

    #[test]
    fn amounts_are_written_in_the_largest_unit_that_divides_them() {
        for (ms_count, text) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (45_000, "45s"), (120_000, "2m"), (7_200_000, "2h")]
        {
            assert_eq!(ms(ms_count).to_text(), text);
            assert_eq!(duration(text), Some(Duration::from_millis(ms_count)));
        }
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (16_384, "16KiB"),
            (1_000_000, "1MB"),
            (1 << 20, "1MiB"),
            (5000, "5KB"),
        ] {
            assert_eq!(ByteSize(bytes).to_text(), text);
            assert_eq!(size(text), Some(bytes));
        }
    }
}
