//! The rooms of the service: one for each user, with all connections of the user, and one for each group, with those of
//! its members.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::store::Conversation;

/// A room, which has the names that the events `join_room` and `leave_room` know (SPEC, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// `private_<user id>`.
    User(u64),
    /// `group_<group id>`.
    Group(u64),
}

impl Room {
    /// The rooms whose members a conversation concerns, each once.
    pub fn all_of(conversation: Conversation) -> impl Iterator<Item = Room> {
        let (one, other) = match conversation {
            Conversation::Private { low, high } if low == high => (Room::User(low), None),
            Conversation::Private { low, high } => (Room::User(low), Some(Room::User(high))),
            Conversation::Group(group) => (Room::Group(group), None),
        };
        std::iter::once(one).chain(other)
    }

    /// Its name, to be shared.
    pub fn name(self) -> Arc<str> {
        self.to_string().into()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::User(user) => write!(f, "private_{user}"),
            Room::Group(group) => write!(f, "group_{group}"),
        }
    }
}

impl FromStr for Room {
    type Err = ();

    /// From its name.
    fn from_str(name: &str) -> Result<Self, ()> {
        let (kind, id) = name.split_once('_').ok_or(())?;
        let id = id.parse().map_err(drop)?;
        match kind {
            "private" => Ok(Room::User(id)),
            "group" => Ok(Room::Group(id)),
            _ => Err(()),
        }
    }
}
