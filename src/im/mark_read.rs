//! `mark_read`: a user's read positions move forward, and those whose messages were read are told.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::{MessageName, Number, decode};
use super::room::Room;
use super::{Args, Im};
use crate::ids::SocketId;
use crate::socketio::Socket;
use crate::store::read_positions::{self, Moved};
use crate::store::{Conversation, MessageKey, StoreExt as _, messages};

/// Messages that can be marked at a time.
const MAX_MESSAGES: usize = 1000;

/// What was read: messages by name, or a conversation up to a place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    message_ids: Option<Vec<MessageName>>,
    conversation: Option<Conversation>,
    seq: Option<Number>,
}

pub async fn run(im: Arc<Im>, socket: Socket, user: User, args: Args) -> Result<Done<()>, Refusal> {
    match decode(&args)? {
        Payload { message_ids: Some(ids), conversation: None, seq: None } => {
            let names = ids.into_iter().map(|MessageName(key)| key).collect();
            im.mark_messages_read(user, names, Some(socket.id())).await?;
        }
        Payload { message_ids: None, conversation: Some(conversation), seq: Some(Number(seq)) } => {
            im.mark_read(user, conversation, seq, Some(socket.id())).await?;
        }
        _ => {
            let message = "either messageIds is needed, or conversation and seq";
            return Err(Refusal::new("invalid_payload", message));
        }
    }
    Ok(().into())
}

impl Im {
    /// Notes that a user has read these messages. `by`: the connection that said so, which need not be told.
    ///
    /// # Errors
    /// They are too many, or the store is away.
    pub async fn mark_messages_read(
        &self,
        user: User,
        messages: Vec<MessageKey>,
        by: Option<SocketId>,
    ) -> Result<(), Refusal> {
        if messages.len() > MAX_MESSAGES {
            let message = format!("messageIds has more than {MAX_MESSAGES} ids");
            return Err(Refusal::new("invalid_payload", message));
        }
        let who = user.id();
        let moved = self
            .write(move |tx, now| {
                Box::pin(read_positions::mark_messages_read(tx, who, messages.clone(), now))
            })
            .await?;
        for moved in moved {
            self.tell_read(user, moved, by).await;
        }
        Ok(())
    }

    /// Notes that a user has read a conversation up to a place.
    ///
    /// # Errors
    /// The user takes no part in it, or the store is away.
    pub async fn mark_read(
        &self,
        user: User,
        conversation: Conversation,
        seq: u64,
        by: Option<SocketId>,
    ) -> Result<(), Refusal> {
        let who = user.id();
        let moved = self
            .write(move |tx, now| Box::pin(read_positions::mark_read(tx, who, conversation, seq, now)))
            .await?;
        if let Some(moved) = moved {
            self.tell_read(user, moved, by).await;
        }
        Ok(())
    }

    /// Tells those whose messages were read, and the user's other devices.
    async fn tell_read(&self, user: User, moved: Moved, by: Option<SocketId>) {
        let Moved { conversation, from, to } = moved;
        let senders = match conversation {
            Conversation::Private { low, high } => vec![low, high],
            Conversation::Group(_) => {
                let found =
                    self.store.reading(move |tx| Box::pin(messages::senders(tx, conversation, from, to)));
                found.await.unwrap_or_default()
            }
        };
        let own = self.io.to(Room::User(user.id()).to_string());
        let own = by.iter().fold(own, |own, socket| own.except(socket.to_string()));
        let others = senders.into_iter().filter(|sender| *sender != user.id());
        let all = others.fold(own, |all, sender| all.to(Room::User(sender).to_string()));
        let read = json!({ "conversation": conversation, "userId": user.id(), "seq": to });
        self.tell_clients_of_mark(&all, (conversation, user.id()), read);
    }
}
