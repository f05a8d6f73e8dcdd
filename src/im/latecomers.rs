//! Connections that came while the store was away. Nobody could say which groups their users are in, so they were let in
//! without, and are brought into the rooms once the store is back: each is given what was sent to a group since it came,
//! before it hears of anything later.

use std::sync::Arc;
use std::time::Duration;

use super::Im;
use super::answer::Refusal;
use super::delivery::BroughtUp;
use super::roster::{Late, Ties};
use crate::socketio::Socket;
use crate::store::{StoreError, Timestamp};

/// So many are brought in at a time.
pub(super) const AT_A_TIME: usize = 8;
/// How long to wait for a store that is away again.
const PAUSE: Duration = Duration::from_secs(1);

/// What those are answered whose groups are not known yet.
pub(super) fn groups_unknown() -> Refusal {
    StoreError::Unavailable("your groups can't be read yet".to_owned()).into()
}

impl Im {
    /// The user's ties are these.
    pub(super) fn set_ties(self: &Arc<Self>, user: u64, ties: Ties) {
        self.bring_in(self.roster.set_ties(user, ties));
    }

    /// Brings latecomers into the rooms of their groups, some at a time: everybody may have come while the store was away.
    pub(super) fn bring_in(self: &Arc<Self>, latecomers: Vec<Late>) {
        for Late { user, socket, since, groups } in latecomers {
            let im = self.clone();
            self.runtime.spawn(async move {
                let Ok(_place) = im.latecomers.acquire().await else { return };
                for group in groups {
                    im.bring_into(group, user, &socket, since).await;
                }
            });
        }
    }

    async fn bring_into(self: &Arc<Self>, group: u64, user: u64, socket: &Socket, since: Timestamp) {
        let mut had = None;
        while self.roster.is_late(user, socket.id(), group) {
            match self.delivery.bring_up(socket, group, since, &mut had).await {
                Ok(BroughtUp::To(seq)) => _ = self.roster.join_late(user, socket, group, seq),
                Ok(BroughtUp::Partly) => (),
                Ok(BroughtUp::Closed) => return,
                Err(StoreError::Unavailable(_) | StoreError::Overloaded) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::error!(user, group, %error, "a connection can't be brought into a group: it is closed");
                    return socket.close_for_shutdown();
                }
            }
        }
    }
}
