//! Who a connection belongs to. In open mode, for development, whoever `?userId=` says.

use std::num::NonZeroU64;

use serde_json::json;

use crate::socketio::{Refused, Socket};
use crate::store::MAX_ID;

/// A user whose identity is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(NonZeroU64);

impl User {
    /// The user that a connection belongs to.
    pub fn of(socket: &Socket) -> Option<User> {
        socket.extensions().get::<User>().as_deref().copied()
    }

    /// The user of this id, 1 to 2^53-1.
    pub fn new(id: u64) -> Option<User> {
        NonZeroU64::new(id).filter(|id| id.get() <= MAX_ID).map(User)
    }

    /// From decimal digits: 1 to 2^53-1.
    fn parse(text: &str) -> Option<User> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().and_then(User::new)
    }

    /// The number.
    pub fn id(self) -> u64 {
        self.0.get()
    }
}

/// Open mode: the query is believed.
pub fn open(socket: &Socket) -> Result<User, Refused> {
    let claimed = socket.handshake().query("userId").unwrap_or_default();
    User::parse(&claimed).ok_or_else(|| {
        Refused::new(format!("?userId= must be an integer from 1 to {MAX_ID}"))
            .with_data(json!({ "code": "invalid_user_id" }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_a_number_that_javascript_can_count() {
        for text in ["1", "9007199254740991", "007"] {
            assert!(User::parse(text).is_some(), "{text}");
        }
        for text in ["", "0", "-1", "+1", "1.5", "1e3", " 1", "9007199254740992", "99999999999999999999", "١"]
        {
            assert_eq!(User::parse(text), None, "{text}");
        }
    }
}
