//! `/api/message`: sending, history, read marks, recall.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Data, Failure};
use super::params::{List, Listed, Params};
use super::{Sources, actor};
use crate::im::{Id, MessageName, Number, User};
use crate::store::messages::{Erasure, Start};
use crate::store::{Conversation, Message};

/// Messages in a page when the client names no size, and at most.
pub const PAGE: u64 = 20;
pub const PAGE_MAX: u64 = 100;

/// Sends a message.
pub async fn send(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Arc<RawValue>>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let message = params.decode()?;
    Ok(Data(sources.im.send(actor, message).await?))
}

/// A page of a conversation, newest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    records: Vec<Message>,
    total: u64,
    page: u64,
    size: u64,
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    page: Option<Number>,
    size: Option<Number>,
    last_message_id: Option<MessageName>,
}

/// The history of a private conversation.
pub async fn private_history(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Page>, Failure> {
    history(&sources, &headers, &params, 1).await
}

/// The history of a group.
pub async fn group_history(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Page>, Failure> {
    history(&sources, &headers, &params, 2).await
}

async fn history(
    sources: &Sources,
    headers: &HeaderMap,
    params: &Params,
    kind: u64,
) -> Result<Data<Page>, Failure> {
    let actor = actor::of(sources, headers, params)?;
    let conversation = conversation(params, actor, kind)?;
    let History { page, size, last_message_id } = params.decode()?;
    let page = page.map_or(1, |Number(page)| page);
    let size = size.map_or(PAGE, |Number(size)| size);
    if page == 0 || !(1..=PAGE_MAX).contains(&size) {
        let message = format!("page must be 1 or more, and size 1 to {PAGE_MAX}");
        return Err(Failure::new("invalid_parameter", message));
    }
    let start = match last_message_id {
        Some(MessageName(name)) => {
            let last = sources.im.message(actor, name).await?;
            if last.conversation != conversation {
                let message = "lastMessageId is no message of this conversation";
                return Err(Failure::new("message_not_found", message));
            }
            Start::BeforeSeq(last.seq)
        }
        None => Start::Page(page),
    };
    let found = sources.im.history(actor, conversation, start, size as u32).await?;
    let (records, total, has_more) = (found.messages, found.total, found.has_more);
    Ok(Data(Page { records, total, page, size, has_more }))
}

/// Marks one message as read, and what stands before it.
pub async fn read(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<()>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let MessageName(name) = name(&params)?;
    // It must be one that the user can see.
    sources.im.message(actor, name).await?;
    sources.im.mark_messages_read(actor, vec![name], None).await?;
    Ok(Data(()))
}

/// Marks several messages as read.
pub async fn read_batch(
    State(sources): State<Sources>,
    headers: HeaderMap,
    Listed(params): Listed,
) -> Result<Data<()>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let List(names) = params.get::<List<MessageName>>("messageIds")?;
    let names = names.into_iter().map(|MessageName(name)| name).collect();
    sources.im.mark_messages_read(actor, names, None).await?;
    Ok(Data(()))
}

/// How many messages of a conversation the user has not read.
pub async fn unread_count(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<u64>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let conversation = conversation(&params, actor, 1)?;
    Ok(Data(sources.im.unread(actor, conversation).await?))
}

/// A message.
pub async fn get(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Message>, Failure> {
    let actor = actor::of(&sources, &headers, &params)?;
    let MessageName(name) = name(&params)?;
    Ok(Data(sources.im.message(actor, name).await?))
}

/// Deletes a message.
pub async fn delete(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Message>, Failure> {
    erase(&sources, &headers, &params, Erasure::Deleted).await
}

/// Recalls a message.
pub async fn recall(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Message>, Failure> {
    erase(&sources, &headers, &params, Erasure::Recalled).await
}

async fn erase(
    sources: &Sources,
    headers: &HeaderMap,
    params: &Params,
    how: Erasure,
) -> Result<Data<Message>, Failure> {
    let actor = actor::of(sources, headers, params)?;
    let MessageName(name) = name(params)?;
    Ok(Data(sources.im.erase(actor, name, how).await?))
}

fn name(params: &Params) -> Result<MessageName, Failure> {
    let found = params.first_of::<MessageName>(&["id", "messageId"])?;
    found.ok_or_else(|| Failure::new("invalid_parameter", "messageId is missing"))
}

/// The conversation of `targetId` and `conversationType` (1 private, 2 group; `kind` where that is not said).
fn conversation(params: &Params, actor: User, kind: u64) -> Result<Conversation, Failure> {
    let Id(target) = params.get("targetId")?;
    match params.first_of::<Number>(&["conversationType"])?.map_or(kind, |Number(kind)| kind) {
        1 => Ok(Conversation::between(actor.id(), target)),
        2 => Ok(Conversation::Group(target)),
        other => {
            let message = format!("conversationType is {other}, allowed are 1 private, 2 group");
            Err(Failure::new("invalid_parameter", message))
        }
    }
}
