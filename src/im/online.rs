//! `get_online_users`, `watch_presence`, `unwatch_presence`: who is online anywhere in the cluster.

use std::sync::Arc;

use serde::Deserialize;

use super::answer::{Done, Refusal};
use super::identity::User;
use super::payload::{Id, Number, decode, decode_or_default};
use super::{Args, Im};
use crate::presence::PresenceError;
use crate::socketio::Socket;

/// Users in a page of `get_online_users` when the client names no limit, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// Users that can be asked for, or watched, at a time.
const MAX_IDS: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Get {
    user_ids: Option<Vec<Id>>,
    cursor: Option<Id>,
    limit: Option<Number>,
}

pub async fn get(im: Arc<Im>, _: Socket, _: User, args: Args) -> Result<Done<Vec<u64>>, Refusal> {
    let Get { user_ids, cursor, limit } = decode_or_default(&args)?;
    let Some(ids) = user_ids else {
        let limit = limit.map_or(PAGE, Number::saturated).clamp(1, PAGE_MAX) as usize;
        let page = im.presence.online(cursor.map(|Id(after)| after), limit).await?;
        let next_cursor = page.users.last().filter(|_| page.has_more).map(ToString::to_string);
        return Ok(Done { data: page.users, next_cursor });
    };
    let ids = checked(ids)?;
    let found = im.presence.locate(ids.clone()).await?;
    let mut online: Vec<_> = ids.into_iter().filter(|id| found.contains_key(id)).collect();
    online.sort_unstable();
    online.dedup();
    Ok(online.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watch {
    user_ids: Vec<Id>,
}

pub async fn watch(im: Arc<Im>, socket: Socket, _: User, args: Args) -> Result<Done<()>, Refusal> {
    let ids = checked(decode::<Watch>(&args)?.user_ids)?;
    let limit = im.options.watch_limit;
    if !im.watchers.has_room(&socket, &ids, limit) {
        return Err(im.limits.too_many_watched(limit));
    }
    im.watchers.add(&socket, &ids).into_iter().for_each(|user| im.presence.watch(user));
    im.note_whether_watching(&socket);
    Ok(().into())
}

pub async fn unwatch(im: Arc<Im>, socket: Socket, _: User, args: Args) -> Result<Done<()>, Refusal> {
    let ids = checked(decode::<Watch>(&args)?.user_ids)?;
    im.watchers.remove(&socket, &ids).into_iter().for_each(|user| im.presence.unwatch(user));
    im.note_whether_watching(&socket);
    Ok(().into())
}

/// A connection watches somebody. Goes along with a client that comes back, which does not watch anybody then.
pub(super) struct Watching;

impl Im {
    fn note_whether_watching(&self, socket: &Socket) {
        if self.watchers.is_watching(socket) {
            socket.extensions().insert(Watching);
        } else {
            socket.extensions().remove::<Watching>();
        }
    }

    /// A connection is gone: it watches nobody any more.
    pub(super) fn forget_watcher(&self, socket: &Socket) {
        self.watchers.remove_all(socket).into_iter().for_each(|user| self.presence.unwatch(user));
    }
}

fn checked(ids: Vec<Id>) -> Result<Vec<u64>, Refusal> {
    if ids.len() > MAX_IDS {
        return Err(Refusal::new("invalid_payload", format!("userIds has more than {MAX_IDS} ids")));
    }
    Ok(ids.into_iter().map(|Id(id)| id).collect())
}

impl From<PresenceError> for Refusal {
    fn from(error: PresenceError) -> Self {
        Refusal::new("presence_unavailable", error.to_string())
    }
}
