//! `recall_message`, `delete_message`: a message keeps its place and loses its content.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::{MessageName, decode};
use super::{Args, Im};
use crate::socketio::Socket;
use crate::store::groups::Role;
use crate::store::messages::Erasure;
use crate::store::sql::Tx;
use crate::store::{
    Conversation, Message, MessageKey, Refused, StoreError, StoreExt as _, Timestamp, groups, messages,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    message_id: MessageName,
}

pub async fn recall(im: Arc<Im>, _: Socket, user: User, args: Args) -> Result<Done<Message>, Refusal> {
    let MessageName(name) = decode::<Payload>(&args)?.message_id;
    Ok(im.erase(user, name, Erasure::Recalled).await?.into())
}

pub async fn delete(im: Arc<Im>, _: Socket, user: User, args: Args) -> Result<Done<Message>, Refusal> {
    let MessageName(name) = decode::<Payload>(&args)?.message_id;
    Ok(im.erase(user, name, Erasure::Deleted).await?.into())
}

impl Im {
    /// Empties a message, for its sender or an admin of its group: recalls it, within the time for that, or deletes
    /// it. Gives it as it is then. One that is empty already stays as it is.
    ///
    /// # Errors
    /// There is none, `user` may not, or it is too late.
    pub async fn erase(&self, user: User, name: MessageKey, how: Erasure) -> Result<Message, Refusal> {
        let (who, window) = (user.id(), self.options.recall_window);
        let erased = self
            .write(move |tx, now| {
                Box::pin(async move {
                    let message = messages::get(tx, name).await?.ok_or(Refused::MessageNotFound)?;
                    if !may_erase(tx, &message, who).await? {
                        return Err(Refused::Forbidden.into());
                    }
                    if message.is_deleted {
                        return Ok(Some((message, false)));
                    }
                    if how == Erasure::Recalled && is_over(message.created_at, window, now) {
                        return Ok(None);
                    }
                    messages::erase(tx, message.id, how).await?;
                    Ok(messages::get(tx, name).await?.map(|message| (message, true)))
                })
            })
            .await?;
        let (message, is_news) = erased
            .ok_or_else(|| Refusal::new("too_late", format!("a message can be recalled for {window:?}")))?;
        if !is_news {
            // What is repeated is told nobody again.
            return Ok(message);
        }
        let event = match how {
            Erasure::Recalled => "message_recalled",
            Erasure::Deleted => "message_deleted",
        };
        let what = json!({
            "conversation": message.conversation,
            "id": message.id,
            "messageId": message.message_id,
            "seq": message.seq,
            "operatorId": who,
        });
        self.tell_emptied(&message, event, what);
        Ok(message)
    }

    /// A message, for those who take part in its conversation.
    ///
    /// # Errors
    /// There is none, or `user` takes no part.
    pub async fn message(&self, user: User, name: MessageKey) -> Result<Message, Refusal> {
        let found = self.store.reading(move |tx| Box::pin(messages::get(tx, name))).await?;
        let message = found.ok_or_else(|| Refusal::from(StoreError::from(Refused::MessageNotFound)))?;
        self.check_takes_part(user, message.conversation).await?;
        Ok(message)
    }
}

async fn may_erase(tx: &mut dyn Tx, message: &Message, user: u64) -> Result<bool, StoreError> {
    match message.conversation {
        Conversation::Private { .. } => Ok(message.from_user_id == user),
        Conversation::Group(group) => {
            let member = groups::member(tx, group, user).await?;
            Ok(member.is_some_and(|member| message.from_user_id == user || member.role >= Role::Admin))
        }
    }
}

/// Whether a `window` that began at `since` is over. One of no length always is, by whichever node's clock.
fn is_over(since: Timestamp, window: Duration, now: Timestamp) -> bool {
    u128::from(now.unix_ms().saturating_sub(since.unix_ms()).max(0).unsigned_abs()) >= window.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_when_its_time_has_passed_and_one_of_no_length_never_begins() {
        let at = Timestamp::from_unix_ms;
        let minute = Duration::from_secs(60);
        for (now, over) in [(1_000, false), (60_999, false), (61_000, true), (61_001, true)] {
            assert_eq!(is_over(at(1_000), minute, at(now)), over, "at {now} ms");
        }
        assert!(!is_over(at(1_000), minute, at(0)), "the clock of another node is behind");
        for now in [0, 1_000, 1_001] {
            assert!(is_over(at(1_000), Duration::ZERO, at(now)), "at {now} ms");
        }
    }
}
