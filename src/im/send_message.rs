//! `send_message`: committed to the store, pushed to all devices of the recipient and the sender's other devices, and acked
//! with the stored message.
//!
//! Nobody waits for the store: it tells a task what has become of each message, which pushes and acks what has been
//! committed together, while the store works at what follows.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{mpsc, oneshot};

use super::answer::{Answer, Refusal};
use super::identity::User;
use super::inbox::Push;
use super::payload::{Id, Number, decode, message_type, text_or_number};
use super::words::ForbiddenWord;
use super::{Args, Im};
use crate::ids::SocketId;
use crate::limiter::RetryIn;
use crate::socketio::{Ack, Socket};
use crate::store::{
    Appended, MAX_CLIENT_MESSAGE_ID_BYTES, MessageKey, MessageType, NewMessage, Refused, StoreError,
    StoreExt as _, Target, Timestamp, blocks, friends, groups, messages,
};
use crate::under_way::Ticket;

/// A message as a client sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    to_user_id: Option<Id>,
    group_id: Option<Id>,
    #[serde(deserialize_with = "message_type")]
    message_type: MessageType,
    content: String,
    file_url: Option<String>,
    file_size: Option<Number>,
    file_name: Option<String>,
    #[serde(default, deserialize_with = "text_or_number")]
    reply_to_message_id: Option<String>,
    client_message_id: Option<String>,
}

/// The longest URL or file name of a message, in bytes.
pub const MAX_FILE_FIELD_BYTES: usize = 2048;
/// The longest reference to another message, in bytes: a UUID, and room to spare.
pub const MAX_REPLY_ID_BYTES: usize = 64;

/// Why somebody may not write who could before.
const MAY_CHANGE: [&str; 6] =
    ["blocked", "not_friends", "muted", "not_a_member", "group_not_found", "forbidden_word"];

/// Messages that are being stored or pushed at most. The store refuses sooner, as a rule.
pub(super) const MAX_UNDER_WAY: usize = 65_536;
/// Messages that are pushed and acked together at most.
const TOGETHER: usize = 128;

/// What became of a message, and who is told.
pub(super) struct Outcome {
    appended: Result<Appended, StoreError>,
    asker: Asker,
    _ticket: Ticket,
}

/// Who wants a message to be sent.
enum Asker {
    /// A client, by this connection.
    Client(SocketId, Ack),
    /// Somebody else, who waits.
    Other(oneshot::Sender<Result<Arc<RawValue>, Refusal>>),
}

impl Asker {
    /// The connection that the message came by.
    fn connection(&self) -> Option<SocketId> {
        match self {
            Asker::Client(connection, _) => Some(*connection),
            Asker::Other(_) => None,
        }
    }

    fn tell(self, sent: Result<Arc<RawValue>, Refusal>) {
        match self {
            Asker::Client(_, ack) => ack.send(Answer::from(sent)),
            // Who does not wait any more does not want to know.
            Asker::Other(asker) => _ = asker.send(sent),
        }
    }
}

pub async fn run(im: Arc<Im>, socket: Socket, user: User, args: Args, ack: Ack) {
    let asker = Asker::Client(socket.id(), ack);
    match decode(&args) {
        Ok(payload) => im.begin_to_send(user, payload, asker).await,
        Err(refusal) => asker.tell(Err(refusal)),
    }
}

impl Im {
    /// Stores a message, and pushes it. Gives the message object.
    ///
    /// # Errors
    /// `user` may not write there, or not so often, or the message is not as it must be, or the store is away.
    pub async fn send(self: &Arc<Self>, user: User, payload: SendMessage) -> Result<Arc<RawValue>, Refusal> {
        let (tell, told) = oneshot::channel();
        self.begin_to_send(user, payload, Asker::Other(tell)).await;
        told.await.unwrap_or_else(|_| Err(Refusal::new("internal_error", "the message was given up")))
    }

    /// How many messages could not be stored since the start.
    pub fn not_stored(&self) -> u64 {
        self.not_stored.load(Relaxed)
    }

    fn count_if_not_stored<T>(&self, sent: &Result<T, Refusal>) {
        if sent.as_ref().is_err_and(|refusal| refusal.code.starts_with("store_")) {
            self.not_stored.fetch_add(1, Relaxed);
        }
    }

