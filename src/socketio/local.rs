//! The short way: what a handler asks of the very shard that it runs on needs no mailbox.
//!
//! It is written down in the thread's own list, without lock or atomic, and done as soon as the handler lets go.
//! Frames for one socket are written one behind the other into a buffer that stays.

use std::cell::{Cell, RefCell};

use super::op::{Frames, Op, Target};
use crate::ids::{Offset, ShardId};
use crate::shard::wake_shard;

thread_local! {
    /// Which server's shard this thread is: the server's address, and the shard's number.
    static HERE: Cell<Option<(usize, ShardId)>> = const { Cell::new(None) };
    /// What is asked goes by mail also on a shard's own thread.
    static BY_MAIL: Cell<bool> = const { Cell::new(false) };
    static WISHES: RefCell<Wishes> = const { RefCell::new(Wishes { ops: Vec::new(), frames: Vec::new() }) };
}

/// What was asked for on this thread.
#[derive(Default)]
pub struct Wishes {
    pub ops: Vec<Op>,
    /// The frames of all [`Frames::Local`], in their order.
    pub frames: Vec<u8>,
}

/// This thread is a shard of `server` from now on.
pub fn enter(server: usize, shard: ShardId) {
    HERE.set(Some((server, shard)));
}

/// Whether this thread is that shard, and the short way may be taken.
pub fn is_here(server: usize, shard: ShardId) -> bool {
    HERE.get() == Some((server, shard)) && !BY_MAIL.get()
}

/// Does something whose wishes are to be in one order with those of other threads: no short way is taken.
pub fn by_mail(ask: impl FnOnce()) {
    let _before = Before(BY_MAIL.replace(true));
    ask();
}

/// What [`BY_MAIL`] was, and is again when this is dropped.
struct Before(bool);

impl Drop for Before {
    fn drop(&mut self) {
        BY_MAIL.set(self.0);
    }
}

/// Asks this thread's shard.
pub fn ask(op: Op) {
    note(|wishes| wishes.ops.push(op));
}

/// Asks this thread's shard to send what `write` writes.
pub fn send(target: Target, volatile: bool, offset: Option<Offset>, write: impl FnOnce(&mut Vec<u8>)) {
    note(|wishes| {
        let before = wishes.frames.len();
        write(&mut wishes.frames);
        let frames = Frames::Local(wishes.frames.len() - before);
        wishes.ops.push(Op::Send { target, frames, volatile, offset });
    });
}

fn note(wish: impl FnOnce(&mut Wishes)) {
    let first = WISHES.with_borrow_mut(|wishes| {
        wish(wishes);
        wishes.ops.len() == 1
    });
    if first {
        wake_shard();
    }
}

/// Takes all that was asked for, and leaves `empty` to be filled. `false`: nothing was.
pub fn take(empty: &mut Wishes) -> bool {
    WISHES.with_borrow_mut(|wishes| {
        if wishes.ops.is_empty() {
            return false;
        }
        std::mem::swap(wishes, empty);
        true
    })
}
