//! What ties a user to others, kept true while the user is here: memberships and blocks may be changed on any node.
//!
//! A change is told to all nodes, and whoever made it is answered when it holds on each of them: nothing that is sent
//! afterwards misses a newcomer, or reaches somebody who was put out. Two changes by different nodes may pass each
//! other on the way, so a node that was told of one looks into the store, too: one look at a time, so that the last look
//! sees the last change.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Im;
use super::answer::Refusal;
use super::room::Room;
use super::roster::Ties;
use crate::store::{StoreError, StoreExt as _, blocks, groups};

/// A change of ties, to all nodes.
const CHANGE: &str = "im.ties";
/// How long other nodes are waited for. One that is silent for longer is about to be given up, or was cut off from the
/// others; then it reads everything anew when it is back.
const WITHIN: Duration = Duration::from_secs(2);
/// How long to wait for a store that is away.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What has changed, as whoever changed it knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Users are, or are no longer, members of a group.
    Members { users: Vec<u64>, group: u64, are_members: bool },
    /// A user is, or is no longer, blocked by another one.
    Block { user: u64, by: u64, is_blocked: bool },
}

impl Im {
    /// Listens to the changes that other nodes make.
    pub(super) fn hear_changes(self: &Arc<Self>) {
        let im = Arc::downgrade(self);
        self.io.on_server_side_emit(CHANGE, move |_: Arc<str>, args: crate::socketio::Args| {
            let change = im.upgrade().zip(args.decode::<(Change,)>().ok());
            async move {
                if let Some((im, (change,))) = change {
                    im.take(change).await;
                }
            }
        });
    }

    /// Brings a change that was stored into effect on every node.
    pub(super) async fn change(self: &Arc<Self>, change: Change) {
        let elsewhere = self.io.server_side_emit_with_ack::<()>(CHANGE, (&change,));
        let everywhere = async { tokio::join!(self.take(change.clone()), elsewhere) };
        if tokio::time::timeout(WITHIN, everywhere).await.is_err() {
            tracing::debug!(?change, "not every node has answered in time");
        }
    }

    /// Does all of something that is stored and then told, even if who asked for it has gone meanwhile.
    pub(super) async fn wholly<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|error| Err(Refusal::new("internal_error", error.to_string())))
    }

    /// Brings a change into effect here.
    async fn take(self: &Arc<Self>, change: Change) {
        match change {
            Change::Members { users, group, are_members } => {
                if !are_members {
                    self.put_out_absent(&users, group);
                }
                let is_here = |user: &u64| self.roster.set_member(*user, group, are_members);
                let here: Vec<_> = users.into_iter().filter(is_here).collect();
                if here.is_empty() {
                    return;
                }
                let (_held, in_force) = match are_members {
                    true => self.io.hold_rooms(&[Room::Group(group).name()]),
                    false => (None, Box::pin(async {}) as _),
                };
                tokio::join!(in_force, self.look_for_members(here, group));
            }
            Change::Block { user, by, is_blocked } => {
                if self.roster.set_blocked(user, by, is_blocked) {
                    self.read_again(user).await;
                }
            }
        }
    }

    /// Clients that were cut off do not come back to a group that they are out of.
    fn put_out_absent(&self, users: &[u64], group: u64) {
        if !self.options.recovery_window.is_zero() {
            let room = |user: &u64| self.io.to(Room::User(*user).to_string()).local();
            users.iter().for_each(|user| room(user).leave(Room::Group(group).name()));
        }
    }

    /// Looks whether users who are here are members of a group.
    async fn look_for_members(self: &Arc<Self>, users: Vec<u64>, group: u64) {
        let _alone = self.looks.lock().await;
        let asked = users.clone();
        match self.store.reading(move |tx| Box::pin(groups::of_users(tx, asked.clone()))).await {
            Ok(pairs) => {
                let members: BTreeSet<_> = pairs.into_iter().filter(|(_, of)| *of == group).collect();
                for user in users {
                    self.roster.set_member(user, group, members.contains(&(user, group)));
                }
            }
            Err(_) => users.into_iter().for_each(|user| self.read_again_later(user)),
        }
    }

    async fn read_again(self: &Arc<Self>, user: u64) {
        let _alone = self.looks.lock().await;
        match self.read_ties(user).await {
            Ok(ties) => self.roster.set_ties(user, ties),
            Err(_) => self.read_again_later(user),
        }
    }

    fn read_again_later(self: &Arc<Self>, user: u64) {
        let im = self.clone();
        self.runtime.spawn(async move { im.reload_ties_of(user).await });
    }

    /// A user's ties, as the store has them.
    pub(super) async fn read_ties(&self, user: u64) -> Result<Ties, StoreError> {
        self.store
            .reading(move |tx| {
                Box::pin(async move {
                    let groups = groups::of_users(tx, vec![user]).await?;
                    let blocked_by = blocks::blockers_of(tx, user).await?;
                    Ok(Ties {
                        groups: groups.into_iter().map(|(_, group)| group).collect(),
                        blocked_by: blocked_by.into_iter().collect(),
                    })
                })
            })
            .await
    }

    /// Reads a user's ties until the store answers, and moves the connections accordingly.
    pub(super) async fn reload_ties_of(&self, user: u64) {
        while !self.roster.connections(user).is_empty() {
            let arrival = self.roster.arrive(user);
            let alone = self.looks.lock().await;
            match self.read_ties(user).await {
                Ok(ties) => {
                    self.roster.set_ties(user, ties);
                    if !arrival.has_changed() {
                        return;
                    }
                }
                Err(_) => {
                    drop(alone);
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Reads the ties of everybody here: changes may have gone unheard.
    pub(super) async fn reload_ties(&self) {
        for user in self.roster.users() {
            self.reload_ties_of(user).await;
        }
    }
}
