//! `send_message`: committed to the store, acked with the stored message, pushed to all devices of the recipient
//! and the sender's other devices.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::inbox::Push;
use super::payload::{Id, decode};
use super::{Args, Im};
use crate::ids::SocketId;
use crate::socketio::Socket;
use crate::store::{
    Committed, MAX_CLIENT_MESSAGE_ID_BYTES, MAX_ID, Message, MessageType, NewMessage, Target,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
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
const MAX_FILE_FIELD_BYTES: usize = 2048;
/// The longest reference to another message, in bytes: a UUID, and room to spare.
const MAX_REPLY_ID_BYTES: usize = 64;

pub async fn run(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<Arc<Message>>, Refusal> {
    Ok(im.send(user, decode(&args)?, Some(socket.id())).await?.into())
}

impl Im {
    /// Stores a message, and pushes it. `sender`: the connection that it came by, if it came by one.
    async fn send(
        self: &Arc<Self>,
        user: User,
        payload: Payload,
        sender: Option<SocketId>,
    ) -> Result<Arc<Message>, Refusal> {
        let message = check(payload, user, self.options.max_content_chars)?;
        let im = self.clone();
        // Called in the order of `seq`.
        let push = Box::new(move |committed: &Committed| im.push(committed, sender));
        Ok(self.store.append_then(message, push).await?.message)
    }

    /// A message is stored: it goes to the other nodes and to the clients here.
    fn push(self: &Arc<Self>, Committed { message, previous_at }: &Committed, sender: Option<SocketId>) {
        if let Some(push) = Push::of(message, *previous_at, sender) {
            self.publish(&push, message.id);
            self.delivery.handle(&push);
        }
    }
}

fn check(payload: Payload, user: User, max_content_chars: usize) -> Result<NewMessage, Refusal> {
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
        reply_to_message_id: payload.reply_to_message_id,
        client_message_id: payload.client_message_id,
    })
}
