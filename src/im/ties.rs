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
use crate::store::{StoreExt as _, groups};

/// A change of ties, to all nodes.
const CHANGE: &str = "im.ties";
/// How long whoever changes something waits for the other nodes.
const WITHIN: Duration = Duration::from_secs(2);
/// Users whose ties are read at once.
const USERS_AT_ONCE: usize = 512;
/// How long to wait for nodes that can't be reached, or a store that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// What has changed. How, the store knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Who of these users is a member of a group.
    Members { users: Vec<u64>, group: u64 },
    /// Who has blocked a user.
    Blocks { user: u64 },
}

/// What is done about ties that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// They are read again until it works.
    IsRepeated,
    /// Nothing: they are looked at every now and then.
    IsLetBe,
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

    /// Brings a change that was stored into effect on every node. Those that can't be reached are told later.
    pub(super) async fn change(self: &Arc<Self>, change: Change) {
        let everywhere = async { tokio::join!(self.take(change.clone()), self.tell(&change)) };
        if let Ok(((), true)) = tokio::time::timeout(WITHIN, everywhere).await {
            return;
        }
        tracing::debug!(?change, "not every node could be told");
        let im = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                let Some(im) = im.upgrade() else { return };
                im.take(change.clone()).await;
                if im.tell(&change).await {
                    return;
                }
            }
        });
    }

    /// Tells the other nodes of a change. `true`: it holds on all of them.
    async fn tell(&self, change: &Change) -> bool {
        if self.repair.is_cut_off() {
            return false;
        }
        let answers = self.io.server_side_emit_with_ack::<()>(CHANGE, (change,)).await;
        answers.is_ok_and(|answers| answers.silent.is_empty()) && !self.repair.is_cut_off()
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
            Change::Members { users, group } => self.look_for_members(users, group).await,
            Change::Blocks { user } if self.roster.have_changed(user) => self.read_again(user).await,
            Change::Blocks { .. } => (),
        }
    }

    /// Looks whether users are members of a group, and moves their connections accordingly. Clients that were cut off do
    /// not come back to a group that they are out of.
    async fn look_for_members(self: &Arc<Self>, mut users: Vec<u64>, group: u64) {
        let may_come_back = !self.options.recovery_window.is_zero();
        users.retain(|user| self.roster.have_changed(*user) || may_come_back);
        if users.is_empty() {
            return;
        }
        let room = Room::Group(group).name();
        let (_held, in_force) = self.io.hold_rooms(std::slice::from_ref(&room));
        let alone = self.looks.lock().await;
        let asked = users.clone();
        match self.store.reading(move |tx| Box::pin(groups::of_users(tx, asked.clone()))).await {
            Ok(pairs) => {
                let members: BTreeSet<_> = pairs.into_iter().filter(|(_, of)| *of == group).collect();
                for user in users {
                    let is_member = members.contains(&(user, group));
                    self.bring_in(self.roster.set_member(user, group, is_member));
                    if !is_member && may_come_back {
                        self.io.to(Room::User(user).to_string()).local().leave(room.clone());
                    }
                }
            }
            Err(_) => users.into_iter().for_each(|user| self.read_again_later(user)),
        }
        drop(alone);
        // Who has joined is to hear what is sent from now on.
        in_force.await;
    }

    async fn read_again(self: &Arc<Self>, user: u64) {
        let _alone = self.looks.lock().await;
        match self.ties.read(user).await {
            Ok(ties) => self.set_ties(user, ties),
            Err(_) => self.read_again_later(user),
        }
    }

    fn read_again_later(self: &Arc<Self>, user: u64) {
        let im = self.clone();
        self.runtime.spawn(async move { im.reload_ties_of(user).await });
    }

    /// Reads a user's ties until the store answers, and moves the connections accordingly.
    pub(super) async fn reload_ties_of(self: &Arc<Self>, user: u64) {
        while !self.roster.connections(user).is_empty() {
            let arrival = self.roster.arrive(user);
            let alone = self.looks.lock().await;
            match self.ties.read(user).await {
                Ok(ties) => {
                    self.set_ties(user, ties);
                    if !arrival.has_changed() {
                        return;
                    }
                }
                Err(_) => {
                    drop(alone);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reads the ties of everybody here: changes may have gone unheard.
    pub(super) async fn reload_ties(self: &Arc<Self>, failing: Failing) {
        for users in self.roster.users().chunks(USERS_AT_ONCE) {
            let arrivals: Vec<_> = users.iter().map(|user| (*user, self.roster.arrive(*user))).collect();
            let alone = self.looks.lock().await;
            let found = self.ties.read_all(users.to_vec()).await;
            if found.is_err() && failing == Failing::IsLetBe {
                return;
            }
            let mut found = found.unwrap_or_default();
            for (user, arrival) in arrivals {
                match found.remove(&user).filter(|_| !arrival.has_changed()) {
                    Some(ties) => self.set_ties(user, ties),
                    None => self.read_again_later(user),
                }
            }
            drop(alone);
        }
    }
}
