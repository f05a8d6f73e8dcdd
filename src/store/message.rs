//! The values that a store takes and gives: messages, and the conversations that they stand in.
//!
//! [`Message`] serializes to the message object that clients see (SPEC, "Events, client to server"): camelCase names,
//! an absent optional as `null`. Nothing here touches storage.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{MAX_ID, StoreError, Timestamp};

/// The longest `client_message_id` that can be stored, in bytes.
pub const MAX_CLIENT_MESSAGE_ID_BYTES: usize = 255;

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Number of the message in its store, growing, at most [`MAX_ID`].
    pub id: u64,
    /// The message's name everywhere: a UUID in lower-case hyphenated form.
    pub message_id: String,
    /// The conversation that it stands in.
    pub conversation: Conversation,
    /// Its place there: 1, 2, 3, … without a gap.
    pub seq: u64,
    /// The sender.
    pub from_user_id: u64,
    /// The recipient, when the conversation is private.
    pub to_user_id: Option<u64>,
    /// The group, when the conversation is a group's.
    pub group_id: Option<u64>,
    /// What `content` is.
    pub message_type: MessageType,
    /// The text, or the caption of a file.
    pub content: String,
    /// Where the file is, for everything but text.
    pub file_url: Option<String>,
    /// Length of the file in bytes, at most [`MAX_ID`].
    pub file_size: Option<u64>,
    /// Name of the file.
    pub file_name: Option<String>,
    /// `message_id` of the message that this one answers.
    pub reply_to_message_id: Option<String>,
    /// The sender's own name for the message, by which a repetition is recognized.
    pub client_message_id: Option<String>,
    /// Whether the recipient has read it.
    pub is_read: bool,
    /// Whether it was recalled or deleted.
    pub is_deleted: bool,
    /// When the store accepted it.
    pub created_at: Timestamp,
}

/// A message to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The sender, 1 to [`MAX_ID`].
    pub from_user_id: u64,
    /// To whom.
    pub target: Target,
    /// What `content` is.
    pub message_type: MessageType,
    /// The text, or the caption of a file.
    pub content: String,
    /// Where the file is.
    pub file_url: Option<String>,
    /// Length of the file in bytes, at most [`MAX_ID`].
    pub file_size: Option<u64>,
    /// Name of the file.
    pub file_name: Option<String>,
    /// `message_id` of the message that this one answers.
    pub reply_to_message_id: Option<String>,
    /// The sender's own name for the message, at most [`MAX_CLIENT_MESSAGE_ID_BYTES`]: makes repeating safe.
    pub client_message_id: Option<String>,
}

impl NewMessage {
    /// A text message with nothing optional.
    pub fn text(from_user_id: u64, target: Target, content: impl Into<String>) -> Self {
        Self {
            from_user_id,
            target,
            message_type: MessageType::Text,
            content: content.into(),
            file_url: None,
            file_size: None,
            file_name: None,
            reply_to_message_id: None,
            client_message_id: None,
        }
    }

    /// The conversation that the message will stand in.
    pub fn conversation(&self) -> Conversation {
        match self.target {
            Target::User(user) => Conversation::between(self.from_user_id, user),
            Target::Group(group) => Conversation::Group(group),
        }
    }

    /// The same message. This one is left without its texts.
    pub(super) fn take(&mut self) -> Self {
        Self {
            content: std::mem::take(&mut self.content),
            file_url: self.file_url.take(),
            file_name: self.file_name.take(),
            reply_to_message_id: self.reply_to_message_id.take(),
            client_message_id: self.client_message_id.take(),
            ..*self
        }
    }

    /// The message that it becomes when it is stored.
    pub(super) fn stored(self, id: u64, message_id: Uuid, seq: u64, created_at: Timestamp) -> Message {
        let (to_user_id, group_id) = match self.target {
            Target::User(user) => (Some(user), None),
            Target::Group(group) => (None, Some(group)),
        };
        Message {
            id,
            message_id: message_id.to_string(),
            conversation: self.conversation(),
            seq,
            from_user_id: self.from_user_id,
            to_user_id,
            group_id,
            message_type: self.message_type,
            content: self.content,
            file_url: self.file_url,
            file_size: self.file_size,
            file_name: self.file_name,
            reply_to_message_id: self.reply_to_message_id,
            client_message_id: self.client_message_id,
            is_read: false,
            is_deleted: false,
            created_at,
        }
    }

