//! How shards are spoken to: one mailbox each, emptied at one go once per turn.
//!
//! Mail from one sender is read in the order in which it was posted. The lock is held for a push or a swap;
//! a shard that is busy is not woken again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::ids::ShardId;

/// The mailboxes of all shards of a node.
#[derive(Debug)]
pub struct Mailboxes<M>(Arc<[Mutex<Mailbox<M>>]>);

#[derive(Debug)]
struct Mailbox<M> {
    mail: Vec<M>,
    shard: Option<Waker>,
    /// The shard is gone: what is posted is dropped.
    closed: bool,
}

impl<M> Clone for Mailboxes<M> {
    fn clone(&self) -> Self {
        Mailboxes(self.0.clone())
    }
}

impl<M> Mailboxes<M> {
    /// Mailboxes for so many shards.
    pub fn new(shards: ShardId) -> Self {
        let mailbox = |_| Mutex::new(Mailbox { mail: Vec::new(), shard: None, closed: false });
        Mailboxes((0..shards).map(mailbox).collect())
    }

    /// How many shards there are.
    pub fn shards(&self) -> ShardId {
        // Made from a `ShardId` in `new`.
        self.0.len() as ShardId
    }

    fn lock(&self, shard: ShardId) -> Option<MutexGuard<'_, Mailbox<M>>> {
        // Nothing that can panic runs under this lock.
        Some(self.0.get(usize::from(shard))?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Posts mail to a shard. Gives it back where there is no such shard, or where it has ended.
    pub fn post(&self, shard: ShardId, mail: M) -> Result<(), M> {
        let Some(mut mailbox) = self.lock(shard).filter(|mailbox| !mailbox.closed) else { return Err(mail) };
        mailbox.mail.push(mail);
        let waker = if mailbox.mail.len() == 1 { mailbox.shard.clone() } else { None };
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Moves a shard's mail into `into`, which must be empty. `waker` names the task that is to be woken for mail from
    /// then on.
    pub fn take(&self, shard: ShardId, waker: &Waker, into: &mut Vec<M>) {
        if let Some(mut mailbox) = self.lock(shard) {
            std::mem::swap(&mut mailbox.mail, into);
            if !mailbox.shard.as_ref().is_some_and(|known| known.will_wake(waker)) {
                mailbox.shard = Some(waker.clone());
            }
        }
    }

    /// The shard ends: what is in its mailbox, and what is posted from now on, is dropped.
    pub fn close(&self, shard: ShardId) {
        if let Some(mut mailbox) = self.lock(shard) {
            mailbox.closed = true;
            let dropped = std::mem::take(&mut mailbox.mail);
            drop(mailbox);
            drop(dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_arrives_in_order_and_once() {
        let mailboxes = Mailboxes::new(2);
        mailboxes.post(1, 'a').unwrap();
        mailboxes.post(1, 'b').unwrap();
        let mut mail = Vec::new();
        mailboxes.take(0, Waker::noop(), &mut mail);
        assert!(mail.is_empty());
        mailboxes.take(1, Waker::noop(), &mut mail);
        assert_eq!(mail, ['a', 'b']);
        mail.clear();
        mailboxes.take(1, Waker::noop(), &mut mail);
        assert!(mail.is_empty());
    }

    #[test]
    fn nobody_there_is_said() {
        let mailboxes = Mailboxes::new(1);
        assert_eq!(mailboxes.post(1, 'a'), Err('a'));
        mailboxes.close(0);
        assert_eq!(mailboxes.post(0, 'a'), Err('a'));
    }
}
