//! Finding a session that is kept on another shard or node than the one that its client has come to.
//!
//! An event for many is told to all shards and nodes, but not to all at the same time. The shard that the client has come
//! to remembers everything from then on, and the one that keeps the session tells what the client has missed, and what
//! it has had lately; what both know is told apart by its offset. For nothing to be lost or doubled,
//!
//! - what was told to the shard here before the client came must have been told to the keeper before it is asked, and
//! - what was told to the keeper before it answered must have been told to the shard here before it gets the answer.
//!
//! Both hold once the emits are over that were under way ([`UnderWay`](crate::under_way::UnderWay)).

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Claim, Claimer, Found};
use crate::ids::{ShardId, SocketId};
use crate::socketio::io::IoInner;
use crate::socketio::op::Op;

/// Looks for a session, and tells the shard of the socket that claims it what became of that. To be called on that shard.
pub fn begin(io: &Arc<IoInner>, claim: Claim, namespace: Arc<str>, here: ShardId, socket: SocketId) {
    let io = io.clone();
    tokio::spawn(async move {
        let found = find(&io, claim, namespace, here).await.map(Box::new);
        io.mail_to(here, Op::Claimed { socket, claim, found });
    });
}

async fn find(io: &Arc<IoInner>, claim: Claim, namespace: Arc<str>, here: ShardId) -> Option<Found> {
    let recovery = io.recovery.as_ref()?;
    recovery.emits.wait().await;
    let mut found = None;
    let shard = recovery.shard_of(&claim.pid);
    if shard != here {
        let (by, answer) = oneshot::channel();
        io.mail_to(shard, Op::Claim { claim, namespace: namespace.clone(), by: Claimer::Shard(by) });
        // Where there is no such shard, nobody answers, and it is known at once.
        found = answer.await.ok().flatten();
    }
    if found.is_none() {
        found = io.cluster()?.find_session(io, claim, namespace).await;
    }
    if found.is_some() {
        recovery.emits.wait().await;
    }
    found
}