    /// Checks what every store relies on. Length of `content` is the caller's business.
    pub(crate) fn validate(&self) -> Result<(), StoreError> {
        let (Target::User(target) | Target::Group(target)) = self.target;
        for (name, id) in [("the sender's id", self.from_user_id), ("the target's id", target)] {
            if !(1..=MAX_ID).contains(&id) {
                return Err(StoreError::Invalid(format!("{name} is {id}, allowed is 1 to {MAX_ID}")));
            }
        }
        if self.file_size.is_some_and(|bytes| bytes > MAX_ID) {
            return Err(StoreError::Invalid(format!("the file size is above {MAX_ID} bytes")));
        }
        if self.client_message_id.as_ref().is_some_and(|id| id.len() > MAX_CLIENT_MESSAGE_ID_BYTES) {
            return Err(StoreError::Invalid(format!(
                "the client message id is longer than {MAX_CLIENT_MESSAGE_ID_BYTES} bytes"
            )));
        }
        Ok(())
    }
}

/// How a stored message is named: by `id` or by `messageId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKey {
    /// Its number in the store.
    Id(u64),
    /// Its UUID.
    MessageId(Uuid),
}

/// Text that names no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is named by its id or its messageId")]
pub struct ParseMessageKeyError;

impl FromStr for MessageKey {
    type Err = ParseMessageKeyError;

    /// A UUID in the form that messages have it in, or else an id.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == uuid::fmt::Hyphenated::LENGTH {
            return Uuid::parse_str(text).map(Self::MessageId).map_err(|_| ParseMessageKeyError);
        }
        parse_id(text).map(Self::Id).map_err(|_| ParseMessageKeyError)
    }
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a user, possibly the sender: a note to oneself.
    User(u64),
    /// To the members of a group.
    Group(u64),
}

/// The answer to an append.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The stored message.
    pub message: Arc<Message>,
    /// The sender had stored a message with this `client_message_id` before. `message` is that first one,
    /// and nothing was stored now.
    pub duplicate: bool,
    /// When the message before it in its conversation was accepted; `None` for the first one, and for a duplicate. The
    /// clock is that of the node that stored it.
    pub previous_at: Option<Timestamp>,
}

impl Appended {
    /// The answer to a repetition of that message.
    pub(super) fn before(message: Arc<Message>) -> Self {
        Self { message, duplicate: true, previous_at: None }
    }

    /// The answer to a message that was stored now.
    pub(super) fn now(message: Arc<Message>, previous_at: Option<Timestamp>) -> Self {
        Self { message, duplicate: false, previous_at }
    }
}

/// A run of messages of one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncPage {
    /// Oldest first, `seq` without a gap.
    pub messages: Vec<Message>,
    /// Whether the conversation goes on after the last of them.
    pub has_more: bool,
}

/// A page of a conversation's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Messages in the whole conversation.
    pub total: u64,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// What a message carries. On the wire and in the database an integer from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// Plain text.
    Text = 1,
    /// A picture.
    Image = 2,
    /// Any file.
    File = 3,
    /// A voice recording.
    Voice = 4,
    /// A video.
    Video = 5,
}

/// A number that is no [`MessageType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no message type: 1 text, 2 image, 3 file, 4 voice, 5 video")]
pub struct UnknownMessageType(pub u64);

impl TryFrom<u64> for MessageType {
    type Error = UnknownMessageType;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        Ok(match number {
            1 => Self::Text,
            2 => Self::Image,
            3 => Self::File,
            4 => Self::Voice,
            5 => Self::Video,
            other => return Err(UnknownMessageType(other)),
        })
    }
}

impl Serialize for MessageType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for MessageType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// A sequence of messages with its own `seq`. As text `p:<low>:<high>` or `g:<group id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// Between two users, `low <= high`; equal for notes to oneself. Made by [`Conversation::between`].
    Private {
        /// The smaller user id.
        low: u64,
        /// The larger user id.
        high: u64,
    },
    /// Of a group.
    Group(u64),
}

impl Conversation {
    /// The private conversation of two users, in either order.
    pub fn between(a: u64, b: u64) -> Self {
        Self::Private { low: a.min(b), high: a.max(b) }
    }

    /// To whom a message from `sender` in this conversation goes.
    pub(crate) fn target(self, sender: u64) -> Target {
        match self {
            Self::Private { low, high } => Target::User(if sender == low { high } else { low }),
            Self::Group(group) => Target::Group(group),
        }
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private { low, high } => write!(f, "p:{low}:{high}"),
            Self::Group(group) => write!(f, "g:{group}"),
        }
    }
}

/// Text that names no conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a conversation is written p:<lower user id>:<higher user id> or g:<group id>")]
pub struct ParseConversationError;

impl FromStr for Conversation {
    type Err = ParseConversationError;

