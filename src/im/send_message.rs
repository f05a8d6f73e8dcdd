//! `send_message`: committed to the store, acked with the stored message, pushed to all devices of the recipient
//! and the sender's other devices.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::inbox::Push;
use super::payload::{Id, decode};
use super::words::ForbiddenWord;
use super::{Args, Im};
use crate::ids::SocketId;
use crate::limiter::RetryIn;
use crate::socketio::Socket;
use crate::store::{
    Committed, MAX_CLIENT_MESSAGE_ID_BYTES, MAX_ID, Message, MessageKey, MessageType, NewMessage, Refused,
    StoreError, StoreExt as _, Target, Timestamp, blocks, friends, groups, messages,
};

/// A message as a client sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    to_user_id: Option<Id>,
    group_id: Option<Id>,
    message_type: MessageType,
    content: String,
    file_url: Option<String>,
    file_size: Option<u64>,
    file_name: Option<String>,
    reply_to_message_id: Option<String>,
    client_message_id: Option<String>,
}

/// The longest URL or file name of a message, in bytes.
pub const MAX_FILE_FIELD_BYTES: usize = 2048;
/// The longest reference to another message, in bytes: a UUID, and room to spare.
pub const MAX_REPLY_ID_BYTES: usize = 64;

pub async fn run(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<Arc<Message>>, Refusal> {
    Ok(im.send(user, decode(&args)?, Some(socket.id())).await?.into())
}

impl Im {
    /// Stores a message, and pushes it. `sender`: the connection that it came by, if it came by one.
    ///
    /// # Errors
    /// `user` may not write there, or not so often, or the message is not as it must be, or the store is away.
    pub async fn send(
        self: &Arc<Self>,
        user: User,
        payload: SendMessage,
        sender: Option<SocketId>,
    ) -> Result<Arc<Message>, Refusal> {
        let mut message = check(payload, user, self.options.max_content_chars)?;
        if let Err(RetryIn(after)) = self.limits.messages.take(user.id(), 1, Instant::now()) {
            return Err(Refusal::rate_limited(after));
        }
        self.check_words(&mut message)?;
        self.check_may_write(user, message.target).await?;
        self.check_reply(&mut message).await?;
        let (im, ticket) = (self.clone(), self.under_way.begin_elsewhere());
        // Called in the order of `seq`; dropped if there is nothing to push.
        let push = Box::new(move |committed: &Committed| {
            im.push(committed, sender);
            drop(ticket);
        });
        Ok(self.store.append_then(message, push).await?.message)
    }

    /// Lets pass who may write to a user or a group.
    async fn check_may_write(&self, user: User, target: Target) -> Result<(), Refusal> {
        let who = user.id();
        match target {
            Target::Group(group) => {
                let now = Timestamp::now();
                let may = self.store.reading(move |tx| Box::pin(groups::may_write(tx, group, who, now)));
                Ok(may.await?)
            }
            Target::User(recipient) => self.check_may_reach(user, recipient).await,
        }
    }

    /// Lets pass whom another user has to hear.
    pub(super) async fn check_may_reach(&self, user: User, recipient: u64) -> Result<(), Refusal> {
        let who = user.id();
        if recipient == who {
            return Ok(());
        }
        let is_blocked = match self.roster.is_blocked(who, recipient) {
            Some(is_blocked) => is_blocked,
            None => self.store.reading(move |tx| Box::pin(blocks::is_blocked(tx, recipient, who))).await?,
        };
        if is_blocked {
            return Err(StoreError::from(Refused::Blocked).into());
        }
        if self.options.require_friendship {
            let are_friends =
                self.store.reading(move |tx| Box::pin(friends::are_friends(tx, who, recipient)));
            if !are_friends.await? {
                return Err(StoreError::from(Refused::NotFriends).into());
            }
        }
        Ok(())
    }

    /// Lets pass what answers nothing, or a message of the same conversation; whether there are others is not told.
    async fn check_reply(&self, message: &mut NewMessage) -> Result<(), Refusal> {
        let Some(name) = &message.reply_to_message_id else { return Ok(()) };
        let found = match name.parse::<MessageKey>() {
            Ok(name) => self.store.reading(move |tx| Box::pin(messages::get(tx, name))).await?,
            Err(_) => None,
        };
        let answered = found.filter(|found| found.conversation == message.conversation());
        let answered = answered.ok_or_else(|| StoreError::from(Refused::MessageNotFound))?;
        message.reply_to_message_id = Some(answered.message_id);
        Ok(())
    }

    /// Masks words that messages must not hold, or refuses the message.
    fn check_words(&self, message: &mut NewMessage) -> Result<(), Refusal> {
        let Some(words) = &self.words else { return Ok(()) };
        match words.check(&message.content) {
            Ok(Cow::Borrowed(_)) => Ok(()),
            Ok(Cow::Owned(masked)) => {
                message.content = masked;
                Ok(())
            }
            Err(ForbiddenWord) => {
                Err(Refusal::new("forbidden_word", "the content has a word that messages must not hold"))
            }
        }
    }

    /// A message is stored: it goes to the other nodes and to the clients here.
    fn push(self: &Arc<Self>, Committed { message, previous_at }: &Committed, sender: Option<SocketId>) {
        if let Some(push) = Push::of(message, *previous_at, sender) {
            self.io.emit_as_one(|| {
                self.publish(&push, message);
                self.delivery.handle(&push);
            });
        }
    }
}

fn check(payload: SendMessage, user: User, max_content_chars: usize) -> Result<NewMessage, Refusal> {
    let target = match (payload.to_user_id, payload.group_id) {
        (Some(Id(user)), None) => Target::User(user),
        (None, Some(Id(group))) => Target::Group(group),
        _ => return Err(Refusal::new("invalid_payload", "exactly one of toUserId and groupId is needed")),
    };
    let chars = payload.content.chars().count();
    if chars == 0 || chars > max_content_chars {
        let message = format!("content has {chars} characters, allowed are 1 to {max_content_chars}");
        return Err(Refusal::new("invalid_content", message));
    }
    for (name, field, limit) in [
        ("fileUrl", &payload.file_url, MAX_FILE_FIELD_BYTES),
        ("fileName", &payload.file_name, MAX_FILE_FIELD_BYTES),
        ("replyToMessageId", &payload.reply_to_message_id, MAX_REPLY_ID_BYTES),
        ("clientMessageId", &payload.client_message_id, MAX_CLIENT_MESSAGE_ID_BYTES),
    ] {
        if field.as_ref().is_some_and(|text| text.len() > limit) {
            return Err(Refusal::new("invalid_payload", format!("{name} is longer than {limit} bytes")));
        }
    }
    if payload.file_size.is_some_and(|bytes| bytes > MAX_ID) {
        return Err(Refusal::new("invalid_payload", format!("fileSize is above {MAX_ID}")));
    }
    Ok(NewMessage {
        from_user_id: user.id(),
        target,
        message_type: payload.message_type,
        content: payload.content,
        file_url: payload.file_url,
        file_size: payload.file_size,
        file_name: payload.file_name,
        reply_to_message_id: payload.reply_to_message_id.filter(|name| !name.is_empty()),
        client_message_id: payload.client_message_id,
    })
}
