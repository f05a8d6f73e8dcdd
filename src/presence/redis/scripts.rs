//! What a node asks of Redis: scripts, each of them one moment in which nobody else changes anything, and the users that it writes.

use std::time::Duration;

use redis::{RedisError, RedisResult, Script};
use serde::{Deserialize, Serialize};

use super::ledger::Entry;
use crate::bus::redis::keys::Connection;
use crate::presence::{Load, NodeStatus};
use crate::store::Timestamp;

/// A node's lease, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) node: String,
    pub(super) epoch: u64,
    /// How long it still lasts.
    pub(super) left: Duration,
    about: String,
}

/// What a node says of itself beside its lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) socketio: String,
    pub(super) http: String,
    #[serde(flatten)]
    pub(super) load: Load,
}

/// What became of a lease at a [`Scripts::tick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was renewed.
    Kept,
    /// It is this process's first, and nobody had one under this name.
    New,
    /// It is this process's first, and the one that had this name before is given up with this.
    Succeeded,
    /// It had run out. This is a new one.
    Lost,
    /// It stood, but what was written under it is in doubt. This is a new one.
    Unsure,
    /// Another process has the name.
    Replaced,
}

/// The answer to a [`Scripts::tick`].
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) outcome: Outcome,
    pub(super) epoch: u64,
    /// Nodes that this tick removed, for their lease had run out.
    pub(super) removed: Vec<String>,
    /// The other nodes.
    pub(super) others: Vec<Lease>,
}

/// What a node brings to a [`Scripts::tick`].
pub(super) struct Renewal<'a> {
    pub(super) node: &'a str,
    pub(super) run: &'a str,
    /// The epoch held; 0 for none.
    pub(super) epoch: u64,
    /// The one held before that; 0 for none.
    pub(super) former: u64,
    /// How many users are written under that epoch; `None` if that is in doubt.
    pub(super) written: Option<usize>,
    pub(super) lease: Duration,
    pub(super) about: &'a About,
}

/// What became of users that were to be written.
#[derive(Debug)]
pub(super) enum Written {
    All,
    /// The server is there, and does not take it; nothing was written.
    Refused(RedisError),
}

/// A user found on a node.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) node: String,
    pub(super) user: u64,
    pub(super) entry: Entry,
}

/// How many leases long a key lives if nobody renews it.
const KEY_TTL_LEASES: u32 = 3;

/// The scripts, for one prefix of keys.
pub(super) struct Scripts {
    nodes: String,
    users: String,
    tick: Script,
    look: Script,
    page: Script,
    release: Script,
}

impl Scripts {
    pub(super) fn new(prefix: &str) -> Self {
        let script = |text: &str| Script::new(&format!("{}{text}", include_str!("lua/live.lua")));
        Self {
            // One hash tag: all keys of presence are in one slot, so that one script can see them all.
            nodes: format!("{prefix}{{presence}}:nodes"),
            users: format!("{prefix}{{presence}}:users:"),
            tick: script(include_str!("lua/tick.lua")),
            look: script(include_str!("lua/look.lua")),
            page: script(include_str!("lua/page.lua")),
            release: script(include_str!("lua/release.lua")),
        }
    }

    /// Renews a lease or takes one, removes nodes whose lease has run out, and sees who is there.
    pub(super) async fn tick(&self, connection: &mut Connection, renewal: Renewal<'_>) -> RedisResult<Tick> {
        let Renewal { node, run, epoch, former, written, lease, about } = renewal;
        let about = serde_json::to_string(about).unwrap_or_default();
        // The member that is no user is there, too.
        let members = written.map_or(-1, |written| i64::try_from(written).unwrap_or(i64::MAX - 1) + 1);
        let (outcome, epoch, now, removed, others): (String, u64, u64, Vec<String>, Vec<String>) = self
            .tick
            .key(&self.nodes)
            .arg(&self.users)
            .arg(node)
            .arg(run)
            .arg(epoch)
            .arg(members)
            .arg(millis(lease))
            .arg(millis(lease * KEY_TTL_LEASES))
            .arg(about)
            .arg(former)
            .invoke_async(connection)
            .await?;
        let outcome = match outcome.as_str() {
            "kept" => Outcome::Kept,
            "new" => Outcome::New,
            "succeeded" => Outcome::Succeeded,
            "lost" => Outcome::Lost,
            "replaced" => Outcome::Replaced,
            _ => Outcome::Unsure,
        };
        Ok(Tick { outcome, epoch, removed, others: leases(&others, now) })
    }

