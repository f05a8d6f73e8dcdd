//! `sync_messages`: what a conversation has after a sequence number, oldest first. For those who take part in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::{Number, decode};
use super::{Args, Im};
use crate::socketio::Socket;
use crate::store::messages::Start;
use crate::store::{
    Conversation, HistoryPage, Refused, StoreError, StoreExt as _, SyncPage, groups, messages, read_positions,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    conversation: Conversation,
    after_seq: Number,
    limit: Option<Number>,
}

/// A page as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentPage {
    messages: Vec<Box<RawValue>>,
    has_more: bool,
}

pub async fn run(im: Arc<Im>, _: Socket, user: User, args: Args) -> Result<Done<SentPage>, Refusal> {
    let Payload { conversation, after_seq: Number(after_seq), limit } = decode(&args)?;
    im.check_takes_part(user, conversation).await?;
    let limit = match limit {
        Some(Number(0)) => return Err(Refusal::new("invalid_payload", "limit must be at least 1")),
        limit => limit.map_or(im.options.sync_page, Number::saturated).min(im.options.sync_page_max),
    };
    Ok(SentPage::of(im.store.sync(conversation, after_seq, limit).await?, im.options.page_bytes)?.into())
}

impl SentPage {
    /// As much of a page as has at most so many bytes, and one message at least. A connection that is to take more than it
    /// may is closed as too slow, and would be again and again.
    fn of(page: SyncPage, max_bytes: usize) -> Result<Self, Refusal> {
        let (mut messages, mut bytes) = (Vec::with_capacity(page.messages.len()), 0);
        for message in &page.messages {
            let message = to_raw_value(message)
                .map_err(|_| Refusal::new("internal_error", "a message can't be encoded"))?;
            bytes += message.get().len();
            if bytes > max_bytes && !messages.is_empty() {
                return Ok(Self { messages, has_more: true });
            }
            messages.push(message);
        }
        Ok(Self { messages, has_more: page.has_more })
    }
}

impl Im {
    /// A page of a conversation's history, newest first, for those who take part in it.
    ///
    /// # Errors
    /// `user` takes no part in it, or the store is away.
    pub async fn history(
        &self,
        user: User,
        conversation: Conversation,
        start: Start,
        size: u32,
    ) -> Result<HistoryPage, Refusal> {
        self.check_takes_part(user, conversation).await?;
        let page = self.store.reading(move |tx| Box::pin(messages::history(tx, conversation, start, size)));
        Ok(page.await?)
    }

    /// How many messages of a conversation a user has not read.
    ///
    /// # Errors
    /// `user` takes no part in it, or the store is away.
    pub async fn unread(&self, user: User, conversation: Conversation) -> Result<u64, Refusal> {
        self.check_takes_part(user, conversation).await?;
        let who = user.id();
        let count = self.store.reading(move |tx| Box::pin(read_positions::unread(tx, who, conversation)));
        Ok(count.await?)
    }

    /// Lets pass who takes part in a conversation.
    pub(super) async fn check_takes_part(
        &self,
        user: User,
        conversation: Conversation,
    ) -> Result<(), Refusal> {
        let who = user.id();
        let (takes_part, code) = match conversation {
            Conversation::Private { low, high } => ([low, high].contains(&who), "forbidden"),
            // The roster may not have heard of a change yet, so the store is asked.
            Conversation::Group(group) => {
                let found = self.store.reading(move |tx| {
                    Box::pin(async move {
                        let is_member = groups::member(tx, group, who).await?.is_some();
                        Ok((is_member, is_member || groups::get(tx, group).await?.is_some()))
                    })
                });
                match found.await? {
                    (_, false) => return Err(StoreError::from(Refused::GroupNotFound).into()),
                    (is_member, true) => (is_member, "not_a_member"),
                }
            }
        };
        if takes_part { Ok(()) } else { Err(Refusal::new(code, "you take no part in this conversation")) }
    }
}