    /// Accepts only the text that [`Display`](fmt::Display) writes, so that a conversation has one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once(':') {
            Some(("g", group)) => Self::Group(parse_id(group)?),
            Some(("p", users)) => {
                let (low, high) = users.split_once(':').ok_or(ParseConversationError)?;
                Self::Private { low: parse_id(low)?, high: parse_id(high)? }
            }
            _ => return Err(ParseConversationError),
        };
        match parsed {
            Self::Private { low, high } if low > high => Err(ParseConversationError),
            _ => Ok(parsed),
        }
    }
}

fn parse_id(text: &str) -> Result<u64, ParseConversationError> {
    if !text.starts_with(|first: char| first.is_ascii_digit() && first != '0') {
        return Err(ParseConversationError);
    }
    text.parse().ok().filter(|id| *id <= MAX_ID).ok_or(ParseConversationError)
}

impl Serialize for Conversation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Conversation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_has_one_name() {
        for (text, conversation) in [
            ("p:1:2", Conversation::between(2, 1)),
            ("p:7:7", Conversation::between(7, 7)),
            ("g:9007199254740991", Conversation::Group(MAX_ID)),
        ] {
            assert_eq!(conversation.to_string(), text);
            assert_eq!(text.parse(), Ok(conversation));
        }
        for text in [
            "",
            "p",
            "p:",
            "p:1",
            "p:2:1",
            "p:0:1",
            "p:01:2",
            "p:+1:2",
            "p: 1:2",
            "p:1:2:3",
            "p:-1:2",
            "g:",
            "g:0",
            "g:1:2",
            "g:9007199254740992",
            "g:99999999999999999999",
            "x:1",
            "G:1",
            "1:2",
        ] {
            assert_eq!(text.parse::<Conversation>(), Err(ParseConversationError), "{text:?}");
        }
    }

    #[test]
    fn the_other_side_of_a_private_conversation() {
        let conversation = Conversation::between(5, 3);
        assert_eq!(conversation.target(5), Target::User(3));
        assert_eq!(conversation.target(3), Target::User(5));
        assert_eq!(Conversation::between(4, 4).target(4), Target::User(4));
        assert_eq!(Conversation::Group(8).target(4), Target::Group(8));
    }

    #[test]
    fn a_message_has_two_names() {
        let id = "6f2a0b1c-0000-4000-8000-000000000001";
        assert_eq!(id.parse(), Ok(MessageKey::MessageId(Uuid::parse_str(id).unwrap())));
        assert_eq!("17".parse(), Ok(MessageKey::Id(17)));
        for text in ["", "0", "-1", "6f2a0b1c00004000800000000000001", &id.replace('-', "x"), &id[1..]] {
            assert_eq!(text.parse::<MessageKey>(), Err(ParseMessageKeyError), "{text:?}");
        }
    }

    #[test]
    fn serializes_to_the_message_object_of_the_spec() {
        let message = Message {
            id: 17,
            message_id: "6f2a0b1c-0000-4000-8000-000000000001".into(),
            conversation: Conversation::between(2, 1),
            seq: 3,
            from_user_id: 2,
            to_user_id: Some(1),
            group_id: None,
            message_type: MessageType::Image,
            content: "a cat".into(),
            file_url: Some("/f/cat.png".into()),
            file_size: Some(1234),
            file_name: None,
            reply_to_message_id: None,
            client_message_id: Some("c-1".into()),
            is_read: false,
            is_deleted: false,
            created_at: Timestamp::from_unix_ms(1_700_000_000_123),
        };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"id":17,"messageId":"6f2a0b1c-0000-4000-8000-000000000001","conversation":"p:1:2","seq":3,"#,
                r#""fromUserId":2,"toUserId":1,"groupId":null,"messageType":2,"content":"a cat","#,
                r#""fileUrl":"/f/cat.png","fileSize":1234,"fileName":null,"replyToMessageId":null,"#,
                r#""clientMessageId":"c-1","isRead":false,"isDeleted":false,"#,
                r#""createdAt":"2023-11-14T22:13:20.123Z"}"#
            )
        );
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
    }

    #[test]
    fn ids_out_of_range_are_refused() {
        let ok = NewMessage::text(1, Target::User(MAX_ID), "x");
        assert_eq!(ok.validate(), Ok(()));
        for bad in [
            NewMessage { from_user_id: 0, ..ok.clone() },
            NewMessage { target: Target::User(MAX_ID + 1), ..ok.clone() },
            NewMessage { target: Target::Group(0), ..ok.clone() },
            NewMessage { file_size: Some(u64::MAX), ..ok.clone() },
            NewMessage { client_message_id: Some("x".repeat(256)), ..ok.clone() },
        ] {
            assert_eq!(bad.validate().unwrap_err().code(), "invalid_message", "{bad:?}");
        }
    }
}
