//! `send_message`: committed to the store, acked with the stored message, pushed to all devices of the recipient
//! and the sender's other devices.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Answer, Refusal};
use super::identity::{User, room};
use super::payload::{Id, decode};
use super::{Args, Im};
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

pub async fn run(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Answer {
    send(&im, socket, user, &args).await.into()
}

async fn send(im: &Im, socket: Socket, user: User, args: &Args) -> Result<Arc<Message>, Refusal> {
    let message = check(decode(args)?, user, im.options.max_content_chars)?;
    // Called in the order of `seq`, and all pushes leave from the thread that calls: so each connection sees them
    // in that order.
    let push = Box::new(move |committed: &Committed| push(&socket, &committed.message));
    Ok(im.store.append_then(message, push).await?.message)
}

fn push(sender: &Socket, message: &Arc<Message>) {
    let mut devices = sender.to(room(message.from_user_id));
    if let Some(recipient) = message.to_user_id {
        devices = devices.to(room(recipient));
    }
    devices.emit("private_message", message);
}

fn check(payload: Payload, user: User, max_content_chars: usize) -> Result<NewMessage, Refusal> {
    let target = match (payload.to_user_id, payload.group_id) {
        (Some(Id(user)), None) => Target::User(user),
        (None, Some(Id(group))) => {
            return Err(Refusal::new("group_not_found", format!("there is no group {group}")));
        }
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