    /// Hands a message over to the store, or says why not.
    async fn begin_to_send(self: &Arc<Self>, user: User, payload: SendMessage, asker: Asker) {
        let mut message = match check(payload, user, self.options.max_content_chars) {
            Ok(message) => message,
            Err(refusal) => return asker.tell(Err(refusal)),
        };
        if let Err(refusal) = self.check_may_be_sent(user, &mut message).await {
            let sent = self.sent_before(message, refusal).await;
            self.count_if_not_stored(&sent);
            return asker.tell(sent);
        }
        let Ok(place) = self.outcomes.clone().try_reserve_owned() else {
            let sent = Err(StoreError::Overloaded.into());
            self.count_if_not_stored(&sent);
            return asker.tell(sent);
        };
        let _ticket = self.under_way.begin_elsewhere();
        // Called in the order of `seq`.
        let then = move |appended| _ = place.send(Outcome { appended, asker, _ticket });
        self.store.append_then(message, Box::new(then));
    }

    /// What is refused now may have been sent before: who repeats it, as the answer was lost, is answered with the message.
    async fn sent_before(&self, message: NewMessage, refusal: Refusal) -> Result<Arc<RawValue>, Refusal> {
        let name = message.client_message_id.filter(|_| MAY_CHANGE.contains(&refusal.code));
        let (sender, Some(name)) = (message.from_user_id, name) else { return Err(refusal) };
        let found = self.store.reading(move |tx| {
            let name = name.clone();
            Box::pin(async move { messages::by_client_id(tx, sender, &name).await })
        });
        let found = found.await.ok().flatten().and_then(|message| to_raw_value(&message).ok());
        found.map(Arc::from).ok_or(refusal)
    }

    /// Lets pass what may be sent; what has to be masked in it is.
    async fn check_may_be_sent(&self, user: User, message: &mut NewMessage) -> Result<(), Refusal> {
        if let Err(RetryIn(after)) = self.limits.messages.take(user.id(), 1, Instant::now()) {
            return Err(Refusal::rate_limited(after));
        }
        self.check_words(message)?;
        self.check_may_write(user, message.target).await?;
        self.check_reply(message).await
    }

    /// Pushes and acks what the store says is stored.
    pub(super) fn hear_of(self: &Arc<Self>, mut outcomes: mpsc::Receiver<Outcome>) {
        let im = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut together = Vec::new();
            while outcomes.recv_many(&mut together, TOGETHER).await > 0 {
                let Some(im) = im.upgrade() else { return };
                im.io.emit_as_one(|| {
                    let pushed: Vec<_> = together.drain(..).map(|outcome| im.push_outcome(outcome)).collect();
                    pushed.into_iter().for_each(|(sent, asker)| asker.tell(sent));
                });
            }
        });
    }

    /// Pushes a message if it was stored. Whatever goes wrong in there is not to hold up the next ones.
    fn push_outcome(self: &Arc<Self>, outcome: Outcome) -> (Result<Arc<RawValue>, Refusal>, Asker) {
        let Outcome { appended, asker, _ticket } = outcome;
        let sent = appended.map_err(Refusal::from).and_then(|appended| {
            catch_unwind(AssertUnwindSafe(|| self.push(&appended, asker.connection()))).unwrap_or_else(|_| {
                tracing::error!(id = appended.message.id, "pushing a message has panicked");
                Err(Refusal::new("internal_error", "the message is stored, and not pushed"))
            })
        });
        self.count_if_not_stored(&sent);
        (sent, asker)
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

    /// A message is stored: it goes to the other nodes and to the clients here, if it was not stored before. Gives the message
    /// object.
    fn push(
        self: &Arc<Self>,
        Appended { message, duplicate, previous_at }: &Appended,
        sender: Option<SocketId>,
    ) -> Result<Arc<RawValue>, Refusal> {
        let push = Push::of(message, *previous_at, sender)
            .ok_or_else(|| Refusal::new("internal_error", "the message can't be encoded"))?;
        if !duplicate {
            self.publish(&push, message);
            self.delivery.handle(&push);
        }
        Ok(push.json)
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
    Ok(NewMessage {
        from_user_id: user.id(),
        target,
        message_type: payload.message_type,
        content: payload.content,
        file_url: payload.file_url,
        file_size: payload.file_size.map(|Number(bytes)| bytes),
        file_name: payload.file_name,
        reply_to_message_id: payload.reply_to_message_id.filter(|name| !name.is_empty()),
        // Clients without optional fields send empty ones.
        client_message_id: payload.client_message_id.filter(|id| !id.is_empty()),
    })
}
