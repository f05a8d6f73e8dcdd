//! What nodes tell those that watch somebody: JSON on one channel of the bus.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ledger::Batch;
use crate::store::Timestamp;

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// What a node announces after it has written it, so that whoever then looks finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    #[serde(rename = "v")]
    version: u32,
    /// The node that says it.
    pub(super) node: String,
    /// Users that came to it, and when, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    here: Vec<(u64, i64)>,
    /// Users that it has no more, and since when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<(u64, i64)>,
    /// More has changed than is told: look at everybody. Whoever is nowhere may be on the way for so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    look: Option<u64>,
}

impl Announcement {
    /// Tells of users that came and went.
    pub(super) fn of_users(node: &str, batch: &Batch) -> Self {
        let list =
            |users: &[(u64, Timestamp)]| users.iter().map(|(user, at)| (*user, at.unix_ms())).collect();
        let (here, gone) = (list(&batch.here), list(&batch.gone));
        Self { version: VERSION, node: node.to_owned(), here, gone, look: None }
    }

    /// Has everybody look, and wait so long with those whom they don't find.
    pub(super) fn look(node: &str, hold: Duration) -> Self {
        let look = Some(u64::try_from(hold.as_millis()).unwrap_or(u64::MAX));
        Self { version: VERSION, node: node.to_owned(), here: Vec::new(), gone: Vec::new(), look }
    }

    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// `None` for what is no announcement, or of a newer version.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok().filter(|announcement: &Self| announcement.version <= VERSION)
    }

    pub(super) fn here(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        self.here.iter().map(|(user, at)| (*user, Timestamp::from_unix_ms(*at)))
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        self.gone.iter().map(|(user, at)| (*user, Timestamp::from_unix_ms(*at)))
    }

    /// How long to wait with users that are found nowhere, if everybody is to be looked at. At most `limit`.
    pub(super) fn hold(&self, limit: Duration) -> Option<Duration> {
        self.look.map(|hold| Duration::from_millis(hold).min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_read_as_they_were_written() {
        let at = Timestamp::from_unix_ms(5);
        let batch = Batch { here: vec![(1, at)], gone: vec![(2, at), (3, at)], ..Batch::default() };
        let users = Announcement::of_users("node-1", &batch);
        assert_eq!(users.encode(), r#"{"v":1,"node":"node-1","here":[[1,5]],"gone":[[2,5],[3,5]]}"#);
        let look = Announcement::look("node-1", Duration::from_secs(3));
        assert_eq!(look.encode(), r#"{"v":1,"node":"node-1","look":3000}"#);
        assert_eq!(look.hold(Duration::from_secs(1)), Some(Duration::from_secs(1)));
        for announcement in [users, look] {
            assert_eq!(Announcement::decode(&announcement.encode()), Some(announcement));
        }
    }

    #[test]
    fn what_is_newer_or_nonsense_is_dropped() {
        for text in ["", "{}", "[]", r#"{"v":2,"node":"n"}"#, r#"{"v":1,"node":"n","here":[[-1,5]]}"#] {
            assert_eq!(Announcement::decode(text.as_bytes()), None, "{text}");
        }
        assert!(Announcement::decode(br#"{"v":1,"node":"n","more":true}"#).is_some(), "fields may be added");
    }
}