    /// Where users are, on other nodes than `except`; and which those are.
    pub(super) async fn look(
        &self,
        connection: &mut Connection,
        except: &str,
        users: &[u64],
    ) -> RedisResult<(Vec<Lease>, Vec<Found>)> {
        let (now, others, found): (u64, Vec<String>, Vec<String>) = self
            .look
            .key(&self.nodes)
            .arg(&self.users)
            .arg(except)
            .arg(users)
            .invoke_async(connection)
            .await?;
        let found = pairs(&found).filter_map(|(node, member)| {
            let (user, entry) = Entry::from_member(member)?;
            Some(Found { node: node.to_owned(), user, entry })
        });
        Ok((leases(&others, now), found.collect()))
    }

    /// All nodes, by name.
    pub(super) async fn nodes(&self, connection: &mut Connection) -> RedisResult<Vec<NodeStatus>> {
        // No node has the empty name.
        let (leases, _) = self.look(connection, "", &[]).await?;
        let mut nodes: Vec<_> = leases.iter().filter_map(Lease::status).collect();
        nodes.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        Ok(nodes)
    }

    /// Users above `after` on other nodes than `except`: the first `limit` of each, in no order.
    pub(super) async fn page(
        &self,
        connection: &mut Connection,
        except: &str,
        after: u64,
        limit: usize,
    ) -> RedisResult<Vec<u64>> {
        let members: Vec<String> = self
            .page
            .key(&self.nodes)
            .arg(&self.users)
            .arg(except)
            .arg(after)
            .arg(limit)
            .invoke_async(connection)
            .await?;
        Ok(members.iter().filter_map(|member| Some(Entry::from_member(member)?.0)).collect())
    }

    /// Gives up a lease, and all users under it.
    pub(super) async fn release(
        &self,
        connection: &mut Connection,
        node: &str,
        run: &str,
        epoch: u64,
    ) -> RedisResult<()> {
        let mut script = self.release.key(&self.nodes);
        script.arg(&self.users).arg(node).arg(run).arg(epoch).invoke_async(connection).await
    }

    /// Writes users under an epoch. By itself, and before [`Scripts::remove`], so that nobody who only changes is missing for a
    /// moment: a server without memory refuses this, and would still take out what it is to replace.
    pub(super) async fn add(
        &self,
        connection: &mut Connection,
        node: &str,
        epoch: u64,
        users: &[(u64, Entry)],
    ) -> RedisResult<Written> {
        if users.is_empty() {
            return Ok(Written::All);
        }
        let mut add = redis::cmd("ZADD");
        add.arg(self.users_of(node, epoch));
        for (user, entry) in users {
            add.arg(*user).arg(entry.to_member(*user));
        }
        match add.exec_async(connection).await {
            Err(error) if matches!(error.code(), Some("OOM" | "MISCONF" | "NOPERM")) => {
                Ok(Written::Refused(error))
            }
            done => done.map(|()| Written::All),
        }
    }

    /// Takes users out under an epoch.
    pub(super) async fn remove(
        &self,
        connection: &mut Connection,
        node: &str,
        epoch: u64,
        users: &[(u64, Entry)],
    ) -> RedisResult<()> {
        if users.is_empty() {
            return Ok(());
        }
        let mut remove = redis::cmd("ZREM");
        remove.arg(self.users_of(node, epoch));
        for (user, entry) in users {
            remove.arg(entry.to_member(*user));
        }
        remove.exec_async(connection).await
    }

    fn users_of(&self, node: &str, epoch: u64) -> String {
        format!("{}{node}:{epoch}", self.users)
    }
}

impl Lease {
    #[cfg(test)]
    pub(super) fn of(node: &str, epoch: u64, left: Duration) -> Self {
        Self { node: node.to_owned(), epoch, left, about: String::new() }
    }

    /// What its node says of itself; `None` if that can't be read.
    pub(super) fn status(&self) -> Option<NodeStatus> {
        let About { socketio, http, load } = serde_json::from_str(&self.about).ok()?;
        // An epoch is the moment of its beginning, by Redis' clock.
        let since = Timestamp::from_unix_ms(i64::try_from(self.epoch).ok()?);
        let (node_id, epoch, lease_ms) = (self.node.clone(), self.epoch, millis(self.left));
        Some(NodeStatus { node_id, epoch, socketio, http, since, lease_ms, load })
    }
}

/// Entries as `live.lua` describes them.
fn leases(entries: &[String], now: u64) -> Vec<Lease> {
    let lease = |(node, entry): (&str, &str)| {
        let mut parts = entry.splitn(4, ' ');
        let (epoch, deadline) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u64>().ok()?);
        let (_run, about) = (parts.next()?, parts.next()?.to_owned());
        let left = Duration::from_millis(deadline.saturating_sub(now));
        Some(Lease { node: node.to_owned(), epoch, left, about })
    };
    pairs(entries).filter_map(lease).collect()
}

fn pairs(list: &[String]) -> impl Iterator<Item = (&str, &str)> {
    list.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
