//! `get_conversations`: a user's conversations, newest first, with last message and unread count.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::{Id, Number, decode_or_default};
use super::{Args, Im};
use crate::socketio::Socket;
use crate::store::StoreExt as _;
use crate::store::conversations::{self, ConversationSummary};

/// Conversations in a page when the client names no limit, and at most.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 200;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    cursor: Option<Id>,
    limit: Option<Number>,
}

pub async fn run(
    im: Arc<Im>,
    _: Socket,
    user: User,
    args: Args,
) -> Result<Done<Vec<ConversationSummary>>, Refusal> {
    let Payload { cursor, limit } = decode_or_default(&args)?;
    let (who, limit) = (user.id(), limit.map_or(PAGE, Number::saturated).clamp(1, PAGE_MAX));
    let page = im
        .store
        .reading(move |tx| Box::pin(conversations::list(tx, who, cursor.map(|Id(id)| id), limit)))
        .await?;
    Ok(Done { data: page.conversations, next_cursor: page.next_cursor.map(|cursor| cursor.to_string()) })
}
