//! How shards are spoken to: one mailbox each, emptied at one go once per turn.
//!
//! Mail from one sender is read in the order in which it was posted. The lock is held for a push or a swap;
//! a shard that is busy is not woken again. Who has much to post wakes the shards once, behind all of it.

use std::cell::Cell;
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
    /// The shard was woken for this mail.
    woken: bool,
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
        let mailbox = |_| Mutex::new(Mailbox { mail: Vec::new(), shard: None, woken: false, closed: false });
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
        if QUIET.get() != self.address() {
            Mailbox::wake(mailbox);
        }
        Ok(())
    }

    /// Does something that posts much from this thread: no shard is woken before it is over, though one that is awake may
    /// read what there is.
    #[cfg(feature = "node")]
    pub fn together(&self, post: impl FnOnce()) {
        let quiet = Quiet(QUIET.replace(self.address()));
        post();
        drop(quiet);
        if QUIET.get() != self.address() {
            for shard in 0..self.shards() {
                self.lock(shard).filter(|mailbox| !mailbox.mail.is_empty()).map(Mailbox::wake);
            }
        }
    }

    /// A name for these mailboxes among those of the process.
    fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Moves a shard's mail into `into`, which must be empty. `waker` names the task that is to be woken for mail from
    /// then on.
    pub fn take(&self, shard: ShardId, waker: &Waker, into: &mut Vec<M>) {
        if let Some(mut mailbox) = self.lock(shard) {
            std::mem::swap(&mut mailbox.mail, into);
            mailbox.woken = false;
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

impl<M> Mailbox<M> {
    /// Wakes the shard, once for what is in the mailbox.
    fn wake(mut mailbox: MutexGuard<'_, Self>) {
        let waker = if mailbox.woken { None } else { mailbox.shard.clone() };
        mailbox.woken = true;
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

thread_local! {
    /// Whose shards this thread does not wake for what it posts; 0: it wakes all.
    static QUIET: Cell<usize> = const { Cell::new(0) };
}

/// What [`QUIET`] was, and is again when this is dropped.
#[cfg(feature = "node")]
struct Quiet(usize);

#[cfg(feature = "node")]
impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

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

    #[cfg(feature = "node")]
    #[test]
    fn a_shard_is_woken_once_for_what_is_posted_together() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let (mailboxes, wakes) = (Mailboxes::new(2), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(wakes.clone());
        (0..2).for_each(|shard| mailboxes.take(shard, &waker, &mut Vec::new()));
        mailboxes.together(|| {
            mailboxes.post(1, 'a').unwrap();
            mailboxes.post(1, 'b').unwrap();
            assert_eq!(wakes.0.load(Relaxed), 0);
            std::thread::scope(|scope| {
                scope.spawn(|| mailboxes.post(1, 'c').unwrap());
            });
            assert_eq!(wakes.0.load(Relaxed), 1, "another thread does not wait for this one");
        });
        assert_eq!(wakes.0.load(Relaxed), 1);
        mailboxes.take(1, &waker, &mut Vec::new());
        mailboxes.together(|| mailboxes.post(1, 'd').unwrap());
        assert_eq!(wakes.0.load(Relaxed), 2);
        mailboxes.post(1, 'e').unwrap();
        assert_eq!(wakes.0.load(Relaxed), 2, "it has been woken for that");
        mailboxes.take(1, &waker, &mut Vec::new());
        Mailboxes::<char>::new(1).together(|| mailboxes.post(1, 'f').unwrap());
        assert_eq!(wakes.0.load(Relaxed), 3, "another server's shards don't wait");
    }

    #[test]
    fn nobody_there_is_said() {
        let mailboxes = Mailboxes::new(1);
        assert_eq!(mailboxes.post(1, 'a'), Err('a'));
        mailboxes.close(0);
        assert_eq!(mailboxes.post(0, 'a'), Err('a'));
    }
}
