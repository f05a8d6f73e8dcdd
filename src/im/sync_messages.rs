//! `sync_messages`: what a conversation has after a sequence number, oldest first. For those who take part in it.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::decode;
use super::{Args, Im};
use crate::socketio::Socket;
use crate::store::{Conversation, StoreExt as _, SyncPage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    conversation: Conversation,
    after_seq: u64,
    limit: Option<u32>,
}

pub async fn run(im: Arc<Im>, _: Socket, user: User, args: Args) -> Result<Done<SyncPage>, Refusal> {
    let Payload { conversation, after_seq, limit } = decode(&args)?;
    if !im.takes_part(user, conversation) {
        return Err(Refusal::new("forbidden", "you take no part in this conversation"));
    }
    let limit = match limit {
        Some(0) => return Err(Refusal::new("invalid_payload", "limit must be at least 1")),
        limit => limit.unwrap_or(im.options.sync_page).min(im.options.sync_page_max),
    };
    Ok(im.store.sync(conversation, after_seq, limit).await?.into())
}

impl Im {
    fn takes_part(&self, user: User, conversation: Conversation) -> bool {
        match conversation {
            Conversation::Private { low, high } => [low, high].contains(&user.id()),
            Conversation::Group(group) => self.roster.is_member(user.id(), group) == Some(true),
        }
    }
}
