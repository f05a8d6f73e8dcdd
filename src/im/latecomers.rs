//! Connections that came while the store was away. Nobody could say which groups their users are in, so they were let in
//! without, and are brought into the rooms once the store is back: each is given what was sent to a group since it came,
//! before it hears of anything later.

use std::sync::Arc;
use std::time::Duration;

use super::Im;
use super::answer::Refusal;
use super::room::Room;
use super::roster::{Late, Ties};
use crate::store::StoreError;

/// How long to wait for a store that is away again.
const PAUSE: Duration = Duration::from_secs(1);

impl Im {
    /// The user's ties are these.
    pub(super) fn set_ties(self: &Arc<Self>, user: u64, ties: Ties) {
        self.bring_in(self.roster.set_ties(user, ties));
    }

    /// What those are answered whose groups are not known yet.
    pub(super) fn groups_unknown(&self) -> Refusal {
        StoreError::Unavailable("your groups can't be read yet".to_owned()).into()
    }

    /// Brings latecomers into the rooms of their groups, one after the other: everybody may have come while the store was away.
    pub(super) fn bring_in(self: &Arc<Self>, latecomers: Vec<Late>) {
        if latecomers.is_empty() {
            return;
        }
        let im = self.clone();
        self.runtime.spawn(async move {
            let _alone = im.latecomers.lock().await;
            for Late { user, socket, since, groups } in latecomers {
                for group in groups {
                    let mut had = None;
                    let is_member = || im.roster.is_member(user, group) == Some(true);
                    while socket.is_connected() && is_member() {
                        let room = Room::Group(group);
                        match im.delivery.bring_up(&socket, room, since, &mut had, is_member).await {
                            Ok(true) => break,
                            Ok(false) => (),
                            Err(StoreError::Unavailable(_) | StoreError::Overloaded) => {
                                tokio::time::sleep(PAUSE).await
                            }
                            Err(error) => {
                                tracing::error!(user, group, %error, "a connection can't be brought into a group");
                                break;
                            }
                        }
                    }
                }
            }
        });
    }
}
